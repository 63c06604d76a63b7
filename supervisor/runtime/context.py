"""The running member: its parts in one object, and how the lifecycle's actions are carried out on them.

The loop hands it to the handlers of events, the control socket to its verbs. It knows neither of them.
"""

import os
import random
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

import zmq

from etcdz.ipc.boot import STACK_SIGNAL, Boot
from etcdz.ipc.messages import Roster, Stop
from etcdz.net.listen_sockets import ListenSockets
from etcdz.telemetry import logs
from supervisor.children import child as actions
from supervisor.children.accept_balancing import AcceptBalancing
from supervisor.children.child import Action, Child
from supervisor.children.lifecycle import Lifecycle
from supervisor.children.orders import Orders
from supervisor.processes.disk_worker import DiskWorker
from supervisor.processes.first_zygote import FirstZygote
from supervisor.processes.spawner import Spawner
from supervisor.processes.zygote import Caps
from supervisor.runtime.data_dir import DataDir
from supervisor.runtime.links import Links
from supervisor.runtime.member_memory import MemberMemory
from supervisor.telemetry.cpu_meter import CpuMeter
from supervisor.telemetry.events import Events
from supervisor.telemetry.observations import Observations
from supervisor.tree import ChildSpec

log = logs.get("supervisor")

STACK_CHARS_MAX: Final = 16_384
"""Of a hung actor's stacks, in the log."""
LAST_WORK_S: Final = 2.0
"""How long the end of the member waits for a disk to take its last reports."""


