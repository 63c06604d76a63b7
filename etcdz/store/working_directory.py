"""A directory that a process works in, known to be in use by a lock on it, and removed once its process is gone."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path


def make(parent: Path, prefix: str) -> tuple[Path, int]:
    """A new directory in parent, and its lock: in use until that file descriptor is closed. Stale ones are removed."""
    remove_stale(parent, prefix)
    while True:
        directory = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        with contextlib.suppress(OSError):  # another process took it for a stale one before the lock was held
            lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(lock)
                continue
            if directory.is_dir():
                return directory, lock
            os.close(lock)


def remove_stale(parent: Path, prefix: str) -> None:
    """Removes the directories of killed processes: their locks are free."""
    for directory in parent.glob(f"{prefix}*"):
        with contextlib.suppress(OSError):
            lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(directory, ignore_errors=True)
            finally:
                os.close(lock)


def remove(directory: Path, lock: int) -> None:
    """The work in it is over."""
    shutil.rmtree(directory, ignore_errors=True)
    os.close(lock)
