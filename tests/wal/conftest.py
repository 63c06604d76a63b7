"""Both disks behind one shape: whatever holds on the fake one holds on the real one."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from etcdz.store import disk as real
from etcdz.store.disk import RealDisk
from etcdz.wal.files import Disk
from tests.wal.fake_disk import FakeDisk


class Case:
    """A disk, a directory on it that exists, and the means to fill it up and to look into its files."""

    def __init__(self, disk: Disk, root: str, set_free: Callable[[int | None], None]) -> None:
        self.disk = disk
        self.root = root
        self.set_free = set_free
        """Bytes that files may still grow by; None: plenty."""

    @property
    def wal(self) -> str:
        return f"{self.root}/wal"

    def read(self, name: str) -> bytes:
        file = self.disk.open(f"{self.wal}/{name}", write=False)
        content = file.read(0, file.size())
        file.close()
        return content

    def write(self, name: str, content: bytes) -> None:
        file = self.disk.create(f"{self.wal}/{name}")
        file.write(0, content)
        file.close()


def fake_case() -> Case:
    disk = FakeDisk()
    disk.make_directory("/data")
    disk.sync_directory("/")

    def set_free(count: int | None) -> None:
        disk.free_bytes = 1 << 40 if count is None else count

    return Case(disk, "/data", set_free)


def real_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    """Its free space is counted at the system calls, as a test has no file system of its own to fill."""
    free: list[int | None] = [None]
    pwrite, fallocate, ftruncate = os.pwrite, os.posix_fallocate, os.ftruncate

    def take(fd: int, wanted_end: int) -> int:
        """How far a file may grow, up to wanted_end; what it grows by is gone."""
        size = os.fstat(fd).st_size
        if free[0] is None or wanted_end <= size:
            return wanted_end
        end = min(wanted_end, size + free[0])
        free[0] -= end - size
        return end

    def full_pwrite(fd: int, data: bytes, offset: int) -> int:
        end = take(fd, offset + len(data))
        if data and end <= offset:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return pwrite(fd, data[: end - offset], offset)

    def full_fallocate(fd: int, offset: int, length: int) -> None:
        fallocate(fd, 0, max(1, take(fd, length)))
        if os.fstat(fd).st_size < length:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def freeing_ftruncate(fd: int, size: int) -> None:
        if free[0] is not None:
            free[0] += os.fstat(fd).st_size - size
        ftruncate(fd, size)

    monkeypatch.setattr(real.os, "pwrite", full_pwrite)
    monkeypatch.setattr(real.os, "ftruncate", freeing_ftruncate)
    monkeypatch.setattr(real.os, "posix_fallocate", full_fallocate)
    return Case(RealDisk(), str(tmp_path), lambda count: free.__setitem__(0, count))


@pytest.fixture(params=["fake", "real"])
def case(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    return fake_case() if request.param == "fake" else real_case(tmp_path, monkeypatch)
