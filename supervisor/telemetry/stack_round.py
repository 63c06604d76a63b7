"""Stacks of several actors, each written by the actor in a signal handler in C: one that hangs is heard, too."""

import os
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from etcdz.ipc.boot import STACK_SIGNAL
from supervisor.children.child import Child
from supervisor.telemetry.observations import Observations

WAIT_S: Final = 4.0
"""For the last of them. A process that can write its stacks does so within milliseconds of CPU time, which it may not
get at once on a busy machine; one that is halted writes nothing."""
QUIET_S: Final = 0.4
"""Who has written nothing more for so long has written all: it does so line by line."""


class StackRound:
    """pids: by name"""

    def __init__(self, observations: Observations, children: Iterable[Child], now: float) -> None:
        """Asks them. Requires: each has a process that catches the signal"""
        asked = [(child.name, child.incarnation, child.pid) for child in children if child.pid is not None]
        self.pids = {name: pid for name, _, pid in asked}
        self._observations = observations
        self._until = now + WAIT_S
        self._incarnations = {name: incarnation for name, incarnation, _ in asked}
        self._before = {name: len(self._all_of(name)) for name in self._incarnations}
        self._last: dict[str, str] = {}
        self._changed_at = now
        for pid in self.pids.values():
            with suppress(ProcessLookupError):
                os.kill(pid, STACK_SIGNAL)

    def is_over(self, now: float) -> bool:
        """Whether all have written, or the time is over."""
        texts = self.texts()
        if texts != self._last:
            self._last, self._changed_at = texts, now
        return now >= self._until or (all(texts.values()) and now >= self._changed_at + QUIET_S)

    def texts(self) -> dict[str, str]:
        """By name what has come so far."""
        return {name: self._all_of(name)[self._before[name] :] for name in self._incarnations}

    def forget(self) -> None:
        """The files of those that have ended are not needed any more."""
        for name, incarnation in self._incarnations.items():
            self._observations.forget_stack(name, incarnation)

    def _all_of(self, name: str) -> str:
        return self._observations.stack(name, self._incarnations[name])
