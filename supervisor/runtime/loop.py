"""The supervisor's loop: waits for mailbox, zygote, signals, control socket and deadlines; hands each event to the pure
lifecycle and has the member do what it answers. It never waits elsewhere: what touches a disk is done by a thread
(DiskWorker), and so are the lines of its log (etcdz.telemetry.logs).
"""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Protocol

import zmq

from etcdz import limits
from etcdz.ipc.messages import (
    Fault,
    Heartbeat,
    Look,
    Metrics,
    QueryMetrics,
    QueryReply,
    Ready,
    Removed,
    Unknown,
    decode_frame,
)
from etcdz.telemetry import logs
from supervisor.children import placement
from supervisor.children.lifecycle import STALL_S
from supervisor.children.placement import Placement
from supervisor.processes import process_usage
from supervisor.processes.zygote import Spawned
from supervisor.runtime import announcements, recycling, service_manager
from supervisor.runtime.context import Member
from supervisor.runtime.host_process import HostProcess
from supervisor.runtime.signals import Signals, changed_children
from supervisor.runtime.stack_report import StackReport
from supervisor.telemetry import metrics

log = logs.get("supervisor")

LAST_WORDS_MS: Final = 20
"""How long a failed actor's Fault may take from its socket to our mailbox, when its exit was noticed first."""
STOP_SIGNALS: Final[dict[int, str]] = {
    signal.SIGINT: "interrupt",
    signal.SIGTERM: "terminated",
    signal.SIGHUP: "hangup",
}
"""With the words that etcd logs."""
ECHO_S: Final = 0.2
"""timeout(1) and service managers send a signal twice, to the process and to its group: that is no second one."""
WORKS_ABOVE: Final = 0.02
"""Of one CPU, between two looks: less is what idle threads use."""
CENSUS_S: Final = 1.0
"""How often it is checked which processes have grown too old or too big."""

assert 2 * placement.IDLE_INTERVAL_S <= STALL_S, "or the lifecycle takes an idle supervisor for one that was stopped"


class Server(Protocol):
    """Answers requests of people; supervisor/control/socket.py is one."""

    socket: "zmq.Socket[bytes]"

    def serve(self) -> None:
        """Answer what waits."""

    def look(self, now: float) -> None:
        """Once a turn: answer what is done by now."""

    def on_look(self, look: Look) -> None:
        """Answer a listener, whose client wants to see something."""

    def close(self) -> None:
        """Let go of the socket."""


