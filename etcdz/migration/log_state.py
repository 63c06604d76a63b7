"""What a log and its .snap files say, as far as a migration needs it. Read from a copy: opening a log mends it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from etcdz.migration.errors import MigrationError
from etcdz.proto import etcdserverpb as pb
from etcdz.proto import raftpb
from etcdz.store.disk import RealDisk
from etcdz.wal.files import WalCorrupt, WalMismatch
from etcdz.wal.log import Log
from etcdz.wal.record import decode_position
from etcdz.wal.start import Start, open_newest

_READ_BYTES: Final = 4 << 20


class LogState:
    """The member and cluster of a log, the newest snapshot that it vouches for, and the entries behind that."""

    def __init__(self, start: Start, directory: Path) -> None:
        metadata = pb.Metadata.FromString(start.recovered.metadata)
        self.member_id: int = metadata.NodeID
        self.cluster_id: int = metadata.ClusterID
        self.snapshot_index = start.snap.index if start.snap else 0
        self.snapshot_term = start.snap.term if start.snap else 0
        self.last_index = start.recovered.last_index
        self.snapshot_data = start.snap.data if start.snap else b""
        self._directory = directory
        self._first_index = start.recovered.first_index
        self._log: Log = start.log

    def check(self, consistent_index: int) -> None:
        """raises MigrationError: the backend does not belong to this log. consistent_index: the backend's"""
        if consistent_index > self.last_index:
            raise MigrationError(
                f"the backend has applied entry {consistent_index}, but the log in {self._directory} ends at "
                f"{self.last_index}: they do not belong together"
            )
        if consistent_index < self.snapshot_index:
            raise MigrationError(
                f"the backend has applied entry {consistent_index}, but the snapshot beside the log in "
                f"{self._directory} is of {self.snapshot_index}: what is between is lost. Restore a snapshot with "
                "`etcdzutl snapshot restore`"
            )

    def entries_behind_snapshot(self, until: int) -> Iterator[Any]:
        """raftpb.Entry of each, up to and with until."""
        at = max(self.snapshot_index + 1, self._first_index)
        while at <= until:
            entries = self._log.read_entries(at, until + 1, max_bytes=_READ_BYTES)
            yield from map(raftpb.Entry.FromString, entries)
            at += len(entries)

    def term_at(self, index: int) -> int:
        """Term of an entry. raises MigrationError: it is not in the log"""
        if index == self.snapshot_index:
            return self.snapshot_term
        if not self._first_index <= index <= self.last_index:
            self.check(index)
            raise MigrationError(f"entry {index} is not in the log in {self._directory}")
        return decode_position(self._log.read_entries(index, index + 1)[0])[0]

    def close(self) -> None:
        """Closes the log."""
        self._log.close()


def read_log(member: Path, original: Path) -> LogState:
    """The state of a log, to be closed by the caller.

    member     a directory with copies in wal and snap
    original   where the log itself is, for error texts
    raises     MigrationError
    """
    copied = str(member / "wal")
    try:
        start = open_newest(RealDisk(), copied, str(member / "snap"))
    except WalCorrupt as error:
        path = error.path.replace(copied, str(original))
        raise MigrationError(str(WalCorrupt(path, error.offset, error.why))) from None
    except (WalMismatch, IndexError) as error:
        raise MigrationError(f"no log to start from in {original}: {error}") from None
    return LogState(start, original)
