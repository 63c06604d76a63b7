"""What can be asked of a running member, as one table: verb -> handler(loop, request).

A handler returns the result, raises ControlError with a text for the user, or keeps the request and returns LATER
(`control.Request`). It runs between two turns of the supervisor's loop, so it never waits.
"""

from typing import Final

from supervisor.control import diagnostics, order_verbs, ps, trace
from supervisor.control.socket import Verb

VERBS: Final[dict[str, Verb]] = {
    **ps.VERBS,  # ping, ps, tree
    **order_verbs.VERBS,  # restart, stop, start, kill, scale, drain, events
    **diagnostics.VERBS,  # inspect, logs, loglevel, stack, chaos, postmortem
    **trace.VERBS,  # trace
}
