"""How the C allocator of this process treats large blocks: answers of megabytes, made and dropped again.

By itself glibc maps a block of its own for each, and the kernel then clears every page of it at its first touch, which
costs more than to fill it. With answers of 7 MB that was most of an apply: 33-40 ms each, 8 ms from the heap.
"""

import ctypes
from typing import Final

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
# Source: mallopt(3), malloc.h.

LARGE_BYTES: Final = 1 << 20
"""Answers of one turn to one listener from which on it matters."""
FROM_HEAP_MAX_BYTES: Final = 32 << 20
"""The most that glibc takes from the heap."""
KEPT_BYTES_MAX: Final = 64 << 20
"""Of what is free at the end of the heap, before it goes back to the kernel."""


def keep_large_blocks() -> None:
    """For the life of this process. Not before there are large answers: what is free costs memory for as long as it is
    kept. C libraries other than glibc go on as they do."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, FROM_HEAP_MAX_BYTES)
        mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES_MAX)
