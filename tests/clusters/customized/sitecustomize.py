"""Python imports this in each process that finds it, and what the environment asks for is otherwise than usual there.

CLOCK_OFFSET_FILE           the wall clock is as far off as this file says (machines.py)
LEASE_CHECKPOINT_EVERY_S    what is left of leases is noted so often
"""

import mmap
import os
import time


def _shift_clock(path: str) -> None:
    with open(path, "rb") as file:
        offset = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)
    wall_clock_ns = time.time_ns

    def time_ns() -> int:
        return wall_clock_ns() + int.from_bytes(offset[:8], "little", signed=True)

    time.time_ns = time_ns
    time.time = lambda: time_ns() / 1e9


def _hasten_checkpoints(every_s: float) -> None:
    from etcdz.lease.clocks import CHECKPOINT_EVERY_S, Clocks

    if Clocks.__init__.__defaults__ != (False, CHECKPOINT_EVERY_S):
        raise RuntimeError("the interval of checkpoints is set elsewhere")
    Clocks.__init__.__defaults__ = (False, every_s)


if "CLOCK_OFFSET_FILE" in os.environ:
    _shift_clock(os.environ["CLOCK_OFFSET_FILE"])
if "LEASE_CHECKPOINT_EVERY_S" in os.environ:
    _hasten_checkpoints(float(os.environ["LEASE_CHECKPOINT_EVERY_S"]))
