"""Generations of a key as events happen, and what is left of them after a compaction."""

from typing import Any

import pytest

from etcdz.mvcc.key_index import History, KeyIndex

KEY = b"k"
# (main, sub, is a tombstone): put 2 and 4, delete 5, put 8 and 9 and delete 9, put 12 in a transaction
EVENTS = [(2, 0, False), (4, 1, False), (5, 0, True), (8, 0, False), (9, 0, False), (9, 3, True), (12, 2, False)]


def _keeps(index: KeyIndex, key: bytes, main: int, sub: int, compacted: int) -> bool:
    return index.compact_record(key, main, sub, compacted, 0)[0]


def _index(events: list[tuple[int, int, bool]]) -> KeyIndex:
    index = KeyIndex()
    for main, sub, dead in events:
        if dead:
            index.tombstone(KEY, main, sub)
        else:
            index.put(KEY, main, sub)
    return index


@pytest.mark.parametrize(
    ("revision", "shown"),
    [
        (1, None),
        (2, (2, 0)),
        (3, (2, 0)),
        (4, (4, 1)),
        (5, None),
        (7, None),
        (8, (8, 0)),
        (9, None),
        (11, None),
        (12, (12, 2)),
        (99, (12, 2)),
    ],
)
def test_what_a_key_shows_at_each_revision(revision: int, shown: Any) -> None:
    assert _index(EVENTS).at(KEY, revision) == shown


def test_a_life_counts_its_own_versions_and_has_its_own_creation() -> None:
    index = KeyIndex()
    assert index.put(KEY, 2, 0) == (2, 1)
    assert index.put(KEY, 4, 1) == (2, 2)
    assert index.latest(KEY) == (4, 1, 2, 2)
    index.tombstone(KEY, 5, 0)
    assert index.latest(KEY) is None
    assert index.put(KEY, 8, 0) == (8, 1)
    assert index.put(KEY, 9, 7) == (8, 2)
    assert index.latest(KEY) == (9, 7, 8, 2)


@pytest.mark.parametrize(
    ("compacted", "kept"),
    [
        (1, []),
        (2, [(2, 0)]),
        (3, [(2, 0)]),
        (4, [(4, 1)]),
        (5, [(5, 0)]),  # the tombstone at the compacted revision stays
        (6, []),
        (7, []),
        (8, [(8, 0)]),
        (9, [(9, 3)]),
        (10, []),
        (12, [(12, 2)]),
    ],
)
def test_a_compaction_keeps_the_last_revision_unless_it_is_an_old_tombstone(
    compacted: int, kept: list[tuple[int, int]]
) -> None:
    index = _index(EVENTS)
    shown = {revision: index.at(KEY, revision) for revision in range(compacted, 15)}
    found = [(main, sub) for main, sub, _ in EVENTS if main <= compacted and _keeps(index, KEY, main, sub, compacted)]
    assert found == kept
    assert {revision: index.at(KEY, revision) for revision in range(compacted, 15)} == shown
    assert index.latest(KEY) == (12, 2, 12, 1)
    assert index.put(KEY, 20, 0) == (12, 2)


def test_a_compaction_names_what_the_one_before_kept_and_it_does_not() -> None:
    index = KeyIndex()
    for main in (2, 3, 5, 8, 9):
        index.put(KEY, main, 0)
    assert [index.compact_record(KEY, main, 0, 3, 0) for main in (2, 3)] == [(False, None), (True, None)]
    assert [index.compact_record(KEY, main, 0, 8, 4) for main in (5, 8)] == [(False, (3, 0)), (True, None)]
    assert index.compact_record(KEY, 9, 0, 9, 9) == (True, (8, 0))


def test_a_key_is_an_int_again_when_one_revision_is_left() -> None:
    index = KeyIndex()
    for main in range(2, 100):
        index.put(KEY, main, 0)
    assert isinstance(index.entries[KEY], History)
    assert [main for main in range(2, 100) if _keeps(index, KEY, main, 0, 99)] == [99]
    assert isinstance(index.entries[KEY], int)
    assert index.latest(KEY) == (99, 0, 2, 98)
    assert index.put(KEY, 100, 5) == (2, 99)
    assert index.at(KEY, 99) == (99, 0)


