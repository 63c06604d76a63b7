"""Proposals on their way into the log of a leader that is another member, and how they are offered to the next one.

What was forwarded can get lost with the leader's peer actor, its raft, or its member, and only leaders can tell by the
request id whether it has entered a log. A member that does so says it with each stream that it dials. To such a leader
a proposal goes *marked*, in fields that MsgProp has no other use for:

    log_term   the term of the lead that it is offered to
    index      what was committed here when it was offered first: no log has it up to there
    reject     it was offered before

and what is unanswered is offered again to the leader of each new term, over each new connection, and to this member's
own log if it leads. Rules that keep it from entering a log twice:

- The leader takes a marked proposal only in the term that it is marked with, and nobody passes it on. One that is late
  therefore finds no leader, or one that has no other of that term in its log.
- One that was offered before, the leader takes only if its log has it not, from `index` on to its end; if it cannot
  tell, it drops it. So each leader's log has it once, and each log is some leader's.
- A first offer that arrives behind its repetition, by another way, is dropped.
- What was offered without a mark, to a leader that does not look (one of etcd), is never offered again.

What a raft before this one has offered is not known here: see actors/raft/proposals.py.
"""

import time
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, Protocol

from actors.raft.delegation import Delegation
from actors.raft.leadership import LeadershipNotes
from actors.raft.outgoing import Outgoing
from actors.raft.request_window import request_id_of
from actors.runtime.link import Links
from etcdz import limits
from etcdz.ipc.messages import PeerState
from etcdz.raft import Message, ProposalDropped, RawNode
from etcdz.raft.entry import ENTRY_NORMAL, make_entry
from etcdz.raft.messages import LEADER, MSG_PROP

REDIAL_WAIT_S: Final = 1.0
"""For a member that looks for repetitions and has no stream just now: it dials again within 100 ms, unless the way back
is cut. Then what waits is POSTed, without a mark."""


class Stream(NamedTuple):
    """The one that another member has dialled for messages. Another peer actor or number: another connection."""

    peer_actor: int
    number: int
    filters: bool


Place = tuple[int, int, Stream | None]
_NOWHERE: Final[Place] = 0, 0, None


class Host(Protocol):
    """What this needs of its actor."""

    links: Links
    delegation: Delegation
    leadership: LeadershipNotes
    outgoing: Outgoing


