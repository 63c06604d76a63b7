"""Opens the store at a start: nothing that was good is destroyed, and what the log still holds is made again.

    whole, or torn as by a crash                     opened; what is missing comes from the log, as always
    a log of the store damaged or missing            a copy without what follows the damage takes the store's place, if
                                                     the write-ahead log has all that the copy lacks
    anything damaged, the log holds all of history   an empty store takes its place, all entries are applied again
    else                                             the member does not start, and nothing has been changed

A store that was replaced is kept beside the new one. Only a member's own start replaces anything: raft, in a life that
goes on, has no longer the entries that would be needed.
"""

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgpack

from actors.runtime.loop import FatalError
from etcdz.mvcc.loading import StoreCorrupt
from etcdz.proto import etcdserverpb as pb
from etcdz.store import buckets, way_back
from etcdz.store.checkpoint import fill
from etcdz.store.inspection import Damage, inspect
from etcdz.store.leveldb import DAMAGED, LevelStore, StoreBroken, StoreDamaged
from etcdz.store.table import find_bad_block
from etcdz.wal.disk import RealDisk
from etcdz.wal.files import WalCorrupt, WalMismatch
from etcdz.wal.reach import Reach, read_reach

T = TypeVar("T")
NAME = "leveldb"
OPENED = "backend.opened"
"""File in the run directory, which lives as long as the member: a backend has opened the store in this life."""


class Place(NamedTuple):
    """store, wal: directories. run_dir: "" where there is none. switch_bytes: of LevelStore."""

    store: Path
    wal: str
    run_dir: str
    switch_bytes: int


def open_store(place: Place, load: Callable[[LevelStore], T], log: Any) -> T:
    """What load makes of the store, which reads all of it.

    load      may raise StoreDamaged or StoreCorrupt
    raises    FatalError: what is wrong with which file, and what to do
    """
    try:
        way_back.finish(place.store)
        _check_presence(place)
        try:
            found = _load(place, load)
        except StoreDamaged as error:
            aside = _replace(place, _located(error.damage))
            log.warn("the store was damaged, what it lacks comes from the log", damage=str(error), kept=str(aside))
            found = _load(place, load)
    except StoreDamaged as error:
        raise FatalError(f"cannot open the backend: {_located(error.damage)}") from error
    except OSError as error:
        raise FatalError(f"cannot open the backend in {place.store}: {error}") from error
    if place.run_dir:
        (Path(place.run_dir) / OPENED).touch()
    return found


def describe_damage(store: Path, error: BaseException) -> str:
    """For a read that has failed: the file, and what to do."""
    damage = error.damage if isinstance(error, StoreDamaged) else Damage(store, "a block has another checksum")
    return f"the backend found damaged data: {_located(damage)}; start the member again: it says what can be done"


def _load(place: Place, load: Callable[[LevelStore], T]) -> T:
    """raises StoreDamaged: the files are as they were. StoreBroken"""
    found = inspect(place.store)
    if found.damage is not None:
        raise StoreDamaged(found.damage)
    if not found.is_new:
        way_back.prepare(place.store)
    try:
        store = LevelStore(place.store, switch_bytes=place.switch_bytes)
    except StoreBroken:
        way_back.go_back(place.store)
        raise
    try:
        loaded = load(store)
    except (*DAMAGED, StoreCorrupt) as error:
        damage = error.damage if isinstance(error, StoreDamaged) else Damage(place.store, str(error))
        bad = _bad_table(place.store)
        with suppress(StoreBroken):
            store.close()
        way_back.go_back(place.store)
        raise StoreDamaged(bad or damage) from error
    way_back.forget(place.store)
    return loaded


def _bad_table(store: Path) -> Damage | None:
    for path in sorted(store.glob("*.ldb")):
        if why := find_bad_block(path):
            return Damage(path, why)
    return None


def _located(damage: Damage) -> Damage:
    """With the file, if only the directory is known and a table is what is damaged."""
    return (damage.path.is_dir() and _bad_table(damage.path)) or damage


def _check_presence(place: Place) -> None:
    """A store that is not there is right for a new member, or where the log holds all of history. raises FatalError"""
    if not inspect(place.store).is_new:
        return
    if _in_life(place):
        raise FatalError(f"{place.store} was there when the member started, and is gone")
    try:
        reach = read_reach(RealDisk(), place.wal)
    except (WalCorrupt, WalMismatch, OSError):
        return  # the wal says what is wrong with its log, and the member ends
    if reach is not None and reach.last_index and not reach.is_whole:
        raise FatalError(f"there is no store in {place.store}. {_said(reach)} {_WAY_OUT}")


def _in_life(place: Place) -> bool:
    return bool(place.run_dir) and (Path(place.run_dir) / OPENED).exists()


def _replace(place: Place, damage: Damage) -> Path:
    """Puts a store in place that the log can bring up to date. return what the damaged one is called now

    raises FatalError: there is none; nothing has been changed
    """
    if _in_life(place):
        raise FatalError(f"the store is damaged: {damage}. Start the member again: it says what can be done")
    try:
        reach = read_reach(RealDisk(), place.wal)
    except (WalCorrupt, WalMismatch, OSError) as error:
        raise FatalError(f"the store is damaged: {damage}; and so is the log: {error}. {_WAY_OUT}") from error
    lacks = ""
    if reach is not None and damage.log:
        copy, applied = _mended(place.store, damage)
        if reach.first_index <= applied + 1 <= reach.last_index + 1:
            return way_back.put_in_place(copy, place.store)
        shutil.rmtree(copy, ignore_errors=True)
        lacks = f"What is sound of it ends at entry {applied}. "
    if reach is not None and reach.is_whole and reach.metadata:
        aside = way_back.set_aside(place.store)
        _begin(place.store, reach)
        return aside
    raise FatalError(f"the store is damaged: {damage}. {lacks}{_said(reach)} {_WAY_OUT}")


_WAY_OUT = (
    "Nothing has been changed. Restore a snapshot (etcdzutl snapshot restore), or, in a cluster, remove this member "
    "and add it again."
)


def _said(reach: Reach | None) -> str:
    if reach is None:
        return "There is no write-ahead log to make it again from."
    if reach.first_index > 1:
        return (
            f"The write-ahead log holds entries {reach.first_index} to {reach.last_index}: what entries 1 to "
            f"{reach.first_index - 1} have written is in the store alone."
        )
    return "The write-ahead log begins after a snapshot was restored: what that held is in the store alone."


def _mended(store: Path, damage: Damage) -> tuple[Path, int]:
    """A copy of the store that ends at the damage, and the last entry that is applied in it."""
    copy = store.with_name(f"{store.name}.tmp")
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir(mode=0o700)
    fill(store, copy)
    for path in copy.glob("*.log"):
        if int(path.stem) > damage.log:
            path.unlink()
        elif int(path.stem) == damage.log:
            os.truncate(path, damage.log_bytes)
    (copy / f"{damage.log:06d}.log").touch()
    mended = LevelStore(copy)
    try:
        return copy, int.from_bytes(mended.get(buckets.CONSISTENT_INDEX) or b"", "big")
    finally:
        mended.close()


def _begin(path: Path, reach: Reach) -> None:
    """An empty store that knows whose it is: the log says so, and flags may have changed since."""
    known = pb.Metadata.FromString(reach.metadata)
    store = LevelStore(path)
    try:
        store.write({buckets.IDENTITY: msgpack.packb((known.NodeID, known.ClusterID))}, sync=True)
    finally:
        store.close()
