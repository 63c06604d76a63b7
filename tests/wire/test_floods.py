"""Frames that cost their sender nothing end in ENHANCE_YOUR_CALM, with bounded memory. Source: RFC 9113, 10.5."""

import gzip
import tracemalloc
from collections.abc import Callable, Iterator

import pytest

from etcdz.wire import frames as f
from etcdz.wire.server import STREAMS_MAX, GrpcServerConnection, ServerSettings
from tests.wire.conversation import (
    CALL_FIELDS,
    HELLO,
    METHODS,
    Clock,
    Reader,
    block,
    call,
    changed,
    data,
    frame,
    headers,
    integer,
    message,
    ping,
    rst_stream,
    settings,
    window_update,
)
from tests.wire.echo_server import answer


def odd_ids() -> Iterator[int]:
    return iter(range(1, 1 << 31, 2))


def repeated(unit: bytes, opening: bytes = b"") -> Callable[[], Iterator[bytes]]:
    def flood() -> Iterator[bytes]:
        yield opening
        while True:
            yield unit * 100

    return flood


def resets() -> Iterator[bytes]:
    """CVE-2023-44487: calls that are reset as soon as they are made."""
    for stream_id in odd_ids():
        yield call(stream_id, b"never") + rst_stream(stream_id)


def resets_with_few_answers() -> Iterator[bytes]:
    for stream_id in odd_ids():
        yield call(stream_id, b"x") if stream_id % 200 == 1 else call(stream_id, b"never") + rst_stream(stream_id)


def malformed_calls() -> Iterator[bytes]:
    for stream_id in odd_ids():
        yield headers(stream_id, changed((b":path", b"")))


def windows_that_overflow() -> Iterator[bytes]:
    """CVE-2025-8671: the client makes the server reset its calls."""
    for stream_id in odd_ids():
        yield call(stream_id, b"never") + window_update(stream_id, 0)


BOMB = b"\x40\x01a" + integer(4_000) + bytes([120]) * 4_000
FLOODS = {
    "ping": repeated(ping()),
    "settings": repeated(settings((4, 100))),
    "settings of many pairs": repeated(settings(*[(4, 100)] * 100)),
    "settings acknowledgements": repeated(frame(f.SETTINGS, f.ACK, 0)),
    "empty DATA": repeated(data(1, b"", 0), headers(1)),
    "empty DATA on a stream that is gone": repeated(data(1, b"", 0), headers(1, changed((b":path", b"")))),
    "padding alone": repeated(frame(f.DATA, f.PADDED, 1, b"\x05" + bytes(5)), headers(1)),
    "empty CONTINUATION": repeated(frame(f.CONTINUATION, 0, 1), frame(f.HEADERS, 0, 1)),
    "CONTINUATION without end": repeated(frame(f.CONTINUATION, 0, 1, bytes(1_000)), frame(f.HEADERS, 0, 1)),
    "PRIORITY": repeated(frame(f.PRIORITY, 0, 1, bytes(5))),
    "unknown frames": repeated(frame(0x77, 0, 1)),
    "window in crumbs": repeated(window_update(1, 1), settings((4, 0)) + call(1, b"big:1000000")),
    "trailers on a stream that is gone": repeated(headers(1, [(b"a", b"b")]), headers(1, changed((b":path", b"")))),
    "rapid reset": resets,
    "rapid reset with few answers": resets_with_few_answers,
    "malformed calls": malformed_calls,
    "calls that the server must reset": windows_that_overflow,
    "GOAWAY": repeated(frame(f.GOAWAY, 0, 0, bytes(8))),
}
FRAMES_MAX = 30_000


@pytest.mark.parametrize("name", FLOODS)
def test_flood_ends_in_enhance_your_calm(name: str) -> None:
    conn = GrpcServerConnection(METHODS, ServerSettings(), Clock())
    conn.receive(HELLO)
    conn.take_output()
    reader, lines = Reader(), []
    chunks = FLOODS[name]()
    for _ in range(FRAMES_MAX):
        answer(conn, conn.receive(next(chunks)))
        lines = reader.lines(conn.take_output())
        if conn.closed:
            break
    assert conn.closed and conn.error_code == f.ENHANCE_YOUR_CALM
    assert lines[-1].endswith("ENHANCE_YOUR_CALM")


def test_header_list_bomb() -> None:
    """4 KiB in the table, then a byte for each 4 KiB more."""
    conn = GrpcServerConnection(METHODS, ServerSettings(), Clock())
    conn.receive(HELLO)
    tracemalloc.start()
    conn.receive(frame(f.HEADERS, 4, 1, block() + BOMB + b"\xbe" * 10_000))
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()
    assert conn.error_code == f.ENHANCE_YOUR_CALM


