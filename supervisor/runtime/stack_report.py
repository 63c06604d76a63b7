"""SIGQUIT: where every process of the member is goes to the log, before the member ends at once; as Go's runtime does.

Each actor writes its stacks in a signal handler in C, so that also one that hangs is heard. Nothing is waited for but
that, since the one who sends SIGQUIT wants to see the member as it is.
"""

import os
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

from etcdz.ipc.boot import STACK_SIGNAL
from etcdz.telemetry import logs
from supervisor.children.child import Child
from supervisor.telemetry.crash_reports import STACK_CHARS_MAX
from supervisor.telemetry.observations import Observations

STACKS_S: Final = 0.2
"""A process that can write its stacks does so within milliseconds."""
EXIT_STATUS: Final = 2
"""Go's."""

log = logs.get("supervisor")


class StackReport:
    """A follower of Observations, which calls it until it returns False.

    done    called once the report is in the log
    """

    def __init__(
        self, observations: Observations, children: Iterable[Child], done: Callable[[], None], now: float
    ) -> None:
        self._observations = observations
        self._done = done
        self._until = now + STACKS_S
        self._asked = [(child.name, child.incarnation, child.pid) for child in children if child.pid is not None]
        self._before = {name: len(observations.stack(name, incarnation)) for name, incarnation, _ in self._asked}
        log.error("SIGQUIT: quit", stack="".join(traceback.format_stack()))
        for _, _, pid in self._asked:
            with suppress(ProcessLookupError):
                os.kill(pid, STACK_SIGNAL)

    def __call__(self, now: float) -> bool:
        if now < self._until:
            return True
        for name, incarnation, pid in self._asked:
            text = self._observations.stack(name, incarnation)[self._before[name] :][:STACK_CHARS_MAX]
            log.error("stacks of an actor", child=name, pid=pid, stack=text or "it wrote nothing")
            self._observations.forget_stack(name, incarnation)
        self._done()
        return False
