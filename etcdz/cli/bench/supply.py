"""Which process sends which requests, and when they are due.

Requests have numbers. The processes of a run draw them from one shared counter, a piece at a time, so that a process
that is faster sends more and all end together.

Closed loop: a caller sends a request as soon as it has its answer. Open loop (--rate): request i is due at
start + i / rate, whatever became of those before it.
"""

from collections.abc import Callable
from typing import Final

from etcdz.cli.bench.workload import Request, Workload

Draw = Callable[[int], tuple[int, int]]
"""draw(n) -> (lo, hi): at most n request numbers that no other process has; lo == hi: there are no more."""

_PIECE_MAX: Final = 256


def piece_of(total: int, processes: int, paced: bool) -> int:
    """How many numbers to draw at a time. One process may have them all. With a rate it is one: a process that held a
    number that is due much later would keep it from those that are free by then.

    total      requests of the run
    paced      whether there is a rate
    """
    if processes == 1:
        return total
    return 1 if paced else max(1, min(_PIECE_MAX, total // (processes * 100)))


class Supply:
    """The requests of one process.

    exhausted   there is nothing left to draw; what was drawn is all taken
    """

    def __init__(self, workload: Workload, draw: Draw, piece: int) -> None:
        self._workload = workload
        self._draw = draw
        self._piece = piece
        self._lo = self._hi = 0
        self.exhausted = False

    def take(self, count: int) -> list[Request]:
        """count requests, fewer only at the end."""
        lo = self._lo
        if count <= self._hi - lo:
            self._lo = lo + count
            return self._workload.requests(lo, lo + count)
        taken = self._workload.requests(lo, self._hi)
        self._lo = self._hi
        while len(taken) < count and self._refill():
            lo, hi = self._lo, min(self._hi, self._lo + count - len(taken))
            taken += self._workload.requests(lo, hi)
            self._lo = hi
        return taken

    def next_number(self) -> int | None:
        """Number of the request that take would give next; None at the end."""
        return self._lo if self._lo < self._hi or self._refill() else None

    def _refill(self) -> bool:
        if self.exhausted:
            return False
        self._lo, self._hi = self._draw(self._piece)
        self.exhausted = self._lo == self._hi
        return not self.exhausted


class Schedule:
    """When the requests of a supply are due. start, now: seconds on one clock; rate: of all processes together."""

    def __init__(self, supply: Supply, start: float, rate: float) -> None:
        self._supply = supply
        self._start = start
        self._rate = rate

    def next_due(self) -> float | None:
        """When the next request is due; None: there are no more."""
        number = self._supply.next_number()
        return None if number is None else self._start + number / self._rate

    def take_due(self, now: float) -> tuple[float, Request] | None:
        """(when it was due, request), or None if none is due yet."""
        due = self.next_due()
        if due is None or due > now:
            return None
        return due, self._supply.take(1)[0]
