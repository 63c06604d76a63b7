"""What a member starts with: the newest .snap that its log vouches for, and the log from there on.

A .snap is written before the log is told of it, so after a crash the newest may be unknown to the log, or known to it
but not yet covered by its commit index. Such a one is passed over: what it stands for is still in the log.
Source: etcd 3.5 bootstrap (ValidSnapshotEntries, LoadNewestAvailable).
"""

import posixpath
from typing import NamedTuple

from etcdz.wal import snap as snaps
from etcdz.wal.files import Disk, WalCorrupt, WalMismatch
from etcdz.wal.log import DEFAULTS, Log, LogOptions, Recovered
from etcdz.wal.resume_point import ResumePoint
from etcdz.wal.snap import Snap, SnapBroken


class Start(NamedTuple):
    """snap: None if there is none, the log then begins at entry 1. skipped: (name of a newer .snap, why not it)."""

    log: Log
    recovered: Recovered
    snap: Snap | None
    skipped: list[tuple[str, str]]


def open_newest(
    disk: Disk,
    log_directory: str,
    snap_directory: str,
    options: LogOptions = DEFAULTS,
    resume: ResumePoint | None = None,
) -> Start:
    """Opens the log at the newest .snap that fits it.

    resume    of an earlier wal process of this run of the member; if it does not fit, everything is read as without it
    Requires: there is a log
    raises    WalCorrupt, WalInUse; WalMismatch: neither a .snap nor the first entry fits
    """
    start = _open_resumed(disk, log_directory, snap_directory, options, resume) if resume is not None else None
    return start or _open_whole(disk, log_directory, snap_directory, options)


def _open_resumed(
    disk: Disk, log_directory: str, snap_directory: str, options: LogOptions, resume: ResumePoint
) -> Start | None:
    names = snaps.list_snaps(disk, snap_directory)
    try:
        snap = snaps.load(disk, posixpath.join(snap_directory, names[0])) if names else None
        position = (snap.index, snap.term) if snap is not None else (0, 0)
        log, recovered = Log.open(disk, log_directory, position, options, resume)
    except (SnapBroken, WalMismatch, WalCorrupt):
        return None
    if snap is None or position in recovered.markers:
        return Start(log, recovered, snap, [])
    log.close()
    return None


def _open_whole(disk: Disk, log_directory: str, snap_directory: str, options: LogOptions) -> Start:
    skipped = []
    torn = None
    for name in snaps.list_snaps(disk, snap_directory):
        try:
            snap = snaps.load(disk, posixpath.join(snap_directory, name))
            log, recovered = Log.open(disk, log_directory, (snap.index, snap.term), options)
        except (SnapBroken, WalMismatch) as e:
            skipped.append((name, str(e)))
            continue
        torn = torn or recovered.torn  # what one attempt has cut off, the next does not see
        if (snap.index, snap.term) in recovered.markers:
            return Start(log, recovered._replace(torn=torn), snap, skipped)
        log.close()
        skipped.append((name, f"wal: snapshot {snap.index} is not committed"))
    log, recovered = Log.open(disk, log_directory, (0, 0), options)
    return Start(log, recovered._replace(torn=torn or recovered.torn), None, skipped)
