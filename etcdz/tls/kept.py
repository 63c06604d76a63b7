"""What is made of files and kept while these are as they were, or while what has come in their place is bad."""

import errno
import os
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Thread
from typing import Generic, TypeVar

T = TypeVar("T")

_Stamp = tuple[tuple[int, ...] | None, ...]
"""Of each file what changes with it; None: it is not there."""


class Kept(Generic[T]):
    """One value, made of some files. look() is when these are looked at.

    value       of the last good files; None: they have never been good
    error       why the present files are not in force
    is_loading  a thread reads them
    """

    __slots__ = ("_is_behind", "_is_changed", "_load", "_loaded", "_paths", "_stamp", "_thread", "error", "value")

    def __init__(self, paths: Sequence[str], load: Callable[[], T], is_behind: bool = False) -> None:
        """load       reads the files. raises OSError, ValueError: they are bad
        is_behind  a thread does so, but for the first time
        """
        self._paths = tuple(paths)
        self._load = load
        self._is_behind = is_behind
        self._stamp: _Stamp | None = None
        self._is_changed = False
        self._thread: Thread | None = None
        self._loaded: tuple[T | None, OSError | ValueError | None] = None, None
        self.value: T | None = None
        self.error: OSError | ValueError | None = None

    @property
    def is_loading(self) -> bool:
        return self._thread is not None

    def look(self) -> bool:
        """Loads what has changed, or takes what a thread has loaded; bad files are tried again each time.

        return  whether there are news: another value, or another error
        """
        if self._thread is not None:
            return not self._thread.is_alive() and self._take()
        stamp = tuple(map(_stamp_of, self._paths))  # before they are read: what changes meanwhile is seen next time
        if stamp == self._stamp and self.error is None:
            return False
        is_first, self._is_changed = self._stamp is None, stamp != self._stamp
        self._stamp = stamp
        if self._is_behind and not is_first:
            self._thread = Thread(target=self._read, name="files", daemon=True)
            self._thread.start()
            return False
        self._read()
        return self._take()

    def _read(self) -> None:
        try:
            if self.value is not None:
                for path in self._paths:
                    _check_is_file(path)
            self._loaded = self._load(), None
        except (OSError, ValueError) as error:
            self._loaded = None, error

    def _take(self) -> bool:
        before = self.error
        value, self.error = self._loaded
        self._thread, self._loaded = None, (None, None)
        if self.error is None:
            self.value = value
        return self._is_changed or str(before) != str(self.error)


def _check_is_file(path: str) -> None:
    """If it is there. NB: whoever opens a FIFO waits for a writer, and a device may have no end. raises OSError"""
    with suppress(FileNotFoundError):
        mode = os.stat(path).st_mode
        if stat.S_ISREG(mode):
            return
        number = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
        raise OSError(number, os.strerror(number), path)


def _stamp_of(path: str) -> tuple[int, ...] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
