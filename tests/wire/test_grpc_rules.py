"""gRPC over HTTP/2 as a server must speak it: each row is one call and its answer.

Texts and codes are grpc-go's, as etcd 3.5 gives them. Source: gRPC over HTTP/2.
"""

import gzip
from urllib.parse import unquote

import pytest

from etcdz.wire import frames as f
from etcdz.wire.answers import encode_text
from etcdz.wire.events import CALL
from etcdz.wire.request_head import NO_METADATA
from etcdz.wire.server import GrpcServerConnection, ServerSettings
from tests.wire.conversation import (
    CALL_FIELDS,
    ECHO,
    HELLO,
    METHODS,
    STREAM,
    Clock,
    Reader,
    answered,
    call,
    changed,
    data,
    headers,
    message,
    refused,
    rst_stream,
    serve,
    settings,
    split_frames,
)
from tests.wire.told import cancelled, half_closed, opened, received

END = f.END_STREAM | f.END_HEADERS
GZIP = (b"grpc-encoding", b"gzip")
LIMIT = ServerSettings(message_bytes_max=100)
TOO_LARGE = "grpc: received message larger than max (101 vs. 100)"
MANY = "cardinality violation: received multiple request messages for non-client-streaming RPC"
UNPACK = "grpc: failed to decompress the received message "
STREAM_FIELDS = changed((b":path", STREAM))


def method_case(path: bytes, code: int, text: str) -> tuple[str, bytes, list[str]]:
    return f":path {path!r}", headers(1, changed((b":path", path)), END), [refused(1, code, text)]


