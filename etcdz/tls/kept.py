"""What is made of files and kept while these are as they were, or while what has come in their place is bad."""

import os
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")

_Stamp = tuple[tuple[int, ...] | None, ...]
"""Of each file what changes with it; None: it is not there."""


class Kept(Generic[T]):
    """One value, made of some files. look() is when these are looked at."""

    __slots__ = ("_load", "_paths", "_stamp", "error", "value")

    def __init__(self, paths: Sequence[str], load: Callable[[], T]) -> None:
        """load: reads the files. raises OSError, ValueError: they are bad"""
        self._paths = tuple(paths)
        self._load = load
        self._stamp: _Stamp | None = None
        self.value: T | None = None
        """Of the last good files; None: they have never been good."""
        self.error: OSError | ValueError | None = None
        """Why the present files are not in force."""

    def look(self) -> bool:
        """Loads what has changed; bad files are tried again each time.

        return  whether there are news: another value, or another error
        """
        stamp = tuple(
            map(_stamp_of, self._paths)
        )  # before the files are read: what changes meanwhile is seen next time
        if stamp == self._stamp and self.error is None:
            return False
        before, is_changed = self.error, stamp != self._stamp
        self._stamp = stamp
        try:
            self.value, self.error = self._load(), None
        except (OSError, ValueError) as error:
            self.error = error
        return is_changed or str(before) != str(self.error)


def _stamp_of(path: str) -> tuple[int, ...] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
