"""The private directory with the sockets of a running member, and what a killed member has left of one.

    etcdz-<device>-<inode>-<random>/     0700; device and inode, in hex, are those of <data-dir>/etcdz.lock
        control, supervisor.<n>, <name>.<incarnation>, ..

It lies below XDG_RUNTIME_DIR, TMPDIR or /tmp or, where none of these will do, in the data directory.

Its name says whose it is. All processes of a member hold the lock as long as they live, and a copy of a data directory
has a lock of its own; so whoever holds the lock that the name tells knows that nothing lives in there, and nobody else
may remove anything: the path stands in the data directory, and may have come from another one with it.
"""

import os
import re
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

PREFIX: Final = "etcdz-"
_NAME: Final = re.compile(PREFIX + r"([0-9a-f]+)-([0-9a-f]+)-\w{8}")
PATH_BYTES_MAX: Final = 107
"""Of a unix socket's path."""
NAME_BYTES_MAX: Final = 48
"""Of a socket in the run directory."""
_VARIABLES: Final = ("XDG_RUNTIME_DIR", "TMPDIR")

LockId = tuple[int, int]
"""(device, inode) of the lock's file."""


class RunDir:
    """Made by make(); removed by remove().

    path    by which sockets in it are bound and reached: short, and UTF-8
    real    its own path, for who looks into it later
    """

    def __init__(self, real: Path) -> None:
        self.real = real
        self._fd = -1
        self.path = real if _fits(real) else self._alias()

    def _alias(self) -> Path:
        """A short name for as long as this process lives: that of an open directory of it."""
        self._fd = os.open(self.real, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        return Path(f"/proc/{os.getpid()}/fd/{self._fd}")

    def remove(self) -> None:
        """Requires: nothing uses it any more"""
        _empty(self.real)
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def lock_id(lock_fd: int) -> LockId:
    found = os.fstat(lock_fd)
    return found.st_dev, found.st_ino


def make(data_dir: Path, lock_fd: int) -> RunDir:
    """A new run directory. raises OSError: nowhere, with the reason of the last place that was tried

    Requires: the lock is held
    """
    prefix = "{}{:x}-{:x}-".format(PREFIX, *lock_id(lock_fd))
    for parent in (*_parents(), data_dir):
        _remove_unused(parent, prefix)
    for parent in _parents():
        if _fits(parent / f"{prefix}{'x' * 8}"):
            with suppress(OSError):
                return RunDir(Path(tempfile.mkdtemp(prefix=prefix, dir=parent)))
    return RunDir(Path(tempfile.mkdtemp(prefix=prefix, dir=data_dir)))


def owner_of(real: Path) -> LockId | None:
    """Whose run directory this is; None if it is none, or not of this user."""
    named = _NAME.fullmatch(real.name)
    try:
        found = real.lstat()
    except OSError:
        return None
    if named is None or not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        return None
    return int(named[1], 16), int(named[2], 16)


def remove_stale(real: Path, lock_fd: int) -> bool:
    """Removes the run directory of a killed member. return False: it is not (known to be) this data directory's

    Requires: the lock is held
    """
    if owner_of(real) != lock_id(lock_fd):
        return False
    _empty(real)
    return True


def _remove_unused(parent: Path, prefix: str) -> None:
    """What a member has left that was killed before it had written down where its run directory is. NB: only if it is
    empty: who has deleted the data directory of a member that lives may be given the same inode for another."""
    with suppress(OSError):
        for name in os.listdir(parent):
            if name.startswith(prefix):
                with suppress(OSError):
                    os.rmdir(parent / name)


def _parents() -> list[Path]:
    return [Path(path) for path in (*map(os.environ.get, _VARIABLES), "/tmp") if path and path.startswith("/")]


def _fits(path: Path) -> bool:
    text = str(path)
    return len(os.fsencode(text)) + 1 + NAME_BYTES_MAX <= PATH_BYTES_MAX and not _has_surrogates(text)


def _has_surrogates(text: str) -> bool:
    """Whether a name is not UTF-8: ZeroMQ's endpoints are text."""
    return any("\ud800" <= char <= "\udfff" for char in text)


def _empty(real: Path) -> None:
    """NB: a run directory is flat; what else somebody has put into it stays, and it with that."""
    with suppress(OSError):
        for entry in os.scandir(real):
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.path)
        os.rmdir(real)
