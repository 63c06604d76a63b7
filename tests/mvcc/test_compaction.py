"""Compaction takes records out in slices; whatever comes between two slices, the end is the same."""

import pytest

from etcdz.api import errors
from etcdz.mvcc.hashes import HashKvJob
from etcdz.mvcc.mvcc import Mvcc, Outcome
from etcdz.proto import etcdserverpb as pb
from etcdz.store import buckets
from etcdz.store.interface import MemoryStore

EVERYTHING = {"key": b"\0", "range_end": b"\0"}


def _history(store: MemoryStore) -> Mvcc:
    """Revisions 2 to 41 over five keys, some deleted and one gone for good."""
    mvcc = Mvcc(store, 1, 2, raft_term=1)
    mvcc.put(pb.PutRequest(key=b"gone", value=b"x"))
    mvcc.delete_range(pb.DeleteRangeRequest(key=b"gone"))
    for number in range(38):
        key = b"k%d" % (number % 5)
        if number % 7 == 6:
            mvcc.delete_range(pb.DeleteRangeRequest(key=key))
        else:
            mvcc.put(pb.PutRequest(key=key, value=b"%d" % number))
    mvcc.state.commit(40, 1)
    return mvcc


def _compact(mvcc: Mvcc, revision: int) -> None:
    assert mvcc.compact(pb.CompactionRequest(revision=revision))[0] == 0
    mvcc.state.commit(mvcc.state.consistent_index + 1, 1)


def _records(mvcc: Mvcc) -> list[tuple[bytes, bytes]]:
    return list(mvcc.state.store.iterate(buckets.KEY, buckets.bucket_end(buckets.KEY)))


def _hash(mvcc: Mvcc, revision: int = 0) -> int:
    return int(pb.HashKVResponse.FromString(_hash_kv(mvcc, revision)[2]).hash)


def _hash_kv(mvcc: Mvcc, revision: int) -> Outcome:
    outcome = mvcc.hash_kv_step(HashKvJob(mvcc.state, revision))
    assert outcome is not None
    return outcome


def _all_views(mvcc: Mvcc) -> list[bytes]:
    revisions = range(mvcc.state.compact_revision, mvcc.state.revision + 1)
    return [mvcc.range(pb.RangeRequest(revision=revision, **EVERYTHING))[2] for revision in revisions]


def _compacted(revision: int) -> Mvcc:
    mvcc = _history(MemoryStore())
    _compact(mvcc, revision)
    assert mvcc.compaction.step(10_000)
    return mvcc


@pytest.mark.parametrize("revision", [5, 20, 30, 41])
@pytest.mark.parametrize("limit", [1, 2, 7, 40])
def test_slices_of_any_size_come_to_the_same_end(revision: int, limit: int) -> None:
    mvcc = _history(MemoryStore())
    before = _all_views(mvcc)[revision + 1 :]
    _compact(mvcc, revision)
    hash_before = _hash(mvcc)
    steps = 0
    while not mvcc.compaction.step(limit):
        assert _all_views(mvcc) == before
        assert _hash(mvcc) == hash_before, "how far the compaction is does not show"
        steps += 1
    assert steps <= revision // limit + 1
    assert _records(mvcc) == _records(_compacted(revision))
    assert (_all_views(mvcc), _hash(mvcc)) == (before, hash_before)
    assert mvcc.compaction.step(limit)


@pytest.mark.parametrize("steps", range(0, 30, 3))
def test_a_restart_between_any_two_slices_goes_on(steps: int) -> None:
    store = MemoryStore()
    mvcc = _history(store)
    _compact(mvcc, 30)
    for _ in range(steps):
        mvcc.compaction.step(1)
    again = Mvcc(MemoryStore(store.rows.items()), 1, 2, raft_term=1)
    assert (again.state.compact_revision, again.state.revision) == (30, 41)
    assert (_all_views(again), _hash(again)) == (_all_views(mvcc), _hash(mvcc))
    assert again.compaction.running
    while not again.compaction.step(4):
        pass
    assert _records(again) == _records(_compacted(30))
    assert not Mvcc(again.state.store, 1, 2).compaction.running


@pytest.mark.parametrize("steps", [0, 3, 9])
def test_a_newer_compaction_takes_over(steps: int) -> None:
    mvcc = _history(MemoryStore())
    _compact(mvcc, 20)
    for _ in range(steps):
        mvcc.compaction.step(2)
    _compact(mvcc, 33)
    while not mvcc.compaction.step(3):
        pass
    assert _records(mvcc) == _records(_compacted(33))


@pytest.mark.parametrize("steps", [0, 2, 6, 20])
def test_changes_between_slices_are_no_part_of_it(steps: int) -> None:
    mvcc = _history(MemoryStore())
    _compact(mvcc, 30)
    for _ in range(steps):
        mvcc.compaction.step(1)
    for number in range(5):
        mvcc.put(pb.PutRequest(key=b"k%d" % number, value=b"new"))
    mvcc.delete_range(pb.DeleteRangeRequest(key=b"k3"))
    mvcc.state.commit(60, 1)
    while not mvcc.compaction.step(2):
        pass
    kept = _records(_compacted(30))
    assert _records(mvcc)[: len(kept)] == kept
    assert len(_records(mvcc)) == len(kept) + 6
    assert _all_views(Mvcc(mvcc.state.store, 1, 2, raft_term=1)) == _all_views(mvcc)


