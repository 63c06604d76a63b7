"""What a process uses, and where it may run. A process that is gone is no error: it uses None or nothing."""

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


def cpu_s(pid: int) -> float | None:
    """CPU time of all threads since its start; one system call, in nanoseconds, unlike /proc/<pid>/stat's ticks."""
    try:
        return time.clock_gettime(~pid << 3 | 2)  # Linux: the CPU clock of another process
    except OSError:
        return None


def wait_s(pid: int) -> float:
    """Time that its threads were runnable without a CPU."""
    total_ns = 0
    for thread in threads(pid):
        with suppress(OSError, IndexError, ValueError):
            total_ns += int(_read(f"/proc/{pid}/task/{thread}/schedstat").split()[1])
    return total_ns / 1e9


def rss_bytes(pid: int) -> int | None:
    """Resident memory."""
    memory = memory_bytes(pid)
    return memory[1] if memory is not None else None


def memory_bytes(pid: int) -> tuple[int, int] | None:
    """(virtual, resident)"""
    try:
        virtual, resident = _read(f"/proc/{pid}/statm").split()[:2]
        return int(virtual) * _PAGE_BYTES, int(resident) * _PAGE_BYTES
    except (OSError, ValueError):
        return None


def open_files(pid: int) -> int | None:
    """Open file descriptors."""
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return None


def command_line(pid: int) -> list[str]:
    """The words that it was started with."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return [word.decode("utf-8", "replace") for word in file.read().split(b"\0")[:-1]]
    except OSError:
        return []


def threads(pid: int) -> list[int]:
    """Its threads; none if it is gone."""
    try:
        return [int(name) for name in os.listdir(f"/proc/{pid}/task")]
    except OSError:
        return []


def set_cpus(pid: int, cpus: Iterable[int]) -> None:
    """Let all threads of pid run on these CPUs only. Threads started later inherit from the one that starts them."""
    for thread in threads(pid):
        with suppress(OSError):  # a thread that has just ended; a CPU that has just been taken away
            os.sched_setaffinity(thread, cpus)


def _read(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY)
    try:
        return os.read(fd, 4096)
    finally:
        os.close(fd)
