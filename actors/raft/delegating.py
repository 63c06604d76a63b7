"""Raft's side of the delegation of appends: when it is given, what comes of it, how it ends.

The rules are in actors/raft/delegation.py, the wal's side in actors/wal/actor.py.
"""

from typing import Protocol

from actors.raft.appends import Appends
from actors.raft.applies import Applies
from actors.raft.delegation import Delegation
from actors.raft.leadership import LeadershipNotes
from actors.raft.publish import Publish
from actors.raft.request_window import RequestWindow, request_id_of
from actors.runtime.link import Links
from etcdz.ipc.boot import Boot
from etcdz.ipc.messages import (
    RAFT,
    Delegate,
    DelegatedAppends,
    DelegationReturned,
    Propose,
    RecallDelegation,
    WalState,
    Write,
)
from etcdz.raft import RawNode
from etcdz.raft.entry import decode_entries


class Host(Protocol):
    """What this needs of its actor. proposals: data of entries that are to be proposed."""

    boot: Boot
    links: Links
    delegation: Delegation
    node: RawNode | None
    appends: Appends
    applies: Applies
    publish: Publish
    leadership: LeadershipNotes
    proposals: list[bytes]
    window: RequestWindow

    def take(self, message: Propose) -> None: ...
    def handle_ready(self, node: RawNode) -> None: ...


class Delegating:
    """See the module."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def maybe_delegate(self, node: RawNode) -> bool:
        """Lend the end of the log if that may be; says whether it only waits for what is under way."""
        host, log = self._host, node.raft.log
        known = host.leadership.known
        if (
            host.delegation.number
            or host.delegation.owing
            or known.read_index is None
            or not known.ready_index
            or host.publish.waiting
            or host.appends.refusal
        ):
            return False
        last = log.last_index()
        if log.unstable.entries or log.committed < last or host.applies.handed_index < last:
            return True
        if not log.has_unapplied_conf_change():
            self._delegate(node, last)
        return False

    def _delegate(self, node: RawNode, last: int) -> None:
        host = self._host
        number = host.delegation.begin()
        host.appends.is_delegated = True
        backend = host.links.incarnation_of("backend")
        host.links.send("wal", Delegate(host.boot.incarnation, number, node.raft.term, last, backend))
        proposals, host.proposals = host.proposals, []
        self.forward([(request_id_of(data), data) for data in proposals])
        host.leadership.note(node)

    def forward(self, items: list[tuple[int, bytes]]) -> None:
        """New proposals that came to raft while the wal appends. Requires: a delegation that is not recalled."""
        if items:
            delegation = self._host.delegation
            delegation.forwarded.update(items)
            self._host.links.send("wal", Write(RAFT, delegation.number, items))

    def recall(self) -> None:
        """Ask for the end of the log, if it is delegated."""
        delegation = self._host.delegation
        if delegation.number and not delegation.recalled:
            delegation.recalled = True
            self._host.links.send("wal", RecallDelegation(delegation.number))

    def on_delegated_appends(self, message: DelegatedAppends) -> None:
        host = self._host
        if message.delegation == host.delegation.number and host.node is not None:
            self._adopt(host.node, message.first_index, message.ids, message.entries)

    def on_delegation_returned(self, message: DelegationReturned) -> None:
        host = self._host
        if message.delegation == host.delegation.number and host.node is not None:
            self._end(host.node)

    def on_wal_back(self, node: RawNode, state: WalState) -> None:
        """A new wal, in the middle of a delegation: what it has read is durable."""
        if not self._host.delegation.number:
            return
        if state.entries:
            data = [entry.data for entry in decode_entries(state.entries)]
            self._adopt(node, state.first_index, [request_id_of(one) for one in data], data)
        self._host.appends.send_again()
        self._end(node)

    def _end(self, node: RawNode) -> None:
        host = self._host
        slots = {peer.slot for peer in host.links.of_kind("listener")}
        held, forwarded = host.delegation.end(slots)
        host.appends.is_delegated = False
        host.proposals += forwarded.values()
        for message in held:
            host.take(message)
        host.leadership.note(node)

    def _adopt(self, node: RawNode, first_index: int, ids: list[int], data: list[bytes]) -> None:
        """Entries that are durable, and handed to the backend unless that is a new one: they take no one's time."""
        host = self._host
        if first_index != node.raft.log.last_index() + 1:
            raise RuntimeError(f"the wal has written from {first_index} on, behind {node.raft.log}")
        host.window.add_all(ids)
        forwarded = host.delegation.forwarded
        if forwarded:
            for request_id in ids:
                forwarded.pop(request_id, None)
        node.propose_batch(data)
        if not host.delegation.hand_over:
            host.applies.handed_index = node.raft.log.last_index()
        host.appends.taking_over = True
        while node.has_ready():
            host.handle_ready(node)
        host.appends.taking_over = False
