"""Reads in slices between the turns of a backend."""

from typing import Any

import pytest

from actors.backend import long_reads
from actors.backend.long_reads import HOLD_S, PART_BYTES, UNSENT_BYTES_MAX, LongReads
from actors.backend.reads import OUT_OF_MEMORY, Reads
from etcdz.api import errors
from etcdz.api.methods import RANGE, TXN
from etcdz.ipc.messages import CancelReads, Read, ReadLong, Replies, ReplyPart
from etcdz.ipc.messages import LongReads as LongReadsMessage
from etcdz.mvcc.answer import Answer
from etcdz.mvcc.mvcc import Mvcc
from etcdz.proto import etcdserverpb as pb
from etcdz.store.interface import MemoryStore
from tests.actors.recorded_links import RecordedLinks

KEYS = 3000
ALL = pb.RangeRequest(key=b"k", range_end=b"l").SerializeToString()


class Log:
    def __init__(self) -> None:
        self.fields: list[dict[str, Any]] = []

    def warn(self, text: str, **fields: Any) -> None:
        self.fields.append(fields)


class Raft:
    applied_index = 10


class Bench:
    """A backend's reads of many keys."""

    def __init__(self, warning_s: float = 100.0) -> None:
        self.links: Any = RecordedLinks()
        self.raft: Any = Raft()
        self.mvcc = Mvcc(MemoryStore(), 1, 2)
        for number in range(KEYS):
            self.mvcc.put(pb.PutRequest(key=b"k%05d" % number, value=b"v" * 100))
        self.commit()
        self.log: Any = Log()
        self.reads = Reads(self.links, self.mvcc, self.raft, {}, {}, incarnation=7, log=self.log, warning_s=warning_s)
        self.long = LongReads(self.links, self.raft, self.reads, incarnation=7, log=self.log, warning_s=warning_s)

    def commit(self) -> None:
        self.mvcc.state.commit(1, 1)

    def ask(self, request_id: int, body: bytes = ALL, method: int = RANGE, index: int = 0) -> None:
        self.long.on_read_long(ReadLong(3, [(request_id, method, body, index)]))

    def run(self) -> None:
        while self.long.has_work:
            self.long.work()

    def bodies(self) -> dict[int, bytes]:
        """What has been answered completely, by request id. Offsets and ends are right."""
        found: dict[int, bytes] = {}
        done: set[int] = set()
        for part in self.links.of(ReplyPart):
            assert part.offset == len(found.get(part.request_id, b""))
            assert part.request_id not in done
            found[part.request_id] = found.get(part.request_id, b"") + part.data
            if part.is_last:
                done.add(part.request_id)
        return {request_id: found[request_id] for request_id in done}

    def errors(self) -> list[tuple[int, int, bytes]]:
        return [item for message in self.links.of(Replies) for item in message.items]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_what_looks_at_many_keys_or_has_a_large_answer_is_given_back(bench: Bench) -> None:
    bench.mvcc.put(pb.PutRequest(key=b"large", value=bytes(1 << 20)))
    few = pb.RangeRequest(key=b"k", range_end=b"l", limit=5).SerializeToString()
    one = pb.RangeRequest(key=b"k00001").SerializeToString()
    large = pb.RangeRequest(key=b"large").SerializeToString()
    sort = pb.RangeRequest(key=b"k", range_end=b"l", limit=1, sort_order=2, sort_target=4)
    txn = pb.TxnRequest(success=[pb.RequestOp(request_range=sort)]).SerializeToString()
    count = pb.RangeRequest(key=b"k", range_end=b"l", count_only=True).SerializeToString()
    items = [(1, RANGE, ALL, 0), (2, RANGE, few, 0), (3, RANGE, one, 0), (4, RANGE, large, 0), (5, TXN, txn, 0)]
    bench.reads.on_read(Read(3, [*items, (6, RANGE, count, 0)]))
    while bench.reads.short:
        bench.reads.work()
    bench.reads.send()
    sent = [message for _, message in bench.links.take()]
    assert [message.ids for message in sent if isinstance(message, LongReadsMessage)] == [[1, 4, 5]]
    assert {item[0] for message in sent if isinstance(message, Replies) for item in message.items} == {2, 3, 6}


