"""Carries out the delegation of appends: when it is given, what comes of it, how it ends.

The rules are in actors/raft/delegation.py, the wal's side in actors/wal/actor.py.
"""

from typing import Protocol

from actors.raft.appends import Appends
from actors.raft.applies import Applies
from actors.raft.delegation import Delegation
from actors.raft.leadership import LeadershipNotes
from actors.raft.proposals import Proposals
from actors.raft.publish import Publish
from actors.raft.ready import Readies
from actors.raft.request_window import RequestWindow, request_id_of
from actors.runtime.link import Links
from etcdz.ipc.messages import DelegatedAppends, DelegationReturned, WalState
from etcdz.raft import RawNode
from etcdz.raft.entry import decode_entries


class Host(Protocol):
    """What this needs of its actor."""

    links: Links
    node: RawNode | None
    delegation: Delegation
    appends: Appends
    applies: Applies
    proposals: Proposals
    publish: Publish
    leadership: LeadershipNotes
    readies: Readies
    window: RequestWindow


class Delegating:
    """See the module. `advance` is called at the end of a turn, the others when a message of the wal comes."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def advance(self, node: RawNode) -> bool:
        """Delegate if that may be; return whether it only waits for what raft has under way, so that no more is to
        come."""
        host, log = self._host, node.raft.log
        if (
            host.delegation.number
            or host.delegation.waits_for_answers
            or not node.raft.tracker.single_member
            or not host.leadership.is_complete
            or host.publish.waiting
            or host.appends.refusal
        ):
            return False
        last = log.last_index()
        if log.unstable.entries or log.committed < last or host.applies.handed_index < last:
            return True
        if not log.has_unapplied_conf_change():
            self._begin(node, last)
        return False

    def _begin(self, node: RawNode, last: int) -> None:
        host, delegation = self._host, self._host.delegation
        backend = host.links.incarnation_of("backend")
        host.links.send("wal", delegation.begin(node.raft.term, last, backend))
        items = [(request_id_of(data), data) for data in host.proposals.release()]
        host.links.send_all("wal", delegation.forward(items))
        host.leadership.note(node)

    def on_delegated_appends(self, message: DelegatedAppends) -> None:
        """Of an earlier delegation: raft has heard the same from a new wal."""
        host = self._host
        if message.delegation == host.delegation.number and host.node is not None:
            self._adopt(host.node, message.first_index, message.ids, message.entries)

    def on_delegation_returned(self, message: DelegationReturned) -> None:
        """Of an earlier delegation: it has ended with its wal."""
        host = self._host
        if message.delegation == host.delegation.number and host.node is not None:
            self._end(host.node)

    def on_new_wal(self, node: RawNode, state: WalState) -> None:
        """A new wal says what its predecessor has written on the delegation, if there was one: that is durable."""
        if not self._host.delegation.number:
            return
        if state.entries:
            data = [entry.data for entry in decode_entries(state.entries)]
            self._adopt(node, state.first_index, [request_id_of(one) for one in data], data)
        self._host.appends.send_again()
        self._end(node)

    def _end(self, node: RawNode) -> None:
        host = self._host
        ended = host.delegation.end({peer.slot for peer in host.links.of_kind("listener")})
        host.proposals.take_back(ended.forwarded)
        for message in ended.held:
            host.proposals.take(message)
        host.leadership.note(node)

    def _adopt(self, node: RawNode, first_index: int, ids: list[int], data: list[bytes]) -> None:
        """Append what the wal has written, without anything left to do: it is durable, and mostly handed over."""
        host = self._host
        if first_index != node.raft.log.last_index() + 1:
            raise RuntimeError(f"the wal has written from {first_index} on, behind {node.raft.log}")
        host.window.add_all(ids)
        node.propose_batch(data)
        if host.delegation.written(ids):
            host.applies.handed_by_wal(node.raft.log.last_index())
        host.readies.adopt(node)
