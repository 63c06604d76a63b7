"""The log of one member: what Storage has, with the unstable part on top, and the marks on it.

    first_index <= applied <= applying <= committed <= last_index     (applied may be first_index - 1)

Source: Raft thesis 3.5 (log matching), 3.6.1 (which log is more up to date), 3.6.2 (committing).
"""

from collections.abc import Sequence

from etcdz.raft.entry import ENTRY_NORMAL, NO_LIMIT, Entry, entries_bytes, limit_bytes
from etcdz.raft.errors import Compacted, Logger, Unavailable, broken
from etcdz.raft.messages import Snapshot
from etcdz.raft.storage import Storage
from etcdz.raft.unstable import Unstable


class Log:
    __slots__ = (
        "applied",
        "applying",
        "applying_bytes",
        "applying_bytes_max",
        "applying_paused",
        "committed",
        "logger",
        "storage",
        "unstable",
    )

    def __init__(self, storage: Storage, logger: Logger, applying_bytes_max: int = NO_LIMIT) -> None:
        self.storage = storage
        self.logger = logger
        self.unstable = Unstable(storage.last_index() + 1, logger)
        # Everything before the first entry is in a snapshot, so it was committed and applied.
        self.committed = self.applying = self.applied = storage.first_index() - 1
        # Bytes of entries that were handed out and are not reported as applied, and how many there may be.
        self.applying_bytes = 0
        self.applying_bytes_max = applying_bytes_max
        self.applying_paused = False

    def __str__(self) -> str:
        return (
            f"committed={self.committed}, applied={self.applied}, applying={self.applying}, "
            f"unstable.offset={self.unstable.offset}, unstable.offsetInProgress={self.unstable.in_progress}, "
            f"len(unstable.Entries)={len(self.unstable.entries)}"
        )

    # Positions

    def first_index(self) -> int:
        index = self.unstable.first_index()
        return self.storage.first_index() if index is None else index

    def last_index(self) -> int:
        index = self.unstable.last_index()
        return self.storage.last_index() if index is None else index

    def last_term(self) -> int:
        return self.term(self.last_index())

    def term(self, index: int) -> int:
        """Term at index in [first_index - 1, last_index]. raises Compacted, Unavailable: below, above that"""
        term = self.unstable.term(index)
        if term is not None:
            return term
        if index + 1 < self.first_index():
            raise Compacted
        if index > self.last_index():
            raise Unavailable
        return self.storage.term(index)

    def term_or_zero(self, index: int) -> int:
        """Term at index, 0 where that is not known."""
        try:
            return self.term(index)
        except (Compacted, Unavailable):
            return 0

    def matches(self, term: int, index: int) -> bool:
        """Whether the entry at index is known and has this term: then the logs are equal up to there."""
        try:
            return self.term(index) == term
        except (Compacted, Unavailable):
            return False

    def is_up_to_date(self, term: int, index: int) -> bool:
        """Whether a log that ends in (term, index) is at least as complete as ours."""
        return (term, index) >= (self.last_term(), self.last_index())

    # Appending

    def maybe_append(self, prev_term: int, prev_index: int, entries: Sequence[Entry], commit: int) -> int | None:
        """Append a leader's entries behind (prev_term, prev_index); last index they reach, None if we do not match.

        Entries that are there already are not touched: an old append must not truncate what came after it.
        """
        if not self.matches(prev_term, prev_index):
            return None
        reached = prev_index + len(entries)
        conflict = self.find_conflict(entries)
        if conflict:
            if conflict <= self.committed:
                broken(self.logger, f"entry {conflict} conflict with committed entry [committed({self.committed})]")
            self.append(entries[conflict - prev_index - 1 :])
        self.commit_to(min(commit, reached))
        return reached

    def append(self, entries: Sequence[Entry]) -> int:
        """Append and truncate; the new last index."""
        if entries:
            after = entries[0].index - 1
            if after < self.committed:
                broken(self.logger, f"after({after}) is out of range [committed({self.committed})]")
            self.unstable.append(entries)
            return entries[-1].index
        return self.last_index()

    def find_conflict(self, entries: Sequence[Entry]) -> int:
        """Index of the first entry that is not in the log with the same term, 0 if all are."""
        last = self.last_index()
        for entry in entries:
            index = entry.index
            if index > last:
                return index
            if not self.matches(entry.term, index):
                self.logger.info(
                    f"found conflict at index {index} [existing term: {self.term_or_zero(index)}, "
                    f"conflicting term: {entry.term}]"
                )
                return index
        return 0

    def find_conflict_by_term(self, index: int, term: int) -> tuple[int, int]:
        """Best guess where we match a log of which only its entry (index, term) is known, as (index, our term there).

        The highest position up to index whose term is not above term: terms only rise along a log, so nothing
        between can match. The term is 0 where it is not known.
        """
        while index > 0:
            try:
                ours = self.term(index)
            except (Compacted, Unavailable):
                return index, 0
            if ours <= term:
                return index, ours
            index -= 1
        return 0, 0

    def commit_to(self, index: int) -> None:
        if index <= self.committed:
            return
        last = self.last_index()
        if index > last:
            broken(
                self.logger,
                f"tocommit({index}) is out of range [lastIndex({last})]. "
                "Was the raft log corrupted, truncated, or lost?",
            )
        self.committed = index

    def maybe_commit(self, term: int, index: int) -> bool:
        """Commit up to index if its entry is of this term: older ones commit only together with a newer one.

        Source: Raft thesis 3.6.2, figure 3.7.
        """
        if index <= self.committed or not self.matches(term, index):
            return False
        self.committed = index
        return True

    def restore(self, snapshot: Snapshot) -> None:
        self.logger.info(f"log [{self}] starts to restore snapshot [index: {snapshot.index}, term: {snapshot.term}]")
        self.committed = snapshot.index
        self.unstable.restore(snapshot)

    # Reading

    def snapshot(self, to: int) -> Snapshot:
        """For this member. raises SnapshotTemporarilyUnavailable"""
        return self.storage.snapshot(to) if self.unstable.snapshot is None else self.unstable.snapshot

    def entries(self, lo: int, bytes_max: int = NO_LIMIT) -> Sequence[Entry]:
        """Entries from lo on, up to bytes_max but at least one if there is one. raises Compacted"""
        end = self.last_index() + 1
        return self.slice(lo, end, bytes_max) if lo < end else ()

    def slice(self, lo: int, hi: int, bytes_max: int = NO_LIMIT) -> Sequence[Entry]:
        """Entries of [lo, hi), likewise. raises Compacted"""
        self._check_range(lo, hi)
        if lo == hi:
            return ()
        offset, unstable = self.unstable.offset, self.unstable.entries
        if lo >= offset:
            return limit_bytes(unstable[lo - offset : hi - offset], bytes_max)
        cut = min(hi, offset)
        try:
            stable = self.storage.entries(lo, cut, bytes_max)
        except Unavailable:
            broken(self.logger, f"entries[{lo}:{cut}) is unavailable from storage")
        if hi <= offset or len(stable) < cut - lo:
            return stable
        room = bytes_max - entries_bytes(stable)
        if room <= 0:
            return stable
        more = limit_bytes(unstable[: hi - offset], room)
        if len(more) == 1 and len(more[0].encoded) > room:
            return stable
        return [*stable, *more]

    def _check_range(self, lo: int, hi: int) -> None:
        if lo > hi:
            broken(self.logger, f"invalid slice {lo} > {hi}")
        first, last = self.first_index(), self.last_index()
        if lo < first:
            raise Compacted
        if hi > last + 1:
            broken(self.logger, f"slice[{lo},{hi}) out of bound [{first},{last}]")

    def has_unapplied_conf_change(self) -> bool:
        """Whether a configuration change is committed and not applied. Reads page by page: there may be many."""
        lo = self.applied + 1
        while lo <= self.committed:
            page = self._slice_unapplied(lo, self.committed + 1, self.applying_bytes_max)
            if any(entry.type != ENTRY_NORMAL for entry in page):
                return True
            lo += len(page)
        return False

    # Applying

    def has_committed(self, allow_unstable: bool) -> bool:
        """Whether next_committed would return anything."""
        if self.applying >= self.committed or self.applying_paused or self.unstable.snapshot is not None:
            return False
        return self.applying < self._appliable(allow_unstable)

    def next_committed(self, allow_unstable: bool) -> Sequence[Entry]:
        """Committed entries that were not handed out yet, as many as may be outstanding.

        None of them while a snapshot waits to be applied: that comes first.
        allow_unstable  also those that are not yet on our own disk (a quorum of others has them)
        """
        if not self.has_committed(allow_unstable):
            return ()
        room = self.applying_bytes_max - self.applying_bytes
        return self._slice_unapplied(self.applying + 1, self._appliable(allow_unstable) + 1, room)

    def _slice_unapplied(self, lo: int, hi: int, bytes_max: int) -> Sequence[Entry]:
        try:
            if hi <= self.unstable.offset:
                return self.storage.entries(lo, hi, bytes_max)
            return self.slice(lo, hi, bytes_max)
        except (Compacted, Unavailable) as error:
            broken(self.logger, f"unexpected error when getting unapplied entries ({error})")

    def _appliable(self, allow_unstable: bool) -> int:
        committed = self.committed
        return committed if allow_unstable or committed < self.unstable.offset else self.unstable.offset - 1

    def accept_applying(self, index: int, size: int, allow_unstable: bool) -> None:
        """Entries up to index, size bytes of them, were handed out."""
        if index > self.committed:
            broken(
                self.logger,
                f"applying({index}) is out of range [prevApplying({self.applying}), committed({self.committed})]",
            )
        self.applying = index
        self.applying_bytes += size
        # Also paused if the next entry would not have fit: what was handed out then ends early.
        self.applying_paused = self.applying_bytes >= self.applying_bytes_max or index < self._appliable(allow_unstable)

    def applied_to(self, index: int, size: int) -> None:
        if not self.applied <= index <= self.committed:
            broken(
                self.logger,
                f"applied({index}) is out of range [prevApplied({self.applied}), committed({self.committed})]",
            )
        self.applied = index
        self.applying = max(self.applying, index)
        self.applying_bytes = max(self.applying_bytes - size, 0)
        self.applying_paused = self.applying_bytes >= self.applying_bytes_max