def test_header_block_over_the_limit() -> None:
    conn = GrpcServerConnection(METHODS, ServerSettings(), Clock())
    conn.receive(HELLO + frame(f.HEADERS, 0, 1, bytes(16_384)))
    for _ in range(4 * (2 << 20) // 16_384):
        conn.receive(frame(f.CONTINUATION, 0, 1, bytes(16_384)))
    assert conn.error_code == f.ENHANCE_YOUR_CALM


def test_header_list_of_the_limit_is_served() -> None:
    conn = GrpcServerConnection(METHODS, ServerSettings(header_list_bytes_max=10_000), Clock())
    conn.receive(HELLO)
    token = [*CALL_FIELDS, (b"token", b"x" * 9_000)]
    assert len(conn.receive(call(1, b"never", token))) == 1


def test_time_and_answered_calls_make_up_for_pings() -> None:
    """What a busy honest client does all day long: a PING per call, or one now and then."""
    clock = Clock()
    conn = GrpcServerConnection(METHODS, ServerSettings(), clock)
    conn.receive(HELLO)
    for stream_id in range(1, 10_001, 2):
        answer(conn, conn.receive(ping() + call(stream_id)))
        conn.take_output()
    for _ in range(5_000):
        clock.now += 0.1
        conn.receive(ping())
    assert not conn.closed


def test_many_cancelled_calls_at_once_are_no_flood() -> None:
    conn = GrpcServerConnection(METHODS, ServerSettings(), Clock())
    ids = range(1, 8_001, 2)
    conn.receive(HELLO + b"".join([call(stream_id, b"never") for stream_id in ids]))
    conn.receive(b"".join([rst_stream(stream_id) for stream_id in ids]))
    assert not conn.closed and conn.open_streams == 0


def test_incomplete_messages_are_bounded_over_all_streams() -> None:
    conn = GrpcServerConnection(METHODS, ServerSettings(inbox_bytes_max=100_000, stream_window=1 << 20), Clock())
    conn.receive(HELLO)
    for stream_id in range(1, 401, 2):
        conn.receive(headers(stream_id) + data(stream_id, message(bytes(60_000))[:10_000], 0))
    lines = Reader().lines(conn.take_output())
    assert sum("grpc-message=etcdserver: too many requests" in line for line in lines) == 190
    assert conn._inbox_bytes == 100_000 and conn.open_streams == 10
    for stream_id in range(1, 21, 2):
        conn.receive(rst_stream(stream_id))
    assert conn._inbox_bytes == 0


def test_a_client_that_takes_no_answers_gets_no_new_calls_until_it_does() -> None:
    """1 MB of answers waits for the window; a message just sent does not count."""
    conn = GrpcServerConnection(METHODS, ServerSettings(outbox_bytes_max=1_000_000), Clock())
    conn.receive(HELLO + settings((4, 0)))
    conn.take_output()
    answered_ids, lines, reader = set(), [], Reader()
    for stream_id in range(1, 2_001, 2):
        events = conn.receive(call(stream_id, b"big:100000"))
        answered_ids |= {stream_id for _, stream_id, *_ in events}
        answer(conn, events)
        lines += reader.lines(conn.take_output())
    assert len(answered_ids) == 10 and conn.pending_bytes == 1_000_050
    assert sum("grpc-message=etcdserver: too many requests" in line for line in lines) == 990
    conn.receive(settings((4, 1 << 20)) + window_update(0, 1 << 30))
    assert conn.pending_bytes == 0 and conn.open_streams == 0
    assert len(conn.receive(call(3_001) + call(3_003))) == 2


def test_small_gzip_bomb_is_not_unpacked() -> None:
    bomb = gzip.compress(bytes(50_000_000), 9)
    conn = GrpcServerConnection(METHODS, ServerSettings(), Clock())
    conn.receive(HELLO)
    sent = headers(1, [*CALL_FIELDS, (b"grpc-encoding", b"gzip")])
    body = message(bomb, 1)
    sent += b"".join([data(1, body[at : at + 16_384], 0) for at in range(0, len(body), 16_384)])
    tracemalloc.start()
    assert conn.receive(sent) == []
    assert tracemalloc.get_traced_memory()[1] < 12_000_000
    tracemalloc.stop()
    assert "grpc-status=8" in Reader().lines(conn.take_output())[-2]


def test_tables_of_header_blocks_stay_small() -> None:
    conn = GrpcServerConnection(METHODS, ServerSettings(), Clock())
    conn.receive(HELLO)
    for number in range(5_000):
        conn.receive(call(2 * number + 1, b"x", [*CALL_FIELDS, (b"token", b"%d" % number)]))
        conn.reply(2 * number + 1, b"x")
    assert not conn.closed and len(conn._known) <= 512 and len(conn._heads) <= 512
    kept = len(conn._known) + len(conn._heads)
    conn.receive(call(20_001, b"x", [*CALL_FIELDS, (b"token", b"x" * 3_000)]))
    assert len(conn._known) + len(conn._heads) == kept


def test_unlimited_streams_are_limited_all_the_same() -> None:
    conn = GrpcServerConnection(METHODS, ServerSettings(max_concurrent_streams=f.UNLIMITED), Clock())
    assert Reader().lines(conn.take_output())[0] == "SETTINGS 4=4194304 6=2097152"
    assert conn._streams_max == STREAMS_MAX
