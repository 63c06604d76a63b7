"""File systems that misbehave on purpose: one whose power fails, a small one, a read-only one. They need root.

with ShakyDisk(tmp_path) as disk:
    ... write below disk.path ...
    disk.cut_power()        what was not synced is gone; everything fails from here on
    disk.come_back()        the journal is replayed, as after a reboot
"""

import ctypes
import fcntl
import os
import shutil
import struct
import subprocess
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

_IMAGE_BYTES: Final = 700 << 20
_EXT4_SHUTDOWN: Final = 0x8004587D
"""Linux: EXT4_IOC_SHUTDOWN, _IOR('X', 125, __u32)."""
_NO_LOG_FLUSH: Final = struct.pack("I", 2)
"""EXT4_GOING_FLAGS_NOLOGFLUSH: not even the journal in memory is written."""
_WRITE_BACK: Final = 1 | 2 | 4
"""sync_file_range: wait before, write, wait after."""


class Mount:
    """A mounted file system; a context manager that leaves nothing behind."""

    def __init__(self, parent: Path) -> None:
        self.path = parent / "mnt"

    def mount(self) -> None:
        raise NotImplementedError

    def unmount(self) -> None:
        _run("umount", str(self.path))

    def __enter__(self) -> Self:
        self.path.mkdir(parents=True)
        self.mount()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        with suppress(subprocess.CalledProcessError):
            _run("umount", "--lazy", str(self.path))


class ShakyDisk(Mount):
    """ext4 in a file, with a way to cut its power. Source: what xfstests does to journalling file systems."""

    def __init__(self, parent: Path, commit_s: int = 5) -> None:
        """commit_s: how often the journal is written if nobody syncs"""
        super().__init__(parent)
        self._image = parent / "disk.img"
        self._options = f"loop,commit={commit_s}"

    def mount(self) -> None:
        if not self._image.exists():
            with self._image.open("wb") as image:
                image.truncate(_IMAGE_BYTES)
            _run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1,lazy_journal_init=1", str(self._image))
        _run("mount", "-t", "ext4", "-o", self._options, str(self._image), str(self.path))

    def cut_power(self) -> None:
        fd = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, _EXT4_SHUTDOWN, _NO_LOG_FLUSH)
        finally:
            os.close(fd)

    def come_back(self) -> None:
        """Requires: no process has a file of it open."""
        self.unmount()
        self.mount()

    def write_back(self, path: Path, offset: int, length: int) -> None:
        """Part of a file reaches the disk now, as the kernel may have it at any time, in any order."""
        with suppress(FileNotFoundError):
            fd = os.open(path, os.O_RDONLY)
            try:
                ctypes.CDLL(None, use_errno=True).sync_file_range(
                    fd, ctypes.c_int64(offset), ctypes.c_int64(length), ctypes.c_uint(_WRITE_BACK)
                )
            finally:
                os.close(fd)

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        super().__exit__(_type, _error, _trace)
        self._image.unlink(missing_ok=True)


class SmallDisk(Mount):
    """A file system in memory that can be filled up."""

    def __init__(self, parent: Path, size_bytes: int) -> None:
        super().__init__(parent)
        self._size_bytes = size_bytes
        self.ballast = self.path / "ballast"

    def mount(self) -> None:
        _run("mount", "-t", "tmpfs", "-o", f"size={self._size_bytes},mode=0700", "tmpfs", str(self.path))

    def free_bytes(self) -> int:
        return shutil.disk_usage(self.path).free

    def fill(self, leave_bytes: int) -> None:
        """Grows the ballast until no more than so much is free, or none: then it gives up, as dd does."""
        step = 4 << 20
        with self.ballast.open("ab") as ballast:
            end = ballast.tell()
            while (grow := self.free_bytes() - leave_bytes) > 0:
                try:
                    os.posix_fallocate(ballast.fileno(), end, min(grow, step))
                    end += min(grow, step)
                except OSError:
                    if step == 4096:
                        return
                    step = max(step // 2, 4096)

    def relieve(self) -> None:
        """Frees what fill took."""
        self.ballast.unlink()


class ReadOnly(Mount):
    """A view of a directory that cannot be written, whoever tries."""

    def __init__(self, parent: Path, of: Path) -> None:
        super().__init__(parent)
        self._of = of

    def mount(self) -> None:
        _run("mount", "--bind", str(self._of), str(self.path))
        _run("mount", "-o", "remount,bind,ro", str(self.path))


def why_no_mounts(kind: type[Mount], parent: Path) -> str | None:
    """The reason to skip, or None if file systems of this kind can be mounted here."""
    if os.geteuid() != 0:
        return "only root can mount file systems"
    if kind is ShakyDisk and not shutil.which("mkfs.ext4"):
        return "no mkfs.ext4 here"
    probe = parent / "probe"
    (probe / "of").mkdir(parents=True)
    try:
        with ShakyDisk(probe) if kind is ShakyDisk else SmallDisk(probe, 1 << 20) as disk:
            if isinstance(disk, ShakyDisk):
                disk.cut_power()
    except (OSError, subprocess.CalledProcessError) as error:
        return f"cannot mount {kind.__name__} here: {error}: {getattr(error, 'stderr', '')}"
    return None


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)
