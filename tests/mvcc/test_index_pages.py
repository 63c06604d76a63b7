"""Pages of the index: a start from them finds what a start that reads every record finds, after any history."""

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from etcdz.mvcc import index_pages
from etcdz.mvcc.key_index import History
from etcdz.mvcc.mvcc import Mvcc
from etcdz.proto import etcdserverpb as pb
from etcdz.store import buckets
from etcdz.store.interface import MemoryStore
from etcdz.store.leveldb import DAMAGED, LevelStore, StoreDamaged

PAGE_BYTES = 4000


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_pages, "LARGE_BYTES", 100)
    monkeypatch.setattr(index_pages, "PAGE_BYTES", PAGE_BYTES)
    monkeypatch.setattr(index_pages, "PAGE_BYTES_MIN", 500)
    monkeypatch.setattr(index_pages, "TAIL_BYTES", 8000)
    monkeypatch.setattr(index_pages, "PAGE_RECORDS", 12)


class Counted(MemoryStore):
    """Counts the bytes of records that are read."""

    read_bytes = 0

    def iterate(
        self, lo: bytes, hi: bytes, reverse: bool = False, verify: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        for name, value in super().iterate(lo, hi, reverse, verify):
            self.read_bytes += len(value) if name.startswith(buckets.KEY) else 0
            yield name, value

    def size_between(self, lo: bytes, hi: bytes) -> int:
        return sum(len(key) + len(value) for key, value in super().iterate(lo, hi))


def index_of(mvcc: Mvcc) -> dict[bytes, Any]:
    entries = mvcc.state.index.entries
    return {
        key: (entry.created, entry.version, list(entry.mains), list(entry.subs or ()))
        if isinstance(entry, History)
        else entry
        for key, entry in entries.items()
    }


def view(mvcc: Mvcc) -> tuple[Any, ...]:
    state = mvcc.state
    everything = {"key": b"\0", "range_end": b"\0"}
    revisions = range(max(state.compact_revision, state.revision - 5), state.revision + 1)
    return (
        state.revision,
        state.compact_revision,
        index_of(mvcc),
        dict(state.leases.lease_of),
        [mvcc.range(pb.RangeRequest(revision=revision, **everything))[2] for revision in revisions],
    )


def commit(mvcc: Mvcc) -> None:
    mvcc.state.commit(mvcc.state.consistent_index + 1, 1)


def change(mvcc: Mvcc, random: Random) -> None:
    key = b"k%d" % random.randrange(30)
    size = random.choice([3, 150, 400, 900])
    what = random.randrange(20)
    if what == 0:
        mvcc.delete_range(pb.DeleteRangeRequest(key=b"k1", range_end=b"k2"))
    elif what < 3:
        mvcc.delete_range(pb.DeleteRangeRequest(key=key))
    elif what == 3:
        put = pb.RequestOp(request_put=pb.PutRequest(key=key, value=random.randbytes(size)))
        other = pb.RequestOp(request_put=pb.PutRequest(key=key + b"x", value=random.randbytes(size)))
        mvcc.txn(pb.TxnRequest(success=[put, other]))
    elif what == 4:
        mvcc.lease_grant(pb.LeaseGrantRequest(ID=random.randrange(1, 5), TTL=100))
    else:
        lease = random.choice(sorted(mvcc.state.leases.by_id) or [0]) if random.random() < 0.3 else 0
        mvcc.put(pb.PutRequest(key=key, value=random.randbytes(size), lease=lease))


@pytest.mark.parametrize("number", [0, 1, *[pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 8)]])
def test_a_start_from_pages_finds_what_a_start_that_reads_everything_finds(number: int) -> None:
    random = Random(number)
    store = MemoryStore()
    mvcc = Mvcc(store, 1, 2, raft_term=1)
    for step in range(1500):
        change(mvcc, random)
        if random.random() < 0.4:
            commit(mvcc)
        if random.random() < 0.02 and mvcc.state.revision - 3 > mvcc.state.compact_revision:
            mvcc.compact(pb.CompactionRequest(revision=mvcc.state.revision - random.randrange(3)))
            commit(mvcc)
        if random.random() < 0.2:
            mvcc.compaction.step(random.choice([1, 5, 40]))
        if random.random() < 0.01:
            rows = list(store.rows.items())
            quick = Mvcc(MemoryStore(rows), 1, 2, raft_term=1, reads_all=False)
            assert view(quick) == view(Mvcc(MemoryStore(rows), 1, 2, raft_term=1)), step
            store = MemoryStore(rows)
            mvcc = Mvcc(store, 1, 2, raft_term=1, reads_all=random.random() < 0.5)
    assert any(name.startswith(index_pages.BUCKET) for name in store.rows), "the test has met pages"


