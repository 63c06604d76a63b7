"""What the core may expect of a store; LevelStore and its twin in memory pass the same tests."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from etcdz.store.interface import MemoryStore, Store
from etcdz.store.leveldb import LevelStore, StoreBroken, StoreSyncFailed
from tests.examples import examples


@pytest.fixture(params=["level", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made: Store = LevelStore(tmp_path / "db") if request.param == "level" else MemoryStore()
    yield made
    made.close()


def _rows(store: Store, lo: bytes = b"", hi: bytes = b"\xff" * 9, reverse: bool = False) -> list[tuple[bytes, bytes]]:
    return list(store.iterate(lo, hi, reverse))


def test_a_batch_puts_and_deletes(store: Store) -> None:
    store.write({b"a": b"1", b"b": b"2", b"c": b""})
    store.write({b"b": None, b"d": b"4", b"nothing there": None})
    assert _rows(store) == [(b"a", b"1"), (b"c", b""), (b"d", b"4")]
    assert (store.get(b"a"), store.get(b"b"), store.get(b"c")) == (b"1", None, b"")


def test_a_range_holds_its_low_end_and_not_its_high_one(store: Store) -> None:
    store.write({bytes([byte]): b"v" for byte in b"abcdef"})
    assert [key for key, _ in _rows(store, b"b", b"e")] == [b"b", b"c", b"d"]
    assert [key for key, _ in _rows(store, b"b", b"e", reverse=True)] == [b"d", b"c", b"b"]
    assert _rows(store, b"x", b"z") == []


def test_an_iterator_does_not_see_what_is_written_behind_its_back(store: Store) -> None:
    store.write({b"a": b"1", b"b": b"2"})
    rows = store.iterate(b"", b"z")
    assert next(rows) == (b"a", b"1")
    store.write({b"b": None, b"c": b"3"})
    assert list(rows) == [(b"b", b"2")]


def test_a_write_says_whether_it_survives_power_loss(store: Store) -> None:
    assert store.write({b"a": b"1"}) is False
    assert store.write({b"b": b"2"}, sync=True) is True


def test_sizes_grow_with_the_content(store: Store) -> None:
    before = store.size()
    store.write({b"k%d" % i: bytes(1000) for i in range(100)})
    assert store.size() > before
    assert store.size_in_use() > 0


_batches = st.lists(
    st.dictionaries(st.binary(min_size=1, max_size=2), st.one_of(st.none(), st.binary(max_size=300)), max_size=20),
    max_size=12,
)


@settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=_batches, switch_bytes=st.sampled_from([500, 3000, 1 << 20]))
def test_both_hold_the_same_over_switches_and_a_restart(
    tmp_path_factory: pytest.TempPathFactory, batches: list[dict[bytes, bytes | None]], switch_bytes: int
) -> None:
    path = tmp_path_factory.mktemp("db")
    level, memory = LevelStore(path, switch_bytes=switch_bytes, sync_ahead_bytes=700), MemoryStore()
    for batch in batches:
        level.write(batch)
        memory.write(batch)
        assert _rows(level) == _rows(memory)
    level.close()
    again = LevelStore(path)
    assert _rows(again) == _rows(memory)
    again.close()


def test_the_log_switches_when_we_say_so_and_is_synced_before(tmp_path: Path) -> None:
    store = LevelStore(tmp_path, switch_bytes=100_000)
    log = _log(tmp_path)
    assert [store.write({b"k%04d" % i: bytes(1000)}) for i in range(80)] == [False] * 80
    assert _log(tmp_path) == log
    assert store.write({b"big": bytes(20_000)}) is True
    assert _log(tmp_path) > log
    assert store.write({b"small": b""}) is False
    store.close()


def _log(path: Path) -> str:
    return max(child.name for child in path.glob("*.log"))


def test_a_store_that_is_in_use_is_refused(tmp_path: Path, in_other_process: Callable[[str], str]) -> None:
    store = LevelStore(tmp_path)
    store.write({b"a": b"1"})
    answer = in_other_process(
        f"""
        from etcdz.store.leveldb import LevelStore, StoreBroken, StoreSyncFailed
        try:
            LevelStore({str(tmp_path)!r})
        except StoreBroken as error:
            print("refused:", error)
        """
    )
    assert answer.startswith("refused:")
    assert str(tmp_path) in answer
    store.write({b"b": b"2"})
    assert len(_rows(store)) == 2
    store.close()


def test_a_damaged_store_is_refused(tmp_path: Path) -> None:
    store = LevelStore(tmp_path)
    store.write({b"a": b"1"})
    store.close()
    (tmp_path / "CURRENT").write_bytes(b"MANIFEST-999999\n")
    with pytest.raises(StoreBroken, match=str(tmp_path)):
        LevelStore(tmp_path)


def test_a_path_that_is_no_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreBroken):
        LevelStore(tmp_path / "file")


def test_a_sync_that_failed_in_the_background_is_not_hidden_by_one_that_succeeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(fd: int) -> None:
        raise OSError(5, "Input/output error")

    store = LevelStore(tmp_path / "db", sync_ahead_bytes=1)
    monkeypatch.setattr(os, "fdatasync", fail)
    store.write({b"a": b"1"})
    assert store._ahead is not None
    store._ahead.join()
    monkeypatch.undo()
    with pytest.raises(StoreSyncFailed, match="Input/output error"):
        store.sync()
    with pytest.raises(StoreSyncFailed):
        store.write({b"b": b"2"})
