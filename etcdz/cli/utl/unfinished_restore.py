"""What a `snapshot restore` writes until it is whole, and what a killed one has left of that.

    <data-dir>/member.restoring            the member directory; locked (flock) by the restore that builds it
    <data-dir>/member.restoring/wal-dir    the --wal-dir, if one was given, as text
    <wal-dir>.restoring                    the log, if it is to lie elsewhere

The log gets its name first, the member directory last: until then no member starts here (etcdz/migration/inventory.py).
A path that is read from a directory is only compared with the one that the user gives, and never used.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from etcdz.migration.directories import lock
from etcdz.migration.files import sync_directory
from etcdz.migration.inventory import RESTORING
from etcdz.wal.segment import parse_name

_NOTE: Final = "wal-dir"
_HARMLESS: Final = (RESTORING, "etcdz.lock")
"""A member that was refused the start here has left its lock's file."""


def wal_building(wal_dir: str) -> str:
    """Where a log that is to lie in wal_dir is built."""
    return os.path.normpath(wal_dir) + ".restoring"


def is_all(data_dir: Path) -> bool:
    """Whether there is nothing in data_dir but what a killed restore has left."""
    return all(path.name in _HARMLESS for path in data_dir.iterdir())


def wrote(data_dir: Path, wal_dir: str) -> bool:
    """Whether the log in wal_dir is of the restore that left data_dir unfinished."""
    try:
        return (data_dir / RESTORING / _NOTE).read_text("utf-8", "surrogateescape") == os.path.abspath(wal_dir)
    except OSError:
        return False


@contextlib.contextmanager
def begin(data_dir: Path, wal_dir: str) -> Iterator[None]:
    """Removes what a killed restore has left, and makes a new `member.restoring`, which is locked until the block ends.

    If the block raises, all that was made is removed, unless it is finished.
    raises MigrationError: another restore is at work here
    """
    building = data_dir / RESTORING
    if building.is_dir():
        with _locked(building):
            _discard(data_dir, wal_dir, wrote(data_dir, wal_dir))
    building.mkdir(mode=0o700, parents=True)
    with _locked(building):
        try:
            if wal_dir:
                (building / _NOTE).write_text(os.path.abspath(wal_dir), "utf-8", "surrogateescape")
            yield
        except BaseException:
            if building.is_dir():  # else all is whole and has its names, and only their last sync has failed
                _discard(data_dir, wal_dir, bool(wal_dir))
            raise


def end(data_dir: Path, wal_dir: str) -> None:
    """All is whole and synced: it gets its names."""
    building = data_dir / RESTORING
    if wal_dir:
        os.rename(wal_building(wal_dir), wal_dir)
        sync_directory(Path(wal_dir).absolute().parent)
    building.rename(data_dir / "member")
    sync_directory(data_dir)
    (data_dir / "member" / _NOTE).unlink(missing_ok=True)


def _discard(data_dir: Path, wal_dir: str, is_own_log: bool) -> None:
    if wal_dir:
        _remove_log(Path(wal_building(wal_dir)))
        if is_own_log:
            _remove_log(Path(wal_dir))
    shutil.rmtree(data_dir / RESTORING, ignore_errors=True)


def _remove_log(path: Path) -> None:
    """NB: a directory that holds anything but segments is not ours, whatever its name."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        if all(parse_name(found.name) for found in path.iterdir()):
            shutil.rmtree(path)


@contextlib.contextmanager
def _locked(building: Path) -> Iterator[None]:
    fd = os.open(building, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        lock(fd, f"another restore is at work in {building}")
        yield
    finally:
        os.close(fd)
