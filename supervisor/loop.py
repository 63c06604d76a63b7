"""The supervisor's loop: waits for mailbox, zygote, signals, control socket and deadlines; hands each event to the pure
lifecycle and does what it answers. It never waits elsewhere.
"""

import os
import random
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import zmq

from etcdz import limits, logs
from etcdz.boot import Boot
from etcdz.messages import Fault, Heartbeat, Ready, Roster, Stop, Told, decode_frame
from supervisor import announcements, usage
from supervisor import lifecycle as life_cycle
from supervisor.control import Control
from supervisor.insight import Insight
from supervisor.lifecycle import Action, Life, Lifecycle
from supervisor.links import Links
from supervisor.meter import Meter
from supervisor.placement import Placement
from supervisor.signals import Signals, ended_children
from supervisor.spawner import Spawned, Spawner
from supervisor.tree import Row
from supervisor.verbs import VERBS

log = logs.get("supervisor")

LAST_WORDS_MS: Final = 20
"""How long a failed actor's Fault may take from its socket to our mailbox, when its exit was noticed first."""
STOP_SIGNALS: Final[dict[int, str]] = {signal.SIGINT: "interrupt", signal.SIGTERM: "terminated"}
"""With the words that etcd logs."""
ECHO_S: Final = 0.2
"""timeout(1) and service managers send a signal twice, to the process and to its group: that is no second one."""


