"""Snapshots on their way to other members: a process for each takes it, and sends it when raft's MsgSnap has come.

    SnapshotWanted -> process: a checkpoint of the store -> SnapshotTaken -> raft -> Send with a MsgSnap
                   -> process: POST /raft/snapshot       -> PeerReports.snapshots

The peer actor calls `on_wanted` with each SnapshotWanted, and, for each message of a Send that `is_snapshot`, `send`
with where to post it. `sent` tells it what became of that. One snapshot for a member at a time, and SENT_MAX in all:
each keeps the tables of its checkpoint on the disk.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from actors.peer.snapshot_process import Host as ProcessHost
from actors.peer.snapshot_process import SnapshotProcess
from actors.runtime.link import Links
from etcdz.ipc.messages import SnapshotTaken, SnapshotWanted
from etcdz.peer.snapshot_tally import SnapshotTally
from etcdz.tls.settings import TlsSettings

SENT_MAX: Final = 2
KEPT_S: Final = 60.0
"""How long a snapshot that was taken waits for its MsgSnap."""
_MSG_SNAP: Final = b"\x08\x07"
"""How an encoded MsgSnap begins: the type is its first field."""


class Target(NamedTuple):
    """A peer URL of the member. address: (host, port), or the path of a unix socket. request: the head of the request,
    with a chunked body. server_name: whose certificate is looked for; empty: without TLS"""

    address: tuple[str, int] | str
    request: bytes
    server_name: str = ""


class Outcome(NamedTuple):
    """status: of the last answer; 0: there was none, and text says why."""

    to: int
    has_arrived: bool
    status: int
    text: str


class Host(ProcessHost, Protocol):
    """What this needs of its actor."""

    links: Links
    log: Any


def is_snapshot(message: bytes) -> bool:
    """Whether an encoded raftpb.Message is one that a snapshot goes with."""
    return message.startswith(_MSG_SNAP)


class OutgoingSnapshots:
    """store: directory of the member's store. sent: called once for each `send`. tls: of connections to members"""

    def __init__(self, host: Host, store: Path, sent: Callable[[Outcome], None], tls: TlsSettings) -> None:
        self.host = host
        self.store = store
        self.tls = tls
        self._sent = sent
        self.tally = SnapshotTally()
        self._under_way: dict[int, _Outgoing] = {}

    def __len__(self) -> int:
        return len(self._under_way)

    def on_wanted(self, message: SnapshotWanted) -> None:
        """Raft needs one for this member. Asked again while one is under way, it is taken anew."""
        earlier = self._under_way.get(message.to)
        if earlier is not None:
            if not earlier.is_sending:
                earlier.end()
            self._refuse(message.to)
            return
        if len(self._under_way) >= SENT_MAX:
            self._refuse(message.to)
            return
        try:
            self._under_way[message.to] = _Outgoing(self, message.to)
        except OSError as error:
            self.host.log.warn("cannot start a snapshot", to=f"{message.to:x}", error=str(error))
            self._refuse(message.to)

    def send(self, to: int, message: bytes, targets: Sequence[Target]) -> None:
        """Send the snapshot that was taken for this member, with this MsgSnap, to the first target that answers."""
        outgoing = self._under_way.get(to)
        if outgoing is None or not outgoing.send(message, targets):
            self._sent(Outcome(to, False, 0, "no snapshot was taken for it"))

    def progress(self, to: int) -> float | None:
        """Which part of the snapshot for this member has been sent, 0.0 while it is taken; None: there is none."""
        outgoing = self._under_way.get(to)
        return outgoing.progress if outgoing is not None else None

    def close(self) -> None:
        """This actor ends."""
        for outgoing in list(self._under_way.values()):
            outgoing.end()

    def taken(self, message: SnapshotTaken) -> None:
        self.host.links.send("raft", message)
        self.host.links.flush()

    def ended(self, outgoing: "_Outgoing", why: str) -> None:
        """Its process is gone."""
        del self._under_way[outgoing.to]
        if why:
            self.host.log.warn("failed to send a snapshot", to=f"{outgoing.to:x}", error=why)
        if outgoing.is_sending:
            outcome = outgoing.outcome or Outcome(outgoing.to, False, 0, why)
            self.tally.end(outgoing.to, outcome.has_arrived, time.monotonic() - outgoing.began_s)
            self._sent(outcome)
        elif not outgoing.is_taken:
            self._refuse(outgoing.to)
        self.host.links.flush()

    def _refuse(self, to: int) -> None:
        self.host.links.send("raft", SnapshotTaken(to, 0, 0, b"", b""))


class _Outgoing:
    """is_taken: raft knows of it. is_sending: raft's MsgSnap has come. outcome: what the process has said of that."""

    def __init__(self, service: OutgoingSnapshots, to: int) -> None:
        """raises OSError: no process can be started"""
        self.to = to
        self.is_taken = self.is_sending = False
        self.began_s = 0.0
        self.progress = 0.0
        self.outcome: Outcome | None = None
        self._service = service
        self._process = SnapshotProcess(
            service.host, "actors.peer.snapshot_sender", [str(service.store)], self._on_message, self._on_end
        )
        self._timer = service.host.event_loop.call_later(KEPT_S, self._on_timer)

    def send(self, message: bytes, targets: Sequence[Target]) -> bool:
        """return False: there is nothing to send with it"""
        if not self.is_taken or self.is_sending:
            return False
        self.is_sending = True
        self.began_s = time.monotonic()
        self._service.tally.begin(self.to)
        self._process.say(message=message, targets=list(targets), tls=self._service.tls.to_dict())
        return True

    def end(self) -> None:
        self._process.end()

    def _on_timer(self) -> None:
        if not self.is_sending:
            self.end()

    def _on_message(self, said: dict[str, Any]) -> None:
        if "taken" in said:
            self.is_taken = True
            self._service.taken(SnapshotTaken(self.to, *said["taken"]))
        elif "progress" in said:
            sent, total = said["progress"]
            self.progress = min(1.0, sent / total)
        else:
            self.outcome = Outcome(self.to, *said["sent"])

    def _on_end(self, why: str) -> None:
        self._timer.cancel()
        self._service.ended(self, why)
