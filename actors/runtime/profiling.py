"""Verbs of an actor that say where it spends its CPU time; nothing of it costs anything while it is off.

    profile   {"for_s", "hz"}    begin: note where the actor is each time that its process has used 1/hz s of CPU
    profiled  {}                 what was noted; ends it

The kernel's timer of CPU time sends SIGPROF, as for Go's profiles; Python's handler sees the stack of the main thread,
which is where an actor works. What other threads use (ZeroMQ's, LevelDB's) is counted to where the main one is
meanwhile. That beat a thread that samples, which would have made the actor wait for it.
"""

import signal
from collections import Counter
from collections.abc import Mapping
from types import FrameType
from typing import Any, Final

from actors.runtime.switches import Switches, seconds_of

HZ_DEFAULT: Final = 100
"""Go's."""
HZ_MAX: Final = 1_000
DEPTH_MAX: Final = 64
STACKS_MAX: Final = 2_000
"""Different ones; what comes beyond counts as `lost`."""
GRACE_S: Final = 5.0
"""It ends by itself so long after its time, if nobody has asked for what was noted."""

Site = tuple[str, str, int]
"""(function, file, line)"""


class Profiling:
    """Of one actor."""

    def __init__(self, switches: Switches) -> None:
        self._switches = switches
        self._hz = 0
        """0: it is off."""
        self._counts: Counter[tuple[Site, ...]] = Counter()
        self._lost = 0
        self.verbs = {"profile": self._begin, "profiled": self._take}

    def _begin(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """raises ValueError: one is under way, or no such rate"""
        hz, seconds = int(args.get("hz", HZ_DEFAULT)), seconds_of(args)
        if not 1 <= hz <= HZ_MAX:
            raise ValueError(f"hz must be 1 to {HZ_MAX}")
        if self._hz:
            raise ValueError("a profile is under way already")
        self._hz, self._lost = hz, 0
        self._counts.clear()
        signal.signal(signal.SIGPROF, self._on_signal)
        signal.siginterrupt(signal.SIGPROF, False)
        signal.setitimer(signal.ITIMER_PROF, 1 / hz, 1 / hz)
        self._switches.set("profile", seconds + GRACE_S, self._end)
        return {"hz": hz}

    def _take(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """return  {"hz", "lost", "sites": [[function, file, line], ...], "stacks": [[count, [site, ...]], ...]}
        a site in a stack is its number; stacks begin with the innermost
        """
        hz, counts = self._hz, self._counts.copy()
        if not hz:
            raise ValueError("no profile is under way")
        self._switches.set("profile", 0.0, self._end)
        self._end()
        places: dict[Site, int] = {}
        stacks = [[count, [places.setdefault(site, len(places)) for site in stack]] for stack, count in counts.items()]
        return {"hz": hz, "lost": self._lost, "sites": [list(site) for site in places], "stacks": stacks}

    def _end(self) -> None:
        """NB: a signal may still be on its way, and without a handler it would end the process."""
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, signal.SIG_IGN)
        self._hz = 0
        self._counts.clear()

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        stack: list[Site] = []
        while frame is not None and len(stack) < DEPTH_MAX:
            code = frame.f_code
            stack.append((code.co_qualname, code.co_filename, frame.f_lineno))
            frame = frame.f_back
        key = tuple(stack)
        if key in self._counts or len(self._counts) < STACKS_MAX:
            self._counts[key] += 1
        else:
            self._lost += 1
