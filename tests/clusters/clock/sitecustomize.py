"""Python imports this in each process that finds it: the wall clock is then as far off as a file says (machines.py)."""

import mmap
import os
import time


def _customize(path: str) -> None:
    with open(path, "rb") as file:
        offset = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)
    wall_clock_ns = time.time_ns

    def time_ns() -> int:
        return wall_clock_ns() + int.from_bytes(offset[:8], "little", signed=True)

    time.time_ns = time_ns
    time.time = lambda: time_ns() / 1e9


if "CLOCK_OFFSET_FILE" in os.environ:
    _customize(os.environ["CLOCK_OFFSET_FILE"])
