"""Long header lists are refused alone; of unfinished requests beyond the bound, those give way that do not go on."""

import time

import pytest
from hpack import Encoder

from etcdz.wire import frames as f
from etcdz.wire.header_block import plain_block
from etcdz.wire.server import GrpcServerConnection, ServerSettings
from etcdz.wire.unfinished import UnfinishedRequests
from tests.wire.conversation import CALL_FIELDS, HELLO, METHODS, Clock, Reader, call, data, frame, headers, message


def long_headers(stream_id: int, block: bytes) -> bytes:
    """HEADERS and as many CONTINUATIONs as the block needs."""
    size = f.FRAME_BYTES_DEFAULT
    pieces = [block[at : at + size] for at in range(0, len(block), size)]
    kinds = [f.HEADERS, *[f.CONTINUATION] * (len(pieces) - 1)]
    flags = [*[0] * (len(pieces) - 1), f.END_HEADERS]
    return b"".join(map(frame, kinds, flags, [stream_id] * len(pieces), pieces))


@pytest.mark.parametrize("size", [900, 3_000])
def test_a_header_list_over_the_limit_refuses_its_stream_alone(size: int) -> None:
    conn = GrpcServerConnection(METHODS, ServerSettings(header_list_bytes_max=10_000), Clock())
    conn.receive(HELLO + headers(1))
    fields = [*CALL_FIELDS, *[(b"t%d" % i, b"x" * size) for i in range(12)]]
    conn.take_output()
    assert conn.receive(long_headers(3, plain_block(fields)) + data(3, message(b"never"))) == []
    assert "grpc-status=8 grpc-message=header list of " in " ".join(Reader().lines(conn.take_output()))
    assert len(conn.receive(data(1, message(b"never")) + call(5, b"never"))) == 2
    assert not conn.closed and conn.open_streams == 2


def test_a_long_list_that_is_refused_leaves_the_tables_as_they_are_at_the_client() -> None:
    """Fields that enter the dynamic table in a block that is refused are named by number in the next one."""
    conn = GrpcServerConnection(METHODS, ServerSettings(header_list_bytes_max=20_000), Clock())
    conn.receive(HELLO)
    encoder = Encoder()
    for stream_id, extra in ((1, [(b"x", b"y" * 30_000)]), (3, [(b"token", b"secret")])):
        fields = [*CALL_FIELDS, *extra]
        conn.receive(long_headers(stream_id, encoder.encode(fields)))
    events = conn.receive(data(3, message(b"never")))
    assert [event[5] for event in events] == [{b"token": b"secret"}]


def test_a_list_of_many_times_the_limit_ends_the_connection() -> None:
    conn = GrpcServerConnection(METHODS, ServerSettings(header_list_bytes_max=10_000), Clock())
    conn.receive(HELLO)
    conn.receive(long_headers(1, plain_block([*CALL_FIELDS, *[(b"t%d" % i, b"x" * 1_300) for i in range(32)]])))
    assert conn.error_code == f.ENHANCE_YOUR_CALM


def test_a_long_token_and_many_equal_names_cost_no_time_to_speak_of() -> None:
    """A regular expression took 44 ms for the first; joining one by one copies gigabytes for the second."""
    conn = GrpcServerConnection(METHODS, ServerSettings(), Clock())
    conn.receive(HELLO)
    for stream_id, extra in ((1, [(b"token", b"x" * 1_000_000)]), (3, [(b"t", b"x" * 20)] * 30_000)):
        sent = long_headers(stream_id, plain_block([*CALL_FIELDS, *extra]))
        began = time.thread_time()
        conn.receive(sent)
        assert len(conn.receive(data(stream_id, message(b"never")))) == 1
        assert time.thread_time() - began < 1


def test_what_all_connections_hold_is_given_up_by_those_that_do_not_go_on() -> None:
    shared = UnfinishedRequests(100_000)
    half = message(bytes(60_000))[:30_000]
    stalled, sending = [GrpcServerConnection(METHODS, ServerSettings(), Clock(), shared) for _ in range(2)]
    for conn in (stalled, sending):
        conn.receive(HELLO + headers(1) + headers(3) + b"".join([data(1, half[:15_000], 0), data(1, half[15_000:], 0)]))
    assert shared.total == 60_000 and shared.find_overdue() == []
    stalled.receive(data(3, half[:15_000], 0))
    sending.receive(b"".join([data(3, half[:15_000], 0), data(3, half[15_000:], 0)]))
    assert shared.total == 105_000 and shared.find_overdue() == [stalled]
    stalled.take_output()
    stalled.give_up_unfinished()
    refused = [line for line in Reader().lines(stalled.take_output()) if "too many requests" in line]
    assert len(refused) == 2 and not stalled.closed and shared.total == 60_000
    assert len(sending.receive(data(1, message(bytes(60_000))[30_000:45_000], 0))) == 0
    sending.forget_unfinished()
    assert shared.total == 0


def test_an_unfinished_header_block_counts_and_ends_its_connection() -> None:
    shared = UnfinishedRequests(10_000)
    conn = GrpcServerConnection(METHODS, ServerSettings(), Clock(), shared)
    conn.receive(HELLO + frame(f.HEADERS, 0, 1, bytes(15_000)))
    assert shared.find_overdue() == [conn]
    conn.give_up_unfinished()
    assert conn.error_code == f.ENHANCE_YOUR_CALM and shared.total == 0


def test_a_long_head_counts_until_its_call_is_handed_on() -> None:
    shared = UnfinishedRequests(10_000)
    conn = GrpcServerConnection(METHODS, ServerSettings(), Clock(), shared)
    conn.receive(HELLO + headers(1, [*CALL_FIELDS, (b"token", b"x" * 9_000)]))
    assert 9_000 < shared.total < 10_000
    assert len(conn.receive(data(1, message(b"never")))) == 1
    assert shared.total == 0
