"""A ballast file: disk space held for the store, for the moment at which other programs have filled the disk.

The wal asks for writes to be refused when little space is left, and its segments are allocated ahead; but what was
admitted before must still be applied, and a store that has failed for want of space cannot even be opened again
without some: LevelDB writes its log to a table first. So a file of BALLAST_BYTES is deleted when the store itself is
about to run out of space. Not earlier: the program that fills the disk would take that space as well, and most programs
end when the disk is full. Writes stay refused until the ballast can be there again.

The file is named `reserve`, in the directory of the store.
"""

import os
from contextlib import suppress
from pathlib import Path

from etcdz import limits

NAME = "reserve"


def free_bytes(directory: str | Path) -> int:
    """What this process may still write on the file system of directory."""
    fs = os.statvfs(directory)
    return fs.f_bavail * fs.f_frsize


def missing_bytes(directory: str | Path) -> int:
    """How much larger the ballast in directory has to become."""
    try:
        return max(0, limits.BALLAST_BYTES - os.stat(Path(directory) / NAME).st_size)
    except FileNotFoundError:
        return limits.BALLAST_BYTES


class Ballast:
    """Kept in the directory of the store, by the one process that writes there.

    held: whether the file is there, with all its space
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = directory / NAME
        self.held = missing_bytes(directory) == 0

    def check(self) -> bool:
        """Deletes the file when space is short, makes it again when there is plenty. return whether held changed"""
        free = free_bytes(self._directory)
        if self.held:
            if free < limits.STORE_SHORT_BYTES:
                self._release()
                return True
        elif free >= limits.BALLAST_BYTES + 2 * limits.DISK_RESERVE_BYTES:
            self._take()
            return self.held
        return False

    def _take(self) -> None:
        """Without it if it cannot be made: other programs have taken the space meanwhile, or the disk fails, and then
        the store says so.

        NB: under another name first, so that a crash leaves no file that only looks allocated.
        """
        temporary = self._path.with_suffix(".tmp")
        try:
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(fd, 0, limits.BALLAST_BYTES)
            finally:
                os.close(fd)
            temporary.replace(self._path)
            self.held = True
        except OSError:
            with suppress(OSError):
                temporary.unlink()

    def _release(self) -> None:
        with suppress(FileNotFoundError):
            self._path.unlink()
        self.held = False
