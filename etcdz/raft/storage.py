"""The stable part of the log as the core reads it, and an implementation in memory.

The core only reads. Whoever writes (the conversation runner, the raft actor on the wal's acknowledgement) calls
append and its like before it steps the acknowledgement into the core.
"""

from collections.abc import Sequence
from typing import Protocol

from etcdz.raft.entry import NO_LIMIT, Entry, limit_bytes
from etcdz.raft.errors import Compacted, InvariantBroken, SnapshotOutOfDate, Unavailable
from etcdz.raft.messages import ConfState, HardState, Snapshot


class Storage(Protocol):
    """What the core asks of its disk. Entries are in [first_index, last_index]; indexes rise by one."""

    def initial_state(self) -> tuple[HardState, ConfState]:
        """What was saved; all zero on first use. Asked once."""

    def entries(self, lo: int, hi: int, bytes_max: int = NO_LIMIT) -> Sequence[Entry]:
        """Entries of [lo, hi) up to bytes_max encoded bytes, but at least one; the caller may keep the list.

        raises  Compacted: lo is below first_index; Unavailable: there are none at all
        """

    def term(self, index: int) -> int:
        """Term of the entry at index in [first_index - 1, last_index]: one more than there are entries.

        raises  Compacted, Unavailable: below, above that range
        """

    def first_index(self) -> int: ...

    def last_index(self) -> int:
        """first_index - 1 if there are no entries."""

    def snapshot(self, to: int = 0) -> Snapshot:
        """The newest, for the member that is to get it. raises SnapshotTemporarilyUnavailable: it is being made, ask
        again"""


class MemoryStorage:
    """Log, hard state and snapshot in memory; append, truncation, term and compaction cost what they move.

    Compacted entries stay at the head of the list until they are an eighth of it: removing them moves the rest, and
    so that costs a few nanoseconds per compacted entry however long the log is.
    """

    __slots__ = ("_before_index", "_before_term", "_dead", "_entries", "_hard_state", "_snapshot")

    def __init__(self) -> None:
        self._hard_state = HardState()
        self._snapshot = Snapshot()
        # The entry before the first: compacted, but its term is still needed to match appends.
        self._before_index = 0
        self._before_term = 0
        # Invariant: _entries[_dead] has index _before_index + 1.
        self._entries: list[Entry] = []
        self._dead = 0

    def initial_state(self) -> tuple[HardState, ConfState]:
        return self._hard_state, self._snapshot.conf_state

    def set_hard_state(self, state: HardState) -> None:
        self._hard_state = state

    def first_index(self) -> int:
        return self._before_index + 1

    def last_index(self) -> int:
        return self._before_index + len(self._entries) - self._dead

    def term(self, index: int) -> int:
        at = index - self._before_index - 1
        if at < 0:
            if at == -1:
                return self._before_term
            raise Compacted
        at += self._dead
        if at >= len(self._entries):
            raise Unavailable
        return self._entries[at].term

    def entries(self, lo: int, hi: int, bytes_max: int = NO_LIMIT) -> Sequence[Entry]:
        if lo <= self._before_index:
            raise Compacted
        if hi > self.last_index() + 1:
            raise InvariantBroken(f"entries' hi({hi}) is out of bound lastindex({self.last_index()})")
        if self._dead == len(self._entries):
            raise Unavailable
        shift = self._dead - self._before_index - 1
        return limit_bytes(self._entries[lo + shift : hi + shift], bytes_max)

    def snapshot(self, to: int = 0) -> Snapshot:
        return self._snapshot

    def append(self, entries: Sequence[Entry]) -> None:
        """Add entries, replacing whatever was stored from the first one's index on. Compacted ones are skipped."""
        if not entries:
            return
        start = entries[0].index
        if start <= self._before_index:
            entries = entries[self._before_index + 1 - start :]
            if not entries:
                return
            start = self._before_index + 1
        at = start - self._before_index - 1 + self._dead
        if at > len(self._entries):
            raise InvariantBroken(f"missing log entry [last: {self.last_index()}, append at: {start}]")
        if at < len(self._entries):
            del self._entries[at:]
        self._entries.extend(entries)

    def compact(self, index: int) -> None:
        """Forget the entries up to and including index; its term is kept. raises Compacted: that was done before."""
        if index <= self._before_index:
            raise Compacted
        if index > self.last_index():
            raise InvariantBroken(f"compact {index} is out of bound lastindex({self.last_index()})")
        self._before_term = self.term(index)
        self._dead += index - self._before_index
        self._before_index = index
        if self._dead * 8 >= len(self._entries):
            del self._entries[: self._dead]
            self._dead = 0

    def apply_snapshot(self, snapshot: Snapshot) -> None:
        """Put a received snapshot in place of everything. raises SnapshotOutOfDate: ours is as new or newer"""
        # Index 0 is what a member starts with: only its configuration counts, and a better one may replace it.
        if self._snapshot.index and self._snapshot.index >= snapshot.index:
            raise SnapshotOutOfDate
        self._snapshot = snapshot
        self._before_index, self._before_term = snapshot.index, snapshot.term
        self._entries, self._dead = [], 0

    def create_snapshot(self, index: int, conf_state: ConfState | None, data: bytes) -> Snapshot:
        """Remember data as the state at index, with the newest configuration if conf_state is None."""
        if index <= self._snapshot.index:
            raise SnapshotOutOfDate
        if index > self.last_index():
            raise InvariantBroken(f"snapshot {index} is out of bound lastindex({self.last_index()})")
        state = self._snapshot.conf_state if conf_state is None else conf_state
        self._snapshot = Snapshot(index, self.term(index), state, data)
        return self._snapshot