CASES = [
    ("empty message", call(1, b""), answered(1, 0)),
    ("message over two DATA", headers(1) + data(1, message(b"hello")[:7], 0) + data(1, message(b"hello")[7:]),
     answered(1, 5)),
    ("prefix over two DATA", headers(1) + data(1, message(b"hello")[:2], 0) + data(1, message(b"hello")[2:]),
     answered(1, 5)),
    ("END_STREAM in a DATA of its own", headers(1) + data(1, message(b"hello"), 0) + data(1, b""), answered(1, 5)),
    ("error", call(1, b"fail:3:etcdserver: key is not provided"), [refused(1, 3, "etcdserver: key is not provided")]),
    ("grpc-message is percent-encoded", call(1, "fail:13:100% é\n".encode()), [refused(1, 13, "100%25 %C3%A9%0A")]),
    method_case(b"/no.Such/Method", 12, "unknown service no.Such"),
    method_case(b"/test.Echo/Nope", 12, "unknown method Nope for service test.Echo"),
    method_case(b"/a/b/c", 12, "unknown service a/b"),
    method_case(b"/nothing", 8, 'malformed method name: "/nothing"'),
    method_case(b"no.Slash/Method", 12, "unknown service no.Slash"),
    ("GET", headers(1, changed((b":method", b"GET")), END),
     [refused(1, 13, 'Received a HEADERS frame with :method "GET" which should be POST', 405)]),
    ("content-type text/plain", headers(1, changed((b"content-type", b"text/plain")), END),
     [refused(1, 3, 'invalid gRPC request content-type "text/plain"', 415)]),
    ("no content-type", headers(1, changed((b"content-type", None)), END),
     [refused(1, 3, 'invalid gRPC request content-type ""', 415)]),
    ("content-type application/grpc-web", headers(1, changed((b"content-type", b"application/grpc-web")), END),
     [refused(1, 3, 'invalid gRPC request content-type "application/grpc-web"', 415)]),
    ("content-type application/grpc+proto", call(1, fields=changed((b"content-type", b"application/grpc+proto"))),
     answered(1, 5)),
    ("content-type with a parameter", call(1, fields=changed((b"content-type", b"application/grpc;charset=utf-8"))),
     answered(1, 5)),
    ("no message", headers(1) + data(1, b""), [refused(1, 2, "EOF")]),
    ("END_STREAM on HEADERS", headers(1, flags=END), [refused(1, 2, "EOF")]),
    ("prefix cut short", headers(1) + data(1, b"\0\0\0"), [refused(1, 2, "unexpected EOF")]),
    ("message cut short", headers(1) + data(1, message(b"hello")[:-1]), [refused(1, 2, "unexpected EOF")]),
    ("flag 7", headers(1) + data(1, message(b"hello", 7)),
     [refused(1, 13, "grpc: received unexpected payload format 7")]),
    ("flag 7, more to come", headers(1) + data(1, message(b"hello", 7), 0),
     [refused(1, 13, "grpc: received unexpected payload format 7"), "RST_STREAM 1 NO_ERROR"]),
    ("two messages in one DATA", headers(1) + data(1, message(b"a") + message(b"b")), [refused(1, 13, MANY)]),
    ("two messages in two DATA", headers(1) + data(1, message(b"a"), 0) + data(1, message(b"b")),
     [refused(1, 13, MANY)]),
    ("a byte after the message", headers(1) + data(1, message(b"a") + b"\0"), [refused(1, 13, MANY)]),
    ("message of the limit", call(1, b"x" * 100), answered(1, 100)),
    ("message over the limit", call(1, b"x" * 101), [refused(1, 8, TOO_LARGE)]),
    ("message over the limit is refused by its prefix", headers(1) + data(1, message(b"x" * 101)[:5], 0),
     [refused(1, 8, TOO_LARGE), "RST_STREAM 1 NO_ERROR"]),
    ("gzip", headers(1, [*CALL_FIELDS, GZIP]) + data(1, message(gzip.compress(b"hello"), 1)), answered(1, 5)),
    ("gzip allowed, not used", call(1, fields=[*CALL_FIELDS, GZIP]), answered(1, 5)),
    ("identity", call(1, fields=[*CALL_FIELDS, (b"grpc-encoding", b"identity")]), answered(1, 5)),
    ("unknown encoding", headers(1, [*CALL_FIELDS, (b"grpc-encoding", b"snappy")], END),
     [refused(1, 12, 'grpc: Decompressor is not installed for grpc-encoding "snappy"') + " grpc-accept-encoding=gzip"]),
    ("compressed without an encoding", headers(1) + data(1, message(b"x", 1)),
     [refused(1, 13, "grpc: compressed flag set with identity or empty encoding")]),
    ("gzip over the limit when unpacked",
     headers(1, [*CALL_FIELDS, GZIP]) + data(1, message(gzip.compress(bytes(5000)), 1)),
     [refused(1, 8, TOO_LARGE)]),
    ("gzip of garbage", headers(1, [*CALL_FIELDS, GZIP]) + data(1, message(b"not gzip at all", 1)),
     [refused(1, 13, UNPACK + "gzip: invalid header")]),
    ("gzip cut short", headers(1, [*CALL_FIELDS, GZIP]) + data(1, message(gzip.compress(b"hello")[:-1], 1)),
     [refused(1, 13, UNPACK + "unexpected EOF")]),
    ("gzip with a wrong checksum",
     headers(1, [*CALL_FIELDS, GZIP]) + data(1, message(gzip.compress(b"hello")[:-8] + bytes(8), 1)),
     [refused(1, 13, UNPACK + "gzip: invalid checksum")]),
    ("gzip with bytes behind it",
     headers(1, [*CALL_FIELDS, GZIP]) + data(1, message(gzip.compress(b"hello") + b"x", 1)),
     [refused(1, 13, UNPACK + "gzip: invalid header")]),
    ("timeout", call(1, fields=[*CALL_FIELDS, (b"grpc-timeout", b"99999999H")]), answered(1, 5)),
    ("timeout without a unit", call(1, fields=[*CALL_FIELDS, (b"grpc-timeout", b"12")])[:-19],
     [refused(1, 13, 'malformed grpc-timeout: transport: timeout unit is not recognized: "12"', 400),
      "RST_STREAM 1 NO_ERROR"]),
    ("timeout too short", headers(1, [*CALL_FIELDS, (b"grpc-timeout", b"1")], END),
     [refused(1, 13, 'malformed grpc-timeout: transport: timeout string is too short: "1"', 400)]),
    ("timeout too long", headers(1, [*CALL_FIELDS, (b"grpc-timeout", b"123456789m")], END),
     [refused(1, 13, 'malformed grpc-timeout: transport: timeout string is too long: "123456789m"', 400)]),
    ("stream", headers(1, STREAM_FIELDS) + data(1, message(b"a"), 0) + data(1, message(b"bc")),
     [answered(1, 0)[0], "DATA 1 6", "DATA 1 7", answered(1, 0)[2]]),
    ("stream that says nothing", headers(1, STREAM_FIELDS, END), [answered(1, 0)[0], answered(1, 0)[2]]),
    ("stream cut short", headers(1, STREAM_FIELDS) + data(1, b"\0\0"), [refused(1, 13, "unexpected EOF")]),
    ("bad message in a stream that is being answered",
     headers(1, STREAM_FIELDS) + data(1, message(b"a"), 0) + data(1, b"\7\0\0\0\0"),
     [answered(1, 0)[0], "DATA 1 6",
      "HEADERS 1 END_STREAM grpc-status=13 grpc-message=grpc: received unexpected payload format 7"]),
]  # fmt: skip


