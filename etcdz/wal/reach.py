"""How much of a member's history its log holds, and so whether a lost store can be made again from it.

A log whose first entry is entry 1 is not enough: `snapshot restore` begins a log with the members, behind which lies
the state of the snapshot, in the store alone. There a snapshot's marker comes before anything that a client wrote.
"""

import posixpath
from collections.abc import Iterator
from typing import NamedTuple

from etcdz.proto import raftpb
from etcdz.wal import record as rec
from etcdz.wal.files import Disk
from etcdz.wal.record import BadRecord
from etcdz.wal.scan import Scan
from etcdz.wal.segment import Segment, list_segments, select_segments

ENTRY_NORMAL = 0


class Reach(NamedTuple):
    """Entries first_index to last_index are there. is_whole: they are all of the member's history. metadata: whose log
    it is, encoded."""

    first_index: int
    last_index: int
    is_whole: bool
    metadata: bytes


def read_reach(disk: Disk, directory: str) -> Reach | None:
    """Reads all of the log, and changes nothing. None: there is no log.

    raises WalCorrupt, WalMismatch, OSError
    """
    segments = list_segments(disk.list(directory)) if disk.exists(directory) else []
    if not segments:
        return None
    chosen = select_segments(segments, None)
    scan = Scan(chosen[0].first_index)
    begins_with_members = False
    for segment in chosen:
        path, data = _read(disk, directory, segment)
        scan.feed(data, path, segment.sequence, segment is chosen[-1])
        if segment is chosen[0]:
            begins_with_members = _begins_after_snapshot(data)
    live = scan.offsets.indexes[0] if scan.offsets.indexes else scan.last_index + 1
    first = max(live, chosen[0].first_index)
    return Reach(first, scan.last_index, first <= 1 and not begins_with_members, scan.metadata or b"")


def read_data(disk: Disk, directory: str) -> Iterator[tuple[int, bytes]]:
    """(index, data) of the normal entries that a log holds, those that were rewritten included. raises OSError

    Requires: read_reach has found nothing wrong
    """
    for segment in select_segments(list_segments(disk.list(directory)), None):
        for kind, record in _records(_read(disk, directory, segment)[1]):
            if kind == rec.ENTRY:
                entry = raftpb.Entry.FromString(record)
                if entry.Type == ENTRY_NORMAL and entry.Data:
                    yield entry.Index, entry.Data


def _read(disk: Disk, directory: str, segment: Segment) -> tuple[str, bytes]:
    """(path, all that the file holds)."""
    path = posixpath.join(directory, segment.name)
    file = disk.open(path, write=False)
    try:
        return path, file.read(0, file.size())
    finally:
        file.close()


def _records(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(type, data) of the records of a segment up to its end."""
    at = 0
    try:
        while True:
            frame = rec.decode_frame(data, at)
            yield frame.kind, data[frame.start : frame.stop]
            at = frame.after
    except BadRecord:  # the end
        return


def _begins_after_snapshot(data: bytes) -> bool:
    """Whether a snapshot's marker comes before the first entry that is no change of members."""
    for kind, record in _records(data):
        if kind == rec.SNAPSHOT and rec.decode_marker(record).snapshot_index:
            return True
        if kind == rec.ENTRY and raftpb.Entry.FromString(record).Type == ENTRY_NORMAL:
            return False
    return False
