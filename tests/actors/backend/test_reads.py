"""Reads: those whose index is applied are answered at once, the others when it is, and long calls in their time."""

from typing import Any

from actors.backend.raft_link import RaftLink
from actors.backend.reads import Reads
from etcdz.api.errors import Code
from etcdz.api.methods import HASH, RANGE, STATUS, TXN
from etcdz.cluster.membership import Membership
from etcdz.ipc.messages import Read, Replies
from etcdz.mvcc.mvcc import Mvcc
from etcdz.proto import etcdserverpb as pb
from etcdz.store.interface import MemoryStore
from tests.actors.recorded_links import RecordedLinks

GET = pb.RangeRequest(key=b"a").SerializeToString()


class Log:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def warn(self, message: str, **fields: Any) -> None:
        self.lines.append(message)


class Bench:
    """Reads over an empty key space, at index 5."""

    def __init__(self, warning_s: float = 10.0) -> None:
        links: Any = RecordedLinks()
        self.links, self.log = links, Log()
        mvcc = Mvcc(MemoryStore(), 1, 2)
        self.raft = RaftLink(links, mvcc, Membership(1, 2))
        self.raft.applied_index = 5
        self.reads = Reads(
            links,
            mvcc,
            self.raft,
            {STATUS: lambda body, auth: (Code.OK, b"status")},
            {},
            incarnation=7,
            log=self.log,
            warning_s=warning_s,
        )

    def read(self, slot: int, *items: tuple[int, int, bytes, int]) -> None:
        self.reads.on_read(Read(slot, list(items)))

    def answered(self) -> list[tuple[str, list[int]]]:
        """(receiver, request ids) of each message that is sent now."""
        self.reads.work()
        self.reads.send()
        return [(name, [item[0] for item in message.items]) for name, message in self.links.take() if message.items]


def test_a_turn_has_one_message_for_each_listener() -> None:
    bench = Bench()
    bench.read(1, (10, RANGE, GET, 0), (11, STATUS, b"", 5))
    bench.read(2, (20, RANGE, GET, 0))
    bench.read(1, (12, RANGE, GET, 0))
    assert bench.answered() == [("listener-1", [10, 11, 12]), ("listener-2", [20])]
    assert bench.answered() == []


def test_a_read_waits_until_its_index_is_applied_and_the_lowest_index_comes_first() -> None:
    bench = Bench()
    bench.read(1, (10, RANGE, GET, 8), (11, RANGE, GET, 6), (12, RANGE, GET, 5))
    assert bench.answered() == [("listener-1", [12])]
    bench.raft.applied_index = 7
    bench.reads.unpark()
    assert bench.answered() == [("listener-1", [11])]
    bench.raft.applied_index = 8
    bench.reads.unpark()
    assert bench.answered() == [("listener-1", [10])]


def test_a_long_call_is_begun_at_once_and_answered_later() -> None:
    bench = Bench()
    begun: list[tuple[int, int, bytes]] = []
    bench.reads.long = {HASH: lambda *call: begun.append(call)}
    bench.read(1, (10, HASH, b"body", 99))
    assert (begun, bench.answered()) == ([(1, 10, b"body")], [])
    bench.reads.answer(1, 10, Code.OK, b"hash")
    assert bench.answered() == [("listener-1", [10])]


def test_an_error_is_answered_as_its_code_and_text() -> None:
    bench = Bench()
    future = pb.RangeRequest(key=b"a", revision=50)
    operation = pb.RequestOp(request_range=future)
    bench.read(
        1,
        (10, RANGE, future.SerializeToString(), 0),
        (11, TXN, pb.TxnRequest(success=[operation]).SerializeToString(), 0),
    )
    bench.reads.work()
    bench.reads.send()
    [(_, answer)] = bench.links.take()
    assert isinstance(answer, Replies)
    expected = (Code.OUT_OF_RANGE, b"etcdserver: mvcc: required revision is a future revision")
    assert answer.items == [(10, *expected), (11, *expected)]
    assert (answer.batch, answer.incarnation) == (0, 7), "an answer to a read is in no ring"


def test_slow_reads_are_logged() -> None:
    bench = Bench(warning_s=1e-9)
    bench.read(1, (10, RANGE, GET, 0))
    assert bench.log.lines == ["apply request took too long"]
