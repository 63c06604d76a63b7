"""Where entries lie: a sparse map from index to place, so that a tail of the log can be read without reading it all.

A point says "the entry of this index lies here". An entry rewrites all entries of the same or a higher index, so a
rewrite removes the points of what it rewrites and leaves one of its own.

Invariant: indexes and places of the points both ascend. Invariant: between a point p and the next point q, the entries
with p.index <= index < q.index are live, contiguous and in order; all others are dead. (A later rewrite of one of these
would have removed q; an earlier dead one of the same index would lie before p.)
"""

from bisect import bisect_right
from typing import NamedTuple

POINT_EVERY = 1000
POINT_EVERY_BYTES = 1 << 20


class Place(NamedTuple):
    """sequence: of the segment; offset: of the frame in it."""

    sequence: int
    offset: int


class Span(NamedTuple):
    """Entries lo <= index < hi, the first of them at place, all before end; end None: the end of that segment."""

    lo: int
    hi: int
    place: Place
    end: int | None


class Offsets:
    """The points: entry indexes[i] lies at places[i]."""

    __slots__ = ("indexes", "places")

    def __init__(self) -> None:
        self.indexes: list[int] = []
        self.places: list[Place] = []

    def add(self, index: int, place: Place) -> None:
        """A point for the entry of this index, in place of all of the same or a higher index."""
        while self.indexes and self.indexes[-1] >= index:
            self.indexes.pop()
            self.places.pop()
        self.indexes.append(index)
        self.places.append(place)

    def is_due(self, index: int, place: Place, last_index: int) -> bool:
        """Whether the entry of this index, about to follow last_index, wants a point: it rewrites, opens a segment, or
        lies far from the last one."""
        if not self.indexes or index <= last_index or index - self.indexes[-1] >= POINT_EVERY:
            return True
        last = self.places[-1]
        return last.sequence != place.sequence or place.offset - last.offset >= POINT_EVERY_BYTES

    def has(self, sequence: int) -> bool:
        """Whether the last point lies in this segment."""
        return bool(self.places) and self.places[-1].sequence == sequence

    def clear(self) -> None:
        """The log goes on after a gap: no entry before it can be read any more."""
        self.indexes.clear()
        self.places.clear()

    def drop_below(self, sequence: int) -> None:
        """Forget the segments before this one."""
        keep = next((i for i, place in enumerate(self.places) if place.sequence >= sequence), len(self.places))
        del self.indexes[:keep]
        del self.places[:keep]

    def spans(self, lo: int, hi: int) -> list[Span]:
        """Where the entries lo <= index < hi lie, in order; the first span may begin before lo.

        Requires: the first point's index <= lo < hi <= last index + 1
        """
        out = []
        i = bisect_right(self.indexes, lo) - 1
        while i < len(self.indexes) and self.indexes[i] < hi:
            place = self.places[i]
            upto, end = hi, None
            if i + 1 < len(self.indexes):
                upto = min(hi, self.indexes[i + 1])
                if self.places[i + 1].sequence == place.sequence:
                    end = self.places[i + 1].offset
            out.append(Span(self.indexes[i], upto, place, end))
            i += 1
        return out
