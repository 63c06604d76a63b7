"""How raft's log stays short: what the backend has flushed, and a .snap file stands for, need not be kept.

snapshot-count entries applied -> Flush -> backend -> Flushed -> SaveSnapshot -> wal; raft's own log is compacted
"""

from typing import Protocol

from actors.raft.appends import Appends
from actors.raft.outgoing_snapshots import OutgoingSnapshots
from actors.runtime.link import Links
from etcdz.ipc.boot import Boot
from etcdz.ipc.messages import Flush, Flushed, SaveSnapshot
from etcdz.raft import MemoryStorage, codec


class Host(Protocol):
    """What trimming needs of its actor."""

    boot: Boot
    links: Links
    storage: MemoryStorage
    appends: Appends
    outgoing_snapshots: OutgoingSnapshots


class Trimming:
    """snapshot_index  of the newest .snap file
    is_flushing        the backend has been asked for a flush
    flushed            its answer, until the snapshot is saved
    """

    def __init__(self, host: Host, every_entries: int, kept_entries: int) -> None:
        self._host = host
        self._every = every_entries
        self._kept = kept_entries
        self.snapshot_index = 0
        self.is_flushing = False
        self.flushed: Flushed | None = None

    def begin(self, snapshot_index: int) -> None:
        """After a restart. snapshot_index: of the newest .snap file, 0: there is none."""
        self.snapshot_index = snapshot_index

    def on_applied(self, applied_index: int) -> None:
        """Ask for a flush when snapshot-count entries are applied since the last."""
        if not self.is_flushing and applied_index - self.snapshot_index >= self._every:
            self.is_flushing = True
            self._host.links.send("backend", Flush(self._host.boot.incarnation))

    def on_flushed(self, message: Flushed) -> None:
        """What the backend has flushed; `maybe_save` takes it up when raft has committed as much."""
        self.is_flushing = False
        self.flushed = message

    def on_new_backend(self) -> None:
        """A flush that the one before was asked for is not answered any more."""
        self.is_flushing = False

    def maybe_save(self, committed: int) -> None:
        """The backend no longer needs the log up to here: compact it, but for what slow followers may ask.

        NB: the backend applies what the wal appends before this process is told of it, so it may be ahead. A
        marker that the hard state on disk has not committed counts for nothing when the log is read again, and the
        segments before it are released: so first the commit index, then the marker.
        """
        message = self.flushed
        if message is None or committed < message.applied_index:
            return
        self.flushed = None
        if message.applied_index > self.snapshot_index:
            self._save(message)
            self._compact(message.applied_index)

    def _save(self, message: Flushed) -> None:
        host, index = self._host, message.applied_index
        host.appends.send_commit_index()
        self.snapshot_index = index
        term = host.storage.term(index)
        save = SaveSnapshot(
            host.boot.incarnation, index, term, message.conf_state, message.snapshot_data, keep_index=index
        )
        host.links.send("wal", save)
        host.storage.create_snapshot(index, codec.decode_conf_state(message.conf_state), b"")

    def _compact(self, index: int) -> None:
        storage, keep_from = self._host.storage, index - self._kept
        kept_from = self._host.outgoing_snapshots.kept_from
        if kept_from is not None:
            keep_from = min(keep_from, kept_from)
        if keep_from >= storage.first_index():
            storage.compact(keep_from)