class Loop:
    """Everything of a running member that is not an actor."""

    def __init__(
        self, settings: Mapping[str, Any], tree: tuple[Row, ...], run_dir: Path, incarnation: int, lock_fd: int
    ) -> None:
        self.settings = settings
        self.tree = tree
        self.began_at = time.monotonic()
        self.signals = Signals()
        self.poller = zmq.Poller()
        self.poller.register(self.signals.fileno(), zmq.POLLIN)
        self.spawner = Spawner([row.kind for row in tree], (lock_fd,), self._watch_zygote)
        self._zygote_fd = -1
        self._watch_zygote()
        self.context: zmq.Context[Any] = zmq.Context()
        self.links = Links(self.context, run_dir, incarnation)
        self.poller.register(self.links.mailbox, zmq.POLLIN)
        self.control = Control(self.context, f"ipc://{run_dir}/control", self, VERBS)
        self.poller.register(self.control.socket, zmq.POLLIN)
        self.run_dir = run_dir
        self.lifecycle = Lifecycle(tree, incarnation + 1, random.random)
        self.insight = Insight(self)
        self.heartbeats: dict[str, Heartbeat] = {}
        self.meter = Meter()
        cpus = sorted(os.sched_getaffinity(0))
        self.placement = Placement(cpus, os.getpid(), str(settings.get("actor_placement", "auto")))
        self._next_look = 0.0
        self._roster_version = 0
        self.stop_signal = 0
        """The first of SIGINT and SIGTERM that came; 0 if none."""
        self._stop_signal_at = 0.0

    def run(self) -> str:
        """Until the member has stopped. return why it stopped by itself, "" if it was told to."""
        self._do(self.lifecycle.begin(time.monotonic()))
        while not self.lifecycle.finished:
            self._turn()
        return self.lifecycle.failure

    def close(self) -> None:
        """Let go of everything, whatever state it is in."""
        self.spawner.close()
        self.insight.close()
        self.control.close()
        self.links.close()
        self.context.term()
        self.signals.restore()

    # ---- one turn ----

    def _turn(self) -> None:
        self.poller.poll(self._wait_ms())
        # The order matters: an actor reports itself spawned, then ready, then faults, then ends. What is taken out
        # last here was sent first, so that no event overtakes one before it.
        signals = self.signals.received()
        ended = ended_children()
        messages = self._messages()
        if any(status > 0 for _, status in ended) and self.links.mailbox.poll(LAST_WORDS_MS):
            messages += self._messages()
        self._take_spawned()
        now = time.monotonic()
        for message in messages:
            self._on_message(message, now)
        for signum in signals:  # before the exits: one who stops the member may have sent the signal to all of it
            self._on_signal(signum, now)
        for pid, status in ended:
            self._autopsy(pid, status, now)
            self._do(self.lifecycle.on_exit(pid, status, now))
        self.control.serve()
        self._place(now)
        self._do(self.lifecycle.on_clock(now))
        self.insight.look(now)

    def _wait_ms(self) -> int:
        """Until the next deadline, and never longer than the placement's interval: on_clock expects that."""
        now = time.monotonic()
        wake = self._next_look
        for deadline in (self.lifecycle.next_deadline(), self.insight.next_deadline()):
            if deadline is not None:
                wake = min(wake, deadline)
        return max(0, int((wake - now) * 1000 + 0.999))

    # ---- events ----

    def _messages(self) -> list[Any]:
        messages: list[Any] = []
        for frame in self.links.receive():
            try:
                messages.extend(decode_frame(frame))
            except (ValueError, KeyError, TypeError) as error:  # an actor gone mad must not take the member with it
                log.error("dropped a frame that no actor of this version sends", error=repr(error))
        return messages

    def _take_spawned(self) -> None:
        for event in self.spawner.events():
            now = time.monotonic()
            name, incarnation, answer = event
            if isinstance(event, Spawned):
                usage.set_cpus(event.pid, self.placement.cpus())
                log.info("started actor", child=name, pid=answer, incarnation=incarnation)
                self._do(self.lifecycle.on_spawned(name, incarnation, event.pid, now))
            else:
                self._do(self.lifecycle.on_spawn_failed(name, incarnation, str(answer), now))

    def _on_message(self, message: Any, now: float) -> None:
        handler = MESSAGES.get(type(message))
        if handler is not None:
            handler(self, message, now)

    def _on_ready(self, ready: Ready, now: float) -> None:
        actions = self.lifecycle.on_ready(ready.name, ready.incarnation, ready.info, now)
        if actions:
            self.links.connect(ready.name, ready.incarnation)
            life = self.lifecycle.lives[ready.name]
            if life.pid is not None:  # again: it has started threads meanwhile
                usage.set_cpus(life.pid, self.placement.cpus())
        self._do(actions)

    def _on_heartbeat(self, beat: Heartbeat, now: float) -> None:
        self.heartbeats[beat.name] = beat
        self.insight.on_heartbeat(beat, now)
        self.lifecycle.on_heartbeat(beat.name, beat.incarnation, now)
        if beat.summary.get("calls", 0) >= limits.CROWD_CALLS:
            self._move(self.placement.crowd(now))

    def _autopsy(self, pid: int, status: int, now: float) -> None:
        for life in self.insight.lives():
            if life.pid == pid:
                self.insight.on_exit(life, status, now)

    def _on_fault(self, fault: Fault, now: float) -> None:
        self._do(self.lifecycle.on_fault(fault.name, fault.incarnation, fault.fatal, fault.reason, now))

    def _on_signal(self, signum: int, now: float) -> None:
        if signum not in STOP_SIGNALS:
            return
        if not self.stop_signal:
            self.stop_signal = signum
            self._stop_signal_at = now
            log.info("received signal; shutting down", signal=STOP_SIGNALS[signum])
            announcements.closing(self.settings)
            self._do(self.lifecycle.stop(now))
        elif now - self._stop_signal_at > ECHO_S:
            log.warn("received a second signal; killing all", signal=STOP_SIGNALS[signum])
            self._do(self.lifecycle.force())

    # ---- actions ----

    def _do(self, actions: list[Action]) -> None:
        for action in actions:
            ACTIONS[type(action)](self, action)

    def _spawn(self, action: life_cycle.Spawn) -> None:
        life = self.lifecycle.lives[action.name]
        boot = Boot(
            name=life.name,
            kind=life.row.kind.rpartition(".")[2],
            slot=life.slot,
            incarnation=action.incarnation,
            run_dir=str(self.run_dir),
            endpoint=self.links.endpoint_of(life.name, action.incarnation),
            supervisor=self.links.endpoint,
            roster=self._roster(),
            config=dict(self.settings),
            options=life.row.options,
            flight=self.insight.on_spawn(life.name, action.incarnation),
        )
        self.spawner.spawn(boot, life.row.kind, life.row.nice)

    def _signal(self, action: life_cycle.Signal) -> None:
        with suppress(ProcessLookupError):
            os.kill(action.pid, action.signum)

    def _publish(self, action: life_cycle.Publish) -> None:
        self._roster_version += 1
        roster = Roster(self._roster_version, self._roster())
        for life in self.lifecycle.listed():
            self.links.send(life.name, roster)

    def _roster(self) -> list[tuple[str, str, int, int, str]]:
        return [self._roster_line(life) for life in self.lifecycle.listed()]

    def _roster_line(self, life: Life) -> tuple[str, str, int, int, str]:
        endpoint = self.links.endpoint_of(life.name, life.incarnation)
        return (life.name, life.row.kind.rpartition(".")[2], life.slot, life.incarnation, endpoint)

    def _watch_zygote(self) -> None:
        if self._zygote_fd >= 0:
            with suppress(KeyError):
                self.poller.unregister(self._zygote_fd)
        self._zygote_fd = self.spawner.fileno()
        self.poller.register(self._zygote_fd, zmq.POLLIN)

    # ---- placement ----

    def _place(self, now: float) -> None:
        if now < self._next_look:
            return
        self._next_look = now + self.placement.interval_s
        pids = {life.name: life.pid for life in self.lifecycle.lives.values() if life.pid is not None}
        loads = self.meter.look({**pids, **self._own_pids()}, now, self.placement.wants_wait)
        self._move(self.placement.look({name: load for name, load in loads.items() if name in pids}, now))

    def _move(self, cpus: frozenset[int] | None) -> None:
        """All actors to these CPUs; None: they stay."""
        if cpus is None:
            return
        log.debug("moving actors", cpus=sorted(cpus))
        for life in self.lifecycle.lives.values():
            if life.pid is not None:
                usage.set_cpus(life.pid, cpus)

    def _own_pids(self) -> dict[str, int]:
        return {"supervisor": os.getpid(), "zygote": self.spawner.pid}


MESSAGES: Final[dict[type[Any], Callable[[Loop, Any, float], None]]] = {
    Ready: Loop._on_ready,
    Heartbeat: Loop._on_heartbeat,
    Fault: Loop._on_fault,
    Told: lambda loop, told, now: loop.insight.questions.on_told(told),
}
ACTIONS: Final[dict[type[Any], Callable[[Loop, Any], None]]] = {
    life_cycle.Spawn: Loop._spawn,
    life_cycle.ReplaceZygote: lambda loop, action: loop.spawner.replace(action.name, action.incarnation),
    life_cycle.Ask: lambda loop, action: loop.links.send(action.name, Stop(action.deadline_s)),
    life_cycle.Signal: Loop._signal,
    life_cycle.Publish: Loop._publish,
    life_cycle.Gone: lambda loop, action: loop.links.forget(action.name, action.incarnation),
    life_cycle.Note: lambda loop, action: log.log(action.level, action.msg, **action.fields),
}