class Loop:
    """From the start of the first actor to the end of the last."""

    def __init__(self, member: Member, signals: Signals, server: Server, host: HostProcess) -> None:
        self._member = member
        self._signals = signals
        self._server = server
        self._host = host
        self._poller = zmq.Poller()
        self._poller.register(signals.fileno(), zmq.POLLIN)
        self._poller.register(member.links.mailbox, zmq.POLLIN)
        self._poller.register(server.socket, zmq.POLLIN)
        self._poller.register(member.worker.fileno(), zmq.POLLIN)
        if (host_fd := host.fileno()) is not None:
            self._poller.register(host_fd, zmq.POLLIN)
        self._zygote_fds: list[int] = []
        cpus = sorted(os.sched_getaffinity(0))
        self._placement = Placement(cpus, os.getpid(), str(member.settings.get("actor_placement", "auto")))
        self._next_look = self._next_census = 0.0
        self._unknown: set[int] = set()
        """Tags of messages that were skipped."""
        self.stop_signal = 0
        """The first of STOP_SIGNALS that came, or SIGQUIT; 0 if none."""
        self._stop_signal_at = 0.0
        self._serves = False
        """A listener has served clients, and the service manager was told."""
        self._told_of_end = False

    def run(self) -> str:
        """Until the member has stopped. return why it stopped by itself, "" if it was told to."""
        lifecycle = self._member.lifecycle
        self._member.do(lifecycle.begin(time.monotonic()))
        while not lifecycle.finished:
            self._turn()
        return lifecycle.failure

    # ---- one turn ----

    def _turn(self) -> None:
        member, lifecycle = self._member, self._member.lifecycle
        self._watch_zygote()
        self._poller.poll(self._wait_ms())
        # The order matters: an actor reports itself spawned, then ready, then faults, then ends. What is taken out
        # last here was sent first, so that no event overtakes one before it.
        signals = self._signals.received()
        changed = changed_children()
        messages = self._messages()
        if any(status > 0 for _, status in changed.ended) and member.links.mailbox.poll(LAST_WORDS_MS):
            messages += self._messages()
        self._take_spawned()
        now = time.monotonic()
        for message in messages:
            self._on_message(message, now)
        for signum in signals:  # before the exits: what stops the member may have sent the signal to all of it
            self._on_signal(signum, now)
        if self._host.has_ended():
            self._on_end_of_host(now)
        for pid in changed.halted:
            if pid == member.spawner.pid:
                member.spawner.on_halted()
            elif pid not in member.observations.pauses:
                lifecycle.on_halted(pid, now)
        for pid in changed.continued:
            lifecycle.on_continued(pid, now)
        for pid, status in changed.ended:
            self._on_exit(pid, status, now)
        self._server.serve()
        self._place(now)
        member.do(lifecycle.on_clock(now, member.spawner.is_starting))
        self._server.look(now)
        member.observations.look(now)
        member.worker.look(now)
        if lifecycle.stopping:
            member.close_listen_sockets()
            self._tell_of_end()

    def _watch_zygote(self) -> None:
        fds = self._member.spawner.filenos()
        if fds == self._zygote_fds:
            return
        for fd in self._zygote_fds:
            with suppress(KeyError):
                self._poller.unregister(fd)
        for fd in fds:
            self._poller.register(fd, zmq.POLLIN)
        self._zygote_fds = fds

    def _wait_ms(self) -> int:
        """Until the next deadline, and never longer than the placement's interval: on_clock expects that."""
        now = time.monotonic()
        wake = self._next_look
        member = self._member
        deadlines = (
            member.lifecycle.next_deadline(),
            member.observations.next_deadline(),
            member.worker.next_deadline(),
        )
        for deadline in deadlines:
            if deadline is not None:
                wake = min(wake, deadline)
        return max(0, int((wake - now) * 1000 + 0.999))

    # ---- events ----

    def _messages(self) -> list[Any]:
        messages: list[Any] = []
        for frame in self._member.links.receive():
            try:
                messages.extend(decode_frame(frame))
            except ValueError as error:  # an actor that sends garbage must not end the member
                log.error("dropped a frame that no actor of any version sends", error=repr(error))
        return messages

    def _take_spawned(self) -> None:
        member = self._member
        for event in member.spawner.events():
            now = time.monotonic()
            if isinstance(event, Spawned):
                self._settle(event.name, event.incarnation, event.pid)
                log.info("started actor", child=event.name, pid=event.pid, incarnation=event.incarnation)
                member.do(member.lifecycle.on_spawned(event.name, event.incarnation, event.pid, now))
            else:
                member.do(member.lifecycle.on_spawn_failed(event.name, event.incarnation, event.reason, now))

    def _on_message(self, message: Any, now: float) -> None:
        handler = MESSAGES.get(type(message))
        if handler is not None:
            handler(self, message, now)
        else:
            log.error("dropped a message that is not for the supervisor", type=type(message).__name__)

    def _on_ready(self, ready: Ready, now: float) -> None:
        member = self._member
        actions = member.lifecycle.on_ready(ready.name, ready.incarnation, ready.info, now)
        if actions:
            member.was_ready.add(ready.name)
            member.links.connect(ready.name, ready.incarnation)
            child = member.lifecycle.children[ready.name]
            if child.pid is not None:  # again: it has started threads meanwhile
                self._settle(child.name, child.incarnation, child.pid)
        member.do(actions)

    def _on_heartbeat(self, beat: Heartbeat, now: float) -> None:
        self._member.observations.on_heartbeat(beat, now)
        self._member.lifecycle.on_heartbeat(beat.name, beat.incarnation, now)
        if "lets_in" in beat.summary:
            self._member.note_letting_in(beat.incarnation, beat.summary["lets_in"])
        if not self._serves and beat.summary.get("serving"):
            self._serves = True
            service_manager.notify(service_manager.READY)
        if beat.summary.get("calls", 0) >= limits.BUSY_CALLS:
            self._move(self._placement.on_busy(now))
        self._move(self._placement.follow(beat.summary.get("client_cpu", -1), now))

    def _tell_of_end(self) -> None:
        if not self._told_of_end:
            self._told_of_end = True
            service_manager.notify(service_manager.STOPPING)

    def _on_fault(self, fault: Fault, now: float) -> None:
        lifecycle = self._member.lifecycle
        self._member.do(
            lifecycle.on_fault(fault.name, fault.incarnation, fault.fatal, fault.reason, now, given_up=fault.given_up)
        )

    def _on_removed(self, removed: Removed, now: float) -> None:
        if not self._member.lifecycle.stopping:
            announcements.removed(self._member.settings, removed.reason)
            self._member.do(self._member.lifecycle.stop(now))

    def _on_reply(self, reply: QueryReply, now: float) -> None:
        self._member.observations.on_reply(reply)

    def _on_query_metrics(self, query: QueryMetrics, now: float) -> None:
        member, observations = self._member, self._member.observations
        listed = member.lifecycle.listed()
        metrics.Scrape(
            listed,
            observations.queries,
            observations.kept_figures,
            lambda: (
                metrics.use_of_all(member.pids(), member.began_at),
                metrics.use_of_actors(listed, observations.heartbeats, time.monotonic()),
            ),
            lambda text: member.links.send(query.incarnation, Metrics(query.seq, text)),
        )

    def _on_look(self, look: Look, now: float) -> None:
        self._server.on_look(look)

    def _on_unknown(self, message: Unknown, now: float) -> None:
        if message.tag not in self._unknown:
            self._unknown.add(message.tag)
            log.error("skipping messages with an unknown tag: the sender's code is newer", tag=message.tag)

    def _on_exit(self, pid: int, status: int, now: float) -> None:
        member = self._member
        for child in member.lifecycle.everyone():
            if child.pid == pid:
                member.observations.on_exit(child, status, now)
        member.do(member.lifecycle.on_exit(pid, status, now))

    def _on_signal(self, signum: int, now: float) -> None:
        if signum == signal.SIGQUIT and self.stop_signal != signum:
            self._quit(now)
        if signum not in STOP_SIGNALS:
            return
        if not self.stop_signal:
            log.info("received signal; shutting down", signal=STOP_SIGNALS[signum])
            self._stop(signum, now)
        elif now - self._stop_signal_at > ECHO_S and self.stop_signal != signal.SIGQUIT:
            log.warn("received a second signal; killing all", signal=STOP_SIGNALS[signum])
            self._member.do(self._member.lifecycle.force())

    def _on_end_of_host(self, now: float) -> None:
        fd = self._host.fileno()
        if fd is not None:  # it stays readable
            self._poller.unregister(fd)
        if not self.stop_signal:
            log.info("the process of --stop-with-pid has ended; shutting down", pid=self._host.pid)
            self._stop(signal.SIGTERM, now)

    def _stop(self, signum: int, now: float) -> None:
        self.stop_signal = signum
        self._stop_signal_at = now
        announcements.closing(self._member.settings)
        self._member.do(self._member.lifecycle.stop(now))

    def _quit(self, now: float) -> None:
        member, self.stop_signal = self._member, int(signal.SIGQUIT)
        observations, lifecycle = member.observations, member.lifecycle
        report = StackReport(observations, lifecycle.everyone(), lambda: member.do(lifecycle.force()), now)
        observations.follow(report)

    # ---- placement ----

    def _settle(self, name: str, incarnation: int, pid: int) -> None:
        """A new process goes where its row, or else the placement, wants it."""
        child = self._member.lifecycle.find(name, incarnation)
        process_usage.set_cpus(pid, (child.spec.cpus if child is not None else ()) or self._placement.cpus())

    def _place(self, now: float) -> None:
        if now < self._next_look:
            return
        self._next_look = now + self._placement.interval_s
        member = self._member
        # NB: one that leaves has the same name as its successor.
        pids = {
            f"{child.name}.{child.pid}": child.pid for child in member.lifecycle.everyone() if child.pid is not None
        }
        own = {"supervisor": os.getpid(), "zygote": member.spawner.pid}
        loads = member.cpu_meter.look({**pids, **own}, now, self._placement.wants_wait)
        for name, pid in pids.items():
            if name in loads and loads[name].cpu > WORKS_ABOVE:
                member.lifecycle.on_work(pid, now)
        self._move(self._placement.look({name: load for name, load in loads.items() if name in pids}, now))
        if now >= self._next_census:
            self._next_census = now + CENSUS_S
            recycling.recycle_one(member, now)

    def _move(self, cpus: frozenset[int] | None) -> None:
        """All actors to these CPUs; None: they stay."""
        if cpus is None:
            return
        log.debug("moving actors", cpus=sorted(cpus))
        for child in self._member.lifecycle.everyone():
            if child.pid is not None and not child.spec.cpus:
                process_usage.set_cpus(child.pid, cpus)


MESSAGES: Final[dict[type[Any], Callable[[Loop, Any, float], None]]] = {
    Ready: Loop._on_ready,
    Heartbeat: Loop._on_heartbeat,
    Fault: Loop._on_fault,
    Removed: Loop._on_removed,
    QueryReply: Loop._on_reply,
    QueryMetrics: Loop._on_query_metrics,
    Look: Loop._on_look,
    Unknown: Loop._on_unknown,
}
