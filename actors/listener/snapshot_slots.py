"""Which snapshots of a listener are sent now, which wait for a slot, and which one has to give its slot up.

A slot belongs to a client that reads. One that has not read for `stall_s` keeps its slot only as long as nobody waits:
a backup so gets its turn, whatever the number of clients that open a snapshot and leave it.
"""

from collections import OrderedDict
from typing import Generic, TypeVar

Item = TypeVar("Item")


class SnapshotSlots(Generic[Item]):
    """Pure: times are arguments, on one clock.

    Invariant: nothing waits while a slot is free.
    """

    def __init__(self, slots: int, waiting_max: int, stall_s: float) -> None:
        self._slots = slots
        self._waiting_max = waiting_max
        self._stall_s = stall_s
        self._ending = 0  # slots of snapshots that are over, and whose process is not gone yet
        self._sending: dict[Item, float | None] = {}  # since when the client has not read; None: it reads
        self._waiting: OrderedDict[Item, None] = OrderedDict()

    @property
    def taken(self) -> int:
        """Slots that are not free: each has a process, which may be on its way out."""
        return len(self._sending) + self._ending

    @property
    def has_waiting(self) -> bool:
        return bool(self._waiting)

    def ask(self, item: Item) -> bool | None:
        """A new snapshot. return True if it begins now, False if it waits, None if too many wait already."""
        if self.taken < self._slots:
            self._sending[item] = None
            return True
        if len(self._waiting) >= self._waiting_max:
            return None
        self._waiting[item] = None
        return False

    def note_stalled(self, item: Item, now: float) -> None:
        """Its client has stopped reading."""
        if item in self._sending and self._sending[item] is None:
            self._sending[item] = now

    def note_reading(self, item: Item) -> None:
        if item in self._sending:
            self._sending[item] = None

    def leave(self, item: Item) -> None:
        """It is over. Its slot is free again only with `release`, if it had one."""
        self._waiting.pop(item, None)
        if item in self._sending:
            del self._sending[item]
            self._ending += 1

    def release(self) -> Item | None:
        """The process of one that has left is gone. return what begins in its place"""
        self._ending -= 1
        if not self._waiting:
            return None
        item, _ = self._waiting.popitem(last=False)
        self._sending[item] = None
        return item

    def find_stalled(self, now: float) -> list[Item]:
        """Those that have to give their slots up: the longest stalled first, no more than wait."""
        stalled = [(since, item) for item, since in self._sending.items() if since is not None]
        overdue = sorted((pair for pair in stalled if now - pair[0] >= self._stall_s), key=lambda pair: pair[0])
        return [item for _, item in overdue[: max(0, len(self._waiting) - self._ending)]]
