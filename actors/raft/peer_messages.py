"""What comes of other members on its way into the core: their messages, and what the peer actor reports of them.

Messages may change who leads and what the log holds. So they wait while the wal has the end of the log, which is
recalled: then raft knows everything that was appended in its name (actors/raft/delegation.py). All of a turn are taken
at its end.

What another member has forwarded for this one to append, while it does not lead or is about to hand the lead over,
waits for the next leader, which is passed it: this member has the only copy. In etcd it is lost then. What is marked
(actors/raft/forwarding.py) is offered again by that member, and passed on by nobody.

What cannot be true (actors/raft/claims.py) is dropped here, with a line in the log.
"""

import time
from typing import Any, Protocol

from google.protobuf.message import DecodeError

from actors.raft import claims
from actors.raft.delegation import Delegation
from actors.raft.forwarding import Forwarding
from actors.raft.outgoing import Outgoing
from actors.raft.outgoing_snapshots import OutgoingSnapshots
from actors.raft.ready import Readies
from actors.raft.reconfiguration import Reconfiguration
from actors.runtime.link import Links
from etcdz import limits
from etcdz.ipc.messages import PeerReports, Received, SnapshotArrived
from etcdz.raft import Message, ProposalDropped, RawNode, StepLocalMessage, StepPeerNotFound, codec
from etcdz.raft.entry import ENTRY_CONF_CHANGE, entries_bytes
from etcdz.raft.messages import LEADER, MSG_APP, MSG_PROP
from etcdz.raft.progress import SNAPSHOT


class Host(Protocol):
    """What these need of their actor."""

    links: Links
    log: Any
    node: RawNode | None
    delegation: Delegation
    outgoing: Outgoing
    forwarding: Forwarding
    outgoing_snapshots: OutgoingSnapshots
    readies: Readies
    reconfiguration: Reconfiguration


class PeerMessages:
    """waiting  encoded raftpb.Message, in the order in which they came"""

    def __init__(self, host: Host, keep_s: float) -> None:
        """keep_s: nobody waits for a proposal any more that came so long ago."""
        self._host = host
        self._keep_s = keep_s
        self.waiting: list[bytes] = []
        self._held: list[tuple[float, Message]] = []
        """(when it came, proposal of another member) that waits for a leader."""
        self._held_bytes = 0

    @property
    def has_work(self) -> bool:
        """Whether `step` has something to do."""
        return bool(self.waiting or self._held)

    def on_received(self, message: Received) -> None:
        """They are stepped at the end of the turn."""
        self.waiting += message.messages

    def on_snapshot_arrived(self, message: SnapshotArrived) -> None:
        """A store that a leader has sent is there: its MsgSnap comes in the order of the other messages."""
        self.waiting.append(message.message)

    def on_reports(self, message: PeerReports) -> None:
        """Something that was said to these members was lost; snapshots have arrived, or not."""
        node = self._host.node
        if node is None:
            return
        for member in message.unreachable:
            node.report_unreachable(member)
        for member, has_arrived in message.snapshots:
            self._host.outgoing_snapshots.on_reported(member, has_arrived)
            node.report_snapshot(member, failed=not has_arrived)

    def on_new_peer_actor(self) -> None:
        """What was on its way through the one before is lost."""
        node = self._host.node
        if node is not None:
            others = {member: one for member, one in node.raft.tracker.progress.items() if member != node.raft.id}
            snapshots = [(member, False) for member, one in others.items() if one.state == SNAPSHOT]
            self.on_reports(PeerReports(list(others), snapshots))
        self._host.outgoing_snapshots.on_new_peer_actor()

    def step(self, node: RawNode) -> None:
        """Into the core, with all that follows from them: before this turn does anything as a leader."""
        host = self._host
        if host.delegation.number:
            host.links.send_all("wal", host.delegation.recall())
            return
        waiting, self.waiting = self.waiting, []
        for encoded in waiting:
            self._step(node, encoded)
        if self._held and node.raft.lead and not node.raft.transferee:
            held, self._held, self._held_bytes = self._held, [], 0
            for came, message in held:
                self._step_proposal(node, message, came)
        host.readies.do(node)

    def expire(self, now: float) -> None:
        """Drop what has waited too long for a leader. now: on the monotonic clock"""
        if self._held:
            self._held = [one for one in self._held if one[0] > now - self._keep_s]
            self._held_bytes = sum([entries_bytes(message.entries) for _, message in self._held])

    def _step(self, node: RawNode, encoded: bytes) -> None:
        log = self._host.log
        try:
            message = codec.decode_message(encoded)
        except DecodeError as error:
            log.warn("a message of another member cannot be read", reason=str(error))
            return
        problem = claims.problem(message, node.raft)
        if problem:
            log.warn("a message of another member is dropped", reason=problem, sender=f"{message.from_:x}")
            return
        if message.type == MSG_PROP:
            self._step_proposal(node, message, time.monotonic())
            return
        if message.type == MSG_APP and not message.entries and message.commit > node.raft.log.committed:
            self._host.outgoing.on_commit_index(message.from_)
        try:
            node.step(message)
        except (ProposalDropped, StepLocalMessage, StepPeerNotFound) as error:
            log.debug("message of another member not taken", reason=str(error))

    def _step_proposal(self, node: RawNode, message: Message, came: float) -> None:
        """came: on the monotonic clock."""
        message = self._without_changes(node, self._applicable(node, message))
        admitted = self._host.forwarding.admit(node, message)
        if not admitted.entries:
            return
        try:
            node.step(admitted)
            if node.raft.role == LEADER:
                self._host.outgoing.on_forwarded(message.from_, node.raft.log.last_index())
        except ProposalDropped:
            size = entries_bytes(message.entries)
            if self._held_bytes + size <= limits.PEER_BULK_BYTES_MAX:
                self._held.append((came, message))
                self._held_bytes += size

    def _applicable(self, node: RawNode, message: Message) -> Message:
        """Without what must not come into a log; whoever leads looks. NB: it takes some 1.2 us for each."""
        if node.raft.role != LEADER or all([claims.may_be_appended(entry) for entry in message.entries]):
            return message
        entries = [entry for entry in message.entries if claims.may_be_appended(entry)]
        text, count = "dropped proposals that no member can apply", len(message.entries) - len(entries)
        self._host.log.warn(text, sender=f"{message.from_:x}", count=count)
        return message._replace(entries=entries)

    def _without_changes(self, node: RawNode, message: Message) -> Message:
        """While this is the only voter, a change of that begins when nothing rests on it any more."""
        if node.raft.role != LEADER or not node.raft.tracker.single_voter:
            return message
        changes = [entry.data for entry in message.entries if entry.type == ENTRY_CONF_CHANGE]
        self._host.reconfiguration.take(changes)
        return message._replace(entries=[entry for entry in message.entries if entry.type != ENTRY_CONF_CHANGE])
