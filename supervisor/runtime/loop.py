"""The supervisor's loop: waits for mailbox, zygote, signals, control socket and deadlines; hands each event to the pure
lifecycle and does what it answers. It never waits elsewhere.
"""

import os
import random
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import zmq

from etcdz import limits
from etcdz.ipc.boot import STACK_SIGNAL, Boot, stack_path
from etcdz.ipc.messages import AskMetrics, Fault, Heartbeat, Ready, Roster, Stop, Told, decode_frame
from etcdz.net.listen_sockets import Door
from etcdz.telemetry import logs
from supervisor.children import child as life_cycle
from supervisor.children.accept_balancing import Ushers
from supervisor.children.child import Action, Life, State
from supervisor.children.orders import Operations, Order, Refusal
from supervisor.children.placement import Placement
from supervisor.control.order_verbs import Operator
from supervisor.control.socket import Control
from supervisor.control.verbs import VERBS
from supervisor.processes import process_usage
from supervisor.processes.spawner import Spawned, Spawner
from supervisor.processes.zygote import Caps
from supervisor.restart import Limits, recycling_reason
from supervisor.runtime import announcements
from supervisor.runtime.data_dir import DataDir
from supervisor.runtime.links import Links
from supervisor.runtime.signals import Signals, changed_children
from supervisor.telemetry.cpu_meter import Meter
from supervisor.telemetry.events import Events
from supervisor.telemetry.metrics import scrape
from supervisor.telemetry.observations import Insight
from supervisor.tree import Row

log = logs.get("supervisor")

LAST_WORDS_MS: Final = 20
"""How long a failed actor's Fault may take from its socket to our mailbox, when its exit was noticed first."""
STOP_SIGNALS: Final[dict[int, str]] = {signal.SIGINT: "interrupt", signal.SIGTERM: "terminated"}
"""With the words that etcd logs."""
ECHO_S: Final = 0.2
"""timeout(1) and service managers send a signal twice, to the process and to its group: that is no second one."""


WORKS_ABOVE: Final = 0.02
"""Of one CPU, between two looks: less is what idle threads use."""
CENSUS_S: Final = 1.0
"""How often it is asked who has grown too old or too big."""
STACK_CHARS_MAX: Final = 16_384


