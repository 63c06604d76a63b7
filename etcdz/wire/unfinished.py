"""Bytes of requests that have begun and are not complete, over all connections of a listener, and who gives them up.

Each connection has a bound of its own, but there may be thousands. Beyond the bound for all together the connections
give up their unfinished requests whose bytes have been waiting longest: a client that is sending is among the last.
"""

from typing import Protocol


class Holder(Protocol):
    """A connection, as far as it holds such bytes."""

    def give_up_unfinished(self) -> object: ...


class UnfinishedRequests:
    """bytes_max   beyond it `find_overdue` names connections that have to give up
    total       Invariant: the sum of what all connections hold
    """

    __slots__ = ("_held", "bytes_max", "total")

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.total = 0
        self._held: dict[Holder, int] = {}  # Invariant: in the order of their last growth

    @property
    def is_hopeless(self) -> bool:
        """So much is held that what comes now is refused at once: `find_overdue` is not asked often enough."""
        return self.total > 2 * self.bytes_max

    def change(self, holder: Holder, size: int) -> None:
        """The connection holds so many bytes more, or less (a negative number)."""
        self.total += size
        held = self._held.pop(holder, 0) + size
        if held > 0:
            self._held[holder] = held

    def forget(self, holder: Holder) -> None:
        """The connection has ended."""
        self.total -= self._held.pop(holder, 0)

    def find_overdue(self) -> list[Holder]:
        """Connections that together hold what is too much, those first that have not grown for longest."""
        over = self.total - self.bytes_max
        found = []
        for holder, size in self._held.items():
            if over <= 0:
                break
            found.append(holder)
            over -= size
        return found
