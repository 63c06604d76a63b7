"""The life of a member's actors as a pure core: events in, work to do out. `member.py` carries the work out.

    stopped -> starting -> ready -> stopping -> stopped
                  \\          \\
                   +----------+--> backoff -> starting

Each method takes one event with the time at which it happened and returns actions, to be carried out in order. The
core knows no process, socket or clock. An event of an incarnation that is no longer the current one changes nothing,
except that a fatal fault always counts and that a process nobody waits for is killed.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final, NamedTuple

from supervisor.restart import Again, Ending, Exit, GiveUp, History, Rest, decide
from supervisor.tree import KILL_AFTER_S, Row, names

SIGKILL: Final = 9
SIGTERM: Final = 15

SPAWN_S: Final = 15.0
"""From Spawn to the process being there: milliseconds, or a zygote's own start."""

STALL_S: Final = 2.0
"""on_clock comes several times a second. A longer gap means that we were paused (SIGSTOP, a frozen cgroup) and most
likely the actors with us: then old heartbeats are no sign of a hang."""


class State(StrEnum):
    """Of one actor; the words that `etcdz actors ps` prints."""

    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    BACKOFF = "backoff"


class Spawn(NamedTuple):
    """Start this incarnation; answered by on_spawned or on_spawn_failed."""

    name: str
    incarnation: int


class ReplaceZygote(NamedTuple):
    """It did not spawn this incarnation in time, and must not do so any more."""

    name: str
    incarnation: int


class Ask(NamedTuple):
    """Send Stop to the actor's mailbox."""

    name: str
    deadline_s: float


class Signal(NamedTuple):
    """Send a signal to a child."""

    pid: int
    signum: int


class Publish(NamedTuple):
    """The roster has changed: send it to all who stand in it."""


class Gone(NamedTuple):
    """This incarnation is dead: close its link, unlink its endpoint."""

    name: str
    incarnation: int


class Note(NamedTuple):
    """A log line."""

    level: str
    msg: str
    fields: dict[str, Any]


Action = Spawn | ReplaceZygote | Ask | Signal | Publish | Gone | Note


class Life:
    """One actor, over all its incarnations."""

    __slots__ = (
        "row", "name", "slot", "state", "incarnation", "pid", "restarts", "history", "spawned_at", "ready_at",
        "heard_at", "deadline", "reason", "ending", "terminated",
    )  # fmt: skip

    def __init__(self, row: Row, name: str, slot: int) -> None:
        self.row = row
        self.name = name
        self.slot = slot
        self.state = State.STOPPED
        self.incarnation = 0
        """The latest; 0 before the first."""
        self.pid: int | None = None
        """Invariant: not None exactly while a process of `incarnation` lives and is known."""
        self.restarts = 0
        self.history = History()
        self.spawned_at = 0.0
        self.ready_at: float | None = None
        """Of this incarnation."""
        self.heard_at = 0.0
        """Last heartbeat."""
        self.deadline: float | None = None
        """starting: must be ready; backoff: starts again; stopping: the next stronger means."""
        self.reason = ""
        """Why this incarnation ends, as far as it is known before its exit."""
        self.ending: Ending | None = None
        """Set when we ended it ourselves."""
        self.terminated = False
        """SIGTERM was sent."""

    @property
    def alive(self) -> bool:
        """A process exists or is being made."""
        return self.state in (State.STARTING, State.READY, State.STOPPING)

    @property
    def listed(self) -> bool:
        """Its mailbox is bound and read."""
        return self.alive and self.ready_at is not None


