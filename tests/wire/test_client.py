"""The client's end: what it makes of a server's bytes, and what it sends; then both ends of ours together."""

import pytest

from etcdz.wire import frames as f
from etcdz.wire.client import CannotOpen, ClientSettings, GrpcClientConnection, encode_timeout
from etcdz.wire.events import GOAWAY, ClientEvent
from etcdz.wire.request_head import decode_timeout
from etcdz.wire.server import GrpcServerConnection, ServerSettings
from tests.wire.conversation import (
    ECHO,
    METHODS,
    STREAM,
    Clock,
    Reader,
    block,
    data,
    frame,
    message,
    ping,
    rst_stream,
    settings,
    window_update,
)
from tests.wire.echo_server import answer
from tests.wire.told import answered, cancelled, done, going

END = f.END_STREAM | f.END_HEADERS
RESPONSE = [(b":status", b"200"), (b"content-type", b"application/grpc")]
OK = [(b"grpc-status", b"0"), (b"grpc-message", b"")]


def connected(clock: Clock | None = None, offered: ClientSettings | None = None) -> GrpcClientConnection:
    client = GrpcClientConnection(offered or ClientSettings(), clock or Clock())
    client.receive(settings())
    return client


def head(stream_id: int, fields: list[tuple[bytes, bytes]], flags: int = f.END_HEADERS) -> bytes:
    return frame(f.HEADERS, flags, stream_id, block(fields))


def ended(code: int, text: str, body: bytes = b"") -> list[ClientEvent]:
    return [done(1, code, text, body)]


