"""Unions of ranges against a slow twin: a set of keys."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etcdz.auth.intervals import Intervals, interval_of

KEYS = [bytes([a]) for a in b"abcdef"] + [bytes([a, b]) for a in b"abc" for b in b"\0z"]
ENDS = [b"", b"\0", *KEYS]
PERMISSIONS = st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from(ENDS)), max_size=6)
PROBES = sorted({*KEYS, *[key + b"\0" for key in KEYS], b"\xff"})


def covers_key(permission: tuple[bytes, bytes], probe: bytes) -> bool:
    key, end = permission
    if not end:
        return probe == key
    return probe >= key and (end == b"\0" or probe < end)


@given(PERMISSIONS, st.sampled_from(KEYS))
def test_a_key_is_covered_if_any_permission_has_it(permissions: list[tuple[bytes, bytes]], key: bytes) -> None:
    union = Intervals([found for one in permissions if (found := interval_of(*one)) is not None])
    assert union.cover(key) == any(covers_key(one, key) for one in permissions)


@given(PERMISSIONS, st.sampled_from(KEYS), st.sampled_from(ENDS[1:]))
def test_a_range_is_covered_if_permissions_together_have_all_of_it(
    permissions: list[tuple[bytes, bytes]], key: bytes, end: bytes
) -> None:
    if end != b"\0" and end <= key:
        return
    union = Intervals([found for one in permissions if (found := interval_of(*one)) is not None])
    asked = [probe for probe in PROBES if covers_key((key, end), probe)]
    expected = all(any(covers_key(one, probe) for one in permissions) for probe in asked)
    if end == b"\0":
        expected = expected and any(e == b"\0" for _, e in permissions)
    assert union.cover(key, end) == expected


@pytest.mark.parametrize(
    ("key", "end"),
    [(b"", b""), (b"", b"\0"), (b"b", b"a"), (b"b", b"b")],
)
def test_what_is_no_range_covers_nothing(key: bytes, end: bytes) -> None:
    assert interval_of(key, end) is None


def test_a_point_covers_its_key_as_a_range_too() -> None:
    point = Intervals([(b"a", b"a\0")])
    assert point.cover(b"a", b"a\0")
    assert not point.cover(b"a", b"a\0\0")
    assert not point.cover(b"a", b"\0")


def test_a_range_that_ends_before_it_begins_is_asked_for_by_its_key() -> None:
    """Source: etcd's interval tree."""
    union = Intervals([(b"c", b"e")])
    assert union.cover(b"d", b"b")
    assert not union.cover(b"e", b"d")
    assert not union.cover(b"b", b"a")
