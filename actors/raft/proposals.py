"""What is proposed to raft, from its arrival to the log.

    Propose -> on_propose -> while the log is not read   kept until it is
                             while the wal appends       forwarded to the wal, or held (actors/raft/delegation.py)
                             otherwise                   taken -> propose -> the core's log, or the leader's

In a cluster, what a raft before this one was offered may have reached others. It is taken if it was neither in the log
nor among what the peer actor has passed on, and if that actor has lived since: nobody else knows. What is not taken is
not refused either: it is answered if it is applied after all, and else times out, as in etcd.

What is taken waits for the end of the turn, so that all proposals of a turn are neighbours, and for a leader. A
follower sends it to the leader once, and again only as actors/raft/forwarding.py allows. What is for one term alone
(Propose.only_term) is dropped as soon as this member does not lead in it.
"""

from collections.abc import Iterator
from typing import Protocol

from actors.raft.appends import Appends
from actors.raft.applies import Applies
from actors.raft.delegation import Delegation
from actors.raft.forwarding import Forwarding
from actors.raft.outgoing import Outgoing
from actors.raft.request_window import RequestWindow, request_id_of
from actors.runtime.link import Links
from actors.runtime.statistics import Statistics
from etcdz import limits
from etcdz.api import errors
from etcdz.ipc import request_ids
from etcdz.ipc.messages import FIRST_OFFER, PeerState, Propose, Refused
from etcdz.raft import ProposalDropped, RawNode
from etcdz.raft.messages import LEADER


class Host(Protocol):
    """What proposals need of their actor."""

    links: Links
    node: RawNode | None
    delegation: Delegation
    appends: Appends
    applies: Applies
    outgoing: Outgoing
    forwarding: Forwarding
    window: RequestWindow
    statistics: Statistics


