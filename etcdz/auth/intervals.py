"""A union of key ranges: sorted, disjoint, merged where they touch, so that adjacent permissions add up."""

from bisect import bisect_right
from collections.abc import Iterable

Interval = tuple[bytes, bytes | None]
"""(lo, hi) half open; hi None: to the end of the keys."""
OPEN_END = b"\0"
"""As a range_end: everything from the key on."""


def interval_of(key: bytes, range_end: bytes) -> Interval | None:
    """What a stored permission covers. None: nothing, since it is no range; etcd 3.5.1 stores such ones."""
    if not key:
        return None
    if not range_end:
        return key, key + b"\0"
    if range_end == OPEN_END:
        return key, None
    return (key, range_end) if key < range_end else None


class Intervals:
    """Of a user, for reading or for writing. Immutable."""

    __slots__ = ("_his", "_los")

    def __init__(self, intervals: Iterable[Interval]) -> None:
        self._los: list[bytes] = []
        self._his: list[bytes | None] = []
        for lo, hi in sorted(intervals, key=lambda interval: interval[0]):
            last = self._his[-1] if self._his else b""
            if not self._his or (last is not None and last < lo):
                self._los.append(lo)
                self._his.append(hi)
            elif last is not None and (hi is None or hi > last):
                self._his[-1] = hi

    def cover(self, key: bytes, range_end: bytes = b"") -> bool:
        """Whether all keys of a request's range are in it. NB: as in etcd, a range that ends before it begins is asked
        for by its key alone."""
        place = bisect_right(self._los, key) - 1
        if place < 0:
            return False
        hi = self._his[place]
        if hi is None:
            return True
        return key < hi and range_end != OPEN_END and range_end <= hi
