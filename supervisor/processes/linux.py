"""What Python does not offer of the kernel and of the C library: a few prctl calls, and the heap's free memory."""

import ctypes
import os
import signal
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NAME: Final = 15
_PR_SET_CHILD_SUBREAPER: Final = 36

IGNORED_SIGNALS: Final = (
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGPIPE,
    signal.SIGALRM,
    signal.SIGXCPU,
    signal.SIGXFSZ,
    signal.SIGVTALRM,
    signal.SIGPROF,
    signal.SIGIO,
    signal.SIGPWR,
    *range(signal.SIGRTMIN + 1, signal.SIGRTMAX + 1),
)
"""What Go's runtime takes without an end, and would kill a C program; SIGURG, SIGWINCH, SIGCONT kill neither.
Source: runtime/sigtab_linux_generic.go, and etcd 3.5.1 asked with each of them."""
_GAP_BYTES: Final = (*range(65_536, 4_096, -4_096), *range(4_096, 1_024, -256), *range(1_024, 23, -16))
"""Sizes of blocks that fill gaps, the large ones first: what is left of a gap is for the small ones."""
_GAPS_BYTES_MAX: Final = 64 << 20
"""Far more than the gaps of a heap that has just been made: where allocations do not come in the order of addresses
this ends the filling."""

_libc = ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, argument: int | bytes) -> None:
    value = ctypes.c_char_p(argument) if isinstance(argument, bytes) else ctypes.c_ulong(argument)
    if _libc.prctl(option, value, 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def die_with_parent(parent: int, signum: int) -> bool:
    """Have the kernel send us signum when our parent ends. return False if it is not (any more) this parent."""
    _prctl(_PR_SET_PDEATHSIG, signum)
    return os.getppid() == parent  # asked after the call: it may have ended just before


def become_subreaper() -> None:
    """Orphans among our descendants become our children."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def trim_heap() -> None:
    """Give memory that is free inside the heap back to the kernel. C libraries other than glibc do so by themselves."""
    trim = getattr(_libc, "malloc_trim", None)
    if trim is not None:
        trim(0)


def fill_heap_gaps() -> None:
    """Take what is free inside the heap for good, so that what is allocated from now on lies together at its end.

    For a process that forks: each gap that a child uses is a page that it does not share any more. To fill them costs
    no memory, since pages that are free as a whole have been given back (trim_heap) and are not written to here.
    """
    if not hasattr(_libc, "malloc_trim"):
        return
    allocate = _libc.malloc
    allocate.argtypes, allocate.restype = [ctypes.c_size_t], ctypes.c_size_t
    free = _libc.free
    free.argtypes, free.restype = [ctypes.c_size_t], None
    _libc.sbrk.argtypes, _libc.sbrk.restype = [ctypes.c_ssize_t], ctypes.c_size_t
    end, left = _libc.sbrk(0), _GAPS_BYTES_MAX
    for size in _GAP_BYTES:
        while (block := allocate(size)) < end and left > 0:
            left -= size
        free(block)


def set_name(name: str) -> None:
    """What ps and top show; the kernel keeps 15 bytes."""
    _prctl(_PR_SET_NAME, name.encode()[:15])
