"""What the log asks of a disk. The real one is in etcdz/store/disk.py; tests bring one that loses power.

Paths are strings with `/`. Bytes are safe only after `File.sync` (contents and size), names after
`Disk.sync_directory`: what was not covered by one of these may be there after a crash, or not, or in part.
"""

from typing import Protocol


class WalCorrupt(Exception):
    """What is on disk cannot have been left by a crash. The member must not start from it.

    path, offset    the segment, and where in it the first bad byte's record starts
    """

    def __init__(self, path: str, offset: int, why: str) -> None:
        super().__init__(f"wal: {why}: in file '{path}' at position: {offset}")
        self.path = path
        self.offset = offset
        self.why = why


class WalMismatch(Exception):
    """The log is sound but not the one asked for: another snapshot, no segment for it, or segments missing."""


class WalExists(Exception):
    """There is a log already where one was to be created."""


class WalInUse(Exception):
    """Another process holds the lock of a segment."""

    def __init__(self, path: str) -> None:
        super().__init__(f"wal: file '{path}' is locked by another process")
        self.path = path


class WalFull(OSError):
    """No space left. The log is as it was after the last sync; the same append may work later."""


class SyncFailed(OSError):
    """An fdatasync failed: what the kernel still held may be gone, and a second try would hide it. The process must
    end.

    Source: Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020.
    """


class File(Protocol):
    """An open file. Offsets and sizes are bytes."""

    path: str

    def size(self) -> int: ...

    def read(self, offset: int, length: int) -> bytes:
        """length bytes from offset on; fewer only at the end of the file."""

    def write(self, offset: int, data: bytes) -> None:
        """All of data at offset. raises WalFull: no space; part of data may have been written."""

    def preallocate(self, size: int) -> None:
        """Grow to size with zeros, on blocks that are reserved. raises WalFull; the size is then unchanged."""

    def truncate(self, size: int) -> None:
        """Shrink to size."""

    def sync(self) -> None:
        """fdatasync. raises SyncFailed."""

    def lock(self) -> None:
        """Hold this file until close. raises WalInUse."""

    def close(self) -> None: ...


class Disk(Protocol):
    """Names. New files are 0600 and new directories 0700."""

    def create(self, path: str) -> File:
        """An empty file open for writing; one of this name is emptied."""

    def open(self, path: str, write: bool) -> File:
        """A file that exists. raises FileNotFoundError"""

    def exists(self, path: str) -> bool: ...

    def list(self, directory: str) -> list[str]:
        """Names in directory, sorted."""

    def make_directory(self, path: str) -> None:
        """With its parents; fine if it is there."""

    def rename(self, source: str, target: str) -> None: ...

    def remove(self, path: str) -> None: ...

    def remove_tree(self, path: str) -> None:
        """A directory and all in it; fine if it is not there."""

    def sync_directory(self, path: str) -> None:
        """Makes names in path durable. raises SyncFailed."""
