"""Configuration changes that clients ask for, from their arrival until they are applied or refused.

    Reconfigure -> the delegation is recalled, the fast paths are closed, and every listener has said that it knows
                -> proposed, one at a time -> committed -> the backend's membership judges -> actors/raft/applies.py

A change may make others voters, and nothing that rests on being the only voter may outlive that: writes that go to the
wal, and reads that go straight to the backend. So both end first, and raft waits until every listener has said that it
knows. They begin again when the change is applied, if this member is the only voter then.

What a raft before this one was offered may be on its way to another member, or in that one's log. As with proposals
(actors/raft/proposals.py) it is taken if a peer actor that has lived since has not passed it on, and else times out.

Only a leader gives a learner its vote, and only when the learner's log has come near its own: a voter that has to catch
up first would count in the quorum and not help it. Whether it has is known to the leader's core alone.
"""

from collections import deque
from typing import Final, Protocol

from google.protobuf.message import DecodeError

from actors.raft.delegation import Delegation
from actors.raft.leadership import LeadershipNotes
from actors.raft.outgoing import Outgoing
from actors.raft.request_window import RequestWindow
from actors.runtime.link import Links
from etcdz.api import errors
from etcdz.cluster.membership import promoted_id
from etcdz.ipc.messages import FIRST_OFFER, PeerState, Reconfigure, Refused
from etcdz.proto import raftpb
from etcdz.raft import ProposalDropped, RawNode, codec
from etcdz.raft.entry import ENTRY_CONF_CHANGE
from etcdz.raft.messages import LEADER

READY_SHARE: Final = 0.9
"""A learner is given a vote when it has so much of the leader's log."""
FORWARDED: Final = -1
"""In place of a slot: another member has proposed it, which hears of it when it is applied."""


class Host(Protocol):
    """What this needs of its actor."""

    links: Links
    delegation: Delegation
    leadership: LeadershipNotes
    outgoing: Outgoing
    window: RequestWindow


