"""Few requests that ask for much, in a small form: others do not notice, memory stays bounded, no process ends.

The backend is given little time and little memory: what is committed has to be applied all the same.
"""

import threading
import time
from collections.abc import Iterator

import pytest

from etcdz.net.blocking_channel import Channel, RpcError
from etcdz.proto import etcdserverpb as pb
from etcdz.wire import frames as f
from tests.etcd_process import Etcdz, Member
from tests.hostile.raw_client import RawClient
from tests.hostile.siege import Usage, is_borne, lasting
from tests.hostile.stalls import load, load_large

KEYS = 20_000
LARGE_KEYS, LARGE_BYTES = 10, 700_000
RULES = "backend:busy=1500ms,memory-max=400MiB"
PUT, RANGE, TXN = "/etcdserverpb.KV/Put", "/etcdserverpb.KV/Range", "/etcdserverpb.KV/Txn"
LARGE = pb.RangeRequest(key=b"large/", range_end=b"large0")
SORT = pb.RangeRequest(key=b"heavy/", range_end=b"heavy0", sort_order=2, sort_target=4, limit=1)
STALL_S_MAX = 3.0
"""For so much of the member's work, in seconds of CPU, another client may wait; it could be for all of it."""
PUTS = 10
"""More than so many are made while an attack goes on."""
GROWTH_MIB_MAX = 150
CALL_S = 120.0


class Victim:
    """A client that only puts. waits: from when to when its calls were under way, on the monotonic clock"""

    def __init__(self, target: str) -> None:
        self.waits: list[tuple[float, float]] = []
        self.errors: list[str] = []
        self._target = target
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Victim":
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._ends.set()
        self._thread.join(CALL_S)

    def _run(self) -> None:
        with Channel(self._target) as channel:
            while not self._ends.wait(0.002):
                began = time.monotonic()
                try:
                    channel.unary(PUT, pb.PutRequest(key=b"victim", value=b"1").SerializeToString(), CALL_S)
                except (RpcError, OSError) as error:
                    self.errors.append(str(error))
                self.waits.append((began, time.monotonic()))

    def check(self, usage: Usage) -> None:
        assert self.errors == []
        assert len(self.waits) > PUTS
        longest = max(self.waits, key=lambda wait: wait[1] - wait[0])
        assert is_borne(usage.work_between(*longest), STALL_S_MAX, usage.work_s), longest


@pytest.fixture(scope="module")
def member(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Member]:
    made = Etcdz(tmp_path_factory.mktemp("heavy"), f"--actor-rules={RULES}").start()
    load(made.target, b"heavy/", KEYS, 100)
    load_large(made.target, b"large/", LARGE_KEYS, LARGE_BYTES)
    yield made
    made.discard()


@pytest.fixture
def unharmed(member: Member) -> Iterator[Member]:
    """The member; afterwards each of its processes is the one that it was, and a put succeeds."""
    before = lasting(member)
    yield member
    patiently(member, PUT, pb.PutRequest(key=b"after", value=b"1").SerializeToString())
    assert before.keys() <= lasting(member).keys()


def patiently(member: Member, path: str, body: bytes) -> bytes:
    """The answer to a call that is made again while calls time out, as they do behind a long entry."""
    until = time.monotonic() + CALL_S
    with Channel(member.target) as channel:
        while True:
            try:
                return channel.unary(path, body, CALL_S)
            except RpcError as error:
                if "timed out" not in str(error) or time.monotonic() > until:
                    raise


def answers(target: str, requests: list[bytes], window: int) -> dict[int, int]:
    """Bytes of the answers to ranges that are sent at once on one connection, by stream."""
    sizes: dict[int, int] = {}
    with RawClient(target, window=window, grant=1 << 30) as client:
        waiting = {client.call(RANGE.encode(), request) for request in requests}
        for kind, flags, stream_id, payload in client.frames(CALL_S):
            assert kind != f.RST_STREAM
            if kind == f.DATA:
                sizes[stream_id] = sizes.get(stream_id, 0) + len(payload)
            if kind in (f.HEADERS, f.DATA) and flags & f.END_STREAM:
                waiting.discard(stream_id)
            if not waiting:
                break
    assert not waiting
    return sizes


def test_large_ranges_of_a_client_that_reads_nothing_disturb_nobody(unharmed: Member) -> None:
    with Usage(unharmed) as usage, Victim(unharmed.target) as victim, RawClient(unharmed.target, 0) as client:
        for _ in range(40):
            client.call(RANGE.encode(), LARGE.SerializeToString())
        for _ in client.frames(2.0):
            pass
        while len(victim.waits) <= PUTS:
            for _ in client.frames(0.1):
                pass
    victim.check(usage)
    assert usage.growth_mib < GROWTH_MIB_MAX


def test_sorted_ranges_that_come_all_at_once_are_all_answered_and_disturb_nobody(unharmed: Member) -> None:
    with Usage(unharmed) as usage, Victim(unharmed.target) as victim:
        sizes = answers(unharmed.target, [SORT.SerializeToString()] * 15, f.WINDOW_DEFAULT)
    victim.check(usage)
    assert len(set(sizes.values())) == 1


def test_bursts_of_large_ranges_take_no_more_memory_than_few_of_them(unharmed: Member) -> None:
    with Usage(unharmed) as usage, Victim(unharmed.target) as victim:
        for _ in range(3):
            sizes = answers(unharmed.target, [LARGE.SerializeToString()] * 8, 1 << 26)
            assert len(sizes) == 8
            assert min(sizes.values()) > LARGE_KEYS * LARGE_BYTES
    victim.check(usage)
    assert usage.growth_mib < GROWTH_MIB_MAX


def transact(member: Member, request: pb.RangeRequest, count: int) -> int:
    """A put and so many ranges in one transaction. return gRPC's code"""
    ops = [pb.RequestOp(request_put=pb.PutRequest(key=b"changed", value=b"1"))]
    ops += [pb.RequestOp(request_range=request)] * count
    with Channel(member.target) as channel:
        try:
            channel.unary(TXN, pb.TxnRequest(success=ops).SerializeToString(), CALL_S)
        except RpcError as error:
            return int(error.code)
    return 0


def test_an_entry_that_takes_longer_than_the_supervisor_waits_is_applied(unharmed: Member) -> None:
    began = time.monotonic()
    code = transact(unharmed, SORT, 127)
    assert code in (0, 14), "done, or timed out for its client"
    found = patiently(unharmed, RANGE, pb.RangeRequest(key=b"changed").SerializeToString())
    assert pb.RangeResponse.FromString(found).count == 1
    assert time.monotonic() - began > 1.5, "else it shows nothing"


def test_an_answer_that_is_larger_than_the_memory_fails_and_the_entry_is_applied(unharmed: Member) -> None:
    assert transact(unharmed, LARGE, 60) == 8
    assert transact(unharmed, LARGE, 3) == 0, "20 MB are answered"


def test_large_answers_to_changes_leave_whole(unharmed: Member) -> None:
    ops = [pb.RequestOp(request_put=pb.PutRequest(key=b"changed", value=b"1"))]
    ops += [pb.RequestOp(request_range=LARGE)] * 2
    with Channel(unharmed.target) as channel:
        body = channel.unary(TXN, pb.TxnRequest(success=ops).SerializeToString(), CALL_S)
    responses = pb.TxnResponse.FromString(body).responses
    assert [op.response_range.count for op in responses[1:]] == [LARGE_KEYS] * 2
    assert all(len(kv.value) == LARGE_BYTES for op in responses[1:] for kv in op.response_range.kvs)
