"""Snapshots that other members send: a process for each takes over the connection, and makes a store of what comes.

    POST /raft/snapshot -> take -> process: receives, converts, syncs -> SnapshotArrived -> raft;  then the answer

The peer actor calls `take` with a connection on which such a request has come and passed the checks of its head; the
process reads the body and writes the answer, which the actor makes (`answer`). Only one is received at a time. What
comes from the same sender takes its place, since that has given up the earlier connection, and so does what a member
sends while a stranger's is received; others try again later. So nobody has more than PROCESSES_MAX processes started at
a time.
"""

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol

from actors.peer.snapshot_process import Host as ProcessHost
from actors.peer.snapshot_process import SnapshotProcess
from actors.runtime.link import Links
from etcdz.ipc.messages import SnapshotArrived
from etcdz.peer.snapshot_tally import SnapshotTally
from etcdz.telemetry.histogram import Doublings

PROCESSES_MAX: Final = 2
"""One that receives, and one that is ending."""


class Host(ProcessHost, Protocol):
    """What this needs of its actor."""

    links: Links
    log: Any


class IncomingSnapshots:
    """directory   of the member's store and .snap files
    identity       returns (member id, cluster id)
    answer         (status, text of the body) -> the bytes of a whole answer that closes its connection
    is_member      whether this id is one of the cluster's
    """

    def __init__(
        self,
        host: Host,
        directory: Path,
        identity: Callable[[], tuple[int, int]],
        answer: Callable[[int, str], bytes],
        is_member: Callable[[int], bool],
    ) -> None:
        self.host = host
        self._is_member = is_member
        self.answer = answer
        self._directory = directory
        self._identity = identity
        self.tally = SnapshotTally()
        self.syncs = Doublings()
        """How long the stores that have arrived took to be synced."""
        self._now: _Incoming | None = None
        self._processes = 0
        """Those that are ending included."""

    def take(self, connection: socket.socket, sender: int, length: int, begin: bytes) -> None:
        """From here on the connection is the process's; the caller neither reads, writes nor closes it any more.

        sender   member id, as the request's head says
        length   of the body in bytes; negative: it is chunked
        begin    what was read of the body already, in its coding
        """
        with connection:
            if self._now is not None and self._gives_way(self._now, sender):
                self._now.end()
                self._now = None
            if self._now is not None or self._processes >= PROCESSES_MAX:
                self._refuse(connection, sender)
                return
            arguments = [str(self._directory), *map(str, self._identity()), str(connection.fileno()), str(length)]
            try:
                self._now = _Incoming(self, sender, arguments, connection.fileno())
            except OSError as error:
                self.host.log.warn("cannot receive a snapshot", error=str(error))
                return
            self._processes += 1
            self._now.begin(begin)

    def _gives_way(self, now: "_Incoming", sender: int) -> bool:
        return now.sender == sender or (self._is_member(sender) and not self._is_member(now.sender))

    def _refuse(self, connection: socket.socket, sender: int) -> None:
        self.host.log.warn("refused a snapshot", sender=f"{sender:x}", error="another one is being received")
        with suppress(OSError):  # the connection is new: there is room for so little, or it is not one to wait for
            connection.send(self.answer(500, "failed to save KV snapshot (another one is being received)"))

    def close(self) -> None:
        """This actor ends."""
        if self._now is not None:
            self._now.end()

    def arrived(self, message: SnapshotArrived, synced_ns: int) -> None:
        self.syncs.add(max(1, synced_ns))
        self.host.links.send("raft", message)
        self.host.links.flush()

    def ended(self, incoming: "_Incoming", why: str) -> None:
        """Its process is gone."""
        self._processes -= 1
        if self._now is incoming:
            self._now = None
        self.tally.end(incoming.sender, incoming.has_arrived, time.monotonic() - incoming.began_s)
        if why:
            self.host.log.warn("failed to receive a snapshot", sender=f"{incoming.sender:x}", error=why)


class _Incoming:
    def __init__(self, service: IncomingSnapshots, sender: int, arguments: list[str], fd: int) -> None:
        """raises OSError: no process can be started"""
        self.sender = sender
        self._service = service
        self._process = SnapshotProcess(
            service.host, "actors.peer.snapshot_receiver", arguments, self._on_message, self._on_end, [fd]
        )
        self.has_arrived = False
        self.began_s = time.monotonic()
        service.tally.begin(sender)

    def begin(self, begin: bytes) -> None:
        self._process.say(begin=begin)

    def end(self) -> None:
        self._process.end()

    def _on_message(self, said: dict[str, Any]) -> None:
        if "arrived" in said:
            self.has_arrived = True
            self._service.arrived(SnapshotArrived(*said["arrived"]), said.get("synced_ns", 0))
            self._process.say(answer=self._service.answer(204, ""))
        else:
            status, text = said["refused"]
            self._service.host.log.warn("refused a snapshot", sender=f"{self.sender:x}", error=text)
            self._process.say(answer=self._service.answer(status, text))

    def _on_end(self, why: str) -> None:
        self._service.ended(self, why)