def test_reads_go_on_in_turn_and_show_what_was_there_when_they_began(bench: Bench) -> None:
    _, _, expected = bench.mvcc.range(pb.RangeRequest.FromString(ALL))
    for request_id in (1, 2):
        bench.ask(request_id)
    turns = 0
    while bench.long.has_work:
        bench.long.work()
        turns += 1
        if turns == 2:  # both have begun
            for number in range(0, KEYS, 7):
                bench.mvcc.put(pb.PutRequest(key=b"k%05d" % number, value=b"new"))
            bench.mvcc.delete_range(pb.DeleteRangeRequest(key=b"k02", range_end=b"k03"))
            bench.commit()
    assert turns > 2, "the first were not the only slices"
    assert bench.bodies() == {1: expected, 2: expected}


def test_a_small_answer_leaves_whole_and_is_told_of_as_that_of_a_short_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine makes any read of several keys a long one."""
    monkeypatch.setattr(long_reads, "SLICE_S", 1_000)
    bench = Bench(warning_s=0.0)
    few = pb.RangeRequest(key=b"k00000", range_end=b"k00002").SerializeToString()
    bench.ask(1, few)
    bench.ask(
        2, pb.TxnRequest(success=[pb.RequestOp(request_range=pb.RangeRequest.FromString(few))]).SerializeToString(), TXN
    )
    bench.run()
    replies = bench.errors()
    assert [(request_id, code) for request_id, code, _ in replies] == [(1, 0), (2, 0)]
    assert len(pb.RangeResponse.FromString(replies[0][2]).kvs) == 2
    assert not bench.links.of(ReplyPart)
    assert [fields["response"].split(" size:")[0] for fields in bench.log.fields] == [
        "range_response_count:2",
        "responses:<range_response_count:2>",
    ]


def test_a_part_is_not_much_larger_than_it_should_be(bench: Bench) -> None:
    for number in range(10):
        bench.mvcc.put(pb.PutRequest(key=b"k%05d" % number, value=bytes(PART_BYTES // 2)))
    bench.ask(1)
    bench.run()
    assert max(len(part.data) for part in bench.links.of(ReplyPart)) < 3 * PART_BYTES


def test_a_read_waits_for_the_index_that_it_needs(bench: Bench) -> None:
    bench.ask(1, index=11)
    assert not bench.long.has_work
    bench.raft.applied_index = 11
    bench.run()
    assert set(bench.bodies()) == {1}


def test_what_is_cancelled_or_of_a_listener_that_is_gone_is_not_worked_on(bench: Bench) -> None:
    bench.ask(1)
    bench.ask(2, index=20)
    bench.ask(3)
    bench.long.work()
    bench.long.on_cancel(CancelReads(3, [1, 2, 99]))
    assert len(bench.long) == 1
    bench.long.forget(3)
    assert (len(bench.long), bench.long.has_work) == (0, False)
    bench.raft.applied_index = 20
    assert not bench.long.has_work


def test_a_compaction_waits_for_what_it_would_disturb_but_not_for_ever(bench: Bench) -> None:
    bench.ask(1)
    bench.long.work()
    target = bench.mvcc.state.revision + 1
    assert not bench.long.holds_up(target - 1, 0.0), "it keeps what is read"
    assert bench.long.holds_up(target, 0.0)
    assert bench.long.holds_up(target, HOLD_S - 1)
    assert not bench.long.holds_up(target, HOLD_S)
    assert bench.errors() == [(1, errors.COMPACTED.code, errors.COMPACTED.text.encode())]
    assert not bench.long.has_work


def test_a_read_for_which_there_is_no_memory_is_refused_and_the_others_go_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = bench.mvcc.state.records_as_of
    monkeypatch.setattr(bench.mvcc.state, "records_as_of", _exhausted)
    bench.ask(1)
    bench.long.work()
    monkeypatch.setattr(bench.mvcc.state, "records_as_of", plain)
    assert bench.errors() == [(1, OUT_OF_MEMORY.code, OUT_OF_MEMORY.text.encode())]
    bench.ask(2)
    bench.run()
    assert set(bench.bodies()) == {2}


def _exhausted(*args: Any) -> Any:
    raise MemoryError


def test_the_answer_of_a_change_leaves_in_parts_and_no_more_than_a_bound_of_them_wait(bench: Bench) -> None:
    answer = Answer()
    for _ in range(100):
        answer.add(b"x" * 20_000)
    assert bench.long.take_made(3, 50, answer)
    assert not bench.long.has_work, "it is not committed"
    bench.long.release_made()
    bench.run()
    assert bench.bodies() == {50: b"x" * 2_000_000}
    large = Answer()
    large.add(b"y")
    large.size = UNSENT_BYTES_MAX
    assert bench.long.take_made(3, 51, large)
    assert not bench.long.take_made(3, 52, large)
