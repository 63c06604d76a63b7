"""Which of many ranges hold a key: single keys in a dict, the others in an interval tree.

The tree is an array of ranges in order of their lower bounds, read as a balanced tree by bisection, with the greatest
upper bound of each subtree beside. It is built anew when much has changed; until then what is new lies in a short list
that every question walks. Beats a tree of nodes: no rotations, and a build costs 1 us per range, seldom.
"""

from collections.abc import Iterator
from typing import Final, Generic, TypeVar

V = TypeVar("V")
Range = tuple[bytes, bytes | None]
"""(lo, hi): the one key lo if hi is b"", everything from lo on if it is None."""

FRESH_MAX: Final = 32


class RangeMap(Generic[V]):
    """A dict from ranges to values that can be asked by key.

    Invariant: `_tree` and `_fresh` together name each range of `_spans` once or more, and perhaps ranges that are gone.
    """

    __slots__ = ("_fresh", "_gone", "_highest", "_spans", "_tree", "exact")

    def __init__(self) -> None:
        self.exact: dict[bytes, V] = {}
        self._spans: dict[Range, V] = {}
        self._tree: list[Range] = []
        self._highest: list[bytes | None] = []
        self._fresh: list[Range] = []
        self._gone = 0

    def __len__(self) -> int:
        return len(self.exact) + len(self._spans)

    @property
    def has_spans(self) -> bool:
        return bool(self._spans)

    def get(self, span: Range) -> V | None:
        return self.exact.get(span[0]) if span[1] == b"" else self._spans.get(span)

    def set(self, span: Range, value: V) -> None:
        if span[1] == b"":
            self.exact[span[0]] = value
            return
        if span not in self._spans:
            self._fresh.append(span)
        self._spans[span] = value
        if len(self._fresh) > max(FRESH_MAX, len(self._tree) // 8):
            self._build()

    def remove(self, span: Range) -> None:
        """Requires: it is there."""
        if span[1] == b"":
            del self.exact[span[0]]
            return
        del self._spans[span]
        self._gone += 1
        if self._gone > max(FRESH_MAX, len(self._tree) // 2):
            self._build()

    def at(self, key: bytes) -> list[V]:
        """The values of all ranges that hold key."""
        found = self.exact.get(key)
        values = [] if found is None else [found]
        if not self._spans:
            return values
        spans = self._spans
        hits = [span for span in self._fresh if span[0] <= key and (span[1] is None or key < span[1])]
        if self._tree:
            hits += self._search(key)
        if len(hits) > 1 and (self._gone or self._fresh):
            hits = list(dict.fromkeys(hits))  # a range that went and came again may be in both places
        values += [spans[span] for span in hits if span in spans]
        return values

    def __iter__(self) -> Iterator[Range]:
        yield from ((key, b"") for key in self.exact)
        yield from self._spans

    def _build(self) -> None:
        self._tree = sorted(self._spans, key=lambda span: span[0])
        self._highest = [b""] * len(self._tree)
        self._fresh = []
        self._gone = 0
        self._find_highest(0, len(self._tree))

    def _find_highest(self, first: int, end: int) -> bytes | None:
        """Fills in, for the subtree of [first, end), its greatest upper bound; None is greater than all."""
        if first >= end:
            return b""
        middle = (first + end) // 2
        highest = self._tree[middle][1]
        for other in (self._find_highest(first, middle), self._find_highest(middle + 1, end)):
            if highest is not None and (other is None or other > highest):
                highest = other
        self._highest[middle] = highest
        return highest

    def _search(self, key: bytes) -> list[Range]:
        tree, highest = self._tree, self._highest
        found = []
        todo = [(0, len(tree))]
        while todo:
            first, end = todo.pop()
            middle = (first + end) // 2
            top = highest[middle]
            if top is not None and top <= key:
                continue
            lo, hi = tree[middle]
            if first < middle:
                todo.append((first, middle))
            if lo <= key:
                if hi is None or key < hi:
                    found.append(tree[middle])
                if middle + 1 < end:
                    todo.append((middle + 1, end))
        return found
