"""All actors of a member, from their start to their end, as a pure core: events and commands in, work to do out.

    stopped -> starting -> ready -> stopping -> stopped
                  \\          \\
                   +----------+--> backoff -> starting

Each method takes one event, or one command, with the time at which it happened and returns actions, to be carried out
in order (supervisor/runtime/context.py does). The core knows no process, socket or clock. An event of an incarnation
that is no longer known changes nothing, except that a fatal fault always counts and that a process that was spawned too
late is killed.

Where a row allows it, two incarnations live under one name for a while: a successor that is not ready yet, and one that
leaves while its successor serves already. `orders.py` checks what people order before it becomes a command.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final

from supervisor.children.child import (
    Action,
    AskToStop,
    Child,
    DumpStacks,
    Forget,
    LogLine,
    PublishRoster,
    ReplaceZygote,
    Signal,
    Spawn,
    State,
)
from supervisor.children.slots import free_slot
from supervisor.restart import Ending, Exit, GiveUp, StartAgain, StayStopped, decide, restarted_with
from supervisor.tree import KILL_AFTER_S, ChildSpec, names

SIGKILL: Final = 9
SIGTERM: Final = 15

SPAWN_S: Final = 15.0
"""From Spawn to the process being there, which takes milliseconds; while the zygote itself starts no time passes."""

STALL_S: Final = 1.0
"""on_clock comes several times a second. A longer gap means that we were paused (SIGSTOP, a frozen cgroup) and most
likely the actors with us: then old heartbeats are no sign of a hang."""

LAST_CALLS_S: Final = 1.0
"""How long listeners may finish calls when the member stops because something has failed: many wait for just that."""

DUMP_STACKS_S: Final = 0.2
"""From DumpStacks to SIGKILL: milliseconds are enough, if the process can do it at all."""


class Lifecycle:
    """All actors of the member."""

    def __init__(self, tree: tuple[ChildSpec, ...], first_incarnation: int, uniform: Callable[[], float]) -> None:
        """uniform: randomness in [0, 1), for the jitter."""
        self.specs = {spec.name: spec for spec in tree}
        """With the counts of now."""
        self.children = {name: Child(spec, name, slot) for spec in tree for slot, name in enumerate(names(spec))}
        """By name, the one that the name stands for."""
        self.successors: dict[str, Child] = {}
        """By name: starting, takes over when it is ready."""
        self.leaving: list[Child] = []
        self.stages = sorted({spec.stage for spec in tree})
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
        """Its process exists."""
        child = self.find(name, incarnation)
        if child is None or not child.alive:
            self._out.append(Signal(pid, SIGKILL))
        else:
            child.pid = pid
            if child.state is State.STARTING:
                child.deadline = now + child.spec.start_s
            else:  # stopping: it may not have a mailbox yet, and has nothing to finish
                self._out.append(Signal(pid, SIGKILL))
        return self._taken()

    def on_spawn_failed(self, name: str, incarnation: int, reason: str, now: float) -> list[Action]:
        """Its process does not exist and will not."""
        child = self.find(name, incarnation)
        if child is not None and child.alive and child.pid is None:
            self._ended(child, Exit(Ending.UNREADY, f"could not be spawned: {reason}", None), now)
        return self._taken()

    def on_ready(self, name: str, incarnation: int, info: dict[str, Any], now: float) -> list[Action]:
        """Its init has succeeded. info: for the log. return nothing if this incarnation is not waited for"""
        child = self.find(name, incarnation)
        if child is None or child.state is not State.STARTING or child.ending is not None:
            return []
        child.state = State.READY
        child.ready_at = child.heard_at = child.worked_at = now
        child.deadline = None
        took_ms = round((now - child.spawned_at) * 1000, 1)
        self._note("info", "actor is ready", child, took_ms=took_ms, **({"info": info} if info else {}))
        if self.successors.get(name) is child:
            self._take_over(child, now)
        self._out.append(PublishRoster())
        if not self.started and not self.stopping:
            self._start_next_stage(now)
        return self._taken()

    def on_heartbeat(self, name: str, incarnation: int, now: float) -> None:
        """Its loop turns."""
        child = self.find(name, incarnation)
        if child is not None:
            child.heard_at = now

    def on_work(self, pid: int, now: float) -> None:
        """This process was seen to use a CPU: if it sends no heartbeat, it is because it has much to do."""
        child = self._of_pid(pid)
        if child is not None:
            child.worked_at = now

    def on_halted(self, pid: int, now: float) -> None:
        """This process was stopped by a signal."""
        child = self._of_pid(pid)
        if child is not None and child.halted_at is None:
            child.halted_at = now

    def on_continued(self, pid: int, now: float) -> None:
        """This process was continued by a signal."""
        child = self._of_pid(pid)
        if child is not None:
            child.halted_at = None

    def on_fault(
        self, name: str, incarnation: int, fatal: bool, reason: str, now: float, *, given_up: bool = False
    ) -> list[Action]:
        """It says why it is about to exit. fatal: a restart cannot help, so the member stops. given_up: as in Fault"""
        child = self.find(name, incarnation)
        if child is not None:
            child.reason = reason
            child.given_up = given_up
        if fatal and name in self.children and (child is None or self.successors.get(name) is not child):
            self._fail(f"{name}: {reason}", now)
        return self._taken()

    def on_exit(self, pid: int, status: int, now: float) -> list[Action]:
        """A process has ended. status: exit status, or minus the number of the signal that killed it"""
        child = self._of_pid(pid)
        if child is not None:
            self._ended(child, self._exit(child, status, now), now)
        return self._taken()

    def on_clock(self, now: float, zygote_starts: bool = False) -> list[Action]:
        """Deadlines that have passed. zygote_starts: it cannot fork yet. Requires: all that was received before now has
        been handed in."""
        if zygote_starts:
            for child in self.everyone():
                if child.state is State.STARTING and child.pid is None:
                    child.deadline = now + min(child.spec.start_s, SPAWN_S)
        if self._clock is not None and now - self._clock > STALL_S:
            for child in self.everyone():
                child.heard_at += now - self._clock
                child.halted_at = None if child.halted_at is None else now
        self._clock = now
        for child in list(self.everyone()):
            self._check_deadline(child, now)
        return self._taken()

    def stop(self, now: float) -> list[Action]:
        """Ordered stop, the last stage first. Once it is under way more calls change nothing."""
        self._stop(now)
        return self._taken()

    def force(self) -> list[Action]:
        """SIGKILL for all processes."""
        self.stopping = True
        for child in self.everyone():
            if child.pid is not None:
                child.state = State.STOPPING
                child.deadline = None
                self._out.append(Signal(child.pid, SIGKILL))
            else:
                child.state = State.STOPPED
        return self._taken()

    # ---- commands: Requires: Orders.plan has not refused them, in this very moment ----

    def restart(self, name: str, now: float) -> list[Action]:
        """Stop it, if it lives, and start it again."""
        child = self.children[name]
        if child.state in (State.STOPPED, State.BACKOFF):
            self._spawn(child, now)
        else:
            self._restart_one(child, now)
        return self._taken()

    def start_successor(self, name: str, now: float) -> list[Action]:
        """Start another process under this name; when it is ready, the one of now leaves."""
        successor = self.successors[name] = Child(self.children[name].spec, name, self.children[name].slot)
        self._spawn(successor, now)
        return self._taken()

    def stop_actor(self, name: str, now: float) -> list[Action]:
        """Stop it until it is started again."""
        child = self.children[name]
        child.then_start = False
        if child.state is not State.STOPPING:
            self._stop_one(child, now)
        return self._taken()

    def start_actor(self, name: str, now: float) -> list[Action]:
        """Start one that is stopped or waits; one that drains accepts clients again."""
        child = self.children[name]
        if child.draining:
            child.draining = False
            self._out.append(PublishRoster())
        else:
            self._spawn(child, now)
        return self._taken()

    def drain(self, name: str) -> list[Action]:
        """Have it close its connections gracefully and accept no new ones."""
        self.children[name].draining = True
        return [PublishRoster()]

    def signal(self, name: str, signum: int) -> list[Action]:
        """Send its process a signal. What comes of it is its own end, and counts as such."""
        pid = self.children[name].pid
        return [] if pid is None else [Signal(pid, signum)]

    def scale(self, row: str, count: int, now: float) -> list[Action]:
        """So many actors of this row: those with higher numbers leave, missing ones are started."""
        spec = self.specs[row] = replace(self.specs[row], count=count)
        wanted = names(spec)
        for child in [child for child in self.children.values() if child.spec.name == row]:
            child.spec = spec
            if child.name not in wanted:
                self._remove(child, now)
        for slot, name in enumerate(wanted):
            if name not in self.children:
                self.children[name] = Child(spec, name, slot)
                self._spawn(self.children[name], now)
        self._out.append(PublishRoster())
        return self._taken()

    def _remove(self, child: Child, now: float) -> None:
        del self.children[child.name]
        self._leave(child, now)
        successor = self.successors.pop(child.name, None)
        if successor is not None:
            self._leave(successor, now)

    # ---- what others ask ----

    @property
    def finished(self) -> bool:
        """No process lives, and none will be started."""
        return self.stopping and not any(child.alive for child in self.everyone())

    def everyone(self) -> Iterator[Child]:
        """Successors that are not ready and those that leave included."""
        yield from self.children.values()
        yield from self.successors.values()
        yield from self.leaving

    def listed(self) -> list[Child]:
        """Actors that stand in the roster: from READY to their end. One that stops still awaits the others' answers."""
        return [child for child in self.everyone() if child.listed]

    def next_deadline(self) -> float | None:
        """When on_clock has something to do at the latest, but for silence, which needs no such precision."""
        return min((at for child in self.everyone() if (at := child.next_deadline()) is not None), default=None)

    def find(self, name: str, incarnation: int) -> Child | None:
        """This incarnation, if it is known; also as a successor, or as one that leaves."""
        found = (child for child in self.everyone() if child.name == name and child.incarnation == incarnation)
        return next(found, None)

    def _of_pid(self, pid: int) -> Child | None:
        return next((child for child in self.everyone() if child.pid == pid), None)

    # ---- start ----

    def _start_next_stage(self, now: float) -> None:
        """Go on as soon as all of the current stage are ready."""
        current = self._of_stage(self._stage) if self._stage >= 0 else []
        if any(child.state is not State.READY for child in current):
            return
        self._stage += 1
        if self._stage == len(self.stages):
            self.started = True
            return
        for child in self._of_stage(self._stage):
            self._spawn(child, now)

    def _of_stage(self, position: int) -> list[Child]:
        return [child for child in self.everyone() if child.spec.stage == self.stages[position]]

    def _spawn(self, child: Child, now: float) -> None:
        child.state = State.STARTING
        child.incarnation = self._next_incarnation
        self._next_incarnation += 1
        child.slot = free_slot(child, self.everyone())
        child.spawned_at = child.heard_at = child.worked_at = now
        child.ready_at = child.halted_at = None
        # Not all of a kind at the same time, though they may have started so.
        max_age_s = child.spec.max_age_s
        child.max_age_s = None if max_age_s is None else max_age_s * (1 - 0.1 * self._uniform())
        child.deadline = now + min(child.spec.start_s, SPAWN_S)
        child.reason = ""
        child.given_up = False
        child.ending = None
        child.terminated = child.then_start = child.draining = False
        self._out.append(Spawn(child.name, child.incarnation))

    def _take_over(self, child: Child, now: float) -> None:
        """A successor is ready: the name is its own now, and its predecessor leaves."""
        before = self.children[child.name]
        self._inherit(child)
        if before.alive:
            self._leave(before, now)

    def _inherit(self, child: Child) -> None:
        before = self.children[child.name]
        child.restarts, child.history = before.restarts, before.history
        self.children[child.name] = self.successors.pop(child.name)

    def _leave(self, child: Child, now: float) -> None:
        """Finish and end, under a name that is not its own any more."""
        child.leaving = True
        self.leaving.append(child)
        if child.state is not State.STOPPING:
            self._stop_one(child, now)
        if not child.alive:
            self.leaving.remove(child)

    # ---- end of a process ----

    def _exit(self, child: Child, status: int, now: float) -> Exit:
        ready_s = None if child.ready_at is None else now - child.ready_at
        if child.ending is not None:
            return Exit(child.ending, child.reason, ready_s, from_outside=child.halted_at is not None)
        if status < 0:
            from_outside = -status in (SIGKILL, SIGTERM)
            return Exit(Ending.KILLED, f"was killed by signal {-status}", ready_s, from_outside)
        if status == 0:
            return Exit(Ending.NORMAL, "exited with status 0", ready_s)
        cause = f": {child.reason}" if child.reason else ""
        return Exit(Ending.FAILED, f"exited with status {status}{cause}", ready_s, from_outside=child.given_up)

    def _ended(self, child: Child, exit: Exit, now: float) -> None:
        was_listed, was_stopping = child.listed, child.state is State.STOPPING
        pid, child.pid, child.deadline = child.pid, None, None
        child.state = State.STOPPED
        self._out.append(Forget(child.name, child.incarnation))
        if was_listed:
            self._out.append(PublishRoster())
        if was_stopping or self.stopping:
            self._note("info", "actor has stopped", child, pid=pid, reason=exit.reason)
        else:
            self._note("warn", "actor has ended", child, pid=pid, ending=exit.ending.value, reason=exit.reason)
        if child.leaving:
            self.leaving.remove(child)
        elif self.successors.get(child.name) is child:
            del self.successors[child.name]  # the one that it was to succeed goes on
        if self.stopping:
            self._stop_next_stage(now)
        elif self.children.get(child.name) is child:
            self._go_on(child, exit, was_stopping, now)

    def _go_on(self, child: Child, exit: Exit, was_stopping: bool, now: float) -> None:
        """What comes after the end of the process that the name stands for."""
        if child.name in self.successors:
            self._inherit(self.successors[child.name])
        elif not was_stopping:
            self._decide(child, exit, now)
        elif child.then_start:
            self._spawn(child, now)

    def _decide(self, child: Child, exit: Exit, now: float) -> None:
        if not self.started and child.restarts == 0 and exit.ending is Ending.FAILED:
            # As in Erlang/OTP, the member's own start fails with the first actor that fails. Later the same exit may
            # have a cause that passes, and clients depend on us: then it is tried again.
            self._fail(f"{child.name} {exit.reason}", now)
            return
        decision = decide(child.spec.restart, child.spec.intensity, child.history, exit, now, self._uniform())
        if isinstance(decision, GiveUp):
            self._fail(f"{child.name}: {decision.reason}", now)
        elif isinstance(decision, StartAgain):
            child.history = decision.history
            child.restarts += 1
            if decision.after_s > 0:
                child.state = State.BACKOFF
                child.deadline = now + decision.after_s
            else:
                self._spawn(child, now)
            self._restart_with(child, now)
        else:
            self._stays_stopped(child, exit, decision, now)

    def _stays_stopped(self, child: Child, exit: Exit, decision: StayStopped, now: float) -> None:
        if not self.started:
            self._fail(f"{child.name} {exit.reason} during the member's start", now)
        elif child.spec.significant:
            if exit.ending is Ending.NORMAL:
                self._note("info", "stopping the member: its work is done", child)
                self._stop(now)
            else:
                self._fail(f"{child.name}, which the member cannot do without, {exit.reason}", now)

    def _restart_with(self, child: Child, now: float) -> None:
        """Neighbours that the row's strategy wants restarted beside it."""
        stages = {other.name: other.spec.stage for other in self.children.values()}
        for name in restarted_with(child.spec.strategy, child.name, stages):
            if self.children[name].alive:
                self._restart_one(self.children[name], now)

    def _restart_one(self, child: Child, now: float) -> None:
        """In order: told to stop, then started again."""
        if child.state is not State.STOPPING:
            self._stop_one(child, now)
        child.then_start = True
        if child.state is State.STOPPED:
            self._spawn(child, now)

    # ---- deadlines ----

    def _check_deadline(self, child: Child, now: float) -> None:
        due = child.deadline is not None and now >= child.deadline
        if child.ending is not None and child.state in (State.READY, State.STARTING):
            if due and child.pid is not None:
                child.deadline = None
                self._out.append(Signal(child.pid, SIGKILL))
        elif child.state is State.READY:
            self._check_alive(child, now)
        elif not due:
            if child.state is State.STARTING:
                self._check_halted(child, now)
        elif child.state is State.BACKOFF:
            self._spawn(child, now)
        elif child.state is State.STARTING:
            self._not_ready_in_time(child, now)
        elif child.state is State.STOPPING:
            self._stop_harder(child, now)

    def _check_alive(self, child: Child, now: float) -> None:
        """An actor hangs that sends no heartbeat and uses no CPU for hang_s, or sends none for busy_s."""
        silent_s, spec = now - child.heard_at, child.spec
        if self._check_halted(child, now) or silent_s <= spec.hang_s:
            return
        if now - child.worked_at > spec.hang_s:
            self._kill(child, Ending.HUNG, f"hung: no heartbeat for {silent_s:.1f} s", now)
        elif silent_s > spec.busy_s:
            self._kill(child, Ending.HUNG, f"hung: busy without a heartbeat for {silent_s:.1f} s", now)

    def _check_halted(self, child: Child, now: float) -> bool:
        """Kill one that was stopped by a signal: no other process can do its work. return whether it is killed"""
        if child.halted_at is None or now < child.halted_at + child.spec.halt_s:
            return False
        self._kill(child, Ending.HUNG, f"hung: stopped by a signal for {now - child.halted_at:.1f} s", now)
        return True

    def _not_ready_in_time(self, child: Child, now: float) -> None:
        if child.pid is not None:
            self._kill(child, Ending.UNREADY, f"was not ready within {child.spec.start_s:g} s", now)
        else:
            self._out.append(ReplaceZygote(child.name, child.incarnation))
            self._ended(child, Exit(Ending.UNREADY, "could not be spawned: the zygote is silent", None), now)

    def _kill(self, child: Child, ending: Ending, reason: str, now: float) -> None:
        """Have it write down its stacks, if it can, and then kill it."""
        if child.pid is None:
            return
        child.ending, child.reason = ending, reason
        self._note("error", "killing actor", child, pid=child.pid, reason=reason)
        if child.halted_at is not None:
            child.deadline = None
            self._out.append(Signal(child.pid, SIGKILL))
        else:
            child.deadline = now + DUMP_STACKS_S
            self._out.append(DumpStacks(child.name, child.incarnation, child.pid))

    def _stop_harder(self, child: Child, now: float) -> None:
        if child.pid is None:  # still being spawned: if that comes about after all, on_spawned kills it
            self._ended(child, Exit(Ending.UNREADY, "could not be spawned: the zygote is silent", None), now)
            return
        signum = SIGKILL if child.terminated else SIGTERM
        child.terminated = True
        child.deadline = now + KILL_AFTER_S if signum == SIGTERM else None
        self._note("warn", "actor did not stop in time", child, pid=child.pid, signal=signum)
        self._out.append(Signal(child.pid, signum))

    # ---- stop ----

    def _fail(self, reason: str, now: float) -> None:
        if not self.stopping:
            self.failure = reason
            self._out.append(LogLine("error", "stopping the member", {"reason": reason}))
            self._stop(now)

    def _stop(self, now: float) -> None:
        if not self.stopping:
            self.stopping = True
            self._stage = len(self.stages)
            self._stop_next_stage(now)

    def _stop_next_stage(self, now: float) -> None:
        """Go on as soon as none of the current stage lives."""
        while self._stage >= 0:
            if self._stage < len(self.stages) and any(child.alive for child in self._of_stage(self._stage)):
                return
            self._stage -= 1
            for child in self._of_stage(self._stage) if self._stage >= 0 else []:
                if child.state is not State.STOPPING:
                    self._stop_one(child, now)

    def _stop_one(self, child: Child, now: float) -> None:
        stop_s = (
            min(child.spec.stop_s, LAST_CALLS_S) if self.failure and child.spec.listen_sockets else child.spec.stop_s
        )
        state, child.state, child.deadline = child.state, State.STOPPING, now + stop_s
        if state is State.READY and child.ending is None:
            self._out.append(AskToStop(child.name, child.incarnation, stop_s))
        elif state in (State.READY, State.STARTING):  # hung; or nothing to finish, and perhaps no mailbox yet
            if child.pid is not None:
                self._out.append(Signal(child.pid, SIGKILL))
        else:
            child.state, child.deadline = State.STOPPED, None

    # ---- output ----

    def _note(self, level: str, msg: str, child: Child, **fields: Any) -> None:
        self._out.append(LogLine(level, msg, {"child": child.name, "incarnation": child.incarnation, **fields}))

    def _taken(self) -> list[Action]:
        out, self._out = self._out, []
        return out
