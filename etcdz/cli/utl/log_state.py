"""What a log and its .snap files say, as far as a migration needs it. Read from a copy: opening a log mends it."""

import json
from pathlib import Path
from typing import Any

from etcdz.cli.command_tree import CommandError
from etcdz.proto import etcdserverpb as pb
from etcdz.wal.disk import RealDisk
from etcdz.wal.files import WalCorrupt, WalMismatch
from etcdz.wal.log import Log
from etcdz.wal.record import decode_position
from etcdz.wal.start import Start, open_newest


class LogState:
    """Whose log it is, its newest snapshot that counts, and the entries behind that."""

    def __init__(self, start: Start, directory: Path) -> None:
        metadata = pb.Metadata.FromString(start.recovered.metadata)
        self.member_id: int = metadata.NodeID
        self.cluster_id: int = metadata.ClusterID
        self.snapshot_index = start.snap.index if start.snap else 0
        self.snapshot_term = start.snap.term if start.snap else 0
        self.last_index = start.recovered.last_index
        self.has_v2_keys = _has_v2_keys(start.snap.data) if start.snap else False
        self._directory = directory
        self._first_index = start.recovered.first_index
        self._log: Log = start.log

    def check(self, consistent_index: int) -> None:
        """Whether the backend is of this log. raises CommandError"""
        if consistent_index > self.last_index:
            raise CommandError(
                f"the backend has applied entry {consistent_index}, but the log in {self._directory} ends at "
                f"{self.last_index}: they do not belong together"
            )
        if consistent_index < self.snapshot_index:
            raise CommandError(
                f"the backend has applied entry {consistent_index}, but the snapshot beside the log in "
                f"{self._directory} is of {self.snapshot_index}: what is between is lost"
            )

    def term_at(self, index: int) -> int:
        """Term of an entry. raises CommandError: it is not in the log"""
        if index == self.snapshot_index:
            return self.snapshot_term
        if not self._first_index <= index <= self.last_index:
            self.check(index)
            raise CommandError(f"entry {index} is not in the log in {self._directory}")
        return decode_position(self._log.read_entries(index, index + 1)[0])[0]

    def close(self) -> None:
        self._log.close()


def read_log(member: Path, original: Path) -> LogState:
    """member: a directory with copies in wal and snap. original: where the log is, for words. raises CommandError"""
    copied = str(member / "wal")
    try:
        start = open_newest(RealDisk(), copied, str(member / "snap"))
    except WalCorrupt as error:
        path = error.path.replace(copied, str(original))
        raise CommandError(str(WalCorrupt(path, error.offset, error.why))) from None
    except (WalMismatch, IndexError) as error:
        raise CommandError(f"no log to start from in {original}: {error}") from None
    return LogState(start, original)


def _has_v2_keys(data: bytes) -> bool:
    """Whether a .snap holds keys of the v2 API. raises CommandError"""
    try:
        root: Any = json.loads(data)["Root"]["Children"]
        return bool(root["1"]["Children"])
    except (ValueError, KeyError, TypeError):
        raise CommandError("the newest .snap does not hold a v2 store: it is not of etcd 3.4 or 3.5") from None
