"""Builds a member directory of the other kind beside the old one, which stays as it is.

Log and .snap files are the same for etcd and etcdz; what differs is the backend: `member/snap/db`, a bbolt file, or
`member/snap/leveldb`. Entries that the log holds beyond the backend's consistent index are applied by the member that
starts next, as after any crash.

Keys of the v2 API are in the .snap files alone, and in the entries of the log behind them: a store of etcdz has them in
rows of their own (v2_replay.py). On the way back etcd finds them where it looks for them: in the newest .snap and the
log.
"""

import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import msgpack

from etcdz.bbolt import PAGE_BYTES, BoltFile
from etcdz.bbolt.writer import HEAD_PAGES
from etcdz.cluster.membership import CONF_STATE_KEY, Membership
from etcdz.migration.errors import MigrationError
from etcdz.migration.files import fill, identity_row, open_database, sync_tree
from etcdz.migration.inventory import MARK
from etcdz.migration.log_state import LogState, read_log
from etcdz.migration.v2_members import member_rows
from etcdz.migration.v2_replay import v2_store_at
from etcdz.mvcc.bolt_rows import file_rows, write_file
from etcdz.proto.fields import record_key
from etcdz.store import buckets
from etcdz.store.disk import RealDisk
from etcdz.store.leveldb import LevelStore
from etcdz.v2 import rows as v2_rows
from etcdz.wal.snap import index_of, list_snaps

_BUFFER_BYTES: Final = 1 << 20


class Built(NamedTuple):
    """What a new member directory holds.

    applied    the entry up to which its backend has applied the log
    keys       that are there at the last revision
    revisions  changes of keys, tombstones included
    data_bytes of all rows
    """

    applied: int
    keys: int = 0
    revisions: int = 0
    data_bytes: int = 0