class Reconfiguration:
    """waiting  (slot, request id, encoded raftpb.ConfChange) that are not in the log yet; slot: of the listener, or
             FORWARDED

    Invariant: fast paths are closed whenever something waits and a leader has had a turn, until all is applied.
    """

    def __init__(self, host: Host, keep_s: float) -> None:
        """keep_s: nobody waits for a change any more that came so long ago."""
        self._host = host
        self._keep_s = keep_s
        self._expire_at = 0.0
        self._old: list[int] = []
        """Request ids of what waited when others expired last."""
        self.waiting: deque[tuple[int, int, bytes]] = deque()
        self._index = 0
        """Of the change that was proposed last and is not applied yet; 0: none."""
        self._doubtful: list[Reconfigure] = []
        """What was offered to a raft before this one."""
        self._were_doubtful = 0
        """How many of these, the first, were there when others expired last."""
        self._peer_actor = 0
        """Incarnation of the one that has said what it has passed on; 0: none yet."""

    @property
    def has_work(self) -> bool:
        """Whether `advance` has something to do."""
        return bool(self.waiting or self._doubtful)

    def on_reconfigure(self, message: Reconfigure) -> None:
        """Changes that clients ask for, and those that a listener offers again to a new raft."""
        if message.since_peer == FIRST_OFFER:
            self._take(message)
        else:
            self._doubtful.append(message)

    def on_peer_state(self, state: PeerState) -> None:
        """With its first word a peer actor that is older than this raft has said what it has passed on."""
        self._peer_actor = self._peer_actor or state.incarnation

    def _take(self, message: Reconfigure) -> None:
        self.waiting.extend([(message.slot, request_id, data) for request_id, data in message.items])

    def _settle_doubts(self, node: RawNode) -> None:
        """NB: an only member has passed nothing on, and may have no peer actor."""
        is_alone = node.raft.tracker.single_member
        if not (is_alone or self._peer_actor):
            return
        doubtful, self._doubtful, self._were_doubtful = self._doubtful, [], 0
        for message in doubtful:
            if is_alone or message.since_peer == self._peer_actor:
                self._take(message)

    def take(self, changes: list[bytes]) -> None:
        """Encoded raftpb.ConfChange that another member has forwarded. One that is none is passed over."""
        for data in changes:
            request_id = _request_id(data)
            if request_id is not None:
                self.waiting.append((FORWARDED, request_id, data))

    def remember(self, data: bytes) -> None:
        """A ConfChange entry's data that is in the log already. One that is none ends the member when it is applied."""
        request_id = _request_id(data)
        if request_id:
            self._host.window.add_all([request_id])

    def expire(self, now: float) -> None:
        """Drop what has waited for a leader for so long that nobody waits for it: members must not change after hours.
        now: on the monotonic clock"""
        if now >= self._expire_at:
            self._expire_at = now + self._keep_s
            if self._old:
                self.waiting = deque(one for one in self.waiting if one[1] not in self._old)
            self._old = [one[1] for one in self.waiting]
            self._doubtful = self._doubtful[self._were_doubtful :]
            self._were_doubtful = len(self._doubtful)

    def advance(self, node: RawNode) -> None:
        """At the end of a turn in which there is a leader: whatever may be done by now for the first that waits."""
        if self._doubtful:
            self._settle_doubts(node)
        while self.waiting and (refusal := self._why_refused(node)):
            self._refuse(refusal)
        delegation = self._host.delegation
        if not self.waiting:
            self.on_applied(node)
        elif not self._host.leadership.are_fast_paths_closed:
            self._close_fast_paths(node)
        elif not (self._index or delegation.number or delegation.waits_for_answers):
            self._propose(node)

    def _why_refused(self, node: RawNode) -> str:
        """Of the first that waits: a name in etcdz.api.errors, or "". What is no promotion is judged when applied."""
        slot, request_id, data = self.waiting[0]
        is_judged = slot != FORWARDED and request_id not in self._host.window
        id_ = promoted_id(raftpb.ConfChange.FromString(data)) if is_judged else 0
        if not id_:
            return ""
        raft = node.raft
        if raft.role != LEADER:
            return errors.NOT_LEADER.name
        progress = raft.tracker.progress
        if id_ not in progress:
            return errors.MEMBER_NOT_FOUND.name
        is_ready = progress[id_].match >= READY_SHARE * progress[raft.id].match
        return "" if is_ready else errors.LEARNER_NOT_READY.name

    def _refuse(self, name: str) -> None:
        slot, request_id, _ = self.waiting.popleft()
        links = self._host.links
        links.send(links.listener(slot), Refused([(request_id, name)]))

    def _close_fast_paths(self, node: RawNode) -> None:
        host = self._host
        host.leadership.close_fast_paths()
        if host.delegation.number:
            host.links.send_all("wal", host.delegation.recall())  # its end asks the listeners
        else:
            host.delegation.ask({peer.slot for peer in host.links.of_kind("listener")})
            host.leadership.note(node)

    def _propose(self, node: RawNode) -> None:
        """NB: while a change may be unapplied the core turns another into an empty entry, and says nothing of it."""
        raft, window = node.raft, self._host.window
        if raft.pending_conf_index > raft.log.applied:
            return
        _, request_id, data = self.waiting[0]
        if request_id not in window:
            try:
                node.propose_conf_change(codec.decode_conf_change(ENTRY_CONF_CHANGE, data))
            except ProposalDropped:
                return  # it waits for the next leader, or the end of a leadership transfer
            if request_id:
                window.add_all([request_id])
            if request_id and not raft.tracker.single_member:
                self._host.outgoing.remember([request_id])
            self._index = raft.log.last_index() if raft.role == LEADER else 0
        self.waiting.popleft()
        self.on_applied(node)

    def on_applied(self, node: RawNode) -> None:
        """The core has applied something."""
        if self._index and node.raft.log.applied >= self._index:
            self._index = 0
        leadership = self._host.leadership
        if leadership.are_fast_paths_closed and not self._index and not self.waiting:
            leadership.open_fast_paths(node)


def _request_id(data: bytes) -> int | None:
    """0: it has none; None: it is no raftpb.ConfChange."""
    try:
        return int(raftpb.ConfChange.FromString(data).id)
    except DecodeError:
        return None