GOOD = head(1, RESPONSE) + data(1, message(b"hi"), 0)
ANSWERS = [
    # (name, what the server sends for stream 1, events)
    ("good", GOOD + head(1, OK, END), ended(0, "", b"hi")),
    ("message in pieces", head(1, RESPONSE) + data(1, message(b"hi")[:3], 0) + data(1, message(b"hi")[3:], 0)
     + head(1, OK, END), ended(0, "", b"hi")),
    ("padded", head(1, RESPONSE) + frame(f.DATA, f.PADDED, 1, b"\x02" + message(b"hi") + bytes(2)) + head(1, OK, END),
     ended(0, "", b"hi")),
    ("1xx first", head(1, [(b":status", b"103")]) + GOOD + head(1, OK, END), ended(0, "", b"hi")),
    ("trailers only", head(1, [*RESPONSE, (b"grpc-status", b"3"), (b"grpc-message", b"caf%C3%A9 100%25")], END),
     ended(3, "café 100%")),
    ("error after the message", GOOD + head(1, [(b"grpc-status", b"14"), (b"grpc-message", b"no")], END),
     ended(14, "no")),
    ("no message", head(1, RESPONSE) + head(1, OK, END), ended(13, "received no message for a unary call")),
    ("two messages", GOOD + data(1, message(b"more"), 0) + head(1, OK, END),
     ended(13, "received more than one message for a unary call")),
    ("message cut short", head(1, RESPONSE) + data(1, message(b"hi")[:-1], 0) + head(1, OK, END),
     ended(13, "unexpected EOF")),
    ("no trailers", GOOD[:-7 - 9] + data(1, message(b"hi")),
     ended(13, "server closed the stream without sending trailers")),
    ("trailers without grpc-status", GOOD + head(1, [(b"a", b"b")], END),
     ended(13, "server closed the stream without sending trailers")),
    ("grpc-status is no number", GOOD + head(1, [(b"grpc-status", b"x")], END), ended(2, "")),
    ("HTTP 503", head(1, [(b":status", b"503")], END),
     ended(14, "unexpected HTTP status code received from server: 503")),
    ("HTTP 404 with a body", head(1, [(b":status", b"404"), (b"content-type", b"text/html")]) + data(1, b"<html>"),
     ended(12, "unexpected HTTP status code received from server: 404")),
    ("HTTP 200, not gRPC", head(1, [(b":status", b"200"), (b"content-type", b"text/html")]) + data(1, b"<html>"),
     ended(2, "received a response that is not gRPC")),
    ("bad flag", head(1, RESPONSE) + data(1, message(b"hi", 9), 0),
     ended(13, "grpc: received unexpected payload format 9")),
    ("compressed", head(1, RESPONSE) + data(1, message(b"hi", 1), 0),
     ended(13, "grpc: compressed flag set with identity or empty encoding")),
    ("over the limit", head(1, RESPONSE) + data(1, message(b"x" * 101), 0),
     ended(8, "grpc: received message larger than max (101 vs. 100)")),
    ("refused", rst_stream(1, f.REFUSED_STREAM), ended(14, "stream terminated by RST_STREAM with error code: 7")),
    ("reset", GOOD + rst_stream(1, f.CANCEL), ended(1, "stream terminated by RST_STREAM with error code: 8")),
    ("calm", rst_stream(1, f.ENHANCE_YOUR_CALM), ended(8, "stream terminated by RST_STREAM with error code: 11")),
    ("DATA before HEADERS", data(1, message(b"hi"), 0),
     ended(13, "stream terminated by RST_STREAM with error code: 1")),
    ("HEADERS thrice", GOOD + head(1, RESPONSE), ended(13, "stream terminated by RST_STREAM with error code: 1")),
    ("PING", ping(), []),
    ("GOAWAY below the call", f.encode_goaway(0, 0, "bye"),
     [*ended(14, "stream terminated by RST_STREAM with error code: 7"), going(0, 0, "bye")]),
    ("GOAWAY above the call", f.encode_goaway(1, 0) + GOOD + head(1, OK, END),
     [going(1, 0, ""), *ended(0, "", b"hi")]),
    ("reset after the answer", GOOD + head(1, OK, END) + rst_stream(1, f.NO_ERROR) + window_update(1, 9),
     ended(0, "", b"hi")),
]  # fmt: skip
LOST = ended(14, "transport is closing")
FATAL = [
    ("push", settings((2, 1)), f.PROTOCOL_ERROR),
    ("PUSH_PROMISE", frame(f.PUSH_PROMISE, 4, 1, bytes(4) + block()), f.PROTOCOL_ERROR),
    ("HEADERS on a stream that was never opened", head(3, RESPONSE), f.PROTOCOL_ERROR),
    ("HEADERS on an even stream", head(2, RESPONSE), f.PROTOCOL_ERROR),
    ("DATA on stream 0", data(0, b""), f.PROTOCOL_ERROR),
    ("frame too long", frame(f.DATA, 0, 1, bytes(16_385)), f.FRAME_SIZE_ERROR),
    ("bad header block", frame(f.HEADERS, 4, 1, b"\x80"), f.COMPRESSION_ERROR),
    ("connection window overflows", window_update(0, (1 << 31) - 1), f.FLOW_CONTROL_ERROR),
    ("HTTP/1.1", b"HTTP/1.1 400 Bad Request\r\n\r\n", f.FRAME_SIZE_ERROR),
]


@pytest.mark.parametrize("timeout_s", [None, 5.0])
@pytest.mark.parametrize(("sent", "expected"), [case[1:] for case in ANSWERS], ids=[case[0] for case in ANSWERS])
def test_answer(sent: bytes, expected: list[tuple], timeout_s: float | None) -> None:
    for size in (len(sent), 1, 10):
        client = connected(offered=ClientSettings(message_bytes_max=100))
        client.call(ECHO, b"first")
        client.cancel(1)
        client._next_id = 1  # the next call takes the short way, on stream 1 as the table has it
        client._early_closed.clear()
        assert client.call(ECHO, b"hello", timeout_s) == 1
        events = [event for at in range(0, len(sent), size) for event in client.receive(sent[at : at + size])]
        assert events == expected
        assert not client.closed and (client.open_streams == 0 or expected == [])


