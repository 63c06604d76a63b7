"""`migrate`: the data directory of a stopped etcd (3.4 or 3.5) becomes one of etcdz, or the other way round.

Log and .snap files are the same for both; what differs is the backend: `member/snap/db` or `member/snap/leveldb`. The
new member directory is built beside the old one with copies of all that it needs, so the old one stays as it is:

    member.building    while it is built; removed by the next try
    member.migrated    whole and synced; then it and `member` change names, in one step where the system can
    member.was-etcd    what was migrated (or .was-etcdz, .was-etcd.2, ..), to go back to it

Keys of the v2 API are in the .snap files. etcdz does not serve them; it keeps them, and hands them on with every .snap
that it writes, so that they are there again after the way back.

Entries that the log holds beyond the backend's consistent index are applied by the member that starts next, as after
any crash.
"""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgpack

from etcdz.bbolt import PAGE_BYTES, BoltCorrupt
from etcdz.bbolt.writer import HEAD_PAGES
from etcdz.cli.command_tree import CommandError
from etcdz.cli.utl.exchange import exchange
from etcdz.cli.utl.files import fill, identity_row, open_file, sync_directory, sync_tree
from etcdz.cli.utl.log_state import LogState, read_log
from etcdz.cluster.membership import CONF_STATE_KEY, Membership
from etcdz.mvcc.bolt_rows import file_rows, write_file
from etcdz.store import buckets
from etcdz.store.leveldb import LevelStore, StoreBroken

ETCD: Final = "etcd"
ETCDZ: Final = "etcdz"
BUILDING: Final = "member.building"
MIGRATED: Final = "member.migrated"
OLD: Final = f"{MIGRATED}.old"
"""Passing name where two directories cannot change names in one step (exchange.py)."""
MARK: Final = "migrated"
"""A file in the new member directory until the old one has its last name: it tells which of two is the new one."""
_BUFFER_BYTES: Final = 1 << 20


def run(data_dir: str, wal_dir: str, to: str) -> int:
    """to: etcd, etcdz or "". raises CommandError"""
    if to not in (ETCD, ETCDZ, ""):
        raise CommandError(f'--to must be {ETCD} or {ETCDZ}, not "{to}"')
    top = Path(data_dir)
    if not top.is_dir():
        raise CommandError(f"stat {data_dir}: no such directory")
    try:
        with _hold(top):
            print(_migrate(top, Path(wal_dir) if wal_dir else None, to))
    except (BoltCorrupt, StoreBroken, ValueError, OSError) as error:
        raise CommandError(str(error)) from None
    return 0


def _migrate(top: Path, wal_dir: Path | None, to: str) -> str:
    """return what was done, in words."""
    done = _settle(top)
    if done:
        return done
    source = top / "member"
    kind = _kind(source)
    target = to or (ETCDZ if kind == ETCD else ETCD)
    if kind == target:
        return f"{top} is a data directory of {kind} already"
    with _hold_backend(source, kind):
        building = top / BUILDING
        try:
            index = _build(source, wal_dir or source / "wal", building, target, copy_log=wal_dir is None)
        except BaseException:
            shutil.rmtree(building, ignore_errors=True)
            raise
        building.rename(top / MIGRATED)
        sync_directory(top)
        exchange(top / "member", top / MIGRATED)
        sync_directory(top)
    kept = _set_aside(top, kind)
    return f"{top}: from {kind} to {target} at index {index}; kept: {kept}"


# ---- what is there ----


def _kind(member: Path) -> str:
    """raises CommandError: neither, or both"""
    has_db, has_leveldb = (member / "snap" / "db").is_file(), (member / "snap" / "leveldb").is_dir()
    if has_db and has_leveldb:
        raise CommandError(f"{member}/snap holds both db and leveldb: remove or move away the one that is not in use")
    if not (has_db or has_leveldb):
        raise CommandError(f"{member}/snap holds neither db (etcd) nor leveldb (etcdz)")
    return ETCD if has_db else ETCDZ


def _settle(top: Path) -> str:
    """Finishes or takes back what an earlier try has left. return what was done, "" if there is all to do."""
    shutil.rmtree(top / BUILDING, ignore_errors=True)
    member, migrated, old = top / "member", top / MIGRATED, top / OLD
    if not member.is_dir() and (migrated / MARK).exists():  # between two renames
        migrated.rename(member)
    if old.is_dir():
        old.rename(migrated)
    if not migrated.is_dir():
        (member / MARK).unlink(missing_ok=True)
        return ""
    if (migrated / MARK).exists():
        shutil.rmtree(migrated)  # whole, but its turn never came
        return ""
    kept = _set_aside(top, _kind(migrated))
    return f"{top}: the migration to {_kind(member)} is finished now; kept: {kept}"


