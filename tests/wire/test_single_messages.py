"""A streaming method whose messages are answered one by one: one message and the end come as a whole call."""

import pytest

from etcdz.wire import frames as f
from etcdz.wire.events import CALL, CANCEL, STREAM_END, STREAM_MESSAGE, STREAM_OPEN, ServerEvent
from etcdz.wire.request_head import NO_METADATA, Method
from etcdz.wire.server import GrpcServerConnection, ServerSettings
from tests.wire.conversation import (
    HELLO,
    Clock,
    Reader,
    answered,
    changed,
    data,
    headers,
    message,
    refused,
    rst_stream,
    split_frames,
)
from tests.wire.told import cancelled

PATH = b"/test.Echo/EachAnswered"
METHOD = Method(PATH, False, 3, single=True)
FIELDS = changed((b":path", PATH))
OPEN = STREAM_OPEN, 1
WHOLE = [(CALL, 1)]
APART = [OPEN, (STREAM_MESSAGE, 1), (STREAM_END, 1)]


def connect(clock: Clock | None = None) -> GrpcServerConnection:
    conn = GrpcServerConnection({PATH: METHOD}, ServerSettings(), clock or Clock())
    assert conn.receive(HELLO) == []
    conn.take_output()
    return conn


def told(events: list[ServerEvent]) -> list[tuple[int, int]]:
    return [(kind, stream_id) for kind, stream_id, *_ in events]


CASES = [
    ("at once", [headers(1, FIELDS) + data(1, message(b"x"))], WHOLE),
    ("empty message", [headers(1, FIELDS) + data(1, message(b""))], WHOLE),
    ("with its length", [headers(1, [*FIELDS, (b"content-length", b"6")]) + data(1, message(b"x"))], WHOLE),
    ("message comes later", [headers(1, FIELDS), data(1, message(b"x"))], APART),
    ("end comes later", [headers(1, FIELDS) + data(1, message(b"x"), 0), data(1, b"")], APART),
    ("end in a frame of its own", [headers(1, FIELDS) + data(1, message(b"x"), 0) + data(1, b"")], APART),
    ("two messages", [headers(1, FIELDS) + data(1, message(b"x") + message(b"y"))],
     [OPEN, (STREAM_MESSAGE, 1), (STREAM_MESSAGE, 1), (STREAM_END, 1)]),
    ("message in two reads", [(headers(1, FIELDS) + data(1, message(b"x")))[:-1], b"x"], APART),
    ("nothing but the head", [headers(1, FIELDS)], [OPEN]),
    ("no message", [headers(1, FIELDS, f.END_HEADERS | f.END_STREAM)], [OPEN, (STREAM_END, 1)]),
    ("taken back unheard", [headers(1, FIELDS) + rst_stream(1)], []),
    ("taken back", [headers(1, FIELDS), rst_stream(1)], [OPEN, (CANCEL, 1)]),
    ("taken back as a call", [headers(1, FIELDS) + data(1, message(b"x")) + rst_stream(1)], [*WHOLE, (CANCEL, 1)]),
    ("longer than its length", [headers(1, [*FIELDS, (b"content-length", b"5")]) + data(1, message(b"x"))],
     [OPEN, (CANCEL, 1)]),
    ("bad prefix", [headers(1, FIELDS) + data(1, message(b"x", 7))], [OPEN, (CANCEL, 1)]),
]  # fmt: skip


@pytest.mark.parametrize(("chunks", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_the_application_is_told(chunks: list[bytes], expected: list[tuple]) -> None:
    conn = connect()
    assert told([event for chunk in chunks for event in conn.receive(chunk)]) == expected
    assert not conn.closed


def test_whatever_the_reads_the_same_is_answered() -> None:
    """The first head is decoded, the next are known by their bytes."""
    sent = b"".join(headers(stream_id, FIELDS) + data(stream_id, message(b"abc")) for stream_id in (1, 3, 5))
    for chunks in ([sent], split_frames(sent), [bytes((byte,)) for byte in sent]):
        conn = connect()
        lines = []
        reader = Reader()
        for chunk in chunks:
            for kind, stream_id, _, body, _, _ in conn.receive(chunk):
                if kind == CALL:
                    conn.reply(stream_id, body)
                elif kind == STREAM_MESSAGE:
                    conn.send_message(stream_id, body)
                elif kind == STREAM_END:
                    conn.finish(stream_id)
            lines += reader.lines(conn.take_output())
        assert lines == [line for stream_id in (1, 3, 5) for line in answered(stream_id, 3)]
        assert conn.open_streams == 0


def test_heads_of_many_streams_before_their_messages() -> None:
    conn = connect()
    ids = range(1, 41, 2)
    sent = b"".join(headers(stream_id, FIELDS) for stream_id in ids)
    sent += b"".join(data(stream_id, message(b"%d" % stream_id)) for stream_id in ids)
    assert conn.receive(sent) == [(CALL, at, METHOD, b"%d" % at, None, NO_METADATA) for at in ids]


def test_a_broken_connection_tells_of_what_was_told() -> None:
    conn = connect()
    opened = conn.receive(headers(1, FIELDS))
    events = conn.receive(headers(3, FIELDS) + data(3, message(b"x")) + headers(5, FIELDS) + data(0, b""))
    assert told(opened) == [OPEN]
    assert conn.closed
    assert sorted(told(events)) == [(CALL, 3), (CANCEL, 1), (CANCEL, 3)], "nobody has heard of 5"


def test_a_deadline_holds_for_a_whole_call() -> None:
    clock = Clock()
    conn = connect(clock)
    events = conn.receive(headers(1, [*FIELDS, (b"grpc-timeout", b"2S")]) + data(1, message(b"x")))
    assert [(kind, deadline) for kind, _, _, _, deadline, _ in events] == [(CALL, 2.0)]
    assert conn.expire(2.0) == [cancelled(1)]
    lines = Reader().lines(conn.take_output())
    assert lines == [refused(1, 4, "etcdserver: context deadline exceeded")]
    conn.reply(1, b"late")
    assert conn.take_output() == b""


def test_a_leaving_server_finishes_it() -> None:
    conn = connect()
    conn.receive(headers(1, FIELDS) + data(1, message(b"x")))
    conn.go_away()
    assert not conn.should_close
    conn.reply(1, b"x")
    assert Reader().lines(conn.take_output())[-3:] == answered(1, 1)
