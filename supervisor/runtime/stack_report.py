"""SIGQUIT: where every process of the member is goes to the log, before the member ends at once; as Go's runtime does.

Nothing is waited for but the actors' stacks, since the one who sends SIGQUIT wants to see the member as it is.
"""

import traceback
from collections.abc import Callable, Iterable
from typing import Final

from etcdz.telemetry import logs
from supervisor.children.child import Child
from supervisor.telemetry.crash_reports import STACK_CHARS_MAX
from supervisor.telemetry.observations import Observations
from supervisor.telemetry.stack_round import StackRound

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
        self._done = done
        log.error("SIGQUIT: quit", stack="".join(traceback.format_stack()))
        self._round = StackRound(observations, children, now)

    def __call__(self, now: float) -> bool:
        if not self._round.is_over(now):
            return True
        for name, text in self._round.texts().items():
            pid, stack = self._round.pids[name], text[:STACK_CHARS_MAX]
            log.error("stacks of an actor", child=name, pid=pid, stack=stack or "it wrote nothing")
        self._round.forget()
        self._done()
        return False
