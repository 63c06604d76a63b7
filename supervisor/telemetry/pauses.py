"""Processes that were stopped by a signal on order, and go on by themselves."""

import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

from supervisor.children.child import Child


class Pause(NamedTuple):
    """until: on the monotonic clock, in seconds."""

    until: float
    incarnation: int


class Pauses:
    """By pid. A pause that was ordered is no sign of a hang."""

    def __init__(self) -> None:
        self._pauses: dict[int, Pause] = {}

    def begin(self, pid: int, incarnation: int, until: float) -> None:
        """SIGSTOP now, SIGCONT then. raises ProcessLookupError"""
        os.kill(pid, signal.SIGSTOP)
        self._pauses[pid] = Pause(until, incarnation)

    def __contains__(self, pid: int) -> bool:
        return pid in self._pauses

    def end_due(self, children: Iterable[Child], now: float) -> None:
        """Continue those whose time is over, and forget those that have ended. children: all that live"""
        living = {(child.pid, child.incarnation) for child in children} if self._pauses else set()
        for pid, pause in list(self._pauses.items()):
            is_alive = (pid, pause.incarnation) in living
            if is_alive and now < pause.until:
                continue
            del self._pauses[pid]
            if is_alive:  # else the number may be another process's by now
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def next_deadline(self) -> float | None:
        """When `end_due` has something to do."""
        return min((pause.until for pause in self._pauses.values()), default=None)
