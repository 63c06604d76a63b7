"""The log: stable and unstable part as one, matching, committing, handing out for applying."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etcdz.raft import InvariantBroken, MemoryStorage, Snapshot
from etcdz.raft.entry import NO_LIMIT, Entry, entries_bytes
from etcdz.raft.errors import Compacted, Unavailable
from etcdz.raft.log import Log
from etcdz.raft.unstable import Unstable
from tests.raft.cluster import Log as Lines
from tests.raft.cluster import entry
from tests.raft.twins import RANDOMLY


def terms_of(log: Log) -> list[int]:
    return [log.term(index) for index in range(log.first_index(), log.last_index() + 1)]


def make(stable: tuple[int, ...] = (), unstable: tuple[int, ...] = (), applying_bytes_max: int = NO_LIMIT) -> Log:
    """A log of entries with these terms, from index 1 on."""
    storage = MemoryStorage()
    storage.append([entry(term, 1 + at) for at, term in enumerate(stable)])
    log = Log(storage, Lines(), applying_bytes_max)
    log.append([entry(term, 1 + len(stable) + at) for at, term in enumerate(unstable)])
    return log


@pytest.mark.parametrize("split", range(5))
@pytest.mark.parametrize(
    ("prev", "added", "after"),
    [
        ((3, 3), (4, 4), [1, 2, 3, 4, 4]),  # conflict at 4: what is there goes
        ((3, 3), (3,), [1, 2, 3, 3]),  # all known
        ((2, 2), (3,), [1, 2, 3, 3]),  # an old append does not truncate
        ((1, 1), (2, 4, 4), [1, 2, 4, 4]),  # conflict in the middle
        ((3, 4), (4,), [1, 2, 3, 3, 4]),  # new
        ((9, 3), (4,), None),  # other term before it
        ((3, 5), (4,), None),  # a hole
    ],
)
def test_log_matching_thesis_3_5(
    split: int, prev: tuple[int, int], added: tuple[int, ...], after: list[int] | None
) -> None:
    terms = (1, 2, 3, 3)
    log = make(terms[:split], terms[split:])
    log.committed = 1
    reached = log.maybe_append(*prev, [entry(term, prev[1] + 1 + at) for at, term in enumerate(added)], commit=0)
    assert reached == (None if after is None else prev[1] + len(added))
    assert terms_of(log) == (after or list(terms))


def test_committed_entries_never_change() -> None:
    log = make((1, 2, 3))
    log.committed = 3
    with pytest.raises(InvariantBroken, match="conflict with committed entry"):
        log.maybe_append(1, 1, [entry(4, 2)], 0)


def test_a_follower_commits_no_more_than_it_was_sent_thesis_3_6_2() -> None:
    log = make((1, 1, 1))
    log.maybe_append(1, 1, [entry(1, 2)], commit=9)
    assert log.committed == 2


def test_a_commit_index_beyond_the_log_is_a_broken_promise() -> None:
    with pytest.raises(InvariantBroken, match="Was the raft log corrupted, truncated, or lost"):
        make((1,)).commit_to(2)


def test_a_commit_index_never_falls() -> None:
    log = make((1, 1))
    log.commit_to(2)
    log.commit_to(1)
    assert log.committed == 2


def test_only_entries_of_the_current_term_commit_by_count_thesis_3_6_2() -> None:
    log = make((1, 2, 2))
    assert not log.maybe_commit(3, 3)
    log.append([entry(3, 4)])
    assert log.maybe_commit(3, 4)
    assert log.committed == 4


@pytest.mark.parametrize(
    ("term", "index", "up_to_date"),
    [(3, 1, True), (2, 3, True), (2, 4, True), (2, 2, False), (1, 9, False)],
)
def test_which_log_is_more_up_to_date_thesis_3_6_1(term: int, index: int, up_to_date: bool) -> None:
    assert make((1,), (2, 2)).is_up_to_date(term, index) is up_to_date


@RANDOMLY
@given(st.lists(st.integers(1, 6), min_size=1, max_size=12), st.integers(0, 14), st.integers(1, 7))
def test_a_hint_skips_exactly_what_cannot_match(rising: list[int], index: int, term: int) -> None:
    terms = sorted(rising)
    log = make(tuple(terms))
    found, its_term = log.find_conflict_by_term(index, term)
    if index > len(terms):
        assert (found, its_term) == (index, 0)  # nothing is known there
    else:
        known = dict(enumerate([0, *terms]))
        assert found == max(at for at in known if at <= index and known[at] <= term)
        assert its_term == known[found]


@RANDOMLY
@given(st.integers(0, 6), st.integers(0, 6), st.data())
def test_slices_do_not_show_where_the_stable_part_ends(stable: int, unstable: int, data: st.DataObject) -> None:
    log = make((1,) * stable, (2,) * unstable)
    whole = [*log.storage.entries(1, stable + 1)] if stable else []
    whole += log.unstable.entries
    lo = data.draw(st.integers(1, len(whole) + 1))
    hi = data.draw(st.integers(lo, len(whole) + 1))
    limit = data.draw(st.integers(0, 60) | st.just(NO_LIMIT))
    taken = log.slice(lo, hi, limit)
    expected: list[Entry] = []
    for one in whole[lo - 1 : hi - 1]:
        if expected and entries_bytes([*expected, one]) > limit:
            break
        expected.append(one)
    assert list(taken) == expected


def test_a_slice_outside_is_refused() -> None:
    log = make((1, 1, 1), (2,))
    log.storage.compact(2)  # type: ignore[attr-defined]
    with pytest.raises(Compacted):
        log.slice(2, 4)
    for lo, hi in ((3, 6), (4, 3)):
        with pytest.raises(InvariantBroken):
            log.slice(lo, hi)


def test_terms_outside_are_unknown() -> None:
    log = make((1, 2), (3,))
    log.storage.compact(1)  # type: ignore[attr-defined]
    assert [log.term_or_zero(index) for index in range(5)] == [0, 1, 2, 3, 0]
    with pytest.raises(Compacted):
        log.term(0)
    with pytest.raises(Unavailable):
        log.term(4)


def test_outstanding_entries_are_bounded_by_bytes() -> None:
    size = len(entry(1, 1).encoded)
    log = make((1,) * 10, applying_bytes_max=3 * size)
    log.commit_to(10)
    first = log.next_committed(True)
    assert [one.index for one in first] == [1, 2, 3]
    log.accept_applying(3, entries_bytes(first), True)
    assert not log.has_committed(True)
    log.applied_to(2, 2 * size)
    assert [one.index for one in log.next_committed(True)] == [4, 5]


def test_entries_that_are_not_on_our_disk_wait_for_it_if_asked_to() -> None:
    log = make((1, 1), (1, 1))
    log.commit_to(3)
    assert [one.index for one in log.next_committed(True)] == [1, 2, 3]
    assert [one.index for one in log.next_committed(False)] == [1, 2]


def test_nothing_is_applied_over_a_snapshot_that_waits() -> None:
    log = make((1, 1))
    log.restore(Snapshot(9, 3))
    assert (log.first_index(), log.last_index(), log.last_term(), log.committed) == (10, 9, 3, 9)
    assert not log.has_committed(True)
    assert log.next_committed(True) == ()


def test_applied_stays_between_its_neighbours() -> None:
    log = make((1, 1, 1))
    log.commit_to(2)
    for index in (3,):
        with pytest.raises(InvariantBroken):
            log.applied_to(index, 0)
    log.applied_to(2, 0)
    with pytest.raises(InvariantBroken):
        log.applied_to(1, 0)


# The unstable part


def unstable(*terms: int, offset: int = 5, in_progress: int = 0) -> Unstable:
    part = Unstable(offset, Lines())
    part.entries = [entry(term, offset + at) for at, term in enumerate(terms)]
    part.in_progress = offset + in_progress
    return part


def test_entries_are_handed_out_for_writing_once() -> None:
    part = unstable(1, 1)
    assert [one.index for one in part.next_entries()] == [5, 6]
    part.accept_in_progress()
    assert part.next_entries() == []
    part.append([entry(1, 7)])
    assert [one.index for one in part.next_entries()] == [7]


@pytest.mark.parametrize(
    ("start", "terms", "offset", "in_progress"),
    [
        (7, [1, 1, 2], 5, 7),  # behind the end: what is being written goes on being written
        (6, [1, 2], 5, 6),  # overwrites what is being written: that part must be written again
        (5, [2], 5, 5),
        (3, [2], 3, 3),  # overwrites what is on disk
    ],
)
def test_overwritten_entries_are_handed_out_again(start: int, terms: list[int], offset: int, in_progress: int) -> None:
    part = unstable(1, 1, in_progress=2)
    part.append([entry(2, start)])
    assert [one.term for one in part.entries] == terms
    assert (part.offset, part.in_progress) == (offset, in_progress)


@pytest.mark.parametrize(
    ("term", "index", "left"), [(1, 5, [6, 7]), (1, 7, []), (2, 6, [5, 6, 7]), (1, 8, [5, 6, 7]), (1, 4, [5, 6, 7])]
)
def test_entries_become_stable_if_they_are_still_the_same(term: int, index: int, left: list[int]) -> None:
    part = unstable(1, 1, 1, in_progress=3)
    part.stable_to(term, index)
    assert [one.index for one in part.entries] == left
    assert part.offset == (left[0] if left else 8)
    assert part.offset <= part.in_progress


def test_a_snapshot_is_handed_out_once_and_stays_until_it_is_stable() -> None:
    part = unstable()
    part.restore(Snapshot(9, 2))
    assert (part.next_snapshot(), part.last_index(), part.first_index()) == (Snapshot(9, 2), 9, 10)
    part.accept_in_progress()
    assert part.next_snapshot() is None
    part.stable_to(2, 9)  # speaks of entries, and there are none
    part.snapshot_stable_to(8)
    assert part.snapshot == Snapshot(9, 2)
    part.snapshot_stable_to(9)
    assert part.snapshot is None
