"""Names by which the store that another member has sent takes the place of this member's own.

    receiving-*/        what is being received and converted, in use while its lock is held
    leveldb.<index>     whole and synced: the state at entry <index> (%016x)
    leveldb.installing  it is to take the place, whatever happens: the log begins after its entry
    leveldb.old         what it has replaced

    leveldb.<index> -> leveldb.installing;  leveldb -> leveldb.old;  leveldb.installing -> leveldb;  leveldb.old removed

Each step is durable before the next, and after a kill at any moment `finish` goes on. A whole store whose entry the log
has never taken up is left alone until the member has applied as much by itself.
"""

import re
import shutil
from pathlib import Path
from typing import Final

from etcdz.store import working_directory
from etcdz.store.disk import RealDisk

PREFIX: Final = "receiving-"
KEPT_MAX: Final = 4
"""Whole stores that wait to be installed. Each arrives after raft was told of the one before, which it takes up within
a turn and a sync; whoever sends more than that fills the disk with what nobody needs."""
_WHOLE: Final = re.compile(r"leveldb\.([0-9a-f]{16})")


def whole(store: Path, index: int) -> Path:
    """Where a store that was received is, once it is whole. store: directory of the member's own"""
    return store.with_name(f"{store.name}.{index:016x}")


def keep(made: Path, store: Path, index: int) -> Path:
    """Gives a store that is whole and synced its name. return that; one that has it already is as good, and stays"""
    path = whole(store, index)
    if not path.is_dir():
        _drop_oldest(store)
        _move(made, path)
    return path


def _drop_oldest(store: Path) -> None:
    """Those that came long ago: raft has taken a later one, or none of them."""
    found = [path for path in store.parent.glob(f"{store.name}.*") if _WHOLE.fullmatch(path.name)]
    for path in sorted(found, key=lambda path: path.stat().st_mtime)[: max(0, len(found) + 1 - KEPT_MAX)]:
        shutil.rmtree(path, ignore_errors=True)


def begin(store: Path, index: int) -> bool:
    """From here on the store of this index takes the place. return False: there is none

    Requires: the log begins after this index, durably
    """
    if not whole(store, index).is_dir():
        return False
    shutil.rmtree(_installing(store), ignore_errors=True)
    _move(whole(store, index), _installing(store))
    return True


def finish(store: Path) -> None:
    """What was begun. Nothing, if there is nothing to do. Requires: nobody has the store open"""
    old, installing = store.with_name(f"{store.name}.old"), _installing(store)
    if installing.is_dir():
        if store.is_dir():
            shutil.rmtree(old, ignore_errors=True)  # of an earlier time, and killed on the way
            _move(store, old)
        _move(installing, store)
    shutil.rmtree(old, ignore_errors=True)


def remove_up_to(store: Path, applied: int) -> None:
    """Removes what was received and is not needed any more: the member has applied as much."""
    for path in store.parent.glob(f"{store.name}.*"):
        match = _WHOLE.fullmatch(path.name)
        if match is not None and int(match[1], 16) <= applied:
            shutil.rmtree(path, ignore_errors=True)
    working_directory.remove_stale(store.parent, PREFIX)


def _installing(store: Path) -> Path:
    return store.with_name(f"{store.name}.installing")


def _move(source: Path, target: Path) -> None:
    source.rename(target)
    RealDisk().sync_directory(str(target.parent))