class Lifecycle:
    """All actors of the member."""

    def __init__(self, tree: tuple[Row, ...], first_incarnation: int, uniform: Callable[[], float]) -> None:
        """uniform: randomness in [0, 1), for the jitter."""
        self.lives = {name: Life(row, name, slot) for row in tree for slot, name in enumerate(names(row))}
        self.stages = sorted({row.stage for row in tree})
        self.started = False
        """All stages were ready once."""
        self.stopping = False
        self.failure = ""
        """Why the member stops by itself; "" if it was told to."""
        self._stage = -1
        """Position in stages: starting up, the one that is waited for; stopping, the one that is being stopped."""
        self._next_incarnation = first_incarnation
        self._uniform = uniform
        self._clock: float | None = None
        self._out: list[Action] = []

    # ---- events ----

    def begin(self, now: float) -> list[Action]:
        """Start the first stage."""
        self._start_next_stage(now)
        return self._taken()

    def on_spawned(self, name: str, incarnation: int, pid: int, now: float) -> list[Action]:
        life = self.lives[name]
        if life.incarnation != incarnation or not life.alive:
            self._out.append(Signal(pid, SIGKILL))
        else:
            life.pid = pid
            if life.state is State.STARTING:
                life.deadline = now + life.row.start_s
            else:  # stopping: it may not have a mailbox yet, and has nothing to finish
                self._out.append(Signal(pid, SIGKILL))
        return self._taken()

    def on_spawn_failed(self, name: str, incarnation: int, reason: str, now: float) -> list[Action]:
        life = self.lives[name]
        if life.incarnation == incarnation and life.alive and life.pid is None:
            self._ended(life, Exit(Ending.UNREADY, f"could not be spawned: {reason}", None), now)
        return self._taken()

    def on_ready(self, name: str, incarnation: int, info: dict[str, Any], now: float) -> list[Action]:
        life = self.lives.get(name)
        if life is None or life.incarnation != incarnation or life.state is not State.STARTING:
            return []
        life.state = State.READY
        life.ready_at = life.heard_at = now
        life.deadline = None
        took_ms = round((now - life.spawned_at) * 1000, 1)
        self._note("info", "actor is ready", life, took_ms=took_ms, **({"info": info} if info else {}))
        self._out.append(Publish())
        if not self.started and not self.stopping:
            self._start_next_stage(now)
        return self._taken()

    def on_heartbeat(self, name: str, incarnation: int, now: float) -> None:
        life = self.lives.get(name)
        if life is not None and life.incarnation == incarnation:
            life.heard_at = now

    def on_fault(self, name: str, incarnation: int, fatal: bool, reason: str, now: float) -> list[Action]:
        life = self.lives.get(name)
        if life is None:
            return []
        if life.incarnation == incarnation:
            life.reason = reason
        if fatal:
            self._fail(f"{name}: {reason}", now)
        return self._taken()

    def on_exit(self, pid: int, status: int, now: float) -> list[Action]:
        """status: exit status, or minus the number of the signal that killed it."""
        life = next((life for life in self.lives.values() if life.pid == pid), None)
        if life is not None:
            self._ended(life, self._exit(life, status, now), now)
        return self._taken()

    def on_clock(self, now: float) -> list[Action]:
        """Deadlines that have passed. Requires: all that was received before now has been handed in."""
        if self._clock is not None and now - self._clock > STALL_S:
            for life in self.lives.values():
                life.heard_at += now - self._clock
        self._clock = now
        for life in self.lives.values():
            self._check_deadline(life, now)
        return self._taken()

    def stop(self, now: float) -> list[Action]:
        """Ordered stop, the last stage first. Once it is under way more calls change nothing."""
        self._stop(now)
        return self._taken()

    def force(self) -> list[Action]:
        """SIGKILL for all that live."""
        self.stopping = True
        for life in self.lives.values():
            if life.pid is not None:
                life.state = State.STOPPING
                life.deadline = None
                self._out.append(Signal(life.pid, SIGKILL))
            else:
                life.state = State.STOPPED
        return self._taken()

    # ---- questions ----

    @property
    def finished(self) -> bool:
        """Nothing lives and nothing will."""
        return self.stopping and not any(life.alive for life in self.lives.values())

    def listed(self) -> list[Life]:
        """Actors that stand in the roster: from READY to their end. Who stops still awaits the others' answers."""
        return [life for life in self.lives.values() if life.listed]

    def next_deadline(self) -> float | None:
        """When on_clock has something to do at the latest, but for hangs, which need no such precision."""
        return min((life.deadline for life in self.lives.values() if life.deadline is not None), default=None)

    # ---- start ----

    def _start_next_stage(self, now: float) -> None:
        """Go on as soon as all of the current stage are ready."""
        current = self._of_stage(self._stage) if self._stage >= 0 else []
        if any(life.state is not State.READY for life in current):
            return
        self._stage += 1
        if self._stage == len(self.stages):
            self.started = True
            return
        for life in self._of_stage(self._stage):
            self._spawn(life, now)

    def _of_stage(self, position: int) -> list[Life]:
        return [life for life in self.lives.values() if life.row.stage == self.stages[position]]

    def _spawn(self, life: Life, now: float) -> None:
        life.state = State.STARTING
        life.incarnation = self._next_incarnation
        self._next_incarnation += 1
        life.spawned_at = life.heard_at = now
        life.ready_at = None
        life.deadline = now + min(life.row.start_s, SPAWN_S)
        life.reason = ""
        life.ending = None
        life.terminated = False
        self._out.append(Spawn(life.name, life.incarnation))

    # ---- end of a process ----

    def _exit(self, life: Life, status: int, now: float) -> Exit:
        ready_s = None if life.ready_at is None else now - life.ready_at
        if life.ending is not None:
            return Exit(life.ending, life.reason, ready_s)
        if status < 0:
            return Exit(Ending.KILLED, f"was killed by signal {-status}", ready_s)
        if status == 0:
            return Exit(Ending.NORMAL, "exited with status 0", ready_s)
        cause = f": {life.reason}" if life.reason else ""
        return Exit(Ending.FAILED, f"exited with status {status}{cause}", ready_s)

    def _ended(self, life: Life, exit: Exit, now: float) -> None:
        was_listed, was_stopping = life.listed, life.state is State.STOPPING
        pid, life.pid, life.deadline = life.pid, None, None
        life.state = State.STOPPED
        self._out.append(Gone(life.name, life.incarnation))
        if was_listed:
            self._out.append(Publish())
        if was_stopping or self.stopping:
            self._note("info", "actor has stopped", life, pid=pid, reason=exit.reason)
            self._stop_next_stage(now)
            return
        self._note("warn", "actor has ended", life, pid=pid, ending=exit.ending.value, reason=exit.reason)
        self._decide(life, exit, now)

    def _decide(self, life: Life, exit: Exit, now: float) -> None:
        if not self.started and life.restarts == 0 and exit.ending is Ending.FAILED:
            # As in Erlang/OTP, the member's own start fails with the first actor that says no. Later the same exit
            # may come of something that passes, and clients depend on us: then it is tried again.
            self._fail(f"{life.name} {exit.reason}", now)
            return
        decision = decide(life.row.restart, life.row.intensity, life.history, exit, now, self._uniform())
        if isinstance(decision, GiveUp):
            self._fail(f"{life.name}: {decision.reason}", now)
        elif isinstance(decision, Again):
            life.history = decision.history
            life.restarts += 1
            if decision.after_s > 0:
                life.state = State.BACKOFF
                life.deadline = now + decision.after_s
            else:
                self._spawn(life, now)
        elif isinstance(decision, Rest) and not self.started:
            self._fail(f"{life.name} {exit.reason} during the member's start", now)

    # ---- deadlines ----

    def _check_deadline(self, life: Life, now: float) -> None:
        if life.state is State.READY:
            silent_s = now - life.heard_at
            if silent_s > life.row.hang_s:
                self._kill(life, Ending.HUNG, f"hung: no heartbeat for {silent_s:.1f} s")
        elif life.deadline is not None and now >= life.deadline:
            if life.state is State.BACKOFF:
                self._spawn(life, now)
            elif life.state is State.STARTING:
                self._not_ready_in_time(life, now)
            elif life.state is State.STOPPING:
                self._stop_harder(life, now)

    def _not_ready_in_time(self, life: Life, now: float) -> None:
        if life.pid is not None:
            self._kill(life, Ending.UNREADY, f"was not ready within {life.row.start_s:g} s")
        else:
            self._out.append(ReplaceZygote(life.name, life.incarnation))
            self._ended(life, Exit(Ending.UNREADY, "could not be spawned: the zygote is silent", None), now)

    def _kill(self, life: Life, ending: Ending, reason: str) -> None:
        if life.ending is None and life.pid is not None:
            life.ending, life.reason = ending, reason
            life.deadline = None
            self._note("error", "killing actor", life, pid=life.pid, reason=reason)
            self._out.append(Signal(life.pid, SIGKILL))

    def _stop_harder(self, life: Life, now: float) -> None:
        if life.pid is None:  # still being spawned: if that comes about after all, on_spawned kills it
            self._ended(life, Exit(Ending.UNREADY, "could not be spawned: the zygote is silent", None), now)
            return
        signum = SIGKILL if life.terminated else SIGTERM
        life.terminated = True
        life.deadline = now + KILL_AFTER_S if signum == SIGTERM else None
        self._note("warn", "actor did not stop in time", life, pid=life.pid, signal=signum)
        self._out.append(Signal(life.pid, signum))

    # ---- stop ----

    def _fail(self, reason: str, now: float) -> None:
        if not self.stopping:
            self.failure = reason
            self._out.append(Note("error", "stopping the member", {"reason": reason}))
            self._stop(now)

    def _stop(self, now: float) -> None:
        if not self.stopping:
            self.stopping = True
            self._stage = len(self.stages)
            self._stop_next_stage(now)

    def _stop_next_stage(self, now: float) -> None:
        """Go on as soon as none of the current stage lives."""
        while self._stage >= 0:
            if self._stage < len(self.stages) and any(life.alive for life in self._of_stage(self._stage)):
                return
            self._stage -= 1
            for life in self._of_stage(self._stage) if self._stage >= 0 else []:
                self._stop_one(life, now)

    def _stop_one(self, life: Life, now: float) -> None:
        state, life.state, life.deadline = life.state, State.STOPPING, now + life.row.stop_s
        if state is State.READY:
            self._out.append(Ask(life.name, life.row.stop_s))
        elif state is State.STARTING:  # nothing to finish, and it may not read its mailbox yet
            if life.pid is not None:
                self._out.append(Signal(life.pid, SIGKILL))
        else:
            life.state, life.deadline = State.STOPPED, None

    # ---- output ----

    def _note(self, level: str, msg: str, life: Life, **fields: Any) -> None:
        self._out.append(Note(level, msg, {"child": life.name, "incarnation": life.incarnation, **fields}))

    def _taken(self) -> list[Action]:
        out, self._out = self._out, []
        return out