class Member:
    """Everything of a running member that is not an actor, but for the loop and the control socket."""

    def __init__(
        self,
        settings: Mapping[str, Any],
        tree: tuple[ChildSpec, ...],
        data: DataDir,
        listen_sockets: Sequence[ListenSockets] = (),
        peer_sockets: Sequence[ListenSockets] = (),
        first_zygote: FirstZygote | None = None,
    ) -> None:
        """settings: MemberConfig.to_dict(). listen_sockets: for the rows whose actors accept connections of clients.
        peer_sockets: for the row whose actor accepts connections of other members. first_zygote: one that was forked
        already, with the modules of this tree"""
        self.settings = settings
        self.began_at = time.monotonic()
        self.began_s = time.time()
        self.data = data
        self.spawner = Spawner([spec.kind for spec in tree], (data.lock_fd,), first_zygote)
        self.zmq: zmq.Context[Any] = zmq.Context()
        self.links = Links(self.zmq, data.run_dir, data.first_incarnation)
        self.lifecycle = Lifecycle(tree, data.first_incarnation + 1, random.random)
        self.orders = Orders(self.lifecycle)
        self.events = Events()
        self.worker = DiskWorker()
        self.observations = Observations(
            str(settings["data_dir"]), self.lifecycle.everyone, self.links.endpoint_of, self.links.send, self.worker
        )
        self.memory = MemberMemory()
        self.cpu_meter = CpuMeter()
        self.was_ready: set[str] = set()
        """Names of children that were READY once: what they keep on disk is there."""
        self._listen_sockets = listen_sockets
        self._peer_sockets = peer_sockets
        self._accept_balancing = AcceptBalancing()
        self._roster_version = 0

    def close(self) -> None:
        """Let go of everything, whatever state it is in."""
        self.spawner.close()
        self.observations.close()
        self.worker.close(LAST_WORK_S)
        self.memory.close()
        self.links.close()
        self.zmq.term()

    def close_listen_sockets(self) -> None:
        """The member stops: clients that connect now are refused, and do not wait in the queue of a socket."""
        for sockets in self._listen_sockets:
            for sock in sockets.sockets:
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
        self._listen_sockets = ()

    def pids(self) -> list[int]:
        """Of the zygote and of all actors."""
        return [self.spawner.pid, *(child.pid for child in self.lifecycle.everyone() if child.pid is not None)]

    # ---- actions ----

    def do(self, todo: list[Action]) -> None:
        """Carry out what the lifecycle has answered, in order."""
        for action in todo:
            ACTIONS[type(action)](self, action)

    def _spawn(self, action: actions.Spawn) -> None:
        child = self.lifecycle.find(action.name, action.incarnation)
        if child is None:
            return
        listen_sockets = self._sockets_of(child.spec)
        boot = Boot(
            name=child.name,
            kind=child.spec.role,
            slot=child.slot,
            incarnation=action.incarnation,
            run_dir=str(self.data.run_dir),
            endpoint=self.links.endpoint_of(child.name, action.incarnation),
            supervisor=self.links.endpoint,
            roster=self._roster(),
            config=dict(self.settings),
            options=child.spec.options,
            listen_sockets=[(sockets.text, len(sockets.sockets)) for sockets in listen_sockets],
            flight=self.observations.on_spawn(child.name, action.incarnation),
            may_found=child.name not in self.was_ready,
            memory=self.memory.path(child.name) if child.spec.memory else "",
            member_began_s=self.began_s,
        )
        caps = Caps(child.spec.nice, child.spec.memory_max_bytes)
        fds = [sock.fileno() for sockets in listen_sockets for sock in sockets.sockets]
        self.spawner.spawn(boot, child.spec.kind, caps, fds)

    def _sockets_of(self, spec: ChildSpec) -> Sequence[ListenSockets]:
        if spec.listen_sockets:
            return self._listen_sockets
        return self._peer_sockets if spec.peer_sockets else ()

    def _replace_zygote(self, action: actions.ReplaceZygote) -> None:
        self.spawner.replace(action.name, action.incarnation)

    def _ask_to_stop(self, action: actions.AskToStop) -> None:
        self.links.send(action.incarnation, Stop(action.deadline_s))

    def _dump_stacks(self, action: actions.DumpStacks) -> None:
        with suppress(ProcessLookupError):
            os.kill(action.pid, STACK_SIGNAL)

    def _signal(self, action: actions.Signal) -> None:
        with suppress(ProcessLookupError):
            os.kill(action.pid, action.signum)

    def _publish_roster(self, action: actions.PublishRoster) -> None:
        self._roster_version += 1
        roster, listed = Roster(self._roster_version, self._roster()), self.lifecycle.listed()
        for child in listed:
            self.links.send(child.incarnation, roster)
        self._balance(listed)

    def note_letting_in(self, incarnation: int, lets_in: bool) -> None:
        """Whether clients can come to this listener, as it says itself."""
        if self._accept_balancing.note(incarnation, lets_in):
            self._balance(self.lifecycle.listed())

    def _balance(self, listed: list[Child]) -> None:
        per_address = max((len(sockets.sockets) for sockets in self._listen_sockets), default=0)
        known = [child.name for child in self.lifecycle.everyone()]
        for incarnation, order in self._accept_balancing.orders(listed, per_address, known):
            self.links.send(incarnation, order)

    def _forget(self, action: actions.Forget) -> None:
        stack = self.observations.stack(action.name, action.incarnation)[:STACK_CHARS_MAX]
        if stack:
            log.error("where a hung actor was", child=action.name, incarnation=action.incarnation, stack=stack)
        self.links.disconnect(action.incarnation)
        self.worker.submit(partial(self.links.remove_files, action.name, action.incarnation))

    def _log_line(self, action: actions.LogLine) -> None:
        log.log(action.level, action.msg, **action.fields)
        self.events.add(action.level, action.msg, action.fields)

    def _roster(self) -> list[tuple[str, str, int, int, str]]:
        return [self._roster_line(child) for child in self.lifecycle.listed()]

    def _roster_line(self, child: Child) -> tuple[str, str, int, int, str]:
        endpoint = self.links.endpoint_of(child.name, child.incarnation)
        return (child.name, child.spec.role, child.slot, child.incarnation, endpoint)


ACTIONS: Final[dict[type[Any], Callable[[Member, Any], None]]] = {
    actions.Spawn: Member._spawn,
    actions.ReplaceZygote: Member._replace_zygote,
    actions.AskToStop: Member._ask_to_stop,
    actions.DumpStacks: Member._dump_stacks,
    actions.Signal: Member._signal,
    actions.PublishRoster: Member._publish_roster,
    actions.Forget: Member._forget,
    actions.LogLine: Member._log_line,
}