class Proposals:
    """waiting  entry data that the core is to append"""

    def __init__(self, host: Host, keep_s: float) -> None:
        """keep_s: nobody waits for a proposal any more that came so long ago."""
        self._host = host
        self._keep_s = keep_s
        self._expire_at = 0.0
        self._old = 0
        """How many of those that wait, the first, were there when others expired last."""
        self.waiting: list[bytes] = []
        self._of_terms: list[Propose] = []
        """What is for one term alone, as it came."""
        self._bound: tuple[int, list[bytes]] = 0, []
        """Of that: a term in which this member leads, and what the core is to append in it."""
        self._unchecked: list[Propose] = []
        """What came before the log was read: until then it is not known whether it is in it."""
        self._doubtful: list[Propose] = []
        """What came before the peer actor has said what it has passed on."""
        self._peer_actor = 0
        """Incarnation of the one that has said so; 0: none yet."""

    def on_propose(self, message: Propose) -> None:
        """NB: what is offered again may be in the log, and must not be refused then: first raft has to know the log."""
        host, delegation = self._host, self._host.delegation
        if message.only_term and not delegation.number:
            self._of_terms.append(message)
        elif host.node is None:
            self._unchecked.append(message)
        elif message.since_peer != FIRST_OFFER and not host.node.raft.tracker.single_member:
            self._on_repeated(message)
        elif not delegation.number:
            if message.fence:
                host.forwarding.on_offered_again(message.items)
            delegation.on_answer(message)
            self.take(message)
        elif delegation.granted and message.fence == 0:
            host.links.send_all("wal", delegation.forward(self._new_of(message)))
        else:
            host.links.send_all("wal", delegation.hold(message))

    def on_log_read(self) -> None:
        """The core is there, and the window holds what the log does: take what came before."""
        unchecked, self._unchecked = self._unchecked, []
        for message in unchecked:
            self.on_propose(message)

    def on_peer_state(self, state: PeerState) -> None:
        """With its first word a peer actor that is older than this raft says what it has passed on."""
        if self._peer_actor:
            return
        self._peer_actor = state.incarnation
        self._host.window.add_forwarded(list(state.forwarded), len(state.forwarded) < limits.REQUEST_WINDOW)
        doubtful, self._doubtful = self._doubtful, []
        for message in doubtful:
            self._on_repeated(message)

    def _on_repeated(self, message: Propose) -> None:
        if not self._peer_actor:
            self._doubtful.append(message)
        elif message.since_peer == self._peer_actor:
            is_new = self._host.window.add
            self.waiting += [item[1] for item in message.items if is_new(item[0])]
        else:  # nor are they new when a listener is asked for all that is unanswered
            self._host.window.add_all([request_id for request_id, _ in message.items])

    def take(self, message: Propose) -> None:
        """Have the core append what is new of it. Requires: the end of the log is raft's."""
        self.waiting += [data for _, data in self._new_of(message)]

    def take_back(self, data: list[bytes]) -> None:
        """Have the core append these, which are in the window already."""
        self.waiting += data

    def release(self) -> list[bytes]:
        """return all that wait: the wal is to append them instead."""
        waiting, self.waiting = self.waiting, []
        self._old = 0
        return waiting

    def propose(self, node: RawNode) -> None:
        """At the end of a turn. Requires: the end of the log is raft's."""
        if self._of_terms or self._bound[1]:
            self._propose_bound(node)
        if not self.waiting:
            return
        count = len(self.waiting)
        if node.raft.role == LEADER:
            self._propose(node, self.waiting)
        elif self._host.outgoing.is_carried and self._host.forwarding.may_forward(node.raft.lead):
            for batch in list(split(self.waiting, limits.RAFT_MESSAGE_BYTES)):
                self._propose(node, batch)
        if count > len(self.waiting):
            self._host.statistics.batches.add(count - len(self.waiting))

    def _propose(self, node: RawNode, batch: list[bytes]) -> None:
        """batch: the first that wait."""
        forwarding, is_alone = self._host.forwarding, node.raft.tracker.single_member
        ids = [] if is_alone else [request_id_of(data) for data in batch]
        try:
            if node.raft.role == LEADER:
                node.propose_batch(batch)
                forwarding.remember(node, ids)
            else:
                forwarding.forward(node, batch, ids)
        except ProposalDropped:
            return  # they wait for the next leader, or the end of a leadership transfer
        if not is_alone:
            self._host.outgoing.remember(ids)
        self.waiting = self.waiting[len(batch) :]
        self._old = max(0, self._old - len(batch))

    def expire(self, now: float) -> None:
        """Drop what has waited for a leader for so long that nobody waits for it: it must not be written after hours.
        now: on the monotonic clock"""
        if now >= self._expire_at:
            self._expire_at = now + self._keep_s
            self.waiting = self.waiting[self._old :]
            self._old = len(self.waiting)

    def _propose_bound(self, node: RawNode) -> None:
        """NB: apart from what waits: a follower would send it to the leader. What the core does not take now, as during
        a transfer of the leadership, is tried again while this term lasts."""
        term = node.raft.term if node.raft.role == LEADER else 0
        data = self._bound[1] if self._bound[0] == term else []
        for message in self._of_terms:
            if message.only_term == term:
                data += [one for _, one in self._new_of(message)]
        self._of_terms = []
        self._bound = term, data
        if data:
            try:
                node.propose_batch(data)
            except ProposalDropped:
                return
            self._host.statistics.batches.add(len(data))
            self._bound = term, []

    def _new_of(self, message: Propose) -> list[tuple[int, bytes]]:
        """Those that are not in the log yet, unless they are refused. Requires: the window holds what the log does."""
        window = self._host.window
        refusal = self._why_refused()
        if refusal:
            self._refuse(message.slot, [item[0] for item in message.items if item[0] not in window], refusal)
            return []
        is_first = message.fence == 0 and message.since_peer == FIRST_OFFER
        is_new = window.add_first if is_first else window.add
        fresh = [item for item in message.items if is_new(item[0])]
        if len(fresh) < len(message.items):
            old = [] if is_first else [item[0] for item in message.items if window.has_forgotten(item[0])]
            self._refuse(message.slot, old, errors.TIMEOUT.name)
        return fresh

    def _why_refused(self) -> str:
        """A name in etcdz.api.errors; "": raft takes proposals."""
        host = self._host
        if host.appends.refusal:
            return host.appends.refusal
        committed = host.node.raft.log.committed if host.node is not None else 0
        lag = max(committed, host.applies.handed_index) - host.applies.applied_index
        if host.appends.bytes > limits.APPEND_BYTES_IN_FLIGHT_MAX or lag > limits.APPLY_LAG_MAX:
            return errors.REQUEST_TOO_MANY_REQUESTS.name
        return ""

    def _refuse(self, slot: int, ids: list[int], name: str) -> None:
        if ids and slot not in request_ids.INTERNAL_PROPOSERS:
            links = self._host.links
            links.send(links.listener(slot), Refused([(request_id, name) for request_id in ids]))


def split(items: list[bytes], bytes_max: int) -> Iterator[list[bytes]]:
    """Runs of neighbours of at most bytes_max, or one that is larger."""
    run: list[bytes] = []
    size = 0
    for item in items:
        if run and size + len(item) > bytes_max:
            yield run
            run, size = [], 0
        run.append(item)
        size += len(item)
    if run:
        yield run