def test_a_deleted_key_is_forgotten_by_the_next_compaction() -> None:
    index = KeyIndex()
    index.put(KEY, 2, 0)
    index.tombstone(KEY, 3, 0)
    assert [main for main in (2, 3) if _keeps(index, KEY, main, 0, 3)] == [3]
    assert (len(index), index.keys_now(b"", None), index.count_live(b"", None)) == (1, [], 0)
    assert not _keeps(index, KEY, 3, 0, 4)
    assert (len(index), index.count_live(b"", None)) == (0, 0)
    assert index.put(KEY, 9, 0) == (9, 1)
    assert index.keys_now(b"", None) == [KEY]


def test_a_put_during_a_compaction_is_not_taken_for_what_the_compaction_looks_at() -> None:
    index = KeyIndex()
    index.put(KEY, 2, 0)
    index.tombstone(KEY, 3, 0)
    assert not _keeps(index, KEY, 2, 0, 4)
    index.put(KEY, 5, 0)
    assert not _keeps(index, KEY, 3, 0, 4)
    assert index.latest(KEY) == (5, 0, 5, 1)


def test_counting_needs_no_walk_and_is_right_with_dead_keys_among_the_living() -> None:
    index = KeyIndex()
    for number in range(100):
        index.put(b"%03d" % number, 2, number)
    for number in range(0, 100, 3):
        index.tombstone(b"%03d" % number, 3, number)
    for number in range(0, 100, 6):
        index.put(b"%03d" % number, 4, number)
    for lo, hi in [(b"", None), (b"010", b"020"), (b"010", b"010"), (b"020", b"010"), (b"0999", None), (b"0", b"0995")]:
        assert index.count_live(lo, hi) == len(index.keys_now(lo, hi))
    assert index.keys_now(b"010", b"020", limit=3) == [b"010", b"011", b"012"]


def test_keys_that_came_since_the_last_range_are_in_the_next() -> None:
    index = KeyIndex()
    for key in (b"b", b"d"):
        index.put(key, 2, 0)
    assert index.keys_now(b"a", b"z") == [b"b", b"d"]
    for key in (b"c", b"a", b"z", b"e"):
        index.put(key, 3, 0)
    assert index.keys_now(b"a", b"z") == [b"a", b"b", b"c", b"d", b"e"]
    assert index.keys_now(b"e", None) == [b"e", b"z"]


def test_sub_revisions_beyond_32_bits_of_main() -> None:
    index = KeyIndex()
    assert index.put(KEY, 1 << 50, 3_000_000_000) == (1 << 50, 1)
    assert index.latest(KEY) == (1 << 50, 3_000_000_000, 1 << 50, 1)
    index.put(KEY, (1 << 50) + 1, 0)
    assert index.at(KEY, 1 << 50) == (1 << 50, 3_000_000_000)


def test_a_range_without_live_keys_is_not_walked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A large delete leaves its keys in the index until it is compacted; to look there must not cost a walk."""
    index = KeyIndex()
    for number in range(100):
        index.put(b"%03d" % number, 2 + number, 0)
        index.tombstone(b"%03d" % number, 200, number)
    index.put(b"z", 201, 0)
    looked: list[bytes] = []
    monkeypatch.setattr(KeyIndex, "latest", lambda self, key: looked.append(key))
    assert index.keys_now(b"0", b"1", limit=1) == []
    assert looked == []
    index.keys_now(b"0", None)
    assert len(looked) == 101


def test_tombstones_of_many_keys_are_those_of_each() -> None:
    together, apart = KeyIndex(), KeyIndex()
    keys = [b"%03d" % number for number in range(200)]
    for index in (together, apart):
        for sub, key in enumerate(keys):
            index.put(key, 2, sub)
            if sub % 3 == 0:
                index.put(key, 3, sub)
    together.tombstones(keys[50:150], 4, 7)
    for sub, key in enumerate(keys[50:150], 7):
        apart.tombstone(key, 4, sub)
    for index in (together, apart):
        assert index.keys_now(b"", None) == keys[:50] + keys[150:]
        assert index.count_live(b"049", b"152") == 3
    for key in keys:
        assert list(together.revisions_since(key, 0)) == list(apart.revisions_since(key, 0))
        assert together.at(key, 3) == apart.at(key, 3)
