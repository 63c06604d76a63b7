"""Opens `member/snap/leveldb`, and says which member's it is. Nothing that was good is destroyed on the way.

    whole, or torn as by a crash     opened; what it lacks comes from the log, as always
    damaged, or not there            made again from what is sound and from the log, where these have everything
                                     (rebuilding.py); else the member does not start, and nothing has been changed

A store that was replaced is kept beside the new one. Only a member's own start replaces anything, and only it reads
every byte: in a life that goes on raft has no longer the entries that would be needed, and a backend that starts again
must not take long. What a restart cannot mend raises FatalError.
"""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import msgpack

from actors.backend import rebuilding
from actors.backend.rebuilding import Place
from actors.runtime.founding import check_present
from actors.runtime.loop import FatalError
from etcdz import ETCD_VERSION
from etcdz.cluster.membership import Membership
from etcdz.cluster.versions import is_beyond
from etcdz.config import MemberConfig
from etcdz.ipc.boot import Boot
from etcdz.mvcc.loading import StoreCorrupt
from etcdz.store import buckets, checkpoint, received, storage_version, way_back
from etcdz.store.ballast import Ballast
from etcdz.store.inspection import Damage, is_new
from etcdz.store.interface import Store
from etcdz.store.leveldb import (
    DAMAGED,
    SWITCH_BYTES,
    LevelStore,
    StoreBroken,
    StoreDamaged,
    describe,
    is_damage,
)
from etcdz.store.table import find_bad_table

T = TypeVar("T")

NAME = "leveldb"
SWITCH_BYTES_MIN = 1 << 20
LOOK_S = 3.0
"""How long a backend that is about to end looks for the damaged table: it sends no heartbeats meanwhile."""
DAMAGED_IN_USE = (*DAMAGED, StoreCorrupt)
"""What tells a backend at work that its store is not what was written to it."""


def open_directory(config: MemberConfig, boot: Boot) -> Ballast:
    """Makes the store's directory. return the file that holds disk space for the store. raises FatalError

    The ballast is looked at first: on a full disk the store needs that space to open.
    """
    directory = _directory(config)
    try:
        received.finish(directory / NAME)
        check_present(boot, "the store", directory / NAME, not is_new(directory / NAME))
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        ballast = Ballast(directory)
        ballast.check()
        checkpoint.remove_stale(directory)
    except OSError as error:
        raise FatalError(f"cannot open the backend in {directory}: {error}") from error
    return ballast


def open_store(config: MemberConfig, boot: Boot, load: Callable[[LevelStore], T], log: Any) -> T:
    """What load makes of the member's store.

    load      may raise StoreDamaged, StoreCorrupt, FatalError
    raises    FatalError: what is wrong with which file, and what to do
    Requires: open_directory
    """
    directory = _directory(config)
    place = Place(directory / NAME, config.wal_path, directory, boot.may_found)
    switch = switch_bytes(config.quota_bytes)
    try:
        way_back.finish(place.store)
        if is_new(place.store):
            rebuilding.begin_missing(place, log)
        try:
            return _load(place, switch, load)
        except StoreDamaged as error:
            damage = _located(error.damage)
            aside = rebuilding.replace(place, damage)
            log.warn("the store was damaged, what it lacks comes from the log", damage=str(damage), kept=str(aside))
            return _load(place, switch, load)
    except StoreDamaged as error:
        raise FatalError(f"cannot open the backend: {_located(error.damage)}") from error
    except OSError as error:
        raise FatalError(f"cannot open the backend in {place.store}: {error}") from error


def describe_damage(store: Path, error: BaseException) -> str:
    """Why a backend that was at work must end: the file, and what to do. error: one of DAMAGED_IN_USE"""
    damage = _damage(store, error)
    if damage.path.is_dir():
        damage = find_bad_table(damage.path, LOOK_S) or damage
    return f"the backend cannot read its data: {damage}. Start the member again: it says what can be done"


def store_path(config: MemberConfig) -> Path:
    """Where the member's store is."""
    return _directory(config) / NAME


def _directory(config: MemberConfig) -> Path:
    return Path(config.data_dir) / "member" / "snap"


def _load(place: Place, switch: int, load: Callable[[LevelStore], T]) -> T:
    """raises StoreDamaged, FatalError: the files are as they were, at a member's own start. StoreBroken"""
    prepare = way_back.prepare if place.may_replace else None
    try:
        store = LevelStore(place.store, switch_bytes=switch, prepare=prepare)
    except StoreBroken:
        way_back.go_back(place.store)
        raise
    try:
        loaded = load(store)
        if place.may_replace and store.was_cut:
            rebuilding.check_continued(place, store)
    except (*DAMAGED_IN_USE, OSError, FatalError) as error:
        with suppress(StoreBroken):
            store.close()
        way_back.go_back(place.store)
        if isinstance(error, StoreCorrupt) or is_damage(error):
            raise StoreDamaged(_damage(place.store, error)) from error
        if isinstance(error, FatalError):
            raise
        raise StoreBroken(f"{place.store}: {describe(error)}") from error
    way_back.forget(place.store)
    return loaded


def _damage(store: Path, error: BaseException) -> Damage:
    if isinstance(error, StoreDamaged):
        return error.damage
    return Damage(store, describe(error))


def _located(damage: Damage) -> Damage:
    """With the file, if only the directory is known and a table is what is damaged."""
    return (damage.path.is_dir() and find_bad_table(damage.path)) or damage


def check_format(store: Store, directory: Path) -> None:
    """raises FatalError: the store is marked as one of a newer etcd; what its rows mean is not known here"""
    problem = storage_version.newer(store.get(buckets.STORAGE_VERSION))
    if problem:
        raise FatalError(f"the backend in {directory} {problem}")


def identity(store: Store, config: MemberConfig) -> tuple[int, int]:
    """(member id, cluster id): decided once, before the first start, then kept in the store.

    What an earlier start left that ended before it had a log counts no more: the supervisor has decided anew.
    """
    row = store.get(buckets.IDENTITY)
    has_begun = config.founding is None or store.get(buckets.CONSISTENT_INDEX) is not None
    if row is not None and has_begun:
        member_id, cluster_id = msgpack.unpackb(row)
        return member_id, cluster_id
    member_id, cluster_id = config.member_id, config.cluster_id
    store.write({buckets.IDENTITY: msgpack.packb((member_id, cluster_id))}, sync=True)
    return member_id, cluster_id


def check_version(membership: Membership) -> None:
    """raises FatalError: the cluster has agreed on what only newer members understand"""
    version = membership.version or ""
    if is_beyond(version, ETCD_VERSION):
        raise FatalError(
            f"invalid downgrade; server version is lower than determined cluster version: this is {ETCD_VERSION}, and "
            f"the cluster is at {version}"
        )


def switch_bytes(quota_bytes: int) -> int:
    """How large LevelDB's log may get. What is overwritten counts until the log goes into tables: under a small quota
    that must not be much."""
    return min(SWITCH_BYTES, max(SWITCH_BYTES_MIN, quota_bytes // 8)) if quota_bytes else SWITCH_BYTES
