"""What people order: restart, stop, start, kill, scale, drain. Pure, like the lifecycle that carries it out.

Each order is checked before anything happens (`Refusal`), and what it is about to do can be asked for (`plan`). Orders
count neither as restarts nor against the intensity.
"""

from dataclasses import replace
from typing import Final, NamedTuple

from etcdz.ipc.request_ids import LISTENER_SLOTS
from supervisor.children import slots
from supervisor.children.child import Action, Child, State
from supervisor.children.lifecycle import SIGKILL, Lifecycle
from supervisor.restart import Ending, Exit, GiveUp, decide
from supervisor.tree import COUNT_MAX, names

HARMLESS: Final = (0, 18)
"""Signals that end no process: 0 and SIGCONT."""


class Refusal(Exception):
    """It cannot be done, or not without force; the text is for the user."""


class Order(NamedTuple):
    """verb: restart, stop, start, kill, scale, drain; name: of an actor, for scale of a row."""

    verb: str
    name: str
    graceful: bool = False
    signum: int = SIGKILL
    wanted: int = 0
    force: bool = False


class Orders:
    """Checks orders, and gives them to the lifecycle. It has no state of its own."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        self._lifecycle = lifecycle

    # ---- before ----

    def plan(self, order: Order, now: float) -> list[str]:
        """What `carry_out` would do, in words, one line for each actor. raises Refusal"""
        self._check_running(order)
        return {
            "restart": self._plan_restart,
            "stop": self._plan_stop,
            "start": self._plan_start,
            "kill": self._plan_kill,
            "scale": self._plan_scale,
            "drain": self._plan_drain,
        }[order.verb](order, now)

    def _check_running(self, order: Order) -> None:
        if self._lifecycle.stopping:
            raise Refusal("the member is stopping")
        if not self._lifecycle.started:
            raise Refusal("the member has not started yet")
        if order.verb != "scale" and order.name not in self._lifecycle.children:
            raise Refusal(f"no actor {order.name}; there are {', '.join(self._lifecycle.children)}")

    def _plan_restart(self, order: Order, now: float) -> list[str]:
        child = self._lifecycle.children[order.name]
        if child.name in self._lifecycle.successors:
            raise Refusal(f"{child.name} is being restarted already")
        if order.graceful and self._can_overlap(child):
            self._check_slots(child.spec.name, 1)
            return [f"start a successor of {self._named(child)}, then let that one drain"]
        return [f"stop {self._named(child)} and start it again" if child.alive else f"start {child.name}"]

    def _plan_stop(self, order: Order, now: float) -> list[str]:
        child = self._lifecycle.children[order.name]
        if child.state is State.STOPPED:
            raise Refusal(f"{child.name} is stopped already")
        if not order.force and not self._others_serve(child):
            raise Refusal(f"without {child.name} the member would serve no client; --force does it all the same")
        return [f"stop {self._named(child)}, until it is started again"]

    def _plan_start(self, order: Order, now: float) -> list[str]:
        child = self._lifecycle.children[order.name]
        if child.draining:
            return [f"let {self._named(child)} take clients again"]
        if child.state not in (State.STOPPED, State.BACKOFF):
            raise Refusal(f"{child.name} is {child.state} already")
        return [f"start {child.name}"]

    def _plan_kill(self, order: Order, now: float) -> list[str]:
        child = self._lifecycle.children[order.name]
        if child.pid is None:
            raise Refusal(f"{child.name} has no process, it is {child.state}")
        if not order.force and order.signum not in HARMLESS and self._would_end_member(child, now):
            raise Refusal(f"one more restart of {child.name} would stop the member; --force does it all the same")
        return [f"send signal {order.signum} to {self._named(child)}"]

    def _plan_scale(self, order: Order, now: float) -> list[str]:
        spec = self._lifecycle.specs.get(order.name)
        if spec is None or not spec.numbered:
            known = ", ".join(name for name, found in self._lifecycle.specs.items() if found.numbered)
            raise Refusal(f"no actors that can be scaled are called {order.name}; there are {known}")
        if not 1 <= order.wanted <= COUNT_MAX:
            raise Refusal(f"{order.name} can be scaled to 1 up to {COUNT_MAX}, not to {order.wanted}")
        before, after = names(spec), names(replace(spec, count=order.wanted))
        self._check_slots(spec.name, len(set(after) - set(before)))
        staying = [self._lifecycle.children[name] for name in after if name in self._lifecycle.children]
        if not order.force and not any(child.serving for child in staying):
            raise Refusal(f"none of {', '.join(after)} serves clients now; --force does it all the same")
        return [f"start {name}" for name in after if name not in before] + [
            f"let {self._named(self._lifecycle.children[name])} drain, then stop it"
            for name in before
            if name not in after
        ]

    def _plan_drain(self, order: Order, now: float) -> list[str]:
        child = self._lifecycle.children[order.name]
        if not child.spec.listen_sockets:
            raise Refusal(f"{child.name} holds no connections of clients")
        if not child.serving:
            raise Refusal(f"{child.name} is {'draining already' if child.draining else child.state}")
        if not order.force and not self._others_serve(child):
            raise Refusal(f"without {child.name} the member would serve no client; --force does it all the same")
        return [f"let {self._named(child)} send its clients away, and take no new ones until it is started again"]

    # ---- what the checks ask ----

    def _named(self, child: Child) -> str:
        return f"{child.name} (pid {child.pid})" if child.pid else child.name

    def _check_slots(self, row: str, more: int) -> None:
        """raises Refusal: so many processes beside those that live could not be told apart by their request ids"""
        everyone = list(self._lifecycle.everyone())
        if more > slots.room(row, everyone):
            alive = sum(child.spec.name == row and child.alive for child in everyone)
            raise Refusal(
                f"{row} has {alive} processes with those that leave still, and there are slots for"
                f" {len(LISTENER_SLOTS)}: try again when some have ended"
            )

    def _can_overlap(self, child: Child) -> bool:
        return child.spec.overlap and child.state is State.READY

    def _others_serve(self, child: Child) -> bool:
        """Whether others of its row do its work. An actor of a row that is not numbered is the only one of its kind."""
        return any(
            other.serving
            for other in self._lifecycle.children.values()
            if other.spec.name == child.spec.name and other != child
        )

    def _would_end_member(self, child: Child, now: float) -> bool:
        ready_s = None if child.ready_at is None else now - child.ready_at
        exit = Exit(Ending.KILLED, "was killed", ready_s, from_outside=True)
        return isinstance(decide(child.spec.restart, child.spec.intensity, child.history, exit, now, 0.0), GiveUp)

    # ---- doing ----

    def carry_out(self, order: Order, now: float) -> list[Action]:
        """Give the lifecycle the command. Requires: plan() has not refused it, in this very moment."""
        lifecycle, name = self._lifecycle, order.name
        match order.verb:
            case "restart" if order.graceful and self._can_overlap(lifecycle.children[name]):
                return lifecycle.start_successor(name, now)
            case "restart":
                return lifecycle.restart(name, now)
            case "stop":
                return lifecycle.stop_actor(name, now)
            case "start":
                return lifecycle.start_actor(name, now)
            case "kill":
                return lifecycle.signal(name, order.signum)
            case "scale":
                return lifecycle.scale(name, order.wanted, now)
            case "drain":
                return lifecycle.drain(name)
        raise ValueError(f"no order {order.verb!r}")
