"""Makes a damaged or missing store again: from what is sound of it, and from the write-ahead log.

    what is wrong                                          what takes the store's place
    CURRENT, and one manifest is whole                     a copy in which CURRENT names that
    a log of LevelDB, damaged or missing                   a copy without what follows the damage
    anything, and the write-ahead log has all of history   an empty store: all entries are applied again

A copy does only if the write-ahead log has all that it lacks. .snap files do not help: they say who the members are,
and no keys. What a newer etcd has once written into the log and is not applied here no log can give back.
"""

import os
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import msgpack

from actors.runtime.loop import FatalError
from etcdz.mvcc.applier import is_replayable
from etcdz.proto import etcdserverpb as pb
from etcdz.store import buckets, way_back
from etcdz.store.checkpoint import fill
from etcdz.store.disk import RealDisk
from etcdz.store.inspection import Damage
from etcdz.store.leveldb import LevelStore, StoreDamaged
from etcdz.store.manifest import BadManifest
from etcdz.wal.files import WalCorrupt, WalMismatch
from etcdz.wal.reach import Reach, read_data, read_reach

WAY_OUT = (
    "Nothing has been changed. Put back what is missing, or restore a snapshot with `etcdzutl snapshot restore`; or, "
    "in a cluster, remove this member and add it again"
)


class Place(NamedTuple):
    """Where a member keeps what. store, snap: directories of the store and of .snap files. wal: of the write-ahead log.
    may_replace: whether this is the member's own start."""

    store: Path
    wal: str
    snap: Path
    may_replace: bool


def begin_missing(place: Place, log: Any) -> None:
    """A store that is not there is right for a new member; else it is begun anew if the log holds all of history.

    raises FatalError: the log does not; nothing has been changed
    Requires: no store is there
    """
    try:
        reach = read_reach(RealDisk(), place.wal)
    except (WalCorrupt, WalMismatch, OSError):
        return  # the wal says what is wrong with its log, and the member ends
    if reach is None or not reach.last_index:
        return
    lacks = _lacks(place, reach)
    if lacks:
        raise FatalError(f"there is no store in {place.store}. {lacks} {WAY_OUT}")
    log.warn("there is no store, all of it comes from the log", path=str(place.store), last_index=reach.last_index)
    way_back.put_in_place(_begun(place, reach), place.store)


def replace(place: Place, damage: Damage) -> Path:
    """Puts a store in place that the log can bring up to date. return what the damaged one is called now

    raises FatalError: there is none; nothing has been changed
    """
    if not place.may_replace:
        raise FatalError(f"the store is damaged: {damage}. Start the member again: it says what can be done")
    try:
        reach = read_reach(RealDisk(), place.wal)
    except (WalCorrupt, WalMismatch, OSError) as error:
        raise FatalError(f"the store is damaged: {damage}; and so is the log: {error}. {WAY_OUT}") from error
    if reach is None:
        raise FatalError(f"the store is damaged: {damage}. There is no log in {place.wal} to make it from. {WAY_OUT}")
    copy, sound = _mended(place, damage, reach) if damage.is_mendable else (None, "")
    if copy is None:
        lacks = _lacks(place, reach)
        if lacks:
            raise FatalError(f"the store is damaged: {damage}. {sound}{lacks} {WAY_OUT}")
        copy = _begun(place, reach)
    return way_back.put_in_place(copy, place.store) or place.store


def check_continued(place: Place, store: LevelStore) -> None:
    """raises StoreDamaged: the end of the store's log was bad, and the log does not go on where the store ends now"""
    try:
        reach = read_reach(RealDisk(), place.wal)
    except (WalCorrupt, WalMismatch, OSError):
        return  # the wal says what is wrong with its log
    applied = _applied_index(store)
    if reach is not None and reach.first_index > applied + 1:
        why = f"the end of its log is damaged, and what is sound of it ends at entry {applied}"
        raise StoreDamaged(Damage(place.store, why))


def _lacks(place: Place, reach: Reach) -> str:
    """What no replay of the log gives; empty: it gives everything."""
    if reach.first_index > 1:
        return (
            f"The write-ahead log holds entries {reach.first_index} to {reach.last_index}: what entries 1 to "
            f"{reach.first_index - 1} have written is in the store alone."
        )
    if not reach.is_whole:
        return "The write-ahead log begins after a snapshot was restored: what that held is in the store alone."
    for index, data in read_data(RealDisk(), place.wal):
        if not is_replayable(data):
            return f"Entry {index} of the write-ahead log cannot be applied again: it is of another etcd."
    return ""


def _mended(place: Place, damage: Damage, reach: Reach) -> tuple[Path | None, str]:
    """(a copy of the store that ends at the damage and that the log continues, or None; then what the copy lacks)."""
    copy = _new_directory(place.store)
    try:
        fill(place.store, copy, damage.manifest)
        _cut_logs(copy, damage)
        mended = LevelStore(copy)
        try:
            applied = _applied_index(mended)
        finally:
            mended.close()
    except (StoreDamaged, BadManifest, FileNotFoundError):  # more is damaged than one file
        shutil.rmtree(copy, ignore_errors=True)
        return None, ""
    if reach.first_index <= applied + 1 <= reach.last_index + 1:
        return copy, ""
    shutil.rmtree(copy, ignore_errors=True)
    return None, f"What is sound of it ends at entry {applied}. "


def _cut_logs(copy: Path, damage: Damage) -> None:
    if not damage.log:
        return
    for path in copy.glob("*.log"):
        if int(path.stem) > damage.log:
            path.unlink()
        elif int(path.stem) == damage.log:
            os.truncate(path, damage.log_bytes)


def _begun(place: Place, reach: Reach) -> Path:
    """An empty store that knows whose it is: the log says so, and flags may have changed since."""
    known = pb.Metadata.FromString(reach.metadata)
    path = _new_directory(place.store)
    rows: dict[bytes, bytes | None] = {buckets.IDENTITY: msgpack.packb((known.NodeID, known.ClusterID))}
    store = LevelStore(path)
    try:
        store.write(rows, sync=True)
    finally:
        store.close()
    return path


def _new_directory(store: Path) -> Path:
    path = way_back.temporary(store)
    path.mkdir(mode=0o700)
    return path


def _applied_index(store: LevelStore) -> int:
    return int.from_bytes(store.get(buckets.CONSISTENT_INDEX) or b"", "big")
