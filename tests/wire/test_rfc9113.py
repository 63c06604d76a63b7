"""Every rule of RFC 9113 that a server must check: what a client sends after the preface and an empty SETTINGS, and
what comes back. Each conversation runs whole, frame by frame and byte by byte.

Source: RFC 9113 (HTTP/2) and RFC 7541 (HPACK); the numbers in the names are their sections.
"""

import pytest

from etcdz.wire import frames as f
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
    block,
    call,
    changed,
    data,
    frame,
    headers,
    message,
    ping,
    refused,
    rst_stream,
    serve,
    settings,
    split_frames,
    window_update,
)
from tests.wire.told import cancelled

BLOCK = block()
HALF = len(BLOCK) // 2
END = f.END_STREAM | f.END_HEADERS
NEVER = message(b"never")


def goaway(code: str, last_id: int = 0) -> list[str]:
    return [f"GOAWAY {last_id} {code}"]


def reset(stream_id: int, code: str) -> list[str]:
    return [f"RST_STREAM {stream_id} {code}"]


PONG = ["PING ACK 3132333435363738"]
FRAME_CASES = [
    # (name, sent, expected)
    ("4.1 reserved bit of the stream id is ignored", frame(f.PING, 0, 1 << 31, b"12345678"), PONG),
    ("4.1 unknown flags are ignored", frame(f.PING, 0xFE, 0, b"12345678"), PONG),
    ("4.1 unknown frame types are ignored", frame(0x55, 0xFF, 7, b"abc") + ping(), PONG),
    ("4.2 frame longer than SETTINGS_MAX_FRAME_SIZE", frame(f.DATA, 0, 1, bytes(16_385)), goaway("FRAME_SIZE_ERROR")),
    ("4.2 unknown frame longer than allowed", frame(0x55, 0, 0, bytes(16_385)), goaway("FRAME_SIZE_ERROR")),
    ("4.2 a too long frame is refused by its head", frame(f.DATA, 0, 1, bytes(16_385))[:9], goaway("FRAME_SIZE_ERROR")),
    (
        "4.2 a frame of 16384 is accepted",
        headers(1) + data(1, message(b"x" * 16_379)),
        [*answered(1, 16_379)[:1], "DATA 1 16384", answered(1, 0)[2]],
    ),
    ("4.3 a block that cannot be decoded", frame(f.HEADERS, END, 1, b"\xc0"), goaway("COMPRESSION_ERROR")),
    ("4.3 a block cut short", frame(f.HEADERS, END, 1, BLOCK[:-1]), goaway("COMPRESSION_ERROR")),
    ("7541 2.3.3 index 0", frame(f.HEADERS, END, 1, b"\x80"), goaway("COMPRESSION_ERROR")),
    ("7541 5.1 integer too long", frame(f.HEADERS, END, 1, b"\xff" + b"\x80" * 9), goaway("COMPRESSION_ERROR")),
    ("7541 5.2 padding not all ones", frame(f.HEADERS, END, 1, b"\x00\x81\x18\x00"), goaway("COMPRESSION_ERROR")),
    (
        "7541 5.2 padding longer than 7 bits",
        frame(f.HEADERS, END, 1, b"\x00\x82\x1f\xff\x00"),
        goaway("COMPRESSION_ERROR"),
    ),
    (
        "7541 5.2 EOS in a string",
        frame(f.HEADERS, END, 1, b"\x00\x84\xff\xff\xff\xff\x00"),
        goaway("COMPRESSION_ERROR"),
    ),
    ("7541 6.3 table larger than allowed", frame(f.HEADERS, END, 1, b"\x3f\xe2\x1f"), goaway("COMPRESSION_ERROR")),
    ("7541 4.2 size update after a field", frame(f.HEADERS, END, 1, b"\x83\x20"), goaway("COMPRESSION_ERROR")),
    ("7541 4.2 size update first", frame(f.HEADERS, f.END_HEADERS, 1, b"\x20\x3f\xe1\x1f" + BLOCK), []),
]
STREAM_CASES = [
    ("5.1 DATA on an idle stream", data(1, b""), goaway("PROTOCOL_ERROR")),
    ("5.1 RST_STREAM on an idle stream", rst_stream(1), goaway("PROTOCOL_ERROR")),
    ("5.1 WINDOW_UPDATE on an idle stream", window_update(1, 1), goaway("PROTOCOL_ERROR")),
    ("5.1 CONTINUATION on an idle stream", frame(f.CONTINUATION, 4, 1, BLOCK), goaway("PROTOCOL_ERROR")),
    ("5.1 PRIORITY on an idle stream", frame(f.PRIORITY, 0, 9, bytes(5)) + ping(), PONG),
    (
        "5.1 DATA on a half-closed stream",
        headers(1) + data(1, NEVER) + data(1, b"x"),
        reset(1, "STREAM_CLOSED"),
    ),
    (
        "5.1 HEADERS on a half-closed stream",
        headers(1) + data(1, NEVER) + headers(1, flags=END),
        reset(1, "STREAM_CLOSED"),
    ),
    ("5.1 WINDOW_UPDATE on a half-closed stream", headers(1) + data(1, NEVER) + window_update(1, 9), []),
    ("5.1 PRIORITY on a half-closed stream", headers(1) + data(1, NEVER) + frame(f.PRIORITY, 0, 1, bytes(5)), []),
    ("5.1 DATA on a closed stream", call(1) + data(1, b"x"), [*answered(1, 5), *goaway("STREAM_CLOSED", 1)]),
    ("5.1 HEADERS on a closed stream", call(1) + headers(1), [*answered(1, 5), *goaway("STREAM_CLOSED", 1)]),
    ("5.1 DATA after our RST_STREAM is ignored", headers(1, changed((b"Te", b""))) + data(1, b"x") + ping(),
     [*reset(1, "PROTOCOL_ERROR"), *PONG]),
    ("5.1 trailers after our RST_STREAM are decoded, then ignored",
     headers(1, changed((b"Te", b""))) + frame(f.HEADERS, END, 1, b"\x40\x01a\x01b") + ping()
     + frame(f.HEADERS, f.END_HEADERS, 3, BLOCK + b"\xbe"), [*reset(1, "PROTOCOL_ERROR"), *PONG]),
    ("5.1 RST_STREAM on a closed stream", call(1) + rst_stream(1), answered(1, 5)),
    ("5.1 WINDOW_UPDATE on a closed stream", call(1) + window_update(1, 9), answered(1, 5)),
    ("5.1 PRIORITY on a closed stream", call(1) + frame(f.PRIORITY, 0, 1, bytes(5)), answered(1, 5)),
    ("5.1 HEADERS after the client's RST_STREAM", headers(1) + rst_stream(1) + headers(1), goaway("STREAM_CLOSED", 1)),
    ("5.1.1 an even stream id", headers(2), goaway("PROTOCOL_ERROR")),
    ("5.1.1 stream 0", headers(0), goaway("PROTOCOL_ERROR")),
    ("5.1.1 a lower id than before", call(5) + headers(3), [*answered(5, 5), *goaway("STREAM_CLOSED", 5)]),
    ("5.1.1 ids may be skipped", call(5) + call(99), [*answered(5, 5), *answered(99, 5)]),
]  # fmt: skip
CONTROL_CASES = [
    ("6.1 DATA on stream 0", data(0, b""), goaway("PROTOCOL_ERROR")),
    ("6.1 padding that fills the frame", headers(1) + frame(f.DATA, 9, 1, b"\x02ab"), [refused(1, 2, "EOF")]),
    ("6.1 padding longer than the frame", headers(1) + frame(f.DATA, 9, 1, b"\x03ab"), goaway("PROTOCOL_ERROR", 1)),
    ("6.1 PADDED without a pad length", headers(1) + frame(f.DATA, 9, 1), goaway("FRAME_SIZE_ERROR", 1)),
    ("6.1 padding is no part of the message",
     headers(1) + frame(f.DATA, 9, 1, b"\x03" + message(b"abc") + bytes(3)), answered(1, 3)),
    ("6.2 padded and prioritised HEADERS",
     frame(f.HEADERS, f.END_HEADERS | f.PADDED | f.HAS_PRIORITY, 1, b"\x02" + bytes(5) + BLOCK + bytes(2))
     + data(1, message(b"abc")), answered(1, 3)),
    ("6.2 padding longer than the frame", frame(f.HEADERS, 0xC, 1, b"\xff" + BLOCK), goaway("PROTOCOL_ERROR")),
    ("6.2 too short for its priority", frame(f.HEADERS, 0x24, 1, b"abcd"), goaway("FRAME_SIZE_ERROR")),
    ("6.2 PADDED without a pad length", frame(f.HEADERS, 0xC, 1), goaway("FRAME_SIZE_ERROR")),
    ("6.2 stream depends on itself", frame(f.HEADERS, 0x24, 1, b"\0\0\0\1\0" + BLOCK), goaway("PROTOCOL_ERROR")),
    ("6.2 another frame inside a block", frame(f.HEADERS, 0, 1, BLOCK) + ping(), goaway("PROTOCOL_ERROR")),
    ("6.2 an unknown frame in a block", frame(f.HEADERS, 0, 1, BLOCK) + frame(0x55, 0, 1), goaway("PROTOCOL_ERROR")),
    ("6.2 another call inside a block", call(1) + frame(f.HEADERS, 0, 3, BLOCK) + call(5),
     [*answered(1, 5), *goaway("PROTOCOL_ERROR", 1)]),
    ("6.3 PRIORITY on stream 0", frame(f.PRIORITY, 0, 0, bytes(5)), goaway("PROTOCOL_ERROR")),
    ("6.3 PRIORITY of the wrong length", headers(1) + frame(f.PRIORITY, 0, 1, bytes(4)), reset(1, "FRAME_SIZE_ERROR")),
    ("6.3 stream depends on itself", frame(f.PRIORITY, 0, 3, b"\0\0\0\3\0"), goaway("PROTOCOL_ERROR")),
    ("6.4 RST_STREAM on stream 0", rst_stream(0), goaway("PROTOCOL_ERROR")),
    ("6.4 RST_STREAM of the wrong length", headers(1) + frame(f.RST_STREAM, 0, 1, bytes(3)),
     goaway("FRAME_SIZE_ERROR", 1)),
    ("6.5 SETTINGS are acknowledged", settings((0x99, 7)), ["SETTINGS ACK"]),
    ("6.5 SETTINGS on a stream", frame(f.SETTINGS, 0, 1), goaway("PROTOCOL_ERROR")),
    ("6.5 acknowledgement with a payload", frame(f.SETTINGS, f.ACK, 0, bytes(6)), goaway("FRAME_SIZE_ERROR")),
    ("6.5 length is not a multiple of 6", frame(f.SETTINGS, 0, 0, bytes(5)), goaway("FRAME_SIZE_ERROR")),
    ("6.5.2 ENABLE_PUSH 2", settings((2, 2)), goaway("PROTOCOL_ERROR")),
    ("6.5.2 ENABLE_PUSH 1", settings((2, 1)), ["SETTINGS ACK"]),
    ("6.5.2 INITIAL_WINDOW_SIZE over 2^31-1", settings((4, 1 << 31)), goaway("FLOW_CONTROL_ERROR")),
    ("6.5.2 MAX_FRAME_SIZE under 2^14", settings((5, 16_383)), goaway("PROTOCOL_ERROR")),
    ("6.5.2 MAX_FRAME_SIZE over 2^24-1", settings((5, 1 << 24)), goaway("PROTOCOL_ERROR")),
    ("6.5.2 MAX_FRAME_SIZE is used", settings((5, 20_000), (4, 30_000)) + call(1, b"big:20000"),
     ["SETTINGS ACK", answered(1, 0)[0], "DATA 1 20000", "DATA 1 5", answered(1, 0)[2]]),
    ("6.5.2 HEADER_TABLE_SIZE 0 is obeyed", call(1) + settings((1, 0)) + call(3) + call(5),
     [*answered(1, 5), "SETTINGS ACK", *answered(3, 5), *answered(5, 5)]),
    ("6.6 PUSH_PROMISE", headers(1) + frame(f.PUSH_PROMISE, 4, 1, bytes(5)), goaway("PROTOCOL_ERROR", 1)),
    ("6.7 PING is answered", ping(b"abcdefgh"), ["PING ACK 6162636465666768"]),
    ("6.7 PING acknowledgement is not answered", ping(flags=f.ACK), []),
    ("6.7 PING on a stream", frame(f.PING, 0, 1, bytes(8)), goaway("PROTOCOL_ERROR")),
    ("6.7 PING of the wrong length", ping(b"1234567"), goaway("FRAME_SIZE_ERROR")),
    ("6.8 GOAWAY on a stream", frame(f.GOAWAY, 0, 1, bytes(8)), goaway("PROTOCOL_ERROR")),
    ("6.8 GOAWAY too short", frame(f.GOAWAY, 0, 0, bytes(7)), goaway("FRAME_SIZE_ERROR")),
    ("6.8 calls are served after a client's GOAWAY",
     headers(1) + frame(f.GOAWAY, 0, 0, bytes(8)) + data(1, message(b"abc")), answered(1, 3)),
    ("6.9 WINDOW_UPDATE of 0 on the connection", window_update(0, 0), goaway("PROTOCOL_ERROR")),
    ("6.9 WINDOW_UPDATE of 0 on a stream", headers(1) + window_update(1, 0), reset(1, "PROTOCOL_ERROR")),
    ("6.9 WINDOW_UPDATE of the wrong length", frame(f.WINDOW_UPDATE, 0, 0, bytes(3)), goaway("FRAME_SIZE_ERROR")),
    ("6.9.1 connection window overflows", window_update(0, (1 << 31) - 1), goaway("FLOW_CONTROL_ERROR")),
    ("6.9.1 connection window up to 2^31-1", window_update(0, (1 << 31) - 1 - 65_535), []),
    ("6.9.1 stream window overflows", headers(1) + window_update(1, (1 << 31) - 1), reset(1, "FLOW_CONTROL_ERROR")),
    ("6.9.2 SETTINGS make a stream window overflow",
     headers(1) + window_update(1, (1 << 31) - 1 - 65_535) + settings((4, 65_536)), goaway("FLOW_CONTROL_ERROR", 1)),
    ("6.9.2 an answer waits for the window, which SETTINGS may make negative",
     settings((4, 10)) + call(1, b"big:25") + settings((4, 0)) + window_update(1, 9) + window_update(1, 100),
     ["SETTINGS ACK", answered(1, 0)[0], "DATA 1 10", "SETTINGS ACK", "DATA 1 20", answered(1, 0)[2]]),
    ("6.9.2 SETTINGS open the window of a waiting answer",
     settings((4, 0)) + call(1, b"abc") + settings((4, 3)) + settings((4, 100)),
     ["SETTINGS ACK", answered(1, 0)[0], "SETTINGS ACK", "DATA 1 3", "SETTINGS ACK", "DATA 1 5", answered(1, 0)[2]]),
    ("6.10 CONTINUATION completes a block",
     frame(f.HEADERS, 0, 1, BLOCK[:HALF]) + frame(f.CONTINUATION, 0, 1, BLOCK[HALF:-1])
     + frame(f.CONTINUATION, f.END_HEADERS, 1, BLOCK[-1:]) + data(1, message(b"abc")), answered(1, 3)),
    ("6.10 END_STREAM stands on HEADERS, not on CONTINUATION",
     frame(f.HEADERS, f.END_STREAM, 1, BLOCK[:HALF]) + frame(f.CONTINUATION, f.END_HEADERS, 1, BLOCK[HALF:]),
     [refused(1, 2, "EOF")]),
    ("6.10 CONTINUATION on another stream",
     frame(f.HEADERS, 0, 1, BLOCK[:HALF]) + frame(f.CONTINUATION, 4, 3, BLOCK[HALF:]), goaway("PROTOCOL_ERROR")),
    ("6.10 CONTINUATION after END_HEADERS", headers(1) + frame(f.CONTINUATION, 4, 1, BLOCK),
     goaway("PROTOCOL_ERROR", 1)),
]  # fmt: skip
MALFORMED = [
    ("8.2.1 upper-case field name", [*CALL_FIELDS, (b"Token", b"x")]),
    ("8.2.1 space in a field name", [*CALL_FIELDS, (b"a b", b"x")]),
    ("8.2.1 colon in a field name", [*CALL_FIELDS, (b"a:b", b"x")]),
    ("8.2.1 empty field name", [*CALL_FIELDS, (b"", b"x")]),
    ("8.2.1 byte over 0x7f in a field name", [*CALL_FIELDS, (b"\xff", b"x")]),
    ("8.2.1 NUL in a value", [*CALL_FIELDS, (b"a", b"x\0y")]),
    ("8.2.1 line feed in a value", [*CALL_FIELDS, (b"a", b"x\ny")]),
    ("8.2.1 carriage return in a value", [*CALL_FIELDS, (b"a", b"x\r")]),
    ("8.2.1 value begins with a space", [*CALL_FIELDS, (b"a", b" x")]),
    ("8.2.1 value ends with a tab", [*CALL_FIELDS, (b"a", b"x\t")]),
    ("8.2.2 connection", [*CALL_FIELDS, (b"connection", b"close")]),
    ("8.2.2 keep-alive", [*CALL_FIELDS, (b"keep-alive", b"1")]),
    ("8.2.2 proxy-connection", [*CALL_FIELDS, (b"proxy-connection", b"x")]),
    ("8.2.2 transfer-encoding", [*CALL_FIELDS, (b"transfer-encoding", b"chunked")]),
    ("8.2.2 upgrade", [*CALL_FIELDS, (b"upgrade", b"h2c")]),
    ("8.2.2 te other than trailers", changed((b"te", b"gzip"))),
    ("8.3 pseudo-header after a field", [*CALL_FIELDS[1:], CALL_FIELDS[0]]),
    ("8.3 unknown pseudo-header", [(b":foo", b"x"), *CALL_FIELDS]),
    ("8.3 response pseudo-header", [(b":status", b"200"), *CALL_FIELDS]),
    ("8.3.1 :method twice", [(b":method", b"POST"), *CALL_FIELDS]),
    ("8.3.1 :path twice", [(b":path", ECHO), *CALL_FIELDS]),
    ("8.3.1 no :method", changed((b":method", None))),
    ("8.3.1 no :scheme", changed((b":scheme", None))),
    ("8.3.1 no :path", changed((b":path", None))),
    ("8.3.1 empty :path", changed((b":path", b""))),
    ("8.5 CONNECT with :path", changed((b":method", b"CONNECT"))),
    ("8.1.1 content-length is no number", [*CALL_FIELDS, (b"content-length", b"ten")]),
    ("8.1.1 content-length twice and different", [*CALL_FIELDS, (b"content-length", b"10"), (b"content-length", b"9")]),
]
REQUEST_CASES = [
    *[(name, call(1, fields=fields) + ping(), [*reset(1, "PROTOCOL_ERROR"), *PONG]) for name, fields in MALFORMED],
    *[
        (f"{name}, in a CONTINUATION too",
         frame(f.HEADERS, 0, 1, block(fields)) + frame(f.CONTINUATION, 4, 1) + ping(),
         [*reset(1, "PROTOCOL_ERROR"), *PONG])
        for name, fields in MALFORMED[:1]
    ],
    ("8.1.1 content-length is right", call(1, fields=[*CALL_FIELDS, (b"content-length", b"10")]), answered(1, 5)),
    ("8.1.1 less DATA than content-length", call(1, fields=[*CALL_FIELDS, (b"content-length", b"11")]),
     reset(1, "PROTOCOL_ERROR")),
    ("8.1.1 more DATA than content-length", call(1, fields=[*CALL_FIELDS, (b"content-length", b"9")]),
     reset(1, "PROTOCOL_ERROR")),
    ("8.1.1 content-length without DATA", headers(1, [*CALL_FIELDS, (b"content-length", b"9")], END),
     reset(1, "PROTOCOL_ERROR")),
    ("8.1.1 content-length over several DATA",
     headers(1, [*CALL_FIELDS, (b"content-length", b"10")]) + data(1, message(b"hello")[:3], 0)
     + data(1, message(b"hello")[3:]), answered(1, 5)),
    ("8.1 trailers end a request", headers(1) + data(1, message(b"abc"), 0) + headers(1, [(b"x", b"y")], END),
     answered(1, 3)),
    ("8.1 trailers without END_STREAM", headers(1) + headers(1, [(b"x", b"y")]), reset(1, "PROTOCOL_ERROR")),
    ("8.1 pseudo-header in trailers", headers(1) + headers(1, [(b":path", b"/")], END), reset(1, "PROTOCOL_ERROR")),
    ("8.1 a whole request as trailers", call(1) + headers(3) + headers(3, flags=END),
     [*answered(1, 5), *reset(3, "PROTOCOL_ERROR")]),
    ("8.2.2 te: trailers is optional", call(1, fields=changed((b"te", None))), answered(1, 5)),
]  # fmt: skip
CASES = [*FRAME_CASES, *STREAM_CASES, *CONTROL_CASES, *REQUEST_CASES]


