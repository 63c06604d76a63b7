"""What a log and its .snap files say, as far as a migration needs it. Read from a copy: opening a log mends it."""

from pathlib import Path
from typing import Final

from google.protobuf.message import DecodeError

from etcdz.cluster.v2snapshot import V2Keys
from etcdz.migration.errors import MigrationError
from etcdz.proto import etcdserverpb as pb
from etcdz.proto import raftpb
from etcdz.store.disk import RealDisk
from etcdz.wal.files import WalCorrupt, WalMismatch
from etcdz.wal.log import Log
from etcdz.wal.record import decode_position
from etcdz.wal.start import Start, open_newest

_V2_WRITES: Final = ("PUT", "POST", "DELETE")
_CLUSTER_PATH: Final = "/0/"
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
        self.v2_keys = _v2_keys(self.snapshot_data) if start.snap else None
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

    def check_v2_keys(self) -> None:
        """raises MigrationError: entries behind the .snap write keys of the v2 API, which etcd keeps in memory only"""
        at = max(self.snapshot_index + 1, self._first_index)
        while at <= self.last_index:
            entries = self._log.read_entries(at, max_bytes=_READ_BYTES)
            number = next((at + n for n, entry in enumerate(entries) if _writes_v2_keys(entry)), None)
            if number is not None:
                raise MigrationError(
                    f"entry {number} writes a key of the v2 API, and the newest snapshot is of {self.snapshot_index}: "
                    "start etcd once more with --snapshot-count=1, put a key of the v3 API twice, and stop it"
                )
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


def _v2_keys(data: bytes) -> V2Keys | None:
    """What a .snap holds of the v2 API. raises MigrationError"""
    try:
        return V2Keys.of_snapshot(data)
    except ValueError:
        raise MigrationError("the newest .snap does not hold a v2 store: it is not of etcd 3.4 or 3.5") from None


def _writes_v2_keys(entry: bytes) -> bool:
    """Whether it changes keys of the v2 API. Ends of TTLs do not count: they come again once the keys are loaded."""
    data = raftpb.Entry.FromString(entry).Data
    try:
        pb.InternalRaftRequest.FromString(data)
        return False
    except DecodeError:  # its path, which begins with a slash, is no RangeRequest
        request = pb.Request.FromString(data)
    return request.Method in _V2_WRITES and not request.Path.startswith(_CLUSTER_PATH)
