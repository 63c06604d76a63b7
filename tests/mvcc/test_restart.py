"""What a store holds is what a process that opens it finds: all that was committed, and nothing else."""

from pathlib import Path

import pytest

from etcdz.mvcc.loading import StoreCorrupt
from etcdz.mvcc.mvcc import Mvcc
from etcdz.proto import etcdserverpb as pb
from etcdz.store import buckets
from etcdz.store.interface import MemoryStore
from etcdz.store.leveldb import LevelStore


def _put(mvcc: Mvcc, key: bytes, value: bytes = b"v") -> None:
    mvcc.put(pb.PutRequest(key=key, value=value))


def test_a_fresh_store_is_at_revision_1_and_nothing_is_compacted() -> None:
    mvcc = Mvcc(MemoryStore(), 1, 2)
    assert (mvcc.state.revision, mvcc.state.compact_revision, mvcc.state.consistent_index, mvcc.raft_term) == (
        1,
        -1,
        0,
        0,
    )


def test_data_index_and_term_come_back_together(tmp_path: Path) -> None:
    store = LevelStore(tmp_path)
    mvcc = Mvcc(store, 1, 2)
    _put(mvcc, b"a")
    mvcc.state.commit(17, 4, [(b"cluster\0", b"clusterVersion", b"3.5.0")])
    _put(mvcc, b"lost")
    store.close()
    store = LevelStore(tmp_path)
    again = Mvcc(store, 1, 2)
    assert (again.state.revision, again.state.consistent_index, again.state.flushed_index, again.raft_term) == (
        2,
        17,
        17,
        4,
    )
    assert again.state.record_now(b"lost") is None
    assert store.get(b"cluster\0clusterVersion") == b"3.5.0"
    store.close()


def test_flushed_is_the_index_of_the_last_synced_commit() -> None:
    mvcc = Mvcc(MemoryStore(), 1, 2)
    mvcc.state.commit(3, 1)
    assert mvcc.state.flushed_index == 0
    mvcc.state.commit(4, 1, sync=True)
    assert mvcc.state.flushed_index == 4
    mvcc.state.commit(5, 1)
    assert mvcc.state.flushed_index == 4


def test_reads_see_what_is_applied_and_not_yet_committed() -> None:
    mvcc = Mvcc(MemoryStore(), 1, 2, cache_bytes=0)
    _put(mvcc, b"a", b"1")
    _put(mvcc, b"a", b"2")
    for revision, value in [(0, b"2"), (2, b"1")]:
        answer = pb.RangeResponse.FromString(mvcc.range(pb.RangeRequest(key=b"a", revision=revision))[2])
        assert [kv.value for kv in answer.kvs] == [value]


def test_the_cache_stays_within_its_bytes() -> None:
    mvcc = Mvcc(MemoryStore(), 1, 2, cache_bytes=20_000)
    for number in range(300):
        _put(mvcc, b"%d" % number, bytes(200))
        mvcc.state.commit(number + 1, 1)
    for number in range(300):
        assert mvcc.state.record_now(b"%d" % number) is not None
        assert sum(map(len, mvcc.state.young.values())) + sum(map(len, mvcc.state._old.values())) < 20_000


def test_random_puts_and_compactions_leave_only_the_living_in_memory() -> None:
    mvcc = Mvcc(MemoryStore(), 1, 2, cache_bytes=1000)
    for number in range(20_000):
        _put(mvcc, b"%d" % (number * 7919 % 100))
        if number % 1000 == 999:
            mvcc.compact(pb.CompactionRequest(revision=mvcc.state.revision - 10))
            mvcc.state.commit(number + 1, 1)
            while not mvcc.compaction.step(300):
                pass
            histories = [entry for entry in mvcc.state.index.entries.values() if type(entry) is not int]
            assert len(mvcc.state.index) == 100
            assert sum(len(history.mains) for history in histories) <= 20  # type: ignore[union-attr]


def test_a_missing_revision_stops_the_member() -> None:
    store = MemoryStore()
    mvcc = Mvcc(store, 1, 2)
    for number in range(10):
        _put(mvcc, b"%d" % number)
    mvcc.state.commit(10, 1)
    store.write({buckets.put_key(6, 0): None, buckets.put_key(7, 0): None})
    with pytest.raises(StoreCorrupt, match="revisions 6 to 7 are missing"):
        Mvcc(store, 1, 2)


def test_revisions_that_a_compaction_took_are_not_missed() -> None:
    store = MemoryStore()
    mvcc = Mvcc(store, 1, 2)
    for number in range(10):
        _put(mvcc, b"%d" % (number % 2))
    mvcc.compact(pb.CompactionRequest(revision=8))
    mvcc.state.commit(10, 1)
    mvcc.compaction.step(100)
    assert Mvcc(store, 1, 2).state.revision == 11


def test_after_a_compaction_that_left_nothing_the_revision_does_not_fall_back() -> None:
    store = MemoryStore()
    mvcc = Mvcc(store, 1, 2)
    for _ in range(5):
        _put(mvcc, b"a")
    mvcc.delete_range(pb.DeleteRangeRequest(key=b"a"))
    _put(mvcc, b"b")
    mvcc.delete_range(pb.DeleteRangeRequest(key=b"b"))
    mvcc.compact(pb.CompactionRequest(revision=9))
    mvcc.state.commit(10, 1)
    mvcc.compaction.step(100)
    store.write({buckets.tombstone_key(9, 0): None})  # as etcd before 3.5.16 leaves it
    again = Mvcc(store, 1, 2)
    assert (again.state.revision, again.state.compact_revision, len(again.state.index)) == (9, 9, 0)


def test_a_record_that_the_index_knows_and_the_store_lacks_stops_the_member() -> None:
    store = MemoryStore()
    mvcc = Mvcc(store, 1, 2, cache_bytes=0)
    _put(mvcc, b"a")
    _put(mvcc, b"b")
    mvcc.state.commit(2, 1)
    mvcc = Mvcc(store, 1, 2)
    store.write({buckets.put_key(2, 0): None})
    with pytest.raises(StoreCorrupt, match="2_0"):
        mvcc.range(pb.RangeRequest(key=b"a"))
