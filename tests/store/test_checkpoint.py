"""Checkpoints hold a prefix of the writes, whatever their owner does meanwhile, and never touch its files."""

import os
import threading
from pathlib import Path
from random import Random

import pytest

from etcdz.store import checkpoint
from etcdz.store.checkpoint import open_checkpoint, remove_stale
from etcdz.store.leveldb import LevelStore, StoreBroken
from etcdz.store.manifest import BadManifest, read_manifest

COUNT = b"count"


def write(store: LevelStore, number: int, size: int = 500) -> None:
    store.write({number.to_bytes(8, "big"): Random(number).randbytes(size), COUNT: number.to_bytes(8, "big")})


def count_of(store: LevelStore) -> int:
    """How many writes a store holds. Fails if it is not a prefix of them."""
    count = int.from_bytes(store.get(COUNT) or b"", "big")
    rows = list(store.iterate(b"", COUNT))
    assert rows == [(n.to_bytes(8, "big"), Random(n).randbytes(500)) for n in range(1, count + 1)]
    return count


def test_it_holds_all_that_was_written_before(tmp_path: Path) -> None:
    store = LevelStore(tmp_path / "db", switch_bytes=100_000)
    for number in range(1, 1001):
        write(store, number)
    with open_checkpoint(tmp_path / "db") as copy:
        assert count_of(copy) == 1000
        write(store, 1001)
        copy.write({b"own": b"1"})
        assert count_of(copy) == 1000
    assert store.get(b"own") is None and count_of(store) == 1001
    assert os.listdir(tmp_path) == ["db"]
    store.close()


def test_checkpoints_while_the_owner_writes_switches_and_compacts(tmp_path: Path) -> None:
    store = LevelStore(tmp_path / "db", switch_bytes=60_000)
    write(store, 1)
    done, taking = threading.Event(), threading.Event()
    counts: list[int] = []

    def take() -> None:
        try:
            for _ in range(6):
                taking.set()
                with open_checkpoint(tmp_path / "db") as copy:
                    taking.clear()  # or what is written while a copy is read would double with each of them
                    counts.append(count_of(copy))
        finally:
            done.set()
            taking.set()

    thread = threading.Thread(target=take)
    thread.start()
    number = 1
    while not done.is_set():
        taking.wait()
        number += 1
        write(store, number)
        if number % 1000 == 0:
            store.reclaim(b"", b"\xff", 0)
    thread.join()
    assert len(counts) == 6 and counts == sorted(counts) and counts[0] >= 1 and counts[-1] <= number
    assert count_of(store) == number
    store.close()
    again = LevelStore(tmp_path / "db")  # with every sum checked: nothing has written into its tables
    assert count_of(again) == number
    again.close()


def test_what_a_killed_process_left_is_removed_and_what_is_in_use_is_not(tmp_path: Path) -> None:
    store = LevelStore(tmp_path / "db")
    write(store, 1)
    (tmp_path / "checkpoint-stale").mkdir()
    (tmp_path / "checkpoint-stale" / "000005.ldb").touch()
    with open_checkpoint(tmp_path / "db") as copy:
        remove_stale(tmp_path)
        assert sorted(p.name for p in tmp_path.iterdir()) == sorted([copy.path.name, "db"])
        assert count_of(copy) == 1
    store.close()


def test_without_hard_links_tables_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(checkpoint.errno.EPERM, "no hard links here")

    store = LevelStore(tmp_path / "db", switch_bytes=100_000)
    for number in range(1, 1001):
        write(store, number)
    monkeypatch.setattr(checkpoint.os, "link", refuse)
    with open_checkpoint(tmp_path / "db") as copy:
        assert count_of(copy) == 1000
    store.close()


def test_no_store_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreBroken), open_checkpoint(tmp_path / "db"):
        pass
    (tmp_path / "db").mkdir()
    with pytest.raises(StoreBroken, match="CURRENT"), open_checkpoint(tmp_path / "db"):
        pass
    assert os.listdir(tmp_path) == ["db"]


def test_a_manifest_names_the_tables_that_are_there(tmp_path: Path) -> None:
    store = LevelStore(tmp_path / "db", switch_bytes=60_000)
    for number in range(1, 1500):
        write(store, number)
    store.close()
    (manifest,) = (tmp_path / "db").glob("MANIFEST-*")
    data = manifest.read_bytes()
    version = read_manifest(data)
    tables = {int(path.stem): path.stat().st_size for path in (tmp_path / "db").glob("*.ldb")}
    # A compaction that closing has ended may leave tables that no version names.
    assert version.tables.items() <= tables.items() and max(version.tables) < version.next_file
    for cut in range(0, len(data), 7):  # as if it were being written: an older version, or nothing
        try:
            assert read_manifest(data[:cut]).next_file <= version.next_file
        except BadManifest:
            assert cut < 200
