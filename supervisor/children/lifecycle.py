"""The life of a member's actors as a pure core: events in, work to do out. `loop.py` carries the work out.

    stopped -> starting -> ready -> stopping -> stopped
                  \\          \\
                   +----------+--> backoff -> starting

Each method takes one event with the time at which it happened and returns actions, to be carried out in order. The
core knows no process, socket or clock. An event of an incarnation that is no longer known changes nothing, except that
a fatal fault always counts and that a process nobody waits for is killed.

Where a row allows it, two incarnations live under one name for a while: a successor that is not ready yet, and one that
leaves while its successor serves already. `operations.py` has what people order.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

from supervisor.children.child import (
    Action,
    Ask,
    Dump,
    Gone,
    Life,
    Note,
    Publish,
    ReplaceZygote,
    Signal,
    Spawn,
    State,
)
from supervisor.restart import Again, Ending, Exit, GiveUp, Rest, decide, restarted_with
from supervisor.tree import KILL_AFTER_S, Row, names

SIGKILL: Final = 9
SIGTERM: Final = 15

SPAWN_S: Final = 15.0
"""From Spawn to the process being there: milliseconds, or a zygote's own start."""

STALL_S: Final = 1.0
"""on_clock comes several times a second. A longer gap means that we were paused (SIGSTOP, a frozen cgroup) and most
likely the actors with us: then old heartbeats are no sign of a hang."""

LAST_CALLS_S: Final = 1.0
"""How long listeners may finish calls when the member stops because something has failed: many wait for just that."""

DUMP_S: Final = 0.2
"""From Dump to SIGKILL: milliseconds are enough, if the process can do it at all."""