def test_nothing_is_deleted_before_the_compaction_is_in_the_store() -> None:
    mvcc = _history(MemoryStore())
    records = _records(mvcc)
    mvcc.compact(pb.CompactionRequest(revision=30))
    assert not mvcc.compaction.step(1000)
    assert _records(mvcc) == records
    mvcc.state.commit(41, 1)
    assert mvcc.compaction.step(1000)


def test_compacted_and_future_revisions_are_refused() -> None:
    mvcc = _history(MemoryStore())
    for revision, error in [(-1, errors.COMPACTED), (42, errors.FUTURE_REV)]:
        assert mvcc.compact(pb.CompactionRequest(revision=revision))[:2] == (error.code, error.text)
    assert mvcc.compact(pb.CompactionRequest(revision=0))[0] == 0
    assert mvcc.compact(pb.CompactionRequest(revision=0))[0] == errors.COMPACTED.code
    _compact(mvcc, 41)
    assert mvcc.compact(pb.CompactionRequest(revision=41))[0] == errors.COMPACTED.code


def test_a_second_compaction_looks_at_what_came_since_the_first() -> None:
    mvcc = _history(MemoryStore())
    for revision in range(3, 42, 4):
        _compact(mvcc, revision)
        steps = 0
        while not mvcc.compaction.step(1):
            steps += 1
        assert steps <= 5
        assert _records(mvcc) == _records(_compacted(revision))


def test_below_a_compaction_there_are_no_hashes() -> None:
    mvcc = _history(MemoryStore())
    _compact(mvcc, 30)
    mvcc.compaction.step(1000)
    assert _hash_kv(mvcc, 29)[:2] == (errors.COMPACTED.code, errors.COMPACTED.text)
    assert _hash_kv(mvcc, 30)[0] == 0
    assert _hash_kv(mvcc, 42)[:2] == (errors.FUTURE_REV.code, errors.FUTURE_REV.text)


def test_a_hash_in_slices_is_the_hash_at_once() -> None:
    mvcc = _history(MemoryStore())
    _compact(mvcc, 20)
    expected = _hash(mvcc, 35)
    job = HashKvJob(mvcc.state, 35)
    while (outcome := mvcc.hash_kv_step(job, 3)) is None:
        mvcc.put(pb.PutRequest(key=b"k1", value=b"meanwhile"))
        mvcc.state.commit(mvcc.state.consistent_index + 1, 1)
        mvcc.compaction.step(1)
    answer = pb.HashKVResponse.FromString(outcome[2])
    assert (answer.hash, answer.header.revision, answer.hash_revision) == (expected, 41, 35)


def test_a_compaction_under_a_hash_in_slices_makes_it_begin_again() -> None:
    mvcc = _history(MemoryStore())
    late, early = HashKvJob(mvcc.state, 40), HashKvJob(mvcc.state, 25)
    assert mvcc.hash_kv_step(late, 10) is None
    assert mvcc.hash_kv_step(early, 10) is None
    _compact(mvcc, 30)
    outcome = mvcc.hash_kv_step(late)
    assert outcome is not None
    assert pb.HashKVResponse.FromString(outcome[2]).hash == _hash(mvcc, 40)
    refused = mvcc.hash_kv_step(early)
    assert refused is not None
    assert refused[1] == errors.COMPACTED.text


def _answer(mvcc: Mvcc, revision: int) -> tuple[int, int, int]:
    answer = pb.HashKVResponse.FromString(_hash_kv(mvcc, revision)[2])
    return answer.hash, answer.compact_revision, answer.hash_revision


@pytest.mark.parametrize("first", [-1, 5, 20])
@pytest.mark.parametrize("second", [21, 30, 41])
def test_at_the_compacted_revision_the_hash_is_what_it_was_before(first: int, second: int) -> None:
    mvcc = _history(MemoryStore()) if first < 0 else _compacted(first)
    before = _answer(mvcc, second)
    assert before[1:] == (first, second)
    _compact(mvcc, second)
    while not mvcc.compaction.step(3):
        pass
    mvcc.put(pb.PutRequest(key=b"k1", value=b"later"))
    mvcc.delete_range(pb.DeleteRangeRequest(key=b"k2"))
    mvcc.state.commit(60, 1)
    assert _answer(mvcc, second) == before
    assert _answer(mvcc, 0)[1] == second, "at the newest revision it is that of what is left"
    again = Mvcc(mvcc.state.store, 1, 2, raft_term=1)
    assert _answer(again, second)[1] == second, "as etcd, it has forgotten that after a restart"


def test_a_compaction_that_has_taken_over_knows_no_hash_of_what_was_before() -> None:
    mvcc = _history(MemoryStore())
    _compact(mvcc, 20)
    mvcc.compaction.step(3)
    _compact(mvcc, 30)
    while not mvcc.compaction.step(3):
        pass
    assert _answer(mvcc, 30) == _answer(Mvcc(mvcc.state.store, 1, 2, raft_term=1), 30)
    assert _answer(mvcc, 30)[1] == 30