@pytest.mark.parametrize(("sent", "code"), [case[1:] for case in FATAL], ids=[case[0] for case in FATAL])
def test_connection_error(sent: bytes, code: int) -> None:
    client = connected()
    client.call(ECHO, b"hello")
    client.take_output()
    assert client.receive(sent) == LOST
    assert client.closed and client.should_close and client.error_code == code
    assert Reader().lines(client.take_output())[-1].startswith("GOAWAY 0 ")
    assert client.room == 0
    with pytest.raises(CannotOpen):
        client.call(ECHO, b"again")


def test_the_first_frame_of_a_server_is_settings() -> None:
    client = GrpcClientConnection(ClientSettings(), Clock())
    client.receive(ping())
    assert client.error_code == f.PROTOCOL_ERROR


def test_what_a_call_looks_like_on_the_wire() -> None:
    client = GrpcClientConnection(ClientSettings(authority=b"host:2379", window=65_535, stream_window=65_535), Clock())
    client.call(ECHO, b"hello", 1.5, ((b"token", b"t"),))
    client.call(ECHO, b"", None)
    output = client.take_output()
    assert output.startswith(f.PREFACE)
    common = (
        ":method=POST :scheme=http :path=/test.Echo/Unary :authority=host:2379 content-type=application/grpc "
        "user-agent=etcdz te=trailers"
    )
    assert Reader().lines(output[len(f.PREFACE) :]) == [
        "SETTINGS 2=0 4=65535",
        f"HEADERS 1 {common} grpc-timeout=1500000u token=t",
        "DATA 1 END_STREAM 10",
        f"HEADERS 3 {common}",
        "DATA 3 END_STREAM 5",
    ]


def test_header_blocks_shrink_to_indexes_and_recover_from_new_paths() -> None:
    client, server = connected(), GrpcServerConnection(METHODS, ServerSettings(), Clock())
    server.receive(client.take_output())
    for path in (ECHO, ECHO, STREAM, ECHO, STREAM, ECHO):
        client.call(path, b"x")
        sent = client.take_output()
        assert len(server.receive(sent)) >= 1
    assert len(sent) == 9 + 7 + 9 + 6


def test_room_follows_the_servers_limit() -> None:
    client = GrpcClientConnection(ClientSettings(), Clock())
    client.receive(settings((3, 2)))
    client.call(ECHO, b"a")
    client.open(STREAM)
    assert client.room == 0
    with pytest.raises(CannotOpen):
        client.call(ECHO, b"b")
    with pytest.raises(CannotOpen):
        client.open(STREAM)
    client.cancel(1)
    assert client.room == 1


def test_stream_ids_run_out() -> None:
    client = connected()
    client._next_id = (1 << 31) - 3
    assert client.room == 2
    assert [client.call(ECHO, b""), client.call(ECHO, b"")] == [(1 << 31) - 3, (1 << 31) - 1]
    assert client.room == 0
    with pytest.raises(CannotOpen):
        client.call(ECHO, b"")


def test_deadline_ends_the_call_here_and_resets_it_there() -> None:
    clock = Clock()
    client = connected(clock)
    client.call(ECHO, b"a", 2.0)
    client.call(ECHO, b"b", 1.0)
    client.take_output()
    assert client.next_deadline() == 1.0 and client.expire(0.5) == []
    assert client.expire(1.0) == [done(3, 4, "context deadline exceeded")]
    assert Reader().lines(client.take_output()) == ["RST_STREAM 3 CANCEL"]
    assert client.receive(head(3, RESPONSE) + data(3, message(b"late"), 0)) == [] and not client.closed
    assert client.next_deadline() == 2.0


def test_an_answer_that_comes_before_the_request_is_sent_whole() -> None:
    client = connected()
    client.call(ECHO, bytes(1_000_000))
    client.take_output()
    sent = head(1, [*RESPONSE, (b"grpc-status", b"8"), (b"grpc-message", b"too large")], END) + rst_stream(
        1, f.NO_ERROR
    )
    assert client.receive(sent) == ended(8, "too large")
    assert Reader().lines(client.take_output()) == ["RST_STREAM 1 CANCEL"]
    assert client.pending_bytes == 0 and client.receive(window_update(0, 9) + window_update(1, 9)) == []