class Lifecycle:
    """All actors of the member."""

    def __init__(self, tree: tuple[Row, ...], first_incarnation: int, uniform: Callable[[], float]) -> None:
        """uniform: randomness in [0, 1), for the jitter."""
        self.rows = {row.name: row for row in tree}
        """With the counts of now."""
        self.lives = {name: Life(row, name, slot) for row in tree for slot, name in enumerate(names(row))}
        """By name, the one that the name stands for."""
        self.successors: dict[str, Life] = {}
        """By name: starting, takes over when it is ready."""
        self.leaving: list[Life] = []
        self.stages = sorted({row.stage for row in tree})
        self.started = False
        """All stages were ready once."""
        self.stopping = False
        self.failure = ""
        """Why the member stops by itself; "" if it was told to, or has done its work."""
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
        life = self.find(name, incarnation)
        if life is None or not life.alive:
            self._out.append(Signal(pid, SIGKILL))
        else:
            life.pid = pid
            if life.state is State.STARTING:
                life.deadline = now + life.row.start_s
            else:  # stopping: it may not have a mailbox yet, and has nothing to finish
                self._out.append(Signal(pid, SIGKILL))
        return self._taken()

    def on_spawn_failed(self, name: str, incarnation: int, reason: str, now: float) -> list[Action]:
        life = self.find(name, incarnation)
        if life is not None and life.alive and life.pid is None:
            self._ended(life, Exit(Ending.UNREADY, f"could not be spawned: {reason}", None), now)
        return self._taken()

    def on_ready(self, name: str, incarnation: int, info: dict[str, Any], now: float) -> list[Action]:
        life = self.find(name, incarnation)
        if life is None or life.state is not State.STARTING or life.ending is not None:
            return []
        life.state = State.READY
        life.ready_at = life.heard_at = life.worked_at = now
        life.deadline = None
        took_ms = round((now - life.spawned_at) * 1000, 1)
        self._note("info", "actor is ready", life, took_ms=took_ms, **({"info": info} if info else {}))
        if self.successors.get(name) is life:
            self._take_over(life, now)
        self._out.append(Publish())
        if not self.started and not self.stopping:
            self._start_next_stage(now)
        return self._taken()

    def on_heartbeat(self, name: str, incarnation: int, now: float) -> None:
        life = self.find(name, incarnation)
        if life is not None:
            life.heard_at = now

    def on_work(self, pid: int, now: float) -> None:
        """This process was seen to use a CPU: if it is silent, it is because it has much to do."""
        life = self._of_pid(pid)
        if life is not None:
            life.worked_at = now

    def on_halted(self, pid: int, now: float) -> None:
        """Stopped by a signal."""
        life = self._of_pid(pid)
        if life is not None and life.halted_at is None:
            life.halted_at = now

    def on_continued(self, pid: int, now: float) -> None:
        life = self._of_pid(pid)
        if life is not None:
            life.halted_at = None

    def on_fault(self, name: str, incarnation: int, fatal: bool, reason: str, now: float) -> list[Action]:
        life = self.find(name, incarnation)
        if life is not None:
            life.reason = reason
        if fatal and name in self.lives and (life is None or self.successors.get(name) is not life):
            self._fail(f"{name}: {reason}", now)
        return self._taken()

    def on_exit(self, pid: int, status: int, now: float) -> list[Action]:
        """status: exit status, or minus the number of the signal that killed it."""
        life = self._of_pid(pid)
        if life is not None:
            self._ended(life, self._exit(life, status, now), now)
        return self._taken()

    def on_clock(self, now: float) -> list[Action]:
        """Deadlines that have passed. Requires: all that was received before now has been handed in."""
        if self._clock is not None and now - self._clock > STALL_S:
            for life in self.everyone():
                life.heard_at += now - self._clock
                life.halted_at = None if life.halted_at is None else now
        self._clock = now
        for life in list(self.everyone()):
            self._check_deadline(life, now)
        return self._taken()

    def stop(self, now: float) -> list[Action]:
        """Ordered stop, the last stage first. Once it is under way more calls change nothing."""
        self._stop(now)
        return self._taken()

    def force(self) -> list[Action]:
        """SIGKILL for all that live."""
        self.stopping = True
        for life in self.everyone():
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
        return self.stopping and not any(life.alive for life in self.everyone())

    def everyone(self) -> Iterator[Life]:
        """Also who is not there yet, and who leaves."""
        yield from self.lives.values()
        yield from self.successors.values()
        yield from self.leaving

    def listed(self) -> list[Life]:
        """Actors that stand in the roster: from READY to their end. Who stops still awaits the others' answers."""
        return [life for life in self.everyone() if life.listed]

    def next_deadline(self) -> float | None:
        """When on_clock has something to do at the latest, but for silence, which needs no such precision."""
        return min((at for life in self.everyone() if (at := life.next_deadline()) is not None), default=None)

    def find(self, name: str, incarnation: int) -> Life | None:
        found = (life for life in self.everyone() if life.name == name and life.incarnation == incarnation)
        return next(found, None)

    def _of_pid(self, pid: int) -> Life | None:
        return next((life for life in self.everyone() if life.pid == pid), None)

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
        return [life for life in self.everyone() if life.row.stage == self.stages[position]]

    def _spawn(self, life: Life, now: float) -> None:
        life.state = State.STARTING
        life.incarnation = self._next_incarnation
        self._next_incarnation += 1
        life.slot = self._free_slot(life)
        life.spawned_at = life.heard_at = life.worked_at = now
        life.ready_at = life.halted_at = None
        # Not all of a kind at the same time, though they may have started so.
        max_age_s = life.row.max_age_s
        life.max_age_s = None if max_age_s is None else max_age_s * (1 - 0.1 * self._uniform())
        life.deadline = now + min(life.row.start_s, SPAWN_S)
        life.reason = ""
        life.ending = None
        life.terminated = life.then_start = life.draining = False
        self._out.append(Spawn(life.name, life.incarnation))

    def _free_slot(self, life: Life) -> int:
        """The one that it had, or the lowest that no living process of its row has: request ids carry it."""
        others = (other for other in self.everyone() if other is not life and other.row.name == life.row.name)
        taken = {other.slot for other in others if other.alive}
        return min(({life.slot} - taken) or (set(range(len(taken) + 1)) - taken))

    def _take_over(self, life: Life, now: float) -> None:
        """A successor is ready: the name is its own now, and its predecessor leaves."""
        before = self.lives[life.name]
        self._inherit(life)
        if before.alive:
            self._leave(before, now)

    def _inherit(self, life: Life) -> None:
        before = self.lives[life.name]
        life.restarts, life.history = before.restarts, before.history
        self.lives[life.name] = self.successors.pop(life.name)

    def _leave(self, life: Life, now: float) -> None:
        """Finish and end, under a name that is not its own any more."""
        life.leaving = True
        self.leaving.append(life)
        if life.state is not State.STOPPING:
            self._stop_one(life, now)
        if not life.alive:
            self.leaving.remove(life)

    # ---- end of a process ----

    def _exit(self, life: Life, status: int, now: float) -> Exit:
        ready_s = None if life.ready_at is None else now - life.ready_at
        if life.ending is not None:
            return Exit(life.ending, life.reason, ready_s, from_outside=life.halted_at is not None)
        if status < 0:
            from_outside = -status in (SIGKILL, SIGTERM)
            return Exit(Ending.KILLED, f"was killed by signal {-status}", ready_s, from_outside)
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
        else:
            self._note("warn", "actor has ended", life, pid=pid, ending=exit.ending.value, reason=exit.reason)
        if life.leaving:
            self.leaving.remove(life)
        elif self.successors.get(life.name) is life:
            del self.successors[life.name]  # whoever it was to succeed goes on
        if self.stopping:
            self._stop_next_stage(now)
        elif self.lives.get(life.name) is life:
            self._go_on(life, exit, was_stopping, now)

    def _go_on(self, life: Life, exit: Exit, was_stopping: bool, now: float) -> None:
        """What comes after the end of the one that the name stands for."""
        if life.name in self.successors:
            self._inherit(self.successors[life.name])
        elif not was_stopping:
            self._decide(life, exit, now)
        elif life.then_start:
            self._spawn(life, now)

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
            self._restart_with(life, now)
        else:
            self._rest(life, exit, decision, now)

    def _rest(self, life: Life, exit: Exit, decision: Rest, now: float) -> None:
        if not self.started:
            self._fail(f"{life.name} {exit.reason} during the member's start", now)
        elif life.row.significant:
            if exit.ending is Ending.NORMAL:
                self._note("info", "stopping the member: its work is done", life)
                self._stop(now)
            else:
                self._fail(f"{life.name}, which the member cannot do without, {exit.reason}", now)

    def _restart_with(self, life: Life, now: float) -> None:
        """Neighbours that the row's strategy wants restarted beside it."""
        stages = {other.name: other.row.stage for other in self.lives.values()}
        for name in restarted_with(life.row.strategy, life.name, stages):
            if self.lives[name].alive:
                self._restart_one(self.lives[name], now)

    def _restart_one(self, life: Life, now: float) -> None:
        """In order: told to stop, then started again."""
        if life.state is not State.STOPPING:
            self._stop_one(life, now)
        life.then_start = True
        if life.state is State.STOPPED:
            self._spawn(life, now)

    # ---- deadlines ----

    def _check_deadline(self, life: Life, now: float) -> None:
        due = life.deadline is not None and now >= life.deadline
        if life.ending is not None and life.state in (State.READY, State.STARTING):
            if due and life.pid is not None:
                life.deadline = None
                self._out.append(Signal(life.pid, SIGKILL))
        elif life.state is State.READY:
            self._check_alive(life, now)
        elif not due:
            if life.state is State.STARTING:
                self._check_halted(life, now)
        elif life.state is State.BACKOFF:
            self._spawn(life, now)
        elif life.state is State.STARTING:
            self._not_ready_in_time(life, now)
        elif life.state is State.STOPPING:
            self._stop_harder(life, now)

    def _check_alive(self, life: Life, now: float) -> None:
        """Dead is who neither speaks nor works for hang_s. Who works may be silent for longer, but not for ever."""
        silent_s, row = now - life.heard_at, life.row
        if self._check_halted(life, now) or silent_s <= row.hang_s:
            return
        if now - life.worked_at > row.hang_s:
            self._kill(life, Ending.HUNG, f"hung: no heartbeat for {silent_s:.1f} s", now)
        elif silent_s > row.busy_s:
            self._kill(life, Ending.HUNG, f"hung: busy without a heartbeat for {silent_s:.1f} s", now)

    def _check_halted(self, life: Life, now: float) -> bool:
        """One that is stopped by a signal can do nothing, also no harm: but nobody else can do its work."""
        if life.halted_at is None or now < life.halted_at + life.row.halt_s:
            return False
        self._kill(life, Ending.HUNG, f"hung: stopped by a signal for {now - life.halted_at:.1f} s", now)
        return True

    def _not_ready_in_time(self, life: Life, now: float) -> None:
        if life.pid is not None:
            self._kill(life, Ending.UNREADY, f"was not ready within {life.row.start_s:g} s", now)
        else:
            self._out.append(ReplaceZygote(life.name, life.incarnation))
            self._ended(life, Exit(Ending.UNREADY, "could not be spawned: the zygote is silent", None), now)

    def _kill(self, life: Life, ending: Ending, reason: str, now: float) -> None:
        """It tells where it hangs, if it still can, and is killed."""
        if life.pid is None:
            return
        life.ending, life.reason = ending, reason
        self._note("error", "killing actor", life, pid=life.pid, reason=reason)
        if life.halted_at is not None:
            life.deadline = None
            self._out.append(Signal(life.pid, SIGKILL))
        else:
            life.deadline = now + DUMP_S
            self._out.append(Dump(life.name, life.incarnation, life.pid))

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
                if life.state is not State.STOPPING:
                    self._stop_one(life, now)

    def _stop_one(self, life: Life, now: float) -> None:
        stop_s = min(life.row.stop_s, LAST_CALLS_S) if self.failure and life.row.doors else life.row.stop_s
        state, life.state, life.deadline = life.state, State.STOPPING, now + stop_s
        if state is State.READY and life.ending is None:
            self._out.append(Ask(life.name, life.incarnation, stop_s))
        elif state in (State.READY, State.STARTING):  # hung; or nothing to finish, and perhaps no mailbox yet
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
