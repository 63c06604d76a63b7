"""The peer actor: all traffic with the other members of the cluster, both ways.

It is dumb about raft: it knows who the members are and where (`Members`), carries what raft says to them (`Send`) and
what they say to raft (`Received`), and tells who is heard of (`PeerState`) and to whom something was lost
(`PeerReports`). Losing all of it is what a network does: so nothing is saved over its restart but the request ids that
raft has forwarded, which it keeps for the next raft. In a member that is alone it has nothing to do.

One event loop (uvloop) holds the connections; the mailbox is one more file descriptor in it. The sockets that listen
are the supervisor's, so that a restart refuses no connection.
"""

import asyncio
import time
from typing import Any

import uvloop

from actors.runtime.loop import Actor, run_actor
from etcdz import limits
from etcdz.config import MemberConfig
from etcdz.ipc.boot import Boot
from etcdz.ipc.messages import Members, PeerAnswer, PeerCall, Send, SnapshotTaken, SnapshotWanted, Stop


class PeerActor(Actor):
    """One per member.

    members     as the backend has told last; None before it has
    """

    def __init__(self, boot: Boot) -> None:
        super().__init__(boot)
        self.event_loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        asyncio.set_event_loop(self.event_loop)
        self.config = MemberConfig.from_dict(boot.config)
        self.addresses = [address for address, _ in boot.listen_sockets]
        self.members: Members | None = None
        self.failure: Exception | None = None
        self.left_loop = False
        self.handlers |= {
            Members: self.on_members,
            Send: self.on_send,
            SnapshotWanted: self.on_snapshot_wanted,
            PeerCall: self.on_peer_call,
        }

    def on_start(self) -> dict[str, Any]:
        return {"addresses": self.addresses}

    # ---- the loop: uvloop's, not the blocking one ----

    def loop(self) -> None:
        loop = self.event_loop
        datagrams, zmq_ = self.mailbox.descriptors
        loop.add_reader(datagrams, self._on_mailbox)
        loop.add_reader(zmq_, self._on_zmq)
        loop.call_soon(self._on_zmq)  # its descriptor may have become readable already
        self._on_timer()
        loop.run_forever()
        if self.failure is not None:
            raise self.failure

    def _on_zmq(self) -> None:
        self.mailbox.zmq_spoke()
        self._on_mailbox()

    def _on_mailbox(self) -> None:
        began = time.monotonic_ns()
        try:
            frames = self.drain(began)
            if self.mailbox.pending():
                self.event_loop.call_soon(self._on_mailbox)
            self.links.flush()
        except Exception as error:
            self.fail(error)
            return
        self.count_turn(frames, time.monotonic_ns() - began)

    def _on_timer(self) -> None:
        """The heartbeat that is due, and with it a look whether SIGTERM has come."""
        try:
            self.heartbeat(time.monotonic())
        except Exception as error:
            self.fail(error)
            return
        if self.stopping:
            self._leave_loop()
        self.event_loop.call_later(limits.HEARTBEAT_IDLE_S, self._on_timer)

    def fail(self, error: Exception) -> None:
        """An exception in a callback ends the actor, as it does in every other actor."""
        self.failure = error
        self.event_loop.stop()

    def _on_stop(self, stop: Stop) -> None:
        self.stopping = True
        self._leave_loop()

    def _leave_loop(self) -> None:
        if not self.left_loop:
            self.left_loop = True
            self.event_loop.stop()

    # ---- messages ----

    def on_members(self, message: Members) -> None:
        """Who the members are, and who is none any more."""
        self.members = message

    def on_send(self, message: Send) -> None:
        """What raft has to say to others."""

    def on_snapshot_wanted(self, message: SnapshotWanted) -> None:
        """None can be made yet."""
        self.links.send("raft", SnapshotTaken(message.to, 0, 0, b"", b""))

    def on_peer_call(self, message: PeerCall) -> None:
        """Nobody is asked yet."""
        self.links.send(message.asker, PeerAnswer(message.id, 0, b"no connection to other members"))


def run(boot: Boot) -> int:
    return run_actor(PeerActor, boot)
