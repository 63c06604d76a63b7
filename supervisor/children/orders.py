"""What people order: restart, stop, start, kill, scale, drain. Pure, like the lifecycle that it adds to.

Each is checked before anything happens (`Refusal`), and what it is about to do can be asked for (`plan`). Orders count
neither as restarts nor against the intensity: only what nobody wanted does.
"""

from dataclasses import replace
from typing import Final, NamedTuple

from supervisor.children.child import Action, Child, Publish, Signal, State
from supervisor.children.lifecycle import SIGKILL, Lifecycle
from supervisor.restart import Ending, Exit, GiveUp, decide
from supervisor.tree import COUNT_MAX, names

HARMLESS: Final = (0, 18)
"""Signals that end nobody: 0 and SIGCONT."""
STOPS: Final = (19, 20, 21, 22)
"""Signals that halt a process; it is killed as hung for that a little later."""


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


class Operations(Lifecycle):
    """The lifecycle, and what it can be ordered to do."""

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
        if self.stopping:
            raise Refusal("the member is stopping")
        if not self.started:
            raise Refusal("the member has not started yet")
        if order.verb != "scale" and order.name not in self.children:
            raise Refusal(f"no actor {order.name}; there are {', '.join(self.children)}")

    def _plan_restart(self, order: Order, now: float) -> list[str]:
        child = self.children[order.name]
        if child.name in self.successors:
            raise Refusal(f"{child.name} is being restarted already")
        if order.graceful and self._can_overlap(child):
            return [f"start a successor of {self._who(child)}, then let that one drain"]
        return [f"stop {self._who(child)} and start it again" if child.alive else f"start {child.name}"]

    def _plan_stop(self, order: Order, now: float) -> list[str]:
        child = self.children[order.name]
        if child.state is State.STOPPED:
            raise Refusal(f"{child.name} is stopped already")
        if not order.force and not self._others_serve(child):
            raise Refusal(f"without {child.name} the member would serve nobody; --force does it all the same")
        return [f"stop {self._who(child)}, until it is started again"]

    def _plan_start(self, order: Order, now: float) -> list[str]:
        child = self.children[order.name]
        if child.draining:
            return [f"let {self._who(child)} take clients again"]
        if child.state not in (State.STOPPED, State.BACKOFF):
            raise Refusal(f"{child.name} is {child.state} already")
        return [f"start {child.name}"]

    def _plan_kill(self, order: Order, now: float) -> list[str]:
        child = self.children[order.name]
        if child.pid is None:
            raise Refusal(f"{child.name} has no process, it is {child.state}")
        if not order.force and order.signum not in HARMLESS and self._would_end_member(child, now):
            raise Refusal(f"one more restart of {child.name} would stop the member; --force does it all the same")
        return [f"send signal {order.signum} to {self._who(child)}"]

    def _plan_scale(self, order: Order, now: float) -> list[str]:
        spec = self.specs.get(order.name)
        if spec is None or not spec.numbered:
            known = ", ".join(name for name, found in self.specs.items() if found.numbered)
            raise Refusal(f"no actors that can be scaled are called {order.name}; there are {known}")
        if not 1 <= order.wanted <= COUNT_MAX:
            raise Refusal(f"{order.name} can be scaled to 1 up to {COUNT_MAX}, not to {order.wanted}")
        before, after = names(spec), names(replace(spec, count=order.wanted))
        staying = [self.children[name] for name in after if name in self.children]
        if not order.force and not any(child.serving for child in staying):
            raise Refusal(f"none of {', '.join(after)} serves clients now; --force does it all the same")
        return [f"start {name}" for name in after if name not in before] + [
            f"let {self._who(self.children[name])} drain, then stop it" for name in before if name not in after
        ]

    def _plan_drain(self, order: Order, now: float) -> list[str]:
        child = self.children[order.name]
        if not child.spec.listen_sockets:
            raise Refusal(f"{child.name} holds no connections of clients")
        if not child.serving:
            raise Refusal(f"{child.name} is {'draining already' if child.draining else child.state}")
        if not order.force and not self._others_serve(child):
            raise Refusal(f"without {child.name} the member would serve nobody; --force does it all the same")
        return [f"let {self._who(child)} send its clients away, and take no new ones until it is started again"]

    # ---- questions ----

    def _who(self, child: Child) -> str:
        return f"{child.name} (pid {child.pid})" if child.pid else child.name

    def _can_overlap(self, child: Child) -> bool:
        return child.spec.overlap and child.state is State.READY

    def _others_serve(self, child: Child) -> bool:
        """Whether others of its row do its work. Who is not of a numbered row is the only one of its kind."""
        return any(
            other.serving for other in self.children.values() if other.spec.name == child.spec.name and other != child
        )

    def _would_end_member(self, child: Child, now: float) -> bool:
        ready_s = None if child.ready_at is None else now - child.ready_at
        exit = Exit(Ending.KILLED, "was killed", ready_s, from_outside=True)
        return isinstance(decide(child.spec.restart, child.spec.intensity, child.history, exit, now, 0.0), GiveUp)

    # ---- doing ----

    def carry_out(self, order: Order, now: float) -> list[Action]:
        """Requires: plan() has not refused it, in this very moment."""
        {
            "restart": self._do_restart,
            "stop": self._do_stop,
            "start": self._do_start,
            "kill": self._do_kill,
            "scale": self._do_scale,
            "drain": self._do_drain,
        }[order.verb](order, now)
        return self._taken()

    def _do_restart(self, order: Order, now: float) -> None:
        child = self.children[order.name]
        if order.graceful and self._can_overlap(child):
            successor = Child(child.spec, child.name, child.slot)
            self.successors[child.name] = successor
            self._spawn(successor, now)
        elif child.state in (State.STOPPED, State.BACKOFF):
            self._spawn(child, now)
        else:
            self._restart_one(child, now)

    def _do_stop(self, order: Order, now: float) -> None:
        child = self.children[order.name]
        child.then_start = False
        if child.state is not State.STOPPING:
            self._stop_one(child, now)

    def _do_start(self, order: Order, now: float) -> None:
        child = self.children[order.name]
        if child.draining:
            child.draining = False
            self._out.append(Publish())
        else:
            self._spawn(child, now)

    def _do_kill(self, order: Order, now: float) -> None:
        child = self.children[order.name]
        if child.pid is not None:
            self._out.append(Signal(child.pid, order.signum))

    def _do_scale(self, order: Order, now: float) -> None:
        spec = self.specs[order.name]
        spec = self.specs[order.name] = replace(spec, count=order.wanted)
        wanted = names(spec)
        for child in [child for child in self.children.values() if child.spec.name == spec.name]:
            child.spec = spec
            if child.name not in wanted:
                self._remove(child, now)
        for slot, name in enumerate(wanted):
            if name not in self.children:
                self.children[name] = Child(spec, name, slot)
                self._spawn(self.children[name], now)
        self._out.append(Publish())

    def _remove(self, child: Child, now: float) -> None:
        del self.children[child.name]
        self._leave(child, now)
        successor = self.successors.pop(child.name, None)
        if successor is not None:
            self._leave(successor, now)

    def _do_drain(self, order: Order, now: float) -> None:
        self.children[order.name].draining = True
        self._out.append(Publish())
