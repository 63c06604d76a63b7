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
from etcdz.ipc.messages import Fault, Heartbeat, QueryMetrics, QueryReply, Ready, Roster, Stop, decode_frame
from etcdz.net.listen_sockets import ListenSockets
from etcdz.telemetry import logs
from supervisor.children import child as child_actions
from supervisor.children.accept_balancing import AcceptBalancing
from supervisor.children.child import Action, Child, State
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
from supervisor.tree import ChildSpec

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
        self,
        settings: Mapping[str, Any],
        tree: tuple[ChildSpec, ...],
        data: DataDir,
        listen_sockets: Sequence[ListenSockets] = (),
    ) -> None:
        """listen_sockets: where clients will connect to, for the rows that want them"""
        self.settings = settings
        self.listen_sockets = listen_sockets
        run_dir, incarnation = data.run_dir, data.first_incarnation
        self.began_at = time.monotonic()
        self.signals = Signals()
        self.poller = zmq.Poller()
        self.poller.register(self.signals.fileno(), zmq.POLLIN)
        self.spawner = Spawner([spec.kind for spec in tree], (data.lock_fd,), self._watch_zygote)
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
        self.accept_balancing = AcceptBalancing()
        self.insight = Insight(self)
        self.heartbeats: dict[str, Heartbeat] = {}
        self.meter = Meter()
        cpus = sorted(os.sched_getaffinity(0))
        self.placement = Placement(cpus, os.getpid(), str(settings.get("actor_placement", "auto")))
        self._next_look = self._next_census = 0.0
        self._roster_version = 0
        self._was_ready: set[str] = set()
        """Names of children that were READY once: what they keep on disk is there."""
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
            self._close_listen_sockets()

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
            self._was_ready.add(ready.name)
            self.links.connect(ready.name, ready.incarnation)
            child = self.lifecycle.children[ready.name]
            if child.pid is not None:  # again: it has started threads meanwhile
                self._settle(child.name, child.incarnation, child.pid)
        self.do(actions)

    def _on_heartbeat(self, beat: Heartbeat, now: float) -> None:
        child = self.lifecycle.children.get(beat.name)
        if child is not None and child.incarnation == beat.incarnation:
            self.heartbeats[beat.name] = beat
        self.insight.on_heartbeat(beat, now)
        self.lifecycle.on_heartbeat(beat.name, beat.incarnation, now)
        if beat.summary.get("calls", 0) >= limits.BUSY_CALLS:
            self._move(self.placement.on_busy(now))
        self._move(self.placement.follow(beat.summary.get("client_cpu", -1), now))

    def _autopsy(self, pid: int, status: int, now: float) -> None:
        for child in self.insight.children():
            if child.pid == pid:
                self.insight.on_exit(child, status, now)

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

    def _spawn(self, action: child_actions.Spawn) -> None:
        child = self.lifecycle.find(action.name, action.incarnation)
        if child is None:
            return
        listen_sockets = self.listen_sockets if child.spec.listen_sockets else ()
        boot = Boot(
            name=child.name,
            kind=child.spec.role,
            slot=child.slot,
            incarnation=action.incarnation,
            run_dir=str(self.run_dir),
            endpoint=self.links.endpoint_of(child.name, action.incarnation),
            supervisor=self.links.endpoint,
            roster=self._roster(),
            config=dict(self.settings),
            options=child.spec.options,
            listen_sockets=[(sockets.text, len(sockets.sockets)) for sockets in listen_sockets],
            flight=self.insight.on_spawn(child.name, action.incarnation),
            may_found=child.name not in self._was_ready,
        )
        caps = Caps(child.spec.nice, child.spec.memory_max_bytes)
        self.spawner.spawn(
            boot, child.spec.kind, caps, [sock.fileno() for sockets in listen_sockets for sock in sockets.sockets]
        )

    def _settle(self, name: str, incarnation: int, pid: int) -> None:
        """A new process goes where its row, or else the placement, wants it."""
        child = self.lifecycle.find(name, incarnation)
        process_usage.set_cpus(pid, (child.spec.cpus if child is not None else ()) or self.placement.cpus())

    def _signal(self, action: child_actions.Signal) -> None:
        with suppress(ProcessLookupError):
            os.kill(action.pid, action.signum)

    def _publish(self, action: child_actions.Publish) -> None:
        self._roster_version += 1
        roster = Roster(self._roster_version, self._roster())
        for child in self.lifecycle.listed():
            self.links.send(child.incarnation, roster)
        for incarnation, order in self.accept_balancing.orders(self.lifecycle.listed(), self._sockets_max()):
            self.links.send(incarnation, order)

    def _sockets_max(self) -> int:
        return max((len(sockets.sockets) for sockets in self.listen_sockets), default=0)

    def _close_listen_sockets(self) -> None:
        """The member stops: who comes now is refused, and does not wait in the queue of a socket."""
        for sockets in self.listen_sockets:
            for sock in sockets.sockets:
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
        self.listen_sockets = ()

    def _dump(self, action: child_actions.Dump) -> None:
        with suppress(ProcessLookupError):
            os.kill(action.pid, STACK_SIGNAL)

    def _gone(self, action: child_actions.Gone) -> None:
        stack = _read_stack(self.links.endpoint_of(action.name, action.incarnation))
        if stack:
            log.error("where a hung actor was", child=action.name, incarnation=action.incarnation, stack=stack)
        self.links.forget(action.name, action.incarnation)

    def _note(self, action: child_actions.Note) -> None:
        log.log(action.level, action.msg, **action.fields)
        self.events.add(action.level, action.msg, action.fields)

    def _roster(self) -> list[tuple[str, str, int, int, str]]:
        return [self._roster_line(child) for child in self.lifecycle.listed()]

    def _roster_line(self, child: Child) -> tuple[str, str, int, int, str]:
        endpoint = self.links.endpoint_of(child.name, child.incarnation)
        return (child.name, child.spec.role, child.slot, child.incarnation, endpoint)

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
        pids = {f"{child.name}.{child.pid}": child.pid for child in self.lifecycle.everyone() if child.pid is not None}
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
        for child in self.lifecycle.children.values():
            if child.state is not State.READY or child.pid is None or child.ready_at is None:
                continue
            allowed = Limits(child.max_age_s, child.spec.max_rss_bytes, child.spec.max_rss_after_s)
            rss_bytes = (process_usage.rss_bytes(child.pid) or 0) if allowed.max_rss_bytes is not None else 0
            why = recycling_reason(allowed, now - child.ready_at, rss_bytes)
            if why and self._order(Order("restart", child.name, graceful=True), now):
                self._note(child_actions.Note("info", "recycling actor", {"child": child.name, "reason": why}))
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
        for child in self.lifecycle.everyone():
            if child.pid is not None and not child.spec.cpus:
                process_usage.set_cpus(child.pid, cpus)

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
    QueryReply: lambda loop, told, now: loop.insight.queries.on_told(told),
    QueryMetrics: lambda loop, asked, now: scrape(loop, asked),
}
ACTIONS: Final[dict[type[Any], Callable[[Loop, Any], None]]] = {
    child_actions.Spawn: Loop._spawn,
    child_actions.ReplaceZygote: lambda loop, action: loop.spawner.replace(action.name, action.incarnation),
    child_actions.Ask: lambda loop, action: loop.links.send(action.incarnation, Stop(action.deadline_s)),
    child_actions.Dump: Loop._dump,
    child_actions.Signal: Loop._signal,
    child_actions.Publish: Loop._publish,
    child_actions.Gone: Loop._gone,
    child_actions.Note: Loop._note,
}