def _set_aside(top: Path, kind: str) -> Path:
    """Gives the old member directory its last name."""
    number = 1
    kept = top / f"member.was-{kind}"
    while kept.exists():
        number += 1
        kept = top / f"member.was-{kind}.{number}"
    (top / MIGRATED).rename(kept)
    sync_directory(top)
    (top / "member" / MARK).unlink()
    return kept


# ---- locks ----


@contextlib.contextmanager
def _hold(top: Path) -> Iterator[None]:
    """The lock of an etcdz member. raises CommandError: one runs"""
    fd = os.open(top / "etcdz.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _flock(fd, f"data directory {top} is in use by a running etcdz")
        yield
    finally:
        os.close(fd)


@contextlib.contextmanager
def _hold_backend(member: Path, kind: str) -> Iterator[None]:
    """etcd's lock is on its database file; LevelDB has its own."""
    if kind == ETCDZ:
        yield
        return
    fd = os.open(member / "snap" / "db", os.O_RDWR | os.O_CLOEXEC)
    try:
        _flock(fd, f"{member / 'snap' / 'db'} is in use by a running etcd")
        yield
    finally:
        os.close(fd)


def _flock(fd: int, refusal: str) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise CommandError(refusal) from None


# ---- building ----


def _build(source: Path, wal_dir: Path, building: Path, target: str, copy_log: bool) -> int:
    """A whole member directory for target, synced. return how far its backend has applied the log"""
    (building / "snap").mkdir(mode=0o700, parents=True)
    _copy(wal_dir, building / "wal", "*.wal")
    _copy(source / "snap", building / "snap", "*.snap")
    state = read_log(building, wal_dir)
    try:
        convert = _to_etcdz if target == ETCDZ else _to_etcd
        index = convert(source / "snap", building / "snap", state)
    finally:
        state.close()
    if not copy_log:
        shutil.rmtree(building / "wal")
    (building / MARK).touch(0o600)
    sync_tree(building)
    return index


def _copy(source: Path, target: Path, pattern: str) -> None:
    target.mkdir(mode=0o700, exist_ok=True)
    for path in sorted(source.glob(pattern)):
        shutil.copyfile(path, target / path.name)
        (target / path.name).chmod(0o600)


def _to_etcdz(source: Path, target: Path, state: LogState) -> int:
    """The rows of etcd's database, and those that only etcdz writes: its member and cluster, the term, and the conf
    state that etcd 3.4 lacks."""
    state.check_v2_keys()
    file, opened = open_file(str(_database(source, state)))
    store = LevelStore(target / "leveldb")
    try:
        fill(store, file_rows(file))
        index = _consistent_index(store)
        state.check(index)
        membership = Membership.load(store, state.member_id, state.cluster_id)
        own = dict([identity_row(state.member_id, state.cluster_id)])
        own[buckets.TERM] = state.term_at(index).to_bytes(8, "big")
        own[buckets.META + CONF_STATE_KEY] = membership.conf_state_json()
        if state.v2_keys:
            own[buckets.V2_KEYS] = state.v2_keys.encode()
        fill(store, own.items())
        return index
    finally:
        opened.close()
        store.close()


def _database(source: Path, state: LogState) -> Path:
    """The database file, or the newer one that came with a snapshot from the leader and is not in its place yet."""
    received = source / f"{state.snapshot_index:016x}.snap.db"
    return received if received.is_file() else source / "db"


def _to_etcd(source: Path, target: Path, state: LogState) -> int:
    """A database file with all of etcd's buckets."""
    store = LevelStore(source / "leveldb")
    try:
        _check_identity(store, source, state)
        index = _consistent_index(store)
        state.check(index)
        with open(target / "db", "wb", buffering=_BUFFER_BYTES) as file:
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
        raise CommandError(f"{source / 'leveldb'} was never used by a member")
    if tuple(msgpack.unpackb(row)) != (state.member_id, state.cluster_id):
        raise CommandError(f"{source / 'leveldb'} and the log are of different members")


def _consistent_index(store: LevelStore) -> int:
    return int.from_bytes(store.get(buckets.CONSISTENT_INDEX) or b"", "big")