def test_a_stream_both_ways_byte_by_byte() -> None:
    client, server = (
        GrpcClientConnection(ClientSettings(), Clock()),
        GrpcServerConnection(METHODS, ServerSettings(), Clock()),
    )
    stream_id = client.open(STREAM, metadata=((b"token", b"t"),))
    call_id = client.call(ECHO, b"unary")
    events: list[ClientEvent] = []
    for body in (b"one", b"", b"three" * 100):
        client.send_message(stream_id, body)
        events += talk(client, server)
    client.half_close(stream_id)
    client.half_close(stream_id)
    client.send_message(stream_id, b"too late")
    events += talk(client, server)
    assert events == [
        done(call_id, message=b"unary"),
        answered(stream_id, b"one"),
        answered(stream_id, b""),
        answered(stream_id, b"three" * 100),
        done(stream_id),
    ]


def talk(client: GrpcClientConnection, server: GrpcServerConnection) -> list[tuple]:
    """Byte by byte until both are silent."""
    events: list[ClientEvent] = []
    while True:
        up = client.take_output()
        for byte in up:
            answer(server, server.receive(bytes((byte,))))
        down = server.take_output()
        for byte in down:
            events += client.receive(bytes((byte,)))
        if not up and not down:
            return events


@pytest.mark.parametrize("cut", range(24))
def test_messages_of_a_stream_come_alike_however_they_are_framed(cut: int) -> None:
    """Several in one DATA frame, and cut anywhere: 24 bytes of three messages, the second of them empty."""
    client = connected()
    stream_id = client.open(STREAM)
    sent = message(b"first") + message(b"") + message(b"or..")
    frames = data(stream_id, sent[:cut], 0) + data(stream_id, sent[cut:], 0)
    events = client.receive(head(stream_id, RESPONSE) + frames + data(stream_id, message(b"more") * 2, 0))
    assert events == [answered(stream_id, body) for body in (b"first", b"", b"or..", b"more", b"more")]
    assert client.receive(head(stream_id, OK, END)) == [done(stream_id)]


def test_cancelled_streams_are_cancelled_there() -> None:
    client, server = connected(), GrpcServerConnection(METHODS, ServerSettings(), Clock())
    stream_id = client.open(STREAM)
    talk(client, server)
    client.cancel(stream_id)
    assert server.receive(client.take_output()) == [cancelled(stream_id)]
    client.cancel(stream_id)
    assert client.take_output() == b"" and client.open_streams == server.open_streams == 0


def test_graceful_end_of_the_server_loses_no_call() -> None:
    client, server = connected(), GrpcServerConnection(METHODS, ServerSettings(), Clock())
    server.take_output()
    stuck = client.call(ECHO, b"never")
    talk(client, server)
    crossing = client.call(ECHO, b"crossing")
    server.go_away()
    events = talk(client, server)
    assert done(crossing, message=b"crossing") in events
    assert [last_id for kind, last_id, *_ in events if kind == GOAWAY][-1] == crossing
    assert client.room == 0 and not client.should_close and not server.should_close
    server.reply(stuck, b"at last")
    assert talk(client, server) == [done(stuck, message=b"at last")]
    assert client.should_close and server.should_close


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (5, b"5000000u"),
        (0.05, b"50000000n"),
        (1e-12, b"1n"),
        (99.9, b"99900000u"),
        (7_200, b"7200000m"),
        (1e12, b"99999999H"),
    ],
)
def test_timeouts(seconds: float, expected: bytes) -> None:
    assert encode_timeout(seconds) == expected
    assert decode_timeout(expected) == pytest.approx(min(seconds, 99_999_999 * 3_600), abs=1e-9)
