"""Two directories change names, in one step where the system can: neither name is ever missing."""

import ctypes
import errno
import os
from pathlib import Path
from typing import Final

_AT_FDCWD: Final = -100
_RENAME_EXCHANGE: Final = 2
_NOT_HERE: Final = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP)
_libc = ctypes.CDLL(None, use_errno=True)


def exchange(left: Path, right: Path) -> None:
    """Gives each of two directories the other's name. Requires: both exist, on one file system. raises OSError

    Where there is no renameat2, or the file system does not know the flag, right has no name of its own for a moment:
    left goes to right's by way of `<right>.old`.
    """
    renameat2 = getattr(_libc, "renameat2", None)
    if renameat2 is not None:
        names = [os.fsencode(left), os.fsencode(right)]
        if renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0:
            return
        code = ctypes.get_errno()
        if code not in _NOT_HERE:
            raise OSError(code, os.strerror(code), str(left))
    old = right.with_name(f"{right.name}.old")
    left.rename(old)
    right.rename(left)
    old.rename(right)
