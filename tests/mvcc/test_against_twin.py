"""Whatever clients do, and whenever the store is committed, compacted or opened again: the answers are the twin's."""

from random import Random
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from etcdz.api.errors import EtcdError
from etcdz.mvcc import validate
from etcdz.mvcc.applier import Applier
from etcdz.mvcc.hashes import HashKvJob
from etcdz.mvcc.mvcc import Mvcc, Outcome
from etcdz.proto import etcdserverpb as pb
from etcdz.store.interface import MemoryStore
from tests.examples import examples
from tests.mvcc.requests import Draw
from tests.mvcc.twin import CLUSTER_ID, MEMBER_ID, TERM, Twin

RESPONSES = {
    "put": pb.PutResponse,
    "delete_range": pb.DeleteRangeResponse,
    "txn": pb.TxnResponse,
    "range": pb.RangeResponse,
    "compaction": pb.CompactionResponse,
}
CHECKS = {
    "put": validate.check_put,
    "delete_range": validate.check_delete,
    "txn": lambda request: validate.check_txn(request, 128),
    "range": validate.check_range,
    "compaction": lambda request: None,
}
_CHORES = ["", "", "commit", "commit", "compaction slice", "compaction slice", "reopen", "small cache"]
_CALLS = 60


class Subject:
    """An Mvcc with its applier that can be opened again over the same store."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.index = 0
        self.open()
        for lease_id in (5, 6):
            self.ask("lease_grant", pb.LeaseGrantRequest(ID=lease_id, TTL=60))

    def open(self, cache_bytes: int = 1 << 20) -> None:
        self.mvcc = Mvcc(self.store, MEMBER_ID, CLUSTER_ID, raft_term=TERM, cache_bytes=cache_bytes)
        self.applier = Applier(self.mvcc, quota_bytes=1 << 30)

    def ask(self, name: str, request: Any) -> Outcome:
        if name == "range":
            got = self.mvcc.get_bytes(request.SerializeToString())
            return self.mvcc.range(request) if got is None else (0, None, got)
        self.index += 1
        request_id = MEMBER_ID & 0xFFFF | self.index << 40
        entry = pb.InternalRaftRequest(header=pb.RequestHeader(ID=request_id), **{name: request})
        result = self.applier.apply(entry.SerializeToString())
        assert result is not None
        assert result[0] == request_id
        return result[1:]

    def hash_kv(self, revision: int) -> Outcome:
        outcome = self.mvcc.hash_kv_step(HashKvJob(self.mvcc.state, revision))
        assert outcome is not None
        return outcome

    def commit(self) -> None:
        self.mvcc.state.commit(self.index, TERM)

    def do(self, chore: str) -> None:
        if chore:
            self.commit()
        if chore == "compaction slice":
            self.mvcc.compaction.step(3)
        elif chore == "reopen":
            self.open()
        elif chore == "small cache":
            self.open(cache_bytes=500)


def _same(name: str, outcome: Outcome, expected: Any) -> None:
    code, text, body = outcome
    if isinstance(expected, EtcdError):
        assert (code, text) == (expected.code, expected.text)
        return
    response = RESPONSES[name].FromString(body)
    assert (text, response) == (None, expected)
    assert response.SerializeToString() == body, "fields are in order, and none is there in vain"


@settings(max_examples=examples(80), deadline=None, phases=[Phase.generate])
@given(st.integers(0, 1 << 64))
def test_every_answer_is_the_twins(seed: int) -> None:
    draw = Draw(Random(seed))
    subject, twin = Subject(), Twin()
    twin.leases = {5, 6}
    for _ in range(_CALLS):
        name, request = draw.call()
        if CHECKS[name](request) is None and not _breaks_etcd(name, request):
            _same(name, subject.ask(name, request), getattr(twin, name)(request))
            assert (subject.mvcc.state.revision, subject.mvcc.state.compact_revision) == (twin.revision, twin.compacted)
        subject.do(draw.random.choice(_CHORES))
        draw.newest = twin.revision
    _same_history(subject, twin)
    subject.do("reopen")
    _same_history(subject, twin)
    while not subject.mvcc.compaction.step(2):
        pass
    subject.do("reopen")
    _same_history(subject, twin)
    assert len(_rows(subject)) == len(twin.events), "the compaction leaves exactly what counts"


def _breaks_etcd(name: str, request: Any) -> bool:
    """A put that ignores its value or lease, after a delete of its key that no request check sees: etcd panics."""
    return name == "txn" and "ignore" in str(request) and "request_delete_range" in str(request)


def _same_history(subject: Subject, twin: Twin) -> None:
    for revision in range(max(twin.compacted, 1), twin.revision + 1):
        request = pb.RangeRequest(key=b"\0", range_end=b"\0", revision=revision)
        _same("range", subject.ask("range", request), twin.range(request))
        _same_hash(subject, twin, revision)
    _same_hash(subject, twin, 0)


def _same_hash(subject: Subject, twin: Twin, revision: int) -> None:
    code, _, body = subject.hash_kv(revision)
    answer = pb.HashKVResponse.FromString(body)
    expected = twin.hash_kv(revision), twin.compacted
    if revision == twin.compacted and subject.mvcc.state.passed is not None:
        expected = twin.left_behind
    assert (code, (answer.hash, answer.compact_revision)) == (0, expected)


def _rows(subject: Subject) -> list[Any]:
    return list(subject.store.iterate(b"key\0", b"key\x01"))
