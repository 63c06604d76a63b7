"""What people order: restart, stop, start, kill, scale, drain. Pure, like the lifecycle that it adds to.

Each is checked before anything happens (`Refusal`), and what it is about to do can be asked for (`plan`). Orders count
neither as restarts nor against the intensity: only what nobody wanted does.
"""

from dataclasses import replace
from typing import Final, NamedTuple

from supervisor.children.child import Action, Life, Publish, Signal, State
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
        if order.verb != "scale" and order.name not in self.lives:
            raise Refusal(f"no actor {order.name}; there are {', '.join(self.lives)}")

    def _plan_restart(self, order: Order, now: float) -> list[str]:
        life = self.lives[order.name]
        if life.name in self.successors:
            raise Refusal(f"{life.name} is being restarted already")
        if order.graceful and self._can_overlap(life):
            return [f"start a successor of {self._who(life)}, then let that one drain"]
        return [f"stop {self._who(life)} and start it again" if life.alive else f"start {life.name}"]

    def _plan_stop(self, order: Order, now: float) -> list[str]:
        life = self.lives[order.name]
        if life.state is State.STOPPED:
            raise Refusal(f"{life.name} is stopped already")
        if not order.force and not self._others_serve(life):
            raise Refusal(f"without {life.name} the member would serve nobody; --force does it all the same")
        return [f"stop {self._who(life)}, until it is started again"]

    def _plan_start(self, order: Order, now: float) -> list[str]:
        life = self.lives[order.name]
        if life.draining:
            return [f"let {self._who(life)} take clients again"]
        if life.state not in (State.STOPPED, State.BACKOFF):
            raise Refusal(f"{life.name} is {life.state} already")
        return [f"start {life.name}"]

    def _plan_kill(self, order: Order, now: float) -> list[str]:
        life = self.lives[order.name]
        if life.pid is None:
            raise Refusal(f"{life.name} has no process, it is {life.state}")
        if not order.force and order.signum not in HARMLESS and self._would_end_member(life, now):
            raise Refusal(f"one more restart of {life.name} would stop the member; --force does it all the same")
        return [f"send signal {order.signum} to {self._who(life)}"]

    def _plan_scale(self, order: Order, now: float) -> list[str]:
        row = self.rows.get(order.name)
        if row is None or not row.numbered:
            known = ", ".join(name for name, found in self.rows.items() if found.numbered)
            raise Refusal(f"no actors that can be scaled are called {order.name}; there are {known}")
        if not 1 <= order.wanted <= COUNT_MAX:
            raise Refusal(f"{order.name} can be scaled to 1 up to {COUNT_MAX}, not to {order.wanted}")
        before, after = names(row), names(replace(row, count=order.wanted))
        staying = [self.lives[name] for name in after if name in self.lives]
        if not order.force and not any(life.serving for life in staying):
            raise Refusal(f"none of {', '.join(after)} serves clients now; --force does it all the same")
        return [f"start {name}" for name in after if name not in before] + [
            f"let {self._who(self.lives[name])} drain, then stop it" for name in before if name not in after
        ]

    def _plan_drain(self, order: Order, now: float) -> list[str]:
        life = self.lives[order.name]
        if not life.row.doors:
            raise Refusal(f"{life.name} holds no connections of clients")
        if not life.serving:
            raise Refusal(f"{life.name} is {'draining already' if life.draining else life.state}")
        if not order.force and not self._others_serve(life):
            raise Refusal(f"without {life.name} the member would serve nobody; --force does it all the same")
        return [f"let {self._who(life)} send its clients away, and take no new ones until it is started again"]

    # ---- questions ----

    def _who(self, life: Life) -> str:
        return f"{life.name} (pid {life.pid})" if life.pid else life.name

    def _can_overlap(self, life: Life) -> bool:
        return life.row.overlap and life.state is State.READY

    def _others_serve(self, life: Life) -> bool:
        """Whether others of its row do its work. Who is not of a numbered row is the only one of its kind."""
        return any(other.serving for other in self.lives.values() if other.row.name == life.row.name and other != life)

    def _would_end_member(self, life: Life, now: float) -> bool:
        ready_s = None if life.ready_at is None else now - life.ready_at
        exit = Exit(Ending.KILLED, "was killed", ready_s, from_outside=True)
        return isinstance(decide(life.row.restart, life.row.intensity, life.history, exit, now, 0.0), GiveUp)

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
        life = self.lives[order.name]
        if order.graceful and self._can_overlap(life):
            successor = Life(life.row, life.name, life.slot)
            self.successors[life.name] = successor
            self._spawn(successor, now)
        elif life.state in (State.STOPPED, State.BACKOFF):
            self._spawn(life, now)
        else:
            self._restart_one(life, now)

    def _do_stop(self, order: Order, now: float) -> None:
        life = self.lives[order.name]
        life.then_start = False
        if life.state is not State.STOPPING:
            self._stop_one(life, now)

    def _do_start(self, order: Order, now: float) -> None:
        life = self.lives[order.name]
        if life.draining:
            life.draining = False
            self._out.append(Publish())
        else:
            self._spawn(life, now)

    def _do_kill(self, order: Order, now: float) -> None:
        life = self.lives[order.name]
        if life.pid is not None:
            self._out.append(Signal(life.pid, order.signum))

    def _do_scale(self, order: Order, now: float) -> None:
        row = self.rows[order.name]
        row = self.rows[order.name] = replace(row, count=order.wanted)
        wanted = names(row)
        for life in [life for life in self.lives.values() if life.row.name == row.name]:
            life.row = row
            if life.name not in wanted:
                self._remove(life, now)
        for slot, name in enumerate(wanted):
            if name not in self.lives:
                self.lives[name] = Life(row, name, slot)
                self._spawn(self.lives[name], now)
        self._out.append(Publish())

    def _remove(self, life: Life, now: float) -> None:
        del self.lives[life.name]
        self._leave(life, now)
        successor = self.successors.pop(life.name, None)
        if successor is not None:
            self._leave(successor, now)

    def _do_drain(self, order: Order, now: float) -> None:
        self.lives[order.name].draining = True
        self._out.append(Publish())
