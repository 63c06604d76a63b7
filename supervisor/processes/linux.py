"""The few prctl calls that Python does not offer."""

import ctypes
import os
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NAME: Final = 15
_PR_SET_CHILD_SUBREAPER: Final = 36

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


def set_name(name: str) -> None:
    """What ps and top show; the kernel keeps 15 bytes."""
    _prctl(_PR_SET_NAME, name.encode()[:15])