def greeted(lines: list[str]) -> list[str]:
    assert lines[0] == "SETTINGS ACK"
    return lines[1:]


@pytest.mark.parametrize(("sent", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_rule(sent: bytes, expected: list[str]) -> None:
    by_frames, events, conn = serve([HELLO, *split_frames(sent)])
    assert greeted(by_frames) == expected
    assert conn.closed == any(line.startswith("GOAWAY") for line in expected)
    by_bytes, byte_events, _ = serve([bytes((byte,)) for byte in HELLO + sent])
    assert greeted(by_bytes) == expected
    assert events == byte_events
    if not any("grpc-status=0" in line for line in expected):  # the echo answers only after the whole chunk
        assert greeted(serve([HELLO + sent])[0]) == expected


def test_names_are_unique() -> None:
    assert len({case[0] for case in CASES}) == len(CASES)


@pytest.mark.parametrize("at", range(len(f.PREFACE)))
def test_3_4_a_wrong_byte_in_the_preface_ends_the_connection(at: int) -> None:
    wrong = f.PREFACE[:at] + b"?" + f.PREFACE[at + 1 :]
    lines, _, conn = serve([wrong])
    assert lines == goaway("PROTOCOL_ERROR") and conn.closed
    assert serve([wrong[: at + 1]])[0] == lines


@pytest.mark.parametrize("first", [ping(), settings()[:4] + b"\1" + settings()[5:], headers(1), window_update(0, 9)])
def test_3_4_settings_must_come_first(first: bytes) -> None:
    lines, _, conn = serve([f.PREFACE + first])
    assert lines == goaway("PROTOCOL_ERROR") and conn.closed


def test_3_4_the_server_greets_with_its_settings_and_windows() -> None:

    offered = ServerSettings(
        window=1 << 20, stream_window=70_000, max_concurrent_streams=7, header_list_bytes_max=9_000
    )
    conn = GrpcServerConnection(METHODS, offered, Clock())
    assert Reader().lines(conn.take_output()) == ["SETTINGS 4=70000 6=9000 3=7", "WINDOW_UPDATE 0 983041"]


def test_5_1_2_streams_over_the_limit_are_refused_and_their_headers_still_decoded() -> None:
    limit = ServerSettings(max_concurrent_streams=2)
    entering = frame(f.HEADERS, f.END_HEADERS, 5, BLOCK + b"\x40\x01a\x01b")
    indexed = frame(f.HEADERS, f.END_HEADERS, 7, BLOCK + b"\xbe")
    sent = call(1, b"never") + headers(3) + entering + rst_stream(1) + indexed + data(7, message(b"abc"))
    lines, events, _ = serve([HELLO + sent], limit)
    assert greeted(lines) == [*reset(5, "REFUSED_STREAM"), *answered(7, 3)]
    *_, metadata = events[-1]
    assert metadata == {b"a": b"b"}


def test_5_1_2_known_header_blocks_are_refused_as_well() -> None:
    lines, _, _ = serve([HELLO + headers(1) + headers(3) + headers(5)], ServerSettings(max_concurrent_streams=2))
    assert greeted(lines) == reset(5, "REFUSED_STREAM")


def test_5_4_1_after_an_error_nothing_more_is_read_and_open_calls_are_cancelled() -> None:
    lines, events, conn = serve([HELLO + call(1, b"never") + headers(3) + data(0, b""), call(5), ping()])
    assert greeted(lines) == goaway("PROTOCOL_ERROR", 3)
    assert events == [(CALL, 1, METHODS[ECHO], b"never", None, NO_METADATA), cancelled(1)]
    assert conn.should_close and conn.error_code == f.PROTOCOL_ERROR and conn.open_streams == 0


def test_5_4_2_a_reset_call_is_cancelled_and_its_late_reply_ignored() -> None:
    lines, events, conn = serve([HELLO + call(1, b"never"), rst_stream(1)])
    assert events[-1] == cancelled(1)
    conn.reply(1, b"late")
    conn.fail(1, 13, "late")
    conn.send_message(1, b"late")
    conn.finish(1)
    assert conn.take_output() == b"" and greeted(lines) == []


def test_5_4_2_a_call_that_was_not_delivered_is_not_cancelled() -> None:
    assert serve([HELLO + headers(1) + rst_stream(1)])[1] == []


def test_8_1_a_stream_may_be_answered_before_it_ends_and_the_client_is_told() -> None:
    sent = headers(1, changed((b":path", b"/no.Such/Method"))) + data(1, message(b"abc"), 0) + data(1, b"")
    lines, events, _ = serve([HELLO + sent + ping()])
    assert greeted(lines) == [refused(1, 12, "unknown service no.Such"), *reset(1, "NO_ERROR"), *PONG]
    assert events == []


def test_6_8_graceful_end_serves_what_is_on_its_way() -> None:
    conn = serve([HELLO + call(1, b"never")])[2]
    conn.go_away()
    conn.go_away()

    assert Reader().lines(conn.take_output()) == ["GOAWAY 2147483647 NO_ERROR", "PING 676f6f6462796521"]
    assert conn.receive(call(3, b"never")) == [(CALL, 3, METHODS[ECHO], b"never", None, NO_METADATA)]
    assert conn.receive(ping(b"goodbye!", f.ACK)) == []
    assert Reader().lines(conn.take_output()) == ["GOAWAY 3 NO_ERROR"]
    assert conn.receive(call(5)) == []
    assert Reader().lines(conn.take_output()) == reset(5, "REFUSED_STREAM")
    assert not conn.should_close
    conn.reply(1, b"x")
    conn.reply(3, b"y")
    assert conn.should_close and conn.error_code == 0


def test_connection_lost_cancels_what_the_application_has() -> None:
    sent = call(1, b"never") + headers(3) + headers(5, changed((b":path", STREAM)))
    conn = serve([HELLO + sent])[2]
    assert sorted(conn.connection_lost()) == [cancelled(1), cancelled(5)]
    assert conn.connection_lost() == [] and conn.take_output() == b"" and conn.receive(call(7)) == []
