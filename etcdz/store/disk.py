"""The real disk, on Linux: what a write-ahead log asks of its files and directories (etcdz/wal/files.py)."""

import contextlib
import errno
import fcntl
import os
import shutil
import struct
from collections.abc import Iterator

from etcdz.wal.files import File, SyncFailed, WalFull, WalInUse

FILE_MODE = 0o600
DIRECTORY_MODE = 0o700
FULL = (errno.ENOSPC, errno.EDQUOT)
NO_FALLOCATE = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
# Open file description locks, the kind that etcd takes: a plain POSIX lock would be lost when any descriptor of the
# same file is closed, and a flock(2) lock would not keep a real etcd out of the directory.
F_OFD_SETLK = 37
WHOLE_FILE_WRITE_LOCK = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)


@contextlib.contextmanager
def _full(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as e:
        if e.errno in FULL:
            raise WalFull(e.errno, os.strerror(e.errno), path) from e
        raise


class RealFile:
    """A File of `etcdz.wal.files`, where its methods are described."""

    __slots__ = ("path", "_fd")

    def __init__(self, path: str, flags: int) -> None:
        self.path = path
        self._fd = os.open(path, flags | os.O_CLOEXEC, FILE_MODE)

    def size(self) -> int:
        return os.fstat(self._fd).st_size

    def read(self, offset: int, length: int) -> bytes:
        data = os.pread(self._fd, length, offset)
        if len(data) == length or not data:
            return data
        # Linux answers at most 2 GiB at once, and a signal may shorten it further.
        pieces = [data]
        while data:
            offset += len(data)
            length -= len(data)
            data = os.pread(self._fd, length, offset)
            pieces.append(data)
        return b"".join(pieces)

    def write(self, offset: int, data: bytes) -> None:
        with _full(self.path):
            written = os.pwrite(self._fd, data, offset)
            rest = memoryview(data)
            while written < len(rest):
                # A short write is how a full disk begins; the next one then says so.
                rest = rest[written:]
                offset += written
                written = os.pwrite(self._fd, rest, offset)

    def preallocate(self, size: int) -> None:
        before = self.size()
        if before >= size:
            return
        try:
            with _full(self.path):
                os.posix_fallocate(self._fd, 0, size)
        except WalFull:
            os.ftruncate(self._fd, before)
            raise
        except OSError as e:
            if e.errno not in NO_FALLOCATE:
                raise
            os.ftruncate(self._fd, size)

    def truncate(self, size: int) -> None:
        os.ftruncate(self._fd, size)

    def sync(self) -> None:
        try:
            os.fdatasync(self._fd)
        except OSError as e:
            raise SyncFailed(e.errno, f"fdatasync: {e.strerror}", self.path) from e

    def lock(self) -> None:
        try:
            fcntl.fcntl(self._fd, F_OFD_SETLK, WHOLE_FILE_WRITE_LOCK)
        except OSError as e:
            if e.errno in (errno.EAGAIN, errno.EACCES):
                raise WalInUse(self.path) from e
            raise

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class RealDisk:
    """The Disk of `etcdz.wal.files`, where its methods are described."""

    def create(self, path: str) -> File:
        with _full(path):
            return RealFile(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)

    def open(self, path: str, write: bool) -> File:
        return RealFile(path, os.O_RDWR if write else os.O_RDONLY)

    def exists(self, path: str) -> bool:
        return os.path.lexists(path)

    def list(self, directory: str) -> list[str]:
        return sorted(os.listdir(directory))

    def make_directory(self, path: str) -> None:
        with _full(path):
            os.makedirs(path, DIRECTORY_MODE, exist_ok=True)

    def rename(self, source: str, target: str) -> None:
        with _full(target):
            os.rename(source, target)

    def remove(self, path: str) -> None:
        os.unlink(path)

    def remove_tree(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(path)

    def sync_directory(self, path: str) -> None:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        except OSError as e:
            raise SyncFailed(e.errno, f"fsync: {e.strerror}", path) from e
        finally:
            os.close(fd)