def filled(store: MemoryStore, keys: int, size: int) -> Mvcc:
    mvcc = Mvcc(store, 1, 2, raft_term=1)
    for number in range(keys):
        mvcc.put(pb.PutRequest(key=b"%d" % number, value=bytes(size)))
        commit(mvcc)
    return mvcc


def test_a_restart_reads_few_bytes_of_large_records() -> None:
    store = Counted()
    filled(store, 1000, 1000)
    store.read_bytes = 0
    Mvcc(store, 1, 2, reads_all=False)
    assert store.read_bytes <= 2 * PAGE_BYTES
    store.read_bytes = 0
    Mvcc(store, 1, 2)
    assert store.read_bytes >= 1_000_000, "a member's own start reads all"


def test_small_records_have_no_pages() -> None:
    store = MemoryStore()
    filled(store, 1000, 20)
    assert not [name for name in store.rows if name.startswith(index_pages.BUCKET)]


def test_a_store_without_pages_gets_them_at_a_start() -> None:
    rows = filled(MemoryStore(), 300, 1000).state.store.iterate(b"", b"\xff")
    store = Counted([(name, value) for name, value in rows if not name.startswith(index_pages.BUCKET)])
    Mvcc(store, 1, 2)
    store.read_bytes = 0
    again = Mvcc(store, 1, 2, reads_all=False)
    assert store.read_bytes <= 2 * PAGE_BYTES and len(again.state.index) == 300


def test_pages_do_not_count_after_a_compaction_that_did_not_know_of_them() -> None:
    store = MemoryStore()
    mvcc = filled(store, 100, 1000)
    for number in range(0, 100, 2):
        mvcc.put(pb.PutRequest(key=b"%d" % number, value=b"new"))
    commit(mvcc)
    pages = {name: row for name, row in store.rows.items() if name.startswith(index_pages.BUCKET)}
    mark = store.get(index_pages.MARK)
    mvcc.compact(pb.CompactionRequest(revision=mvcc.state.revision))
    commit(mvcc)
    while not mvcc.compaction.step(10):
        pass
    store.write({**pages, index_pages.MARK: mark})
    again = Mvcc(store, 1, 2, raft_term=1, reads_all=False)
    assert view(again) == view(mvcc)
    for key in (b"0", b"1"):
        assert again.range(pb.RangeRequest(key=key))[2] == mvcc.range(pb.RangeRequest(key=key))[2]
    assert view(Mvcc(store, 1, 2, raft_term=1, reads_all=False)) == view(mvcc)


def test_pages_of_what_compactions_took_out_are_joined() -> None:
    store = MemoryStore()
    mvcc = Mvcc(store, 1, 2)
    for number in range(2000):
        mvcc.put(pb.PutRequest(key=b"%d" % (number % 5), value=bytes(1000)))
        commit(mvcc)
        if number % 100 == 99:
            mvcc.compact(pb.CompactionRequest(revision=mvcc.state.revision))
            commit(mvcc)
            while not mvcc.compaction.step(30):
                pass
    pages = [name for name in store.rows if name.startswith(index_pages.BUCKET)]
    assert 0 < len(pages) <= 3


def test_large_values_are_read_when_they_are_asked_for(tmp_path: Path) -> None:
    store = LevelStore(tmp_path)
    mvcc = Mvcc(store, 1, 2)
    for number in range(60):
        mvcc.put(pb.PutRequest(key=b"%d" % number, value=b"%d:" % number + Random(number).randbytes(2000)))
        commit(mvcc)
    store.close()
    LevelStore(tmp_path).close()  # what is in its log goes to a table
    table = max(tmp_path.glob("*.ldb"), key=lambda path: path.stat().st_size)
    data = table.read_bytes()
    at = data.index(b"7:" + Random(7).randbytes(8)) + 1000
    table.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    store = LevelStore(tmp_path)
    quick = Mvcc(store, 1, 2, reads_all=False)
    assert len(quick.state.index) == 60
    assert quick.range(pb.RangeRequest(key=b"50"))[0] == 0
    with pytest.raises(DAMAGED):
        quick.range(pb.RangeRequest(key=b"7"))
    with pytest.raises(StoreDamaged):
        Mvcc(store, 1, 2)
    store.close()
