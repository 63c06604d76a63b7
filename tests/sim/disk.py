"""The disk of one simulated member: the real log of etcdz.wal on the fake disk of tests.wal, which loses power.

What the core reads (MemoryStorage) is changed only when the log has synced, so at every moment it holds what a power
loss would leave at least.
"""

from collections.abc import Callable
from random import Random
from typing import NamedTuple

from etcdz.raft import ConfState, Entry, HardState, MemoryStorage, Message, Snapshot
from etcdz.raft.codec import decode_conf_state, decode_hard_state, encode_conf_state, encode_hard_state
from etcdz.raft.entry import decode_entries
from etcdz.raft.errors import SnapshotTemporarilyUnavailable
from etcdz.wal import snap as snaps
from etcdz.wal.log import Log, LogOptions
from etcdz.wal.snap import Snap
from etcdz.wal.start import open_newest
from tests.sim.world import Violation
from tests.wal.fake_disk import FakeDisk

LOG, SNAPS = "/data/wal", "/data/snap"
OPTIONS = LogOptions(segment_bytes=8192)
CATCH_UP_ENTRIES = 4  # left in the log behind a snapshot, for those who are only a little behind


class Owed(NamedTuple):
    """What must be there after a crash: the hard state, or a newer one, and the log up to an entry."""

    hard_state: HardState
    index: int
    term: int


class Loss(NamedTuple):
    """What a crash found under way: entries and records that no sync had covered."""

    entries: int
    torn: bool


def write_of(m: Message) -> HardState | None:
    return HardState(m.term, m.vote, m.commit) if m.term or m.vote or m.commit else None


class Stored(MemoryStorage):
    """Gives the newest state as a snapshot to whoever needs one: an older one might not know of that member."""

    __slots__ = ("_newest",)

    def __init__(self, newest: Callable[[], tuple[int, ConfState, bytes]]) -> None:
        super().__init__()
        self._newest = newest

    def snapshot(self, to: int = 0) -> Snapshot:
        index, conf_state, data = self._newest()
        if index < self.saved.index:
            raise SnapshotTemporarilyUnavailable
        return Snapshot(index, self.term(index), conf_state, data)

    @property
    def saved(self) -> Snapshot:
        return super().snapshot()


class MemberDisk:
    """newest: (applied index, configuration, data) of the state machine, which lives in memory."""

    def __init__(self, newest: Callable[[], tuple[int, ConfState, bytes]]) -> None:
        self._newest = newest
        self.disk = FakeDisk()
        self.disk.make_directory(SNAPS)
        self.disk.sync_directory("/data")
        self.disk.sync_directory("/")
        self.log = Log.create(self.disk, LOG, b"sim", OPTIONS)
        self._owed = Owed(HardState(), 0, 0)
        self.storage = Stored(self._newest)

    # Writing

    def write(self, batch: list[Message]) -> None:
        """Make the work of MsgStorageAppends durable, in order, with one sync (a snapshot has its own)."""
        for m in batch:
            if m.snapshot is not None:
                self._write_snapshot(m.snapshot, write_of(m))
            self._append(m)
        self.log.sync()
        for m in batch:
            state = write_of(m)
            if state is not None:
                self.storage.set_hard_state(state)
            if m.snapshot is not None:
                self.storage.apply_snapshot(m.snapshot)
            self.storage.append(m.entries)

    def _append(self, m: Message) -> None:
        state = write_of(m)
        entries = [entry.encoded for entry in m.entries]
        first = m.entries[0].index if entries else 0
        self.log.append(entries, first, encode_hard_state(state) if state is not None else None)

    def _write_snapshot(self, snapshot: Snapshot, state: HardState | None) -> None:
        """NB: a hard state that commits the snapshot before the log knows of it would speak of entries that are not
        there, so the term goes first and the commit index comes with the marker.
        """
        before = decode_hard_state(self.log.hard_state) if self.log.hard_state else HardState()
        if state is not None:
            self.log.append([], 0, encode_hard_state(state._replace(commit=before.commit)))
        self._save(snapshot)

    def _save(self, snapshot: Snapshot) -> None:
        conf_state = encode_conf_state(snapshot.conf_state)
        snaps.save(self.disk, SNAPS, Snap(snapshot.index, snapshot.term, conf_state, snapshot.data))
        self.log.save_snapshot_marker(snapshot.index, snapshot.term, conf_state)

    def compact(self, index: int, conf_state: ConfState, data: bytes) -> bool:
        """Keep data as the state at index and forget the log behind it; False if there is a newer one."""
        if index <= self.storage.saved.index:
            return False
        snapshot = self.storage.create_snapshot(index, conf_state, data)
        self._save(snapshot)
        if index - CATCH_UP_ENTRIES >= self.storage.first_index():
            self.storage.compact(index - CATCH_UP_ENTRIES)
        self.log.release(index, keep=1)
        snaps.purge(self.disk, SNAPS, keep=2)
        return True

    # Crashing

    def crash(self, random: Random, under_way: list[Message], power_loss: bool) -> Loss:
        """The process ends, or the machine; of what was being written all, some or nothing is there afterwards."""
        self._owe(under_way)
        torn = bool(under_way) and random.random() < 0.7 and self._write_without_sync(under_way)
        self.log.close()
        if power_loss:
            self.disk = self.disk.crash(random)
        return Loss(sum(len(m.entries) for m in under_way), torn)

    def _owe(self, under_way: list[Message]) -> None:
        storage = self.storage
        # What is being written may replace entries that were durable.
        firsts = [m.entries[0].index - 1 for m in under_way if m.entries]
        index = min([storage.last_index(), *firsts])
        if index >= storage.first_index() - 1:
            self._owed = Owed(self.hard_state, index, storage.term(index))

    def _write_without_sync(self, batch: list[Message]) -> bool:
        for m in batch:
            if m.snapshot is not None:
                break
            self._append(m)
        pending = b"".join(self.log._pending)
        self.log._segments[-1].file.write(self.log._offset, pending)
        return bool(pending)

    def recover(self) -> Snapshot:
        """Read back what is there; the snapshot that the log begins after, of index 0 if there is none."""
        start = open_newest(self.disk, LOG, SNAPS, OPTIONS)
        self.log = start.log
        self.storage = Stored(self._newest)
        base = Snapshot()
        if start.snap is not None:
            found = start.snap
            base = Snapshot(found.index, found.term, decode_conf_state(found.conf_state), found.data)
            self.storage.apply_snapshot(base)
        self.storage.append(decode_entries(self.log.read_entries(base.index + 1)))
        if start.recovered.hard_state:
            self.storage.set_hard_state(decode_hard_state(start.recovered.hard_state))
        owed = self._owed
        if self.hard_state[:2] < owed.hard_state[:2] or not self.holds(owed.index, owed.term):
            raise Violation("durable is durable", f"{owed} was on disk, and after a crash the log ends in {self.end}")
        return base

    # What others may ask

    @property
    def end(self) -> tuple[int, int]:
        """(index, term) of the last entry."""
        last = self.storage.last_index()
        return last, self.storage.term(last)

    @property
    def hard_state(self) -> HardState:
        return self.storage.initial_state()[0]

    def holds(self, index: int, term: int) -> bool:
        """Whether the entry is durable here, or behind a snapshot."""
        storage = self.storage
        if index < storage.first_index() - 1:
            return True
        return index <= storage.last_index() and storage.term(index) == term

    def entries(self) -> list[Entry]:
        first, last = self.storage.first_index(), self.storage.last_index()
        return list(self.storage.entries(first, last + 1)) if last >= first else []
