"""What can be asked of a running member, as one table: verb -> handler(loop, request).

A handler returns the result, raises ControlError with a text for the user, or keeps the request and returns LATER
(`control.Request`). It runs between two turns of the supervisor's loop, so it never waits.
"""

from typing import Final

from supervisor import inspecting, looking, operator, tracing
from supervisor.control import Verb

VERBS: Final[dict[str, Verb]] = {
    **looking.VERBS,  # ping, ps, tree
    **operator.VERBS,  # restart, stop, start, kill, scale, drain, events
    **inspecting.VERBS,  # inspect, logs, loglevel, stack, chaos, postmortem
    **tracing.VERBS,  # trace
}
