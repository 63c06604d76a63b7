"""What the store takes up, what of it is free, and how it is given back; hashes that are made in slices."""

import time
from pathlib import Path
from random import Random

import pytest

from etcdz.mvcc.growth import growth
from etcdz.mvcc.hashes import HashJob
from etcdz.mvcc.mvcc import Mvcc
from etcdz.proto import etcdserverpb as pb
from etcdz.store import leveldb
from etcdz.store.leveldb import LevelStore, StoreBroken

VALUE = 1000


def written(store: LevelStore, revisions: int, keys: int) -> Mvcc:
    """So many puts over so many keys, with values that do not compress."""
    mvcc, noise = Mvcc(store, 1, 2), Random(7).randbytes
    for number in range(revisions):
        mvcc.put(pb.PutRequest(key=b"k%d" % (number % keys), value=noise(VALUE)))
        mvcc.state.commit(number + 1, 1)
    return mvcc


def compact(mvcc: Mvcc, revision: int) -> None:
    assert mvcc.compact(pb.CompactionRequest(revision=revision))[0] == 0
    mvcc.state.commit(mvcc.state.consistent_index + 1, 1)
    while not mvcc.compaction.step(100):
        pass


def settle(store: LevelStore) -> None:
    """Waits for the threads that compact, until there is nothing left to do for any."""
    give_up_at = time.monotonic() + 60
    while not store.defragment_step():
        assert time.monotonic() < give_up_at
        for thread, _ in store._dumps:
            thread.join()


def test_compacted_records_are_free_and_come_back_with_a_defragmentation(tmp_path: Path) -> None:
    store = LevelStore(tmp_path, switch_bytes=200_000)
    mvcc = written(store, 3000, 10)
    store.defragment()
    settle(store)
    store._switch_bytes = 10_000_000  # or LevelDB may come by with a compaction of its own
    before = store.size()
    assert before > 2900 * VALUE
    compact(mvcc, mvcc.state.revision)
    assert store.size() > 0.9 * before
    assert store.size_in_use() < 0.1 * before
    store.defragment()
    settle(store)
    assert store.size() < 0.1 * before
    assert store.size_in_use() == store.size()
    assert len(list(store.iterate(b"key\0", b"key\1"))) == 10
    store.close()


def test_what_is_free_is_known_after_a_restart_and_given_back(tmp_path: Path) -> None:
    store = LevelStore(tmp_path, switch_bytes=10_000_000)
    mvcc = written(store, 1000, 10)
    compact(mvcc, mvcc.state.revision)
    in_use = store.size_in_use()
    store.close()
    again = LevelStore(tmp_path)
    assert again.size() > 900 * VALUE
    assert again.size_in_use() < in_use + 50 * VALUE
    settle(again)
    assert again.size() < 200 * VALUE
    again.close()


def test_a_large_range_is_compacted_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leveldb, "PIECE_BYTES", 300_000)
    store = LevelStore(tmp_path, switch_bytes=200_000)
    mvcc = written(store, 2000, 10)
    settle(store)
    rows = list(store.iterate(b"", b"etcdz")) + list(store.iterate(b"key\0", b"\xff"))
    store.defragment()
    assert len(store._ranges) > 5
    settle(store)
    assert list(store.iterate(b"", b"etcdz")) + list(store.iterate(b"key\0", b"\xff")) == rows
    compact(mvcc, 1000)
    compact(mvcc, 1500)
    settle(store)
    assert store.size() < 700 * VALUE
    store.close()


def test_a_table_that_is_not_what_was_written_is_found_by_whoever_verifies(tmp_path: Path) -> None:
    store = LevelStore(tmp_path, switch_bytes=100_000)
    written(store, 500, 500)
    store.defragment()
    settle(store)
    store.close()
    table = max(tmp_path.glob("*.ldb"), key=lambda path: path.stat().st_size)
    content = bytearray(table.read_bytes())
    content[len(content) // 2] ^= 1
    table.write_bytes(content)
    damaged = LevelStore(tmp_path)
    with pytest.raises(StoreBroken):
        list(damaged.iterate(b"key\0", b"key\1", verify=True))
    damaged.close()


def test_a_hash_of_everything_in_slices_is_the_hash_at_once(tmp_path: Path) -> None:
    store = LevelStore(tmp_path)
    mvcc = written(store, 60, 7)
    mvcc.lease_grant(pb.LeaseGrantRequest(ID=5, TTL=100))
    mvcc.state.commit(100, 1)
    expected = mvcc.hash_step(HashJob(mvcc.state))
    job = HashJob(mvcc.state)
    slices = 0
    while (outcome := mvcc.hash_step(job, 5)) is None:
        slices += 1
        mvcc.put(pb.PutRequest(key=b"meanwhile", value=b"%d" % slices))
        mvcc.lease_grant(pb.LeaseGrantRequest(ID=100 + slices, TTL=100))
        mvcc.state.commit(100 + slices, 1)
    assert slices > 10
    assert outcome == expected
    assert mvcc.hash_step(HashJob(mvcc.state)) != expected
    store.close()


PUT = pb.PutRequest(key=b"12", value=b"345")
PUT_OP, RANGE_OP = pb.RequestOp(request_put=PUT), pb.RequestOp(request_range=pb.RangeRequest(key=b"12"))
INNER = pb.RequestOp(request_txn=pb.TxnRequest(success=[PUT_OP]))


@pytest.mark.parametrize(
    ("kind", "message", "size"),
    [
        ("put", PUT, 261),
        ("put", pb.PutRequest(), 256),
        ("txn", pb.TxnRequest(success=[PUT_OP, PUT_OP], failure=[PUT_OP]), 522),
        ("txn", pb.TxnRequest(success=[RANGE_OP], failure=[PUT_OP]), 261),
        ("txn", pb.TxnRequest(success=[INNER, PUT_OP]), 522),
        ("txn", pb.TxnRequest(success=[RANGE_OP]), 0),
        ("lease_grant", pb.LeaseGrantRequest(), 64),
        ("delete_range", pb.DeleteRangeRequest(key=b"a"), 0),
        ("compaction", pb.CompactionRequest(), 0),
    ],
)
def test_growth_is_etcds_estimate(kind: str, message: object, size: int) -> None:
    assert growth(kind, message) == size
