"""The first of many by some value, or all of them in order, without ever sorting much at once.

Items are tuples: a value, then the key, and last what is ranked. Equal values stay in the order of their keys. With a
limit no more than a few times as many items are kept, whatever comes, and in whatever order. Without one all are, and
they have to be added in the order of their keys: runs are sorted by themselves, and merged as they are read.
"""

from collections.abc import Iterable, Iterator
from heapq import merge
from operator import itemgetter
from typing import Any, Final

KEPT_MAX: Final = 4096
"""Of a larger limit all items are kept: sorting twice as many at once would take too long."""
_SPARE: Final = 512
_RUN_MAX: Final = 8192
"""Items that are sorted at once: when they are two sorted runs, in a millisecond."""

Item = tuple[Any, ...]

_value = itemgetter(0)
_key = itemgetter(1)


class Ranking:
    """limit: 0 for none. is_descending: the greatest value comes first.

    worst    (value, key): what comes behind it is not among the first; None: not known yet
    """

    __slots__ = ("_descending", "_kept", "_limit", "_runs", "worst")

    def __init__(self, limit: int, is_descending: bool) -> None:
        self._limit = limit if limit <= KEPT_MAX else 0
        self._descending = is_descending
        self._kept: list[Item] = []
        self._runs: list[list[Item]] = []
        self.worst: tuple[Any, bytes] | None = None

    @property
    def takes_any_order(self) -> bool:
        return self._limit > 0

    def add(self, batch: list[Item]) -> None:
        """A few of them."""
        if self._limit:
            self._kept += self._better(batch)
            if len(self._kept) > 2 * self._limit + (_SPARE if self.worst is not None else 0):
                self._cut()
        else:
            self._add_run(batch)

    def _better(self, batch: list[Item]) -> Iterable[Item]:
        worst = self.worst
        if worst is None:
            return batch
        value, key = worst
        if self._descending:
            return [item for item in batch if item[0] > value or (item[0] == value and item[1] < key)]
        return [item for item in batch if item[0] < value or (item[0] == value and item[1] < key)]

    def _cut(self) -> None:
        kept = self._kept
        kept.sort(key=_key)
        kept.sort(key=_value, reverse=self._descending)
        del kept[self._limit :]
        if len(kept) == self._limit:
            self.worst = kept[-1][0], kept[-1][1]

    def _add_run(self, batch: list[Item]) -> None:
        """Joins runs of like lengths, so that few are left to be merged."""
        runs = self._runs
        batch.sort(key=_value, reverse=self._descending)
        while runs and len(runs[-1]) <= 2 * len(batch) <= _RUN_MAX:
            batch = runs.pop() + batch
            batch.sort(key=_value, reverse=self._descending)
        runs.append(batch)

    def ranked(self) -> Iterator[Any]:
        """What was ranked, the first first; more of it than the limit wants, if the limit is large."""
        if self._limit:
            self._cut()
            return iter([item[-1] for item in self._kept])
        return (item[-1] for item in merge(*self._runs, key=_value, reverse=self._descending))