class Tally:
    """Counts rows as they pass. revisions may be read meanwhile, by another thread."""

    def __init__(self) -> None:
        self.revisions = 0
        self.data_bytes = 0
        self._keys: set[bytes] = set()

    def through(self, rows: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
        """Rows of a store, in order, untouched."""
        keys, tombstone_bytes = self._keys, buckets.TOMBSTONE_KEY_BYTES
        for row in rows:
            name, value = row
            self.data_bytes += len(name) + len(value)
            if name.startswith(buckets.KEY):
                self.revisions += 1
                if len(name) == tombstone_bytes:
                    keys.discard(record_key(value))
                else:
                    keys.add(record_key(value))
            yield row

    def built(self, index: int) -> Built:
        return Built(index, len(self._keys), self.revisions, self.data_bytes)


def to_etcdz(source: Path, wal_dir: Path, building: Path, copy_log: bool, tally: Tally) -> Built:
    """A whole member directory of etcdz, synced, out of etcd's.

    source      etcd's member directory
    wal_dir     where its log is
    building    does not exist yet
    copy_log    False: the log stays where it is, and building holds none
    raises      MigrationError, BoltCorrupt, StoreBroken, ValueError, OSError
    """
    _copy_logs(source, wal_dir, building)
    state = read_log(building, wal_dir)
    try:
        database = _database(source / "snap", state)
        file, opened = open_database(str(database))
        try:
            index = _applied_by(file)
            if index < state.snapshot_index:
                state = _older_log(state, building, wal_dir, index)
            state.check(index)
            _write_store(file, building / "snap" / "leveldb", state, index, tally)
        finally:
            opened.close()
    finally:
        state.close()
    _finish(building, copy_log)
    return tally.built(index)


def to_etcd(source: Path, wal_dir: Path, building: Path, copy_log: bool) -> Built:
    """A whole member directory of etcd, synced, out of etcdz's; arguments and errors as to_etcdz has them."""
    _copy_logs(source, wal_dir, building)
    state = read_log(building, wal_dir)
    try:
        index = _write_database(source / "snap" / "leveldb", building / "snap" / "db", state)
    finally:
        state.close()
    _finish(building, copy_log)
    return Built(index)


# ---- log and .snap files ----


def _copy_logs(source: Path, wal_dir: Path, building: Path) -> None:
    (building / "snap").mkdir(mode=0o700, parents=True)
    _copy(wal_dir, building / "wal", "*.wal")
    _copy(source / "snap", building / "snap", "*.snap")


def _copy(source: Path, target: Path, pattern: str) -> None:
    target.mkdir(mode=0o700, exist_ok=True)
    for path in sorted(source.glob(pattern)):
        shutil.copyfile(path, target / path.name)
        (target / path.name).chmod(0o600)


def _older_log(state: LogState, building: Path, wal_dir: Path, index: int) -> LogState:
    """The log from an older .snap on, where the newest is of an entry that the backend has not applied.

    What is between is in the log, as long as that reaches back so far. raises MigrationError: it does not
    """
    newest = state.snapshot_index
    state.close()
    snap_dir = building / "snap"
    for name in list_snaps(RealDisk(), str(snap_dir)):
        if index_of(name) > index:
            (snap_dir / name).unlink()
    try:
        return read_log(building, wal_dir)
    except MigrationError as error:
        raise MigrationError(
            f"etcd's backend has applied entry {index}, but its newest .snap is of {newest}, and what is between is "
            f"not in the log ({error}): restore a snapshot, with `etcdzutl snapshot restore`"
        ) from None


def _finish(building: Path, copy_log: bool) -> None:
    if not copy_log:
        shutil.rmtree(building / "wal")
    (building / MARK).touch(0o600)
    sync_tree(building)


# ---- etcd to etcdz ----


def _database(snap_dir: Path, state: LogState) -> Path:
    """The database file, or the newer one that came with a snapshot from the leader and is not in its place yet."""
    received = snap_dir / f"{state.snapshot_index:016x}.snap.db"
    return received if received.is_file() else snap_dir / "db"


def _applied_by(file: BoltFile) -> int:
    return int.from_bytes(value_in(file, buckets.CONSISTENT_INDEX) or b"", "big")


def value_in(file: BoltFile, name: bytes) -> bytes | None:
    """What a database holds under a name of the store. raises BoltCorrupt"""
    bucket_name, _, wanted = name.partition(b"\0")
    bucket = file.find(bucket_name)
    if bucket is None:
        return None
    return next((value for key, value in file.rows(bucket) if key == wanted), None)


def _write_store(file: BoltFile, target: Path, state: LogState, index: int, tally: Tally) -> None:
    """The rows of etcd's database, and what only etcdz writes: whose it is, the term, and the conf state of 3.4."""
    store = LevelStore(target)
    try:
        fill(store, tally.through(file_rows(file)))
        membership = _membership(store, state)
        own = dict([identity_row(state.member_id, state.cluster_id)])
        own[buckets.TERM] = state.term_at(index).to_bytes(8, "big")
        own[buckets.META + CONF_STATE_KEY] = membership.conf_state_json()
        fill(store, own.items())
        fill(store, v2_rows.all_rows(v2_store_at(state, index)))
    finally:
        store.close()


def _membership(store: LevelStore, state: LogState) -> Membership:
    """As the database has it, or, where `snapshot restore` of etcd 3.4 has taken it out, the .snap."""
    membership = Membership.load(store, state.member_id, state.cluster_id)
    if not membership.by_id and state.snapshot_data:
        fill(store, member_rows(state.snapshot_data))
        membership = Membership.load(store, state.member_id, state.cluster_id)
    return membership


# ---- etcdz to etcd ----


def _write_database(source: Path, target: Path, state: LogState) -> int:
    """A database file with all of etcd's buckets. return how far it has applied the log"""
    store = LevelStore(source)
    try:
        _check_identity(store, source, state)
        index = int.from_bytes(store.get(buckets.CONSISTENT_INDEX) or b"", "big")
        state.check(index)
        with open(target, "wb", buffering=_BUFFER_BYTES) as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(bytes(HEAD_PAGES * PAGE_BYTES))
            layout = write_file(store, file.write)
            file.seek(0)
            file.write(layout.head())
        return index
    finally:
        store.close()


def _check_identity(store: LevelStore, source: Path, state: LogState) -> None:
    row = store.get(buckets.IDENTITY)
    if row is None:
        raise MigrationError(f"{source} was never used by a member")
    if tuple(msgpack.unpackb(row)) != (state.member_id, state.cluster_id):
        raise MigrationError(f"{source} and the log are of different members")
