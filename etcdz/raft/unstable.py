"""The part of the log that is not known to be on disk: a snapshot, or entries, or the one followed by the other.

index      ... offset-1 | offset ... in_progress-1 | in_progress ...
entries       on disk   |  handed out for writing  |  not handed out
"""

from collections.abc import Sequence

from etcdz.raft.entry import Entry
from etcdz.raft.errors import Logger
from etcdz.raft.messages import Snapshot


class Unstable:
    __slots__ = ("entries", "in_progress", "logger", "offset", "snapshot", "snapshot_in_progress")

    def __init__(self, offset: int, logger: Logger) -> None:
        self.logger = logger
        self.snapshot: Snapshot | None = None
        self.snapshot_in_progress = False
        self.offset = offset  # index of entries[0]
        self.in_progress = offset  # Invariant: offset <= in_progress <= offset + len(entries)
        self.entries: list[Entry] = []

    @property
    def end(self) -> int:
        """Index behind the last entry."""
        return self.offset + len(self.entries)

    def first_index(self) -> int | None:
        """First index of the whole log if that is decided here: a snapshot cuts off all before."""
        return None if self.snapshot is None else self.snapshot.index + 1

    def last_index(self) -> int | None:
        if self.entries:
            return self.offset + len(self.entries) - 1
        return None if self.snapshot is None else self.snapshot.index

    def term(self, index: int) -> int | None:
        at = index - self.offset
        if at >= 0:
            return self.entries[at].term if at < len(self.entries) else None
        if self.snapshot is not None and self.snapshot.index == index:
            return self.snapshot.term
        return None

    def next_entries(self) -> list[Entry]:
        """What has not been handed out for writing."""
        return self.entries[self.in_progress - self.offset :]

    def next_snapshot(self) -> Snapshot | None:
        return None if self.snapshot_in_progress else self.snapshot

    def accept_in_progress(self) -> None:
        """All of it was handed out for writing."""
        self.in_progress = self.offset + len(self.entries)
        self.snapshot_in_progress = self.snapshot is not None

    def stable_to(self, term: int, index: int) -> None:
        """Entries up to and including index are on disk, if the one there still has this term."""
        known = self.term(index)
        if known is None:
            self.logger.info(f"entry at index {index} missing from unstable log; ignoring")
        elif index < self.offset:
            self.logger.info(f"entry at index {index} matched unstable snapshot; ignoring")
        elif known != term:
            # Replaced while it was being written; the write of what replaced it is under way or to come.
            self.logger.info(
                f"entry at (index,term)=({index},{term}) mismatched with "
                f"entry at ({index},{known}) in unstable log; ignoring"
            )
        else:
            del self.entries[: index + 1 - self.offset]
            self.offset = index + 1
            self.in_progress = max(self.in_progress, self.offset)

    def snapshot_stable_to(self, index: int) -> None:
        if self.snapshot is not None and self.snapshot.index == index:
            self.snapshot = None
            self.snapshot_in_progress = False

    def restore(self, snapshot: Snapshot) -> None:
        self.offset = self.in_progress = snapshot.index + 1
        self.entries = []
        self.snapshot = snapshot
        self.snapshot_in_progress = False

    def append(self, entries: Sequence[Entry]) -> None:
        """Add entries; whatever is here from the first one's index on goes. Requires: not empty."""
        start = entries[0].index
        if start == self.end:
            self.entries.extend(entries)
        elif start <= self.offset:
            self.logger.info(f"replace the unstable entries from index {start}")
            self.entries = list(entries)
            self.offset = self.in_progress = start
        else:
            self.logger.info(f"truncate the unstable entries before index {start}")
            self.entries[start - self.offset :] = entries
            # What was handed out below start is still being written.
            self.in_progress = min(self.in_progress, start)
