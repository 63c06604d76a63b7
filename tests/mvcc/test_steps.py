"""Reads in steps: what they show is what was there when they began, whatever changes and compactions come between."""

from random import Random
from typing import Any

import pytest

from etcdz.api import errors
from etcdz.api.errors import EtcdError
from etcdz.mvcc import ranges
from etcdz.mvcc.answer import Answer
from etcdz.mvcc.mvcc import Mvcc, Reading
from etcdz.mvcc.ranking import KEPT_MAX
from etcdz.proto import etcdserverpb as pb
from etcdz.store.interface import MemoryStore

KEYS = 700
"""More than one step of each kind takes."""


def key_of(rng: Random) -> bytes:
    return b"k/%04d" % rng.randrange(KEYS)


class Subject:
    """A key space with a random history, that goes on."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.mvcc = Mvcc(MemoryStore(), 1, 2, raft_term=3, cache_bytes=self.rng.choice((0, 1 << 20)))
        self.mvcc.lease_grant(pb.LeaseGrantRequest(ID=7, TTL=60))
        self.index = 0
        for number in range(KEYS):
            self.mvcc.put(pb.PutRequest(key=b"k/%04d" % number, value=b"%d" % self.rng.randrange(50)))
        self.commit()
        self.change(300)

    def commit(self) -> None:
        self.index += 1
        self.mvcc.state.commit(self.index, 3)

    def change(self, count: int) -> None:
        rng, mvcc = self.rng, self.mvcc
        for _ in range(count):
            chance = rng.random()
            if chance < 0.7:
                value = b"%d" % rng.randrange(50) * rng.randrange(1, 4)
                mvcc.put(pb.PutRequest(key=key_of(rng), value=value, lease=rng.choice((0, 0, 7))))
            elif chance < 0.95:
                mvcc.delete_range(pb.DeleteRangeRequest(key=key_of(rng)))
            else:
                mvcc.put(pb.PutRequest(key=b"k/new/%d" % rng.randrange(1000), value=b"n"))
            if rng.random() < 0.1:
                self.commit()
        self.commit()

    def compact(self, pin: int) -> None:
        """A compaction below what is still read, up to now or in the middle."""
        mvcc = self.mvcc
        mvcc.compact(pb.CompactionRequest(revision=self.rng.randint(max(1, mvcc.state.compact_revision), pin)))
        self.commit()
        while not mvcc.compaction.step(self.rng.choice((50, 10_000))):
            pass

    def request(self) -> Any:
        rng = self.rng
        lo, hi = sorted((key_of(rng), key_of(rng)))
        request = pb.RangeRequest(
            key=rng.choice((b"k/", lo)),
            range_end=rng.choice((b"k0", b"\0", hi)),
            limit=rng.choice((0, 0, 1, 40, KEPT_MAX + 1)),
            sort_order=rng.randrange(3),
            sort_target=rng.randrange(5),
            keys_only=rng.random() < 0.3,
            count_only=rng.random() < 0.1,
        )
        now = self.mvcc.state.revision
        if rng.random() < 0.3:
            request.min_mod_revision = rng.randrange(now)
            request.max_create_revision = rng.randrange(now) + 1
        if rng.random() < 0.3:
            request.revision = rng.randint(max(1, self.mvcc.state.compact_revision), now)
        return request


def begin(mvcc: Mvcc, request: Any) -> Reading:
    reading = mvcc.begin_txn(request) if isinstance(request, pb.TxnRequest) else mvcc.begin_range(request)
    assert not isinstance(reading, EtcdError)
    return reading


def at_once(mvcc: Mvcc, request: Any) -> bytes:
    reading = begin(mvcc, request)
    for _ in reading.steps:
        pass
    return reading.answer.join()


@pytest.mark.parametrize("seed", [*range(8), *[pytest.param(seed, marks=pytest.mark.slow) for seed in range(8, 40)]])
def test_a_read_shows_what_was_there_when_it_began(seed: int) -> None:
    subject = Subject(seed)
    for _ in range(6):
        request = subject.request()
        if subject.rng.random() < 0.3:
            every = pb.Compare(key=b"k/", range_end=b"k0", target=1, result=1, create_revision=0)
            ops = [pb.RequestOp(request_range=subject.request()) for _ in range(3)]
            request = pb.TxnRequest(compare=[every], success=ops, failure=ops[:1])
        expected = at_once(subject.mvcc, request)
        reading = begin(subject.mvcc, request)
        sent = b""
        for _ in reading.steps:
            if subject.rng.random() < 0.4:
                subject.change(subject.rng.randrange(60))
            if subject.rng.random() < 0.1 and subject.mvcc.state.compact_revision < reading.pin:
                subject.compact(reading.pin)
            if reading.streams and subject.rng.random() < 0.5:
                sent += reading.answer.join()
                reading.answer.parts.clear()
        assert sent + reading.answer.join() == expected


def test_a_read_that_has_not_had_its_first_step_shows_what_was_there_when_it_began_too() -> None:
    subject = Subject(4)
    every = pb.RangeRequest(key=b"k/", range_end=b"k0")
    for request in (every, pb.TxnRequest(success=[pb.RequestOp(request_range=every)])):
        expected = at_once(subject.mvcc, request)
        reading = begin(subject.mvcc, request)
        subject.change(100)
        for _ in reading.steps:
            pass
        assert reading.answer.join() == expected


def test_large_values_that_a_transaction_reads_one_by_one_are_not_one_step() -> None:
    subject = Subject(5)
    keys = [b"large/%d" % number for number in range(8)]
    for key in keys:
        subject.mvcc.put(pb.PutRequest(key=key, value=bytes(1 << 20)))
    reading = begin(subject.mvcc, pb.TxnRequest(success=[{"request_range": {"key": key}} for key in keys]))
    next(reading.steps)
    assert reading.answer.size < 2 << 20


def test_a_step_of_a_large_range_is_small() -> None:
    subject = Subject(1)
    reading = begin(subject.mvcc, pb.RangeRequest(key=b"k/", range_end=b"k0"))
    assert len(list(reading.steps)) > KEYS // 100
    subject.mvcc.put(pb.PutRequest(key=b"k/0001", value=bytes(1 << 20)))
    subject.mvcc.put(pb.PutRequest(key=b"k/0002", value=bytes(1 << 20)))
    reading = begin(subject.mvcc, pb.RangeRequest(key=b"k/0001", range_end=b"k/0003"))
    next(reading.steps)
    assert reading.answer.size < 2 << 20, "two large values are more than one step"


def test_equal_values_stay_in_the_order_of_their_keys() -> None:
    subject = Subject(2)
    for order, reverse in ((1, False), (2, True)):
        for limit in (0, 30):
            request = pb.RangeRequest(key=b"k/", range_end=b"k0", sort_order=order, sort_target=4, limit=limit)
            _, _, body = subject.mvcc.range(request)
            found = [(kv.value, kv.key) for kv in pb.RangeResponse.FromString(body).kvs]
            _, _, body = subject.mvcc.range(pb.RangeRequest(key=b"k/", range_end=b"k0"))
            every = [(kv.value, kv.key) for kv in pb.RangeResponse.FromString(body).kvs]
            expected = sorted(every, key=lambda pair: pair[0], reverse=reverse)
            assert found == (expected[:limit] if limit else expected)


def test_orders_that_the_index_knows_read_no_records(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = Subject(3)
    reads: list[int] = []
    plain = subject.mvcc.state.record_at
    monkeypatch.setattr(subject.mvcc.state, "record_at", lambda *place: reads.append(1) or plain(*place))
    subject.mvcc.state.young.clear()
    subject.mvcc.state._old.clear()
    for target in range(4):
        reads.clear()
        request = pb.RangeRequest(key=b"k/", range_end=b"k0", sort_order=2, sort_target=target, limit=3)
        subject.mvcc.range(request)
        assert len(reads) <= 4, target


def test_an_answer_that_cannot_be_sent_is_etcds_error_and_what_it_changed_stays() -> None:
    subject = Subject(4)
    subject.mvcc.answer_bytes_max = 5000
    ops = [
        pb.RequestOp(request_put=pb.PutRequest(key=b"changed", value=b"1")),
        pb.RequestOp(request_range=pb.RangeRequest(key=b"k/", range_end=b"k0")),
        pb.RequestOp(request_put=pb.PutRequest(key=b"changed", value=b"2")),
    ]
    code, text, _ = subject.mvcc.txn(pb.TxnRequest(success=ops))
    assert code == 8
    assert text is not None
    assert text.startswith("grpc: trying to send message larger than max (")
    assert text.endswith(" vs. 5000)")
    record = subject.mvcc.state.record_now(b"changed")
    assert record is not None
    assert b"2" in record


def test_a_large_answer_of_a_change_stays_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = Subject(5)
    ops = [
        pb.RequestOp(request_put=pb.PutRequest(key=b"changed", value=b"1")),
        pb.RequestOp(request_range=pb.RangeRequest(key=b"k/", range_end=b"k0")),
        pb.RequestOp(request_txn=pb.TxnRequest(success=[pb.RequestOp(request_range=pb.RangeRequest(key=b"k/0005"))])),
    ]
    monkeypatch.setattr("etcdz.mvcc.mvcc.JOINED_BYTES_MAX", 1000)
    code, _, answer = subject.mvcc.txn(pb.TxnRequest(success=ops))
    assert code == 0
    assert isinstance(answer, Answer)
    body = answer.join()
    assert len(body) == answer.size
    responses = pb.TxnResponse.FromString(body).responses
    assert [op.WhichOneof("response") for op in responses] == ["response_put", "response_range", "response_txn"]
    assert responses[1].response_range.count == ranges.count_now(subject.mvcc.state, b"k/", b"k0")


def test_what_is_long_in_an_entry_draws_breath() -> None:
    subject = Subject(6)
    breaths: list[int] = []
    subject.mvcc.state.breathe = lambda: breaths.append(1)
    sort = pb.RangeRequest(key=b"k/", range_end=b"k0", sort_order=2, sort_target=4, limit=1)
    ops = [pb.RequestOp(request_put=pb.PutRequest(key=b"p")), *[pb.RequestOp(request_range=sort)] * 5]
    subject.mvcc.txn(pb.TxnRequest(success=ops))
    assert len(breaths) > 10
    breaths.clear()
    subject.mvcc.delete_range(pb.DeleteRangeRequest(key=b"k/", range_end=b"k0", prev_kv=True))
    assert len(breaths) > 3


def test_a_range_of_a_revision_that_is_not_there_is_refused_at_once() -> None:
    subject = Subject(7)
    assert subject.mvcc.begin_range(pb.RangeRequest(key=b"k", revision=1 << 40)) is errors.FUTURE_REV