class Loop:
    """Everything of a running member that is not an actor."""

    def __init__(
        self, settings: Mapping[str, Any], tree: tuple[Row, ...], data: DataDir, doors: Sequence[Door] = ()
    ) -> None:
        """doors: where clients will connect to, for the rows that want them"""
        self.settings = settings
        self.doors = doors
        run_dir, incarnation = data.run_dir, data.first_incarnation
        self.began_at = time.monotonic()
        self.signals = Signals()
        self.poller = zmq.Poller()
        self.poller.register(self.signals.fileno(), zmq.POLLIN)
        self.spawner = Spawner([row.kind for row in tree], (data.lock_fd,), self._watch_zygote)
        self._zygote_fds: list[int] = []
        self._watch_zygote()
        self.context: zmq.Context[Any] = zmq.Context()
        self.links = Links(self.context, run_dir, incarnation)
        self.poller.register(self.links.mailbox, zmq.POLLIN)
        self.control = Control(self.context, f"ipc://{run_dir}/control", self, VERBS)
        self.poller.register(self.control.socket, zmq.POLLIN)
        self.run_dir = run_dir
        self.lifecycle = Operations(tree, incarnation + 1, random.random)
        self.operator = Operator(self)
        self.events = Events()
        self.ushers = Ushers()
        self.insight = Insight(self)
        self.heartbeats: dict[str, Heartbeat] = {}
        self.meter = Meter()
        cpus = sorted(os.sched_getaffinity(0))
        self.placement = Placement(cpus, os.getpid(), str(settings.get("actor_placement", "auto")))
        self._next_look = self._next_census = 0.0
        self._roster_version = 0
        self.stop_signal = 0
        """The first of SIGINT and SIGTERM that came; 0 if none."""
        self._stop_signal_at = 0.0

    def run(self) -> str:
        """Until the member has stopped. return why it stopped by itself, "" if it was told to."""
        self.do(self.lifecycle.begin(time.monotonic()))
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
        changed = changed_children()
        messages = self._messages()
        if any(status > 0 for _, status in changed.ended) and self.links.mailbox.poll(LAST_WORDS_MS):
            messages += self._messages()
        self._take_spawned()
        now = time.monotonic()
        for message in messages:
            self._on_message(message, now)
        for signum in signals:  # before the exits: one who stops the member may have sent the signal to all of it
            self._on_signal(signum, now)
        for pid in changed.halted:
            if not self.insight.is_paused(pid):
                self.lifecycle.on_halted(pid, now)
        for pid in changed.continued:
            self.lifecycle.on_continued(pid, now)
        for pid, status in changed.ended:
            self._autopsy(pid, status, now)
            self.do(self.lifecycle.on_exit(pid, status, now))
        self.control.serve()
        self._place(now)
        self.do(self.lifecycle.on_clock(now))
        self.operator.look(now)
        self.insight.look(now)
        if self.lifecycle.stopping:
            self._close_doors()

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
                self._settle(event.name, event.incarnation, event.pid)
                log.info("started actor", child=name, pid=answer, incarnation=incarnation)
                self.do(self.lifecycle.on_spawned(name, incarnation, event.pid, now))
            else:
                self.do(self.lifecycle.on_spawn_failed(name, incarnation, str(answer), now))

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
                self._settle(life.name, life.incarnation, life.pid)
        self.do(actions)

    def _on_heartbeat(self, beat: Heartbeat, now: float) -> None:
        life = self.lifecycle.lives.get(beat.name)
        if life is not None and life.incarnation == beat.incarnation:
            self.heartbeats[beat.name] = beat
        self.insight.on_heartbeat(beat, now)
        self.lifecycle.on_heartbeat(beat.name, beat.incarnation, now)
        if beat.summary.get("calls", 0) >= limits.CROWD_CALLS:
            self._move(self.placement.crowd(now))
        self._move(self.placement.follow(beat.summary.get("client_cpu", -1), now))

    def _autopsy(self, pid: int, status: int, now: float) -> None:
        for life in self.insight.lives():
            if life.pid == pid:
                self.insight.on_exit(life, status, now)

    def _on_fault(self, fault: Fault, now: float) -> None:
        self.do(self.lifecycle.on_fault(fault.name, fault.incarnation, fault.fatal, fault.reason, now))

    def _on_signal(self, signum: int, now: float) -> None:
        if signum not in STOP_SIGNALS:
            return
        if not self.stop_signal:
            self.stop_signal = signum
            self._stop_signal_at = now
            log.info("received signal; shutting down", signal=STOP_SIGNALS[signum])
            announcements.closing(self.settings)
            self.do(self.lifecycle.stop(now))
        elif now - self._stop_signal_at > ECHO_S:
            log.warn("received a second signal; killing all", signal=STOP_SIGNALS[signum])
            self.do(self.lifecycle.force())

    # ---- actions ----

    def do(self, actions: list[Action]) -> None:
        """Carry out what the lifecycle has answered."""
        for action in actions:
            ACTIONS[type(action)](self, action)

    def _spawn(self, action: life_cycle.Spawn) -> None:
        life = self.lifecycle.find(action.name, action.incarnation)
        if life is None:
            return
        doors = self.doors if life.row.doors else ()
        boot = Boot(
            name=life.name,
            kind=life.row.role,
            slot=life.slot,
            incarnation=action.incarnation,
            run_dir=str(self.run_dir),
            endpoint=self.links.endpoint_of(life.name, action.incarnation),
            supervisor=self.links.endpoint,
            roster=self._roster(),
            config=dict(self.settings),
            options=life.row.options,
            doors=[(door.text, len(door.sockets)) for door in doors],
            flight=self.insight.on_spawn(life.name, action.incarnation),
        )
        caps = Caps(life.row.nice, life.row.memory_max_bytes)
        self.spawner.spawn(boot, life.row.kind, caps, [sock.fileno() for door in doors for sock in door.sockets])

    def _settle(self, name: str, incarnation: int, pid: int) -> None:
        """A new process goes where its row, or else the placement, wants it."""
        life = self.lifecycle.find(name, incarnation)
        process_usage.set_cpus(pid, (life.row.cpus if life is not None else ()) or self.placement.cpus())

    def _signal(self, action: life_cycle.Signal) -> None:
        with suppress(ProcessLookupError):
            os.kill(action.pid, action.signum)

    def _publish(self, action: life_cycle.Publish) -> None:
        self._roster_version += 1
        roster = Roster(self._roster_version, self._roster())
        for life in self.lifecycle.listed():
            self.links.send(life.incarnation, roster)
        for incarnation, order in self.ushers.orders(self.lifecycle.listed(), self._doors_max()):
            self.links.send(incarnation, order)

    def _doors_max(self) -> int:
        return max((len(door.sockets) for door in self.doors), default=0)

    def _close_doors(self) -> None:
        """The member stops: who comes now is refused, and does not wait in the queue of a socket."""
        for door in self.doors:
            for sock in door.sockets:
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
        self.doors = ()

    def _dump(self, action: life_cycle.Dump) -> None:
        with suppress(ProcessLookupError):
            os.kill(action.pid, STACK_SIGNAL)

    def _gone(self, action: life_cycle.Gone) -> None:
        stack = _read_stack(self.links.endpoint_of(action.name, action.incarnation))
        if stack:
            log.error("where a hung actor was", child=action.name, incarnation=action.incarnation, stack=stack)
        self.links.forget(action.name, action.incarnation)

    def _note(self, action: life_cycle.Note) -> None:
        log.log(action.level, action.msg, **action.fields)
        self.events.add(action.level, action.msg, action.fields)

    def _roster(self) -> list[tuple[str, str, int, int, str]]:
        return [self._roster_line(life) for life in self.lifecycle.listed()]

    def _roster_line(self, life: Life) -> tuple[str, str, int, int, str]:
        endpoint = self.links.endpoint_of(life.name, life.incarnation)
        return (life.name, life.row.role, life.slot, life.incarnation, endpoint)

    def _watch_zygote(self) -> None:
        for fd in self._zygote_fds:
            with suppress(KeyError):
                self.poller.unregister(fd)
        self._zygote_fds = self.spawner.filenos()
        for fd in self._zygote_fds:
            self.poller.register(fd, zmq.POLLIN)

    # ---- placement ----

    def _place(self, now: float) -> None:
        if now < self._next_look:
            return
        self._next_look = now + self.placement.interval_s
        # NB: who leaves has the same name as its successor.
        pids = {f"{life.name}.{life.pid}": life.pid for life in self.lifecycle.everyone() if life.pid is not None}
        loads = self.meter.look({**pids, **self._own_pids()}, now, self.placement.wants_wait)
        for name, pid in pids.items():
            if name in loads and loads[name].cpu > WORKS_ABOVE:
                self.lifecycle.on_work(pid, now)
        self._move(self.placement.look({name: load for name, load in loads.items() if name in pids}, now))
        if now >= self._next_census:
            self._next_census = now + CENSUS_S
            self._recycle(now)

    def _recycle(self, now: float) -> None:
        """Processes that have grown too old or too big make room for new ones, one at a time."""
        for life in self.lifecycle.lives.values():
            if life.state is not State.READY or life.pid is None or life.ready_at is None:
                continue
            allowed = Limits(life.max_age_s, life.row.max_rss_bytes, life.row.max_rss_after_s)
            rss_bytes = (process_usage.rss_bytes(life.pid) or 0) if allowed.max_rss_bytes is not None else 0
            why = recycling_reason(allowed, now - life.ready_at, rss_bytes)
            if why and self._order(Order("restart", life.name, graceful=True), now):
                self._note(life_cycle.Note("info", "recycling actor", {"child": life.name, "reason": why}))
                return

    def _order(self, order: Order, now: float) -> bool:
        """Give an order of our own. return False if it cannot be carried out now."""
        try:
            self.lifecycle.plan(order, now)
        except Refusal:
            return False
        self.do(self.lifecycle.carry_out(order, now))
        return True

    def _move(self, cpus: frozenset[int] | None) -> None:
        """All actors to these CPUs; None: they stay."""
        if cpus is None:
            return
        log.debug("moving actors", cpus=sorted(cpus))
        for life in self.lifecycle.everyone():
            if life.pid is not None and not life.row.cpus:
                process_usage.set_cpus(life.pid, cpus)

    def _own_pids(self) -> dict[str, int]:
        return {"supervisor": os.getpid(), "zygote": self.spawner.pid}


def _read_stack(endpoint: str) -> str:
    """What the process behind a mailbox wrote about its stacks, if it was asked to."""
    try:
        return Path(stack_path(endpoint)).read_text(errors="replace")[:STACK_CHARS_MAX]
    except OSError:
        return ""


MESSAGES: Final[dict[type[Any], Callable[[Loop, Any, float], None]]] = {
    Ready: Loop._on_ready,
    Heartbeat: Loop._on_heartbeat,
    Fault: Loop._on_fault,
    Told: lambda loop, told, now: loop.insight.questions.on_told(told),
    AskMetrics: lambda loop, asked, now: scrape(loop, asked),
}
ACTIONS: Final[dict[type[Any], Callable[[Loop, Any], None]]] = {
    life_cycle.Spawn: Loop._spawn,
    life_cycle.ReplaceZygote: lambda loop, action: loop.spawner.replace(action.name, action.incarnation),
    life_cycle.Ask: lambda loop, action: loop.links.send(action.incarnation, Stop(action.deadline_s)),
    life_cycle.Dump: Loop._dump,
    life_cycle.Signal: Loop._signal,
    life_cycle.Publish: Loop._publish,
    life_cycle.Gone: Loop._gone,
    life_cycle.Note: Loop._note,
}
