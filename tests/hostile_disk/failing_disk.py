"""Disks on which one call fails: the n-th that is made, with any error, before or after it has had its effect.

FailingDisk      stands before a FakeDisk, and fails as etcdz/store/disk.py says that a disk does
FailingSystem    stands in the place of the module `os` there, and fails as Linux does
"""

import errno
import os
from functools import partial
from random import Random
from typing import Any, NamedTuple

from etcdz.wal.files import SyncFailed, WalFull
from tests.wal.fake_disk import FakeDisk, FakeFile

FULL = (errno.ENOSPC, errno.EDQUOT)
FREE = ("exists", "close", "size")
"""Calls that do not fail: they ask for nothing that the kernel does not have in memory."""
MAY_BE_FULL = ("create", "write", "preallocate", "make_directory", "rename")
PAGE_BYTES = 4096
SYNCS = ("sync", "sync_directory")
SYSTEM_CALLS = ("pread", "pwrite", "posix_fallocate", "ftruncate", "listdir", "makedirs", "rename", "unlink")
"""Of the module os, by which the real disk does what it does, beside open and syncs."""


class Failure(NamedTuple):
    """Call number `at` fails with errno `code`. is_late: it has done its work all the same. -1: none fails"""

    at: int = -1
    code: int = errno.EIO
    is_late: bool = False


class Counted:
    """Counts calls. failed: (name, path or descriptor) of the one that did"""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure
        self.calls = 0
        self.failed: tuple[str, object] | None = None

    def is_due(self, name: str, target: object) -> bool:
        due = self.calls == self.failure.at
        self.calls += 1
        if due:
            self.failed = name, target
        return due


class FailingDisk:
    """A Disk of etcdz.wal.files. disk: what is behind it"""

    def __init__(self, disk: FakeDisk, failure: Failure, random: Random) -> None:
        self.disk = disk
        self.counted = Counted(failure)
        self._random = random
        self._files: list[FakeFile] = []

    def end_process(self) -> None:
        """What the process has open is closed, whatever state it is in."""
        for file in self._files:
            file.close()
        self._files.clear()

    def __getattr__(self, name: str) -> Any:
        return self._guarded(name, getattr(self.disk, name), None)

    def _guarded(self, name: str, call: Any, file: FakeFile | None) -> Any:
        def guarded(*args: Any, **kwargs: Any) -> Any:
            path = file.path if file is not None else args[0]
            if name not in FREE and self.counted.is_due(name, path):
                self._fail(name, partial(call, *args, **kwargs), file, str(path))
            result = call(*args, **kwargs)
            if not isinstance(result, FakeFile):
                return result
            self._files.append(result)
            return _FailingFile(self, result)

        return guarded

    def _fail(self, name: str, call: "partial[Any]", file: FakeFile | None, path: str) -> None:
        code, is_late = self.counted.failure.code, self.counted.failure.is_late
        if name == "sync" and file is not None:
            file.fail_to_sync(code)
        if name == "write" and not is_late:
            offset, data = call.args
            # Linux writes page by page.
            ends = [0, *range(PAGE_BYTES - offset % PAGE_BYTES, len(data), PAGE_BYTES)]
            call.func(offset, data[: self._random.choice(ends)])
        elif is_late and name != "preallocate":
            call()
        kind = SyncFailed if name in SYNCS else WalFull if code in FULL and name in MAY_BE_FULL else OSError
        raise kind(code, os.strerror(code), path)


class _FailingFile:
    def __init__(self, failing: FailingDisk, file: FakeFile) -> None:
        self.__dict__.update(_failing=failing, _file=file)

    def __getattr__(self, name: str) -> Any:
        if name == "path":
            return self._file.path
        return self._failing._guarded(name, getattr(self._file, name), self._file)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._file, name, value)


class FailingSystem:
    """The module os. What it is asked to sync is not synced: no power fails here, and it takes time."""

    def __init__(self, failure: Failure) -> None:
        self.counted = Counted(failure)
        self._fds: set[int] = set()

    def end_process(self) -> None:
        """What the process has open is closed, whatever state it is in."""
        for fd in self._fds:
            os.close(fd)
        self._fds.clear()

    def open(self, path: str, *args: Any) -> int:
        fd = os.open(path, *args)
        self._fds.add(fd)
        if self.counted.is_due("open", path):
            raise self._error()
        return fd

    def close(self, fd: int) -> None:
        self._fds.discard(fd)
        os.close(fd)

    def fdatasync(self, fd: int) -> None:
        if self.counted.is_due("fdatasync", fd):
            raise self._error()

    fsync = fdatasync

    def _error(self) -> OSError:
        code = self.counted.failure.code
        return OSError(code, os.strerror(code))

    def __getattr__(self, name: str) -> Any:
        call = getattr(os, name)
        if name not in SYSTEM_CALLS:
            return call

        def guarded(*args: Any, **kwargs: Any) -> Any:
            if not self.counted.is_due(name, args[0]):
                return call(*args, **kwargs)
            if self.counted.failure.is_late:
                call(*args, **kwargs)
            raise self._error()

        return guarded