@pytest.mark.parametrize(("sent", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_rule(sent: bytes, expected: list[str]) -> None:
    by_frames, events, conn = serve([HELLO, *split_frames(sent)], LIMIT)
    assert by_frames[1:] == expected
    by_bytes, byte_events, _ = serve([bytes((byte,)) for byte in HELLO + sent], LIMIT)
    assert by_bytes[1:] == expected and byte_events == events
    if not any("DATA" in line for line in expected):  # the echo answers only after the whole chunk
        assert serve([HELLO + sent], LIMIT)[0][1:] == expected
    assert not conn.closed and conn.open_streams == 0


def test_events_of_a_unary_call() -> None:
    own = [(b"token", b"secret"), (b"hasleader", b"true"), (b"user-agent", b"x"), (b"grpc-trace-bin", b"AAA")]
    clock = Clock()
    clock.now = 100.0
    sent = call(1, b"never", [*CALL_FIELDS, *own, (b"grpc-timeout", b"1500m")]) + call(3, b"never")
    events = serve([HELLO + sent], clock=clock)[1]
    assert events == [
        (CALL, 1, METHODS[ECHO], b"never", 101.5, {b"token": b"secret", b"hasleader": b"true"}),
        (CALL, 3, METHODS[ECHO], b"never", None, NO_METADATA),
    ]


def test_events_of_a_streaming_call() -> None:
    sent = headers(1, [*STREAM_FIELDS, (b"token", b"a"), (b"token", b"b"), (b"grpc-timeout", b"2S")])
    sent += data(1, message(b"x") + message(b"y"), 0) + data(1, message(b"z"))
    assert serve([HELLO + sent])[1] == [
        opened(1, METHODS[STREAM], 2.0, {b"token": b"a,b"}),
        received(1, b"x"),
        received(1, b"y"),
        received(1, b"z"),
        half_closed(1),
    ]


def test_a_stream_that_breaks_the_framing_is_cancelled() -> None:
    sent = headers(1, STREAM_FIELDS) + data(1, b"\7\0\0\0\0", 0)
    assert serve([HELLO + sent])[1] == [opened(1, METHODS[STREAM], None, NO_METADATA), cancelled(1)]


@pytest.mark.parametrize(
    "sent",
    [
        call(1, b"never", [*CALL_FIELDS, (b"grpc-timeout", b"2S")]),
        headers(1, [*CALL_FIELDS, (b"grpc-timeout", b"2S")]),
        headers(1, [*CALL_FIELDS, (b"grpc-timeout", b"2S")]) + data(1, message(b"never")[:7], 0),
        headers(1, [*STREAM_FIELDS, (b"grpc-timeout", b"2S")]),
    ],
    ids=["delivered", "no DATA", "half a message", "stream"],
)
def test_a_deadline_is_answered_when_it_has_passed(sent: bytes) -> None:
    clock = Clock()
    _, events, conn = serve([HELLO + sent], clock=clock)
    known = [stream_id for _, stream_id, *_ in events]
    assert conn.next_deadline() == 2.0
    assert conn.expire(1.9) == [] and conn.take_output() == b""
    assert conn.expire(2.0) == [cancelled(stream_id) for stream_id in known]
    line = Reader().lines(conn.take_output())[0]
    assert line == refused(1, 4, "etcdserver: context deadline exceeded")
    assert conn.next_deadline() is None and conn.open_streams == 0
    conn.reply(1, b"late")
    assert conn.take_output() == b""


def test_deadlines_of_finished_calls_are_forgotten() -> None:
    conn = serve([HELLO])[2]
    stuck = call(1, b"never", [*CALL_FIELDS, (b"grpc-timeout", b"1S")])
    conn.receive(stuck)
    for stream_id in range(3, 4003, 2):
        conn.receive(call(stream_id, b"x", [*CALL_FIELDS, (b"grpc-timeout", b"5S")]))
        conn.reply(stream_id, b"x")
    assert conn.next_deadline() == 1.0
    assert len(conn._deadlines) < 200  # bounded memory, not one entry per call ever made


def test_streaming_answers_carry_errors_after_messages() -> None:
    conn = serve([HELLO + headers(1, STREAM_FIELDS) + headers(3, STREAM_FIELDS)])[2]
    conn.send_message(1, b"one")
    conn.finish(1, 14, "etcdserver: no leader")
    conn.finish(3, 14, "etcdserver: no leader")
    assert Reader().lines(conn.take_output()) == [
        answered(1, 0)[0],
        "DATA 1 8",
        "HEADERS 1 END_STREAM grpc-status=14 grpc-message=etcdserver: no leader",
        "RST_STREAM 1 NO_ERROR",
        refused(3, 14, "etcdserver: no leader"),
        "RST_STREAM 3 NO_ERROR",
    ]


def test_messages_after_the_end_of_an_answer_are_dropped() -> None:
    conn = serve([HELLO + settings((4, 0)) + headers(1, STREAM_FIELDS)])[2]
    conn.send_message(1, b"one")
    conn.finish(1)
    conn.send_message(1, b"two")
    conn.fail(1, 13, "no")
    assert conn.pending_bytes == conn.pending_stream_bytes(1) == 8
    assert conn.receive(data(1, message(b"ignored")) + rst_stream(1)) == []
    assert conn.pending_bytes == 0 and conn.open_streams == 0


def test_answers_are_indexed_after_their_first_use_and_equal() -> None:
    conn = GrpcServerConnection(METHODS, ServerSettings(), Clock())
    conn.receive(HELLO)
    conn.take_output()
    reader, sizes = Reader(), []
    for stream_id in (1, 3, 5, 7):
        conn.receive(call(stream_id))
        conn.reply(stream_id, b"hello")
        output = conn.take_output()
        sizes.append(len(output))
        assert reader.lines(output) == answered(stream_id, 5)
    assert sizes[2] == sizes[3] == 3 * 9 + 2 + 10 + 1


@pytest.mark.parametrize("text", ["", "plain", "50%", "é", "tab\t", "~ ", "\udc80"])
def test_texts_survive_percent_encoding(text: str) -> None:
    encoded = encode_text(text)
    assert all(0x20 <= byte < 0x7F for byte in encoded)
    assert unquote(encoded.decode()) == text.replace("\udc80", "?")
