"""Appends that were sent to one peer and not yet acknowledged: the window of optimistic replication.

Source: Raft thesis 10.2.1 (pipelining).
"""

from collections import deque


class Inflights:
    """A sliding window, bounded by messages and, softly, by bytes: the message that crosses that bound is let in."""

    __slots__ = ("_window", "bytes", "bytes_max", "size_max")

    def __init__(self, size_max: int, bytes_max: int = 0) -> None:
        self.size_max = size_max
        self.bytes_max = bytes_max  # 0: no bound
        self.bytes = 0
        # Invariant: indexes rise from left to right.
        self._window: deque[tuple[int, int]] = deque()  # (last index in the message, bytes of its payloads)

    def __len__(self) -> int:
        return len(self._window)

    @property
    def full(self) -> bool:
        return len(self._window) >= self.size_max or (self.bytes_max != 0 and self.bytes >= self.bytes_max)

    def add(self, index: int, size: int) -> None:
        """Requires: not full, and index above all before."""
        if self.full:
            raise OverflowError("cannot add into a full window")
        self._window.append((index, size))
        self.bytes += size

    def free_to(self, index: int) -> None:
        """The peer has everything up to and including index."""
        window = self._window
        while window and window[0][0] <= index:
            self.bytes -= window.popleft()[1]

    def clear(self) -> None:
        self._window.clear()
        self.bytes = 0

    def copy(self) -> "Inflights":
        twin = Inflights(self.size_max, self.bytes_max)
        twin._window, twin.bytes = self._window.copy(), self.bytes
        return twin