class Forwarding:
    """See the module."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._is_told = False
        """Of streams: not before, offers that are made to a new raft may be new to it."""
        self._streams: dict[int, Stream] = {}
        self._gone_at: dict[int, float] = {}
        """Of members that look for repetitions and have no stream: since when, on the monotonic clock."""
        self._since: dict[int, int] = {}
        """By request id: what was committed when it was offered first, to this log or with a mark."""
        self._since_before: dict[int, int] = {}
        """The like, older: so many that all that is unanswered is in one of the two."""
        self._offered: Place = _NOWHERE
        """Term, leader, and stream to it: where all of these were offered last."""
        self._again: dict[int, bytes] = {}
        """By request id: data of what listeners have offered again."""
        self._repeated: set[int] = set()
        self._repeated_in = 0
        """What this log has taken of repetitions in this term."""

    # ---- this member's ----

    def on_peer_state(self, state: PeerState) -> None:
        """Which members have dialled for messages."""
        self._is_told = True
        streams = {id_: Stream(state.incarnation, number, filters) for id_, number, filters in state.streams}
        for id_, stream in self._streams.items():
            if stream.filters and id_ not in streams:
                self._gone_at[id_] = time.monotonic()
        for id_ in streams:
            self._gone_at.pop(id_, None)
        self._streams = streams

    def may_forward(self, leader: int) -> bool:
        """Whether to forward to it now, rather than when it has dialled again."""
        gone_at = self._gone_at.get(leader)
        return gone_at is None or time.monotonic() > gone_at + REDIAL_WAIT_S

    def forward(self, node: RawNode, batch: Sequence[bytes], request_ids: Sequence[int]) -> None:
        """To the leader, for the first time. raises ProposalDropped: there is none"""
        leader = node.raft.lead
        stream = self._streams.get(leader)
        if stream is None or not stream.filters:
            node.propose_batch(batch)
            return
        self.remember(node, request_ids)
        self._send(node, batch, node.raft.log.committed, is_repetition=False)

    def remember(self, node: RawNode, request_ids: Iterable[int]) -> None:
        """These are offered for the first time: to this log, or with a mark."""
        if not self._since:
            self._offered = self._place(node)
        elif len(self._since) >= limits.REQUEST_WINDOW:
            self._since_before, self._since = self._since, {}
        self._since.update(dict.fromkeys(request_ids, node.raft.log.committed))

    def on_offered_again(self, items: Iterable[tuple[int, bytes]]) -> None:
        """A listener has said what is unanswered: (request id, data). It is offered at the end of the turn."""
        for request_id, data in items:
            if request_id in self._since or request_id in self._since_before:
                self._again[request_id] = data

    def advance(self, node: RawNode) -> None:
        """At the end of a turn: ask for what is unanswered if the lead has changed, and offer it."""
        if not self._since or not self._is_told or self._host.delegation.number:
            return
        raft, place = node.raft, self._place(node)
        is_ready = raft.role == LEADER or (place[2] is not None and place[2].filters)
        if place != self._offered and is_ready:
            self._offered = place
            self._again = {}
            self._host.delegation.ask({peer.slot for peer in self._host.links.of_kind("listener")})
            self._host.leadership.note(node)
        elif self._again:
            again, self._again = self._again, {}
            if is_ready:
                self._repeat(node, again)
            else:
                self._offered = _NOWHERE

    def _place(self, node: RawNode) -> Place:
        return node.raft.term, node.raft.lead, self._streams.get(node.raft.lead)

    def _repeat(self, node: RawNode, again: dict[int, bytes]) -> None:
        since = min(self._since.get(one) or self._since_before.get(one, 0) for one in again)
        if node.raft.role != LEADER:
            self._send(node, list(again.values()), since, is_repetition=True)
            return
        absent = absent_from(node, again, since)
        try:
            node.propose_batch([data for request_id, data in again.items() if request_id in absent])
        except ProposalDropped:  # while the lead is being handed over
            self._again = again

    def _send(self, node: RawNode, batch: Sequence[bytes], since: int, is_repetition: bool) -> None:
        raft = node.raft
        entries = [make_entry(ENTRY_NORMAL, 0, 0, data) for data in batch]
        message = Message(MSG_PROP, raft.lead, raft.id, 0, raft.term, since, entries, reject=is_repetition)
        self._host.outgoing.put(message)

    # ---- other members' ----

    def admit(self, node: RawNode, message: Message) -> Message:
        """What another member has forwarded: with those of its entries that this log may take, and without marks."""
        term = message.log_term
        if not term:
            return message
        if node.raft.role != LEADER or node.raft.term != term:
            return message._replace(entries=())
        if self._repeated_in != term:
            self._repeated, self._repeated_in = set(), term
        entries = message.entries
        if message.reject:
            by_id = {request_id_of(entry.data): entry for entry in entries}
            absent = absent_from(node, by_id, message.index)
            self._repeated |= absent
            entries = [entry for request_id, entry in by_id.items() if request_id in absent]
        elif self._repeated:
            entries = [entry for entry in entries if request_id_of(entry.data) not in self._repeated]
        return message._replace(log_term=0, index=0, reject=False, entries=entries)


def absent_from(node: RawNode, request_ids: Iterable[int], since: int) -> set[int]:
    """Those of request_ids that this log has not; none of them if it does not reach back to behind `since`."""
    log = node.raft.log
    if since + 1 < log.first_index():
        return set()
    held = {request_id_of(entry.data) for entry in log.entries(since + 1) if entry.type == ENTRY_NORMAL}
    return {request_id for request_id in request_ids if request_id and request_id not in held}
