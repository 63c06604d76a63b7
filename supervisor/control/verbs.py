"""What can be asked of a running member, as one table: verb -> handler(member, request).

A handler returns the result, raises ControlError with a text for the user, or keeps the request and returns LATER
(socket.Request). It runs between two turns of the supervisor's loop, so it never waits.
"""

from typing import Final

from supervisor.control import chaos, diagnostics, order_verbs, profile, ps, trace
from supervisor.control.order_verbs import Operator
from supervisor.control.socket import Verb


def table(operator: Operator) -> dict[str, Verb]:
    """All verbs. operator: carries out those that are orders"""
    return {
        **ps.VERBS,  # ping, ps, tree
        **order_verbs.verbs(operator),  # restart, stop, start, kill, scale, drain, events
        **diagnostics.VERBS,  # inspect, logs, loglevel, stack, postmortem
        **profile.VERBS,  # profile, stacks
        **chaos.VERBS,  # chaos
        **trace.VERBS,  # trace
    }


LOOKS: Final[dict[str, Verb]] = {
    "ps": ps.ps,
    "events": order_verbs.recall,
    "vars": ps.variables,
    **profile.VERBS,
}
"""What clients may see over HTTP, by way of a listener (messages.Look). NB: anybody who gets to the port may ask."""
