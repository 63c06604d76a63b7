"""What lies in a data directory, and what a member's start has to do with it before its processes run.

Only names and sizes are looked at; nothing is changed. What could be meant in two ways is refused, with both names and
the way out: a start that guesses wrong serves an empty or an old store.
"""

import time
from enum import Enum
from pathlib import Path
from typing import Final

from etcdz.migration.errors import MigrationError
from etcdz.store import way_back
from etcdz.wal.segment import Segment, list_segments

ETCD: Final = "etcd"
ETCDZ: Final = "etcdz"
BUILDING: Final = "member.building"
MIGRATED: Final = "member.migrated"
OLD: Final = f"{MIGRATED}.old"
"""Passing name where two directories cannot change names in one step (exchange.py)."""
RESTORING: Final = "member.restoring"
"""What `snapshot restore` builds; it gets the name `member` when it is whole."""
EMPTY_STORE_BYTES: Final = 4096
"""Tables and logs of a store in which nothing has been applied are smaller."""
MARK: Final = "migrated"
"""A file in the new member directory until the old one has its last name: it tells which of two is the new one."""


class Work(Enum):
    """What is to be done before the start."""

    NONE = "nothing"
    TAKE_OVER = "etcd's data is to become etcdz's, or an earlier try of that is to be finished"


def kind_of(member: Path) -> str:
    """ETCD or ETCDZ: whose store a member directory holds. raises MigrationError: neither's, or both's"""
    has_db, has_leveldb = _stores(member)
    if has_db and has_leveldb:
        raise MigrationError(_both(member))
    if not (has_db or has_leveldb):
        raise MigrationError(f"{member}/snap holds neither db (etcd) nor leveldb (etcdz)")
    return ETCD if has_db else ETCDZ


def examine(top: Path, wal_dir: Path, may_take_over: bool) -> Work:
    """What a start with this data directory has to do first.

    wal_dir         where the log is to be, below top or elsewhere
    may_take_over   --takeover
    raises          MigrationError: it must not start
    Requires: the lock of the data directory is held, so that nothing in it is under way
    """
    member = top / "member"
    _check_restored(top)
    if _is_half_exchanged(top):
        return Work.TAKE_OVER
    has_db, has_leveldb = _stores(member)
    if has_db and has_leveldb:
        raise MigrationError(_both(member))
    if has_db:
        _check_takeover(top, member, wal_dir, may_take_over)
        return Work.TAKE_OVER
    _check_migrated(top)
    if has_leveldb:
        _check_has_log(wal_dir, member)
    else:
        _check_log(wal_dir, member)
    return Work.NONE


def has_log(wal_dir: Path) -> bool:
    """Whether a member has begun to keep its log there."""
    return bool(_segments(wal_dir))


def _stores(member: Path) -> tuple[bool, bool]:
    """Whether there is (etcd's, etcdz's)."""
    return (member / "snap" / "db").is_file(), way_back.is_there(member / "snap" / "leveldb")


def _is_half_exchanged(top: Path) -> bool:
    """Whether the new member directory is whole, and a kill came between the renames that put it in its place."""
    migrated = top / MIGRATED
    if (top / OLD).is_dir():
        return True
    if not migrated.is_dir():
        return False
    return not (migrated / MARK).exists() or not (top / "member").is_dir()


def _both(member: Path) -> str:
    snap = member / "snap"
    etcds = _written(snap / "db")
    ours = max((_written(path) for path in snap.glob("leveldb*/*")), default="never")
    return (
        f"{snap} holds both db and leveldb, etcd's data (last written {etcds}) and etcdz's (last written {ours}): "
        "remove or move away the one that is not in use. Without leveldb a start takes etcd's data over; without db "
        "it goes on with etcdz's"
    )


def _written(path: Path) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(path.stat().st_mtime))


def _check_restored(top: Path) -> None:
    restoring = top / RESTORING
    if restoring.exists():
        raise MigrationError(
            f"{restoring} is what a `snapshot restore` that did not come to its end has left: run it again, which "
            f"begins anew, or remove {restoring} to start with what else is there"
        )


def _check_takeover(top: Path, member: Path, wal_dir: Path, may_take_over: bool) -> None:
    if not may_take_over:
        raise MigrationError(
            f"{top} is a data directory of etcd, and --takeover is false: `etcdzutl migrate --data-dir {top}` makes "
            "it one of etcdz"
        )
    if not _segments(wal_dir):
        raise MigrationError(
            f"{member / 'snap' / 'db'} is etcd's data, but there is no log in {wal_dir}: give the --wal-dir that "
            "etcd had; or, if a restore did not come to its end, run it again, with `etcdzutl snapshot restore "
            f"--skip-hash-check {member / 'snap' / 'db'}` into a new directory if there is no other snapshot"
        )


def _check_migrated(top: Path) -> None:
    """What `migrate --to=etcd` has left is no part of this member; but then somebody wanted to go back to etcd."""
    for name in (BUILDING, MIGRATED):
        if (top / name).exists():
            raise MigrationError(
                f"{top / name} is what a `migrate` that did not come to its end has left: `etcdzutl migrate --data-dir "
                f"{top}` finishes it; or remove {top / name} to go on with etcdz"
            )


def _check_log(wal_dir: Path, member: Path) -> None:
    """Without a store the log must say everything from its first entry on."""
    segments = _segments(wal_dir)
    if segments and segments[0].first_index:
        raise MigrationError(
            f"the log in {wal_dir} begins at entry {segments[0].first_index}, and no store in {member / 'snap'} (db or "
            "leveldb) holds what was before: put that back, or restore a snapshot with `etcdzutl snapshot restore`"
        )


def _check_has_log(wal_dir: Path, member: Path) -> None:
    """NB: a first start that was killed may leave a store in which nothing is yet, and no log."""
    if _segments(wal_dir):
        return
    files = (member / "snap").glob("leveldb/*")
    held = sum(path.stat().st_size for path in files if path.suffix in (".ldb", ".sst", ".log"))
    if held >= EMPTY_STORE_BYTES:
        raise MigrationError(
            f"{member / 'snap' / 'leveldb'} holds a member's data, but there is no log in {wal_dir}: give the "
            "--wal-dir that it had, put the log back, or restore a snapshot with `etcdzutl snapshot restore`"
        )


def _segments(wal_dir: Path) -> list[Segment]:
    try:
        return list_segments([path.name for path in wal_dir.iterdir()])
    except (FileNotFoundError, NotADirectoryError):
        return []
