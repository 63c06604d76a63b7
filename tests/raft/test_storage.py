"""MemoryStorage against a dictionary that does the same slowly, and the errors that a Storage may raise."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etcdz.raft import ConfState, Entry, InvariantBroken, MemoryStorage, Snapshot
from etcdz.raft.errors import Compacted, SnapshotOutOfDate, StorageError, Unavailable
from tests.raft.cluster import entry
from tests.raft.twins import RANDOMLY

STEP = st.one_of(
    st.tuples(st.just("append"), st.integers(-6, 0), st.sampled_from((1, 3, 12, 100))),
    st.tuples(st.just("compact"), st.integers(1, 8), st.just(0)),
    st.tuples(st.just("snapshot"), st.integers(-3, 6), st.just(0)),
)


class SlowStorage:
    """index -> term, with the one before the first."""

    def __init__(self) -> None:
        self.terms = {0: 0}

    def append(self, entries: list[Entry]) -> None:
        first = min(self.terms)
        kept = {one.index: one.term for one in entries if one.index > first}
        if kept:
            self.terms = {index: term for index, term in self.terms.items() if index < min(kept)} | kept

    def compact(self, index: int) -> None:
        self.terms = {at: term for at, term in self.terms.items() if at >= index}


@RANDOMLY
@given(st.lists(STEP, max_size=30))
def test_it_holds_what_a_dictionary_would(steps: list[tuple[str, int, int]]) -> None:
    fast, slow = MemoryStorage(), SlowStorage()
    for term, (step, offset, count) in enumerate(steps, 1):
        if step == "append":
            start = max(fast.last_index() + 1 + offset, 1)
            entries = [entry(term, start + at) for at in range(count)]
            fast.append(entries)
            slow.append(entries)
        elif step == "compact" and fast.first_index() - 1 + offset <= fast.last_index():
            index = fast.first_index() - 1 + offset
            fast.compact(index)
            slow.compact(index)
        elif step == "snapshot" and fast.last_index() + offset > fast.snapshot().index:
            index = fast.last_index() + offset
            fast.apply_snapshot(Snapshot(index, term))
            slow.terms = {index: term}
        first, last = fast.first_index(), fast.last_index()
        assert (first - 1, last) == (min(slow.terms), max(slow.terms))
        assert {index: fast.term(index) for index in range(first - 1, last + 1)} == slow.terms
        if last >= first:
            assert [one.index for one in fast.entries(first, last + 1)] == list(range(first, last + 1))


def test_compacting_little_by_little_is_compacting_at_once() -> None:
    """Most of these leave compacted entries at the head of the list for later."""
    storage = filled((1,) * 500)
    for index in range(3, 400, 3):
        storage.compact(index)
        storage.append([entry(2, storage.last_index() + 1)])
        assert [one.index for one in storage.entries(index + 1, index + 4)] == [index + 1, index + 2, index + 3]
        assert storage.term(storage.last_index()) == 2


def filled(terms: tuple[int, ...] = (3, 4, 5, 6), before: int = 2) -> MemoryStorage:
    storage = MemoryStorage()
    storage.apply_snapshot(Snapshot(before, 2, ConfState((1, 2))))
    storage.append([entry(term, before + 1 + at) for at, term in enumerate(terms)])
    return storage


@pytest.mark.parametrize(
    ("index", "expected"), [(1, Compacted), (2, 2), (3, 3), (6, 6), (7, Unavailable), (99, Unavailable)]
)
def test_terms_are_known_from_one_before_the_first_entry(index: int, expected: int | type[StorageError]) -> None:
    storage = filled()
    if isinstance(expected, int):
        assert storage.term(index) == expected
    else:
        with pytest.raises(expected):
            storage.term(index)


def test_entries_are_cut_at_the_size_but_never_to_nothing() -> None:
    storage = filled()
    size = len(storage.entries(3, 4)[0].encoded)
    for limit, count in ((0, 1), (size, 1), (2 * size - 1, 1), (2 * size, 2), (100 * size, 4)):
        assert len(storage.entries(3, 7, limit)) == count


def test_entries_outside_are_refused() -> None:
    with pytest.raises(Compacted):
        filled().entries(2, 4)
    with pytest.raises(InvariantBroken):
        filled().entries(3, 8)
    with pytest.raises(Unavailable):
        filled(()).entries(3, 3)


def test_an_append_with_a_hole_before_it_is_a_broken_log() -> None:
    with pytest.raises(InvariantBroken, match="missing log entry"):
        filled().append([entry(7, 8)])


def test_compaction_is_refused_the_second_time_and_beyond_the_end() -> None:
    storage = filled()
    storage.compact(4)
    assert (storage.first_index(), storage.term(4)) == (5, 4)
    with pytest.raises(Compacted):
        storage.compact(4)
    with pytest.raises(InvariantBroken):
        storage.compact(7)


def test_an_older_snapshot_does_not_replace_a_newer_one() -> None:
    storage = filled()
    with pytest.raises(SnapshotOutOfDate):
        storage.apply_snapshot(Snapshot(2, 2))
    storage.apply_snapshot(Snapshot(9, 7))
    assert (storage.first_index(), storage.last_index(), storage.term(9)) == (10, 9, 7)


def test_a_snapshot_is_made_of_the_log_and_keeps_the_configuration() -> None:
    storage = filled()
    assert storage.create_snapshot(5, None, b"state") == Snapshot(5, 5, ConfState((1, 2)), b"state")
    assert storage.snapshot() == Snapshot(5, 5, ConfState((1, 2)), b"state")
    with pytest.raises(SnapshotOutOfDate):
        storage.create_snapshot(5, None, b"")
    with pytest.raises(InvariantBroken):
        storage.create_snapshot(7, None, b"")


def test_a_first_configuration_may_come_without_an_index() -> None:
    """A member is bootstrapped with the configuration alone, and that may be given again."""
    storage = MemoryStorage()
    storage.apply_snapshot(Snapshot(0, 0, ConfState((1,))))
    storage.apply_snapshot(Snapshot(0, 0, ConfState((1, 2))))
    assert storage.initial_state()[1] == ConfState((1, 2))
