"""Directories that a store may be put in the place of: the way back from an opening that failed, and a mended copy.

    <store>.before        second names of all files of the store, while it is being opened
    <store>.mended        a copy without what follows some damage, about to take the store's place
    <store>.damaged-<t>   what was set aside; ours to make and the operator's to remove

LevelDB writes nothing into a file that was there before: it makes new ones, and unlinks. So second names keep a store
as it was, at no cost. Each directory gets its name once it is complete, and `finish` goes on from any moment at which
the process was killed. `forget` is durable before the store serves: a way back that power loss brought to light again
would lead to the past.
"""

import errno
import os
import shutil
import time
from pathlib import Path

_NO_LINKS = (errno.EPERM, errno.EXDEV, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOSPC, errno.EDQUOT)


def is_there(store: Path) -> bool:
    """Whether there is a store, if only by a name that `finish` gives back."""
    return store.is_dir() or _beside(store, "before").is_dir() or _beside(store, "mended").is_dir()


def finish(store: Path) -> None:
    """Takes the way back, or puts the mended copy in place, if a process was killed before it could."""
    shutil.rmtree(_beside(store, "tmp"), ignore_errors=True)
    mended = _beside(store, "mended")
    if mended.exists():
        if store.exists():
            set_aside(store)
        _move(mended, store)
    go_back(store)


def prepare(store: Path) -> None:
    """Gives all files of a store second names. Where a file system has none, or no space, there is no way back."""
    building = temporary(store)
    try:
        building.mkdir(mode=0o700)
        for path in store.iterdir():
            if not path.is_dir():  # LevelDB has none, and leaves those of others alone
                os.link(path, building / path.name, follow_symlinks=False)
        _sync(building)
        _move(building, _beside(store, "before"))
    except OSError as error:
        shutil.rmtree(building, ignore_errors=True)
        if error.errno not in _NO_LINKS:
            raise


def go_back(store: Path) -> None:
    """The store as it was at `prepare`. Nothing, if there is no way back. Requires: nobody has the store open"""
    before = _beside(store, "before")
    if before.exists():
        for path in store.iterdir() if store.is_dir() else ():
            if path.is_dir():
                path.rename(before / path.name)
        shutil.rmtree(store, ignore_errors=True)
        _move(before, store)


def forget(store: Path) -> None:
    """The store has been opened: no way back any more, durably."""
    before = _beside(store, "before")
    if before.exists():
        _move(before, temporary(store))
        shutil.rmtree(temporary(store), ignore_errors=True)


def set_aside(store: Path) -> Path:
    """Renames a damaged store. return its new name"""
    name = f"{store.name}.damaged-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    aside = next(p for n in range(1000) if not (p := store.with_name(f"{name}.{n}" if n else name)).exists())
    _move(store, aside)
    return aside


def put_in_place(copy: Path, store: Path) -> Path | None:
    """A complete copy takes the store's place. return what the store is called now; None: there was none"""
    _sync(copy)
    _move(copy, _beside(store, "mended"))
    aside = set_aside(store) if store.exists() else None
    _move(_beside(store, "mended"), store)
    return aside


def temporary(store: Path) -> Path:
    """Name for a directory that is being made; `finish` removes what has it."""
    return _beside(store, "tmp")


def _beside(store: Path, what: str) -> Path:
    return store.with_name(f"{store.name}.{what}")


def _move(source: Path, target: Path) -> None:
    source.rename(target)
    _sync(target.parent)


def _sync(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
