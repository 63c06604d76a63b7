"""Verbs that act: an order is checked, told back if it is a dry run, else carried out, and answered when it is done.

args     {"actor": "wal", "force": false, "dry_run": false, ...}; see ORDERS
answer   {"plan": ["stop wal (pid 7) and start it again"], "done": true, "actors": [as in ps]}
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from etcdz.telemetry import logs
from supervisor.children.child import State
from supervisor.children.orders import Order, Refusal
from supervisor.control import ps
from supervisor.control.socket import LATER, ControlError, Request, Verb
from supervisor.runtime.context import Member

log = logs.get("supervisor")

DRAINED_S: Final = 600.0
"""Longest wait for a listener's last client."""


class Pending(NamedTuple):
    """An order that is being carried out. since: incarnations above it are new."""

    request: Request
    order: Order
    plan: list[str]
    since: int
    give_up_at: float


class Operator:
    """Gives orders to the lifecycle, and watches what becomes of them."""

    def __init__(self, member: Member) -> None:
        self._member = member
        self._pending: list[Pending] = []

    def take(self, request: Request, order: Order) -> Any:
        """What the verb of an order answers."""
        lifecycle, now = self._member.lifecycle, time.monotonic()
        try:
            plan = self._member.orders.plan(order, now)
        except Refusal as refusal:
            raise ControlError(str(refusal)) from None
        if request.args.get("dry_run"):
            return {"plan": plan, "done": False, "actors": []}
        log.info("order", order=order.verb, actor=order.name, plan=plan)
        self._member.events.add("info", "order", {"child": order.name, "order": order.verb, "plan": plan})
        since = max((child.incarnation for child in lifecycle.everyone()), default=0)
        self._pending.append(Pending(request, order, plan, since, now + DRAINED_S))
        self._member.do(self._member.orders.carry_out(order, now))
        return LATER

    def look(self, now: float) -> None:
        """Answer what is done, or cannot be any more."""
        if self._pending:
            self._pending = [pending for pending in self._pending if not self._settled(pending, now)]

    def _settled(self, pending: Pending, now: float) -> bool:
        lifecycle, order = self._member.lifecycle, pending.order
        if lifecycle.stopping:
            pending.request.refuse(lifecycle.failure or "the member stops")
        elif now > pending.give_up_at:
            pending.request.refuse(f"not done within {DRAINED_S:g} s, but still under way")
        elif (outcome := OUTCOMES[order.verb](self._member, pending)) is True:
            pending.request.answer(self._answer(pending))
        elif outcome is False:
            return False
        else:
            pending.request.refuse(outcome)
        return True

    def _answer(self, pending: Pending) -> dict[str, Any]:
        now, name = time.monotonic(), pending.order.name
        children = [child for child in self._member.lifecycle.everyone() if name in (child.name, child.spec.name)]
        actors = [ps.describe(self._member, child, now) for child in children]
        return {"plan": pending.plan, "done": True, "actors": actors}


Outcome = bool | str
"""Whether it is done; a text if it will never be."""


def _restarted(member: Member, pending: Pending) -> Outcome:
    child = member.lifecycle.children.get(pending.order.name)
    if child is None:
        return "it was scaled away meanwhile"
    if child.incarnation > pending.since and child.state is State.READY:
        return not _leaving(member, child.name)
    if (
        child.incarnation <= pending.since
        and child.state is State.READY
        and child.name not in member.lifecycle.successors
    ):
        return f"its successor did not become ready, {child.name} goes on as before"
    return "it did not become ready" if child.state is State.STOPPED else False


def _leaving(member: Member, name: str) -> bool:
    return any(child.name == name for child in member.lifecycle.leaving)


def _stopped(member: Member, pending: Pending) -> Outcome:
    child = member.lifecycle.children.get(pending.order.name)
    return child is None or child.state is State.STOPPED


def _started(member: Member, pending: Pending) -> Outcome:
    child = member.lifecycle.children.get(pending.order.name)
    if child is None or child.state is State.STOPPED:
        return "it did not become ready"
    return child.serving


def _scaled(member: Member, pending: Pending) -> Outcome:
    spec = pending.order.name
    return all(
        child.state is State.READY for child in member.lifecycle.children.values() if child.spec.name == spec
    ) and not any(child.spec.name == spec for child in member.lifecycle.leaving)


def _drained(member: Member, pending: Pending) -> Outcome:
    child = member.lifecycle.children.get(pending.order.name)
    if child is None or child.state is not State.READY:
        return True
    if not child.draining:
        return "it was started again meanwhile"
    beat = member.observations.heartbeats.last(child.incarnation)
    return beat is not None and beat.summary.get("drained", False) is True


OUTCOMES: Final[dict[str, Callable[[Member, Pending], Outcome]]] = {
    "restart": _restarted,
    "stop": _stopped,
    "start": _started,
    "kill": lambda member, pending: True,
    "scale": _scaled,
    "drain": _drained,
}


def _order_of(verb: str, args: Mapping[str, Any]) -> Order:
    """raises ValueError, KeyError, TypeError: bad arguments"""
    return Order(
        verb=verb,
        name=str(args["actor"]),
        graceful=bool(args.get("graceful")),
        signum=int(args.get("signal", 9)),
        wanted=int(args.get("count", 0)),
        force=bool(args.get("force")),
    )


def _restart(operator: Operator, member: Member, request: Request) -> Any:
    """With "upgrade" the new process runs the code that is on disk now."""
    order = _order_of("restart", request.args)
    if not request.args.get("upgrade") or request.args.get("dry_run"):
        return operator.take(request, order)
    try:
        member.orders.plan(order, time.monotonic())
    except Refusal as refusal:
        raise ControlError(str(refusal)) from None

    def renewed(error: str) -> None:
        if error:
            request.refuse(f"the code on disk cannot be run, nothing was changed: {error}")
            return
        try:
            operator.take(request, order)
        except ControlError as refusal:
            request.refuse(str(refusal))

    if not member.spawner.renew(renewed):
        raise ControlError("an upgrade is under way already")
    return LATER


def events(member: Member, request: Request) -> Any:
    """What has happened; with "follow" all that happens from now on, too."""
    if not request.args.get("follow"):
        return recall(member, request)
    member.events.follow(request.piece)
    return LATER


def recall(member: Member, request: Request) -> Any:
    """What has happened up to now, oldest first."""
    return list(member.events.kept)


def verbs(operator: Operator) -> dict[str, Verb]:
    """restart, stop, start, kill, scale, drain, events"""

    def ordered(verb: str) -> Verb:
        return lambda member, request: operator.take(request, _order_of(verb, request.args))

    return {
        "restart": lambda member, request: _restart(operator, member, request),
        **{verb: ordered(verb) for verb in ("stop", "start", "kill", "scale", "drain")},
        "events": events,
    }
