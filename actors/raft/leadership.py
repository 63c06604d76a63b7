"""What the others are told of raft: who leads, and which fast paths are open (`Leadership`)."""

from typing import Protocol

from actors.raft.delegation import Delegation
from actors.raft.publish import Publish
from actors.runtime.link import Links, Peer
from etcdz.ipc.boot import Boot
from etcdz.ipc.messages import BackendState, Leadership
from etcdz.raft import RawNode
from etcdz.raft.messages import LEADER
from etcdz.raft.raft import Raft

_TOLD = ("listener", "lessor", "compactor", "backend")


class Host(Protocol):
    """What this needs of its actor."""

    boot: Boot
    links: Links
    delegation: Delegation
    publish: Publish
    member_id: int
    backend_state: BackendState | None


class LeadershipNotes:
    """known              what was told last
    changes               how often another leader was seen than before
    are_fast_paths_closed nothing may rest on this member being the only voter, though it may be
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self.known = Leadership(0, 0, 0, 0, None, 0, 0)
        self.changes = 0
        self.are_fast_paths_closed = False

    @property
    def is_complete(self) -> bool:
        """Whether all is told that a leader without other voters may tell: local linearizable reads, and that clients
        may come."""
        known = self.known
        return known.read_index is not None and known.ready_index != 0

    def is_settled(self, raft: Raft) -> bool:
        """Whether a commit index that rises brings nothing more to tell, while the members stay."""
        known = self.known
        if raft.tracker.single_voter:
            return self.is_complete
        is_told = known.ready_index != 0 and (raft.role != LEADER or known.lead_index != 0)
        return is_told and (known.term, known.leader) == (raft.term, raft.lead)

    def close_fast_paths(self) -> None:
        """With the next `note`, and until they are opened."""
        self.are_fast_paths_closed = True

    def open_fast_paths(self, node: RawNode) -> None:
        """As far as this member is the only voter."""
        self.are_fast_paths_closed = False
        self.note(node)

    def note(self, node: RawNode) -> None:
        """Tell the others if leader, term or a fast path has changed."""
        before, now = self.known, self._now(node)
        self.known = now
        self.changes += now.leader not in (0, before.leader)
        if now._replace(commit=before.commit) == before:
            return
        for kind in _TOLD:
            for peer in self._host.links.of_kind(kind):
                self.tell(peer)
        if (now.term, now.leader) != (before.term, before.leader):
            self._host.links.send("wal", now)
        if now.leader:
            self._publish(node)

    def _publish(self, node: RawNode) -> None:
        """NB: where there are others, the cluster version is what all their versions allow."""
        backend, version = self._host.backend_state, None
        if backend is not None and node.raft.tracker.single_member:
            version = backend.cluster_version
        self._host.publish.begin(self._host.member_id, version)

    def _now(self, node: RawNode) -> Leadership:
        host, raft, before = self._host, node.raft, self.known
        commit = raft.log.committed
        leads = raft.role == LEADER and raft.committed_in_term
        read_index = commit if leads and self._is_alone(raft) else None
        lead_index = commit if leads else 0
        if before.term == raft.term:
            # A grant holds as it was given: the index that it began with is the earliest that is safe.
            if read_index is not None and before.read_index is not None:
                read_index = before.read_index
            if lead_index and before.lead_index:
                lead_index = before.lead_index
        published = host.publish.index
        return Leadership(
            host.boot.incarnation,
            raft.term,
            raft.lead,
            commit,
            read_index,
            published if published <= commit else 0,
            lead_index,
            host.delegation.granted,
            host.delegation.fence,
        )

    def _is_alone(self, raft: Raft) -> bool:
        """Whether this member is the only voter, and no change that may end that is under way."""
        if not raft.tracker.single_voter or self.are_fast_paths_closed:
            return False
        is_granted = self.known.read_index is not None and self.known.term == raft.term
        return is_granted or not raft.log.has_unapplied_conf_change()

    def tell(self, peer: Peer) -> None:
        """What is known by now, if peer is of a kind that is told. A listener that owes an answer is asked for it."""
        if peer.kind in _TOLD:
            fence = self._host.delegation.fence_for(peer.slot) if peer.kind == "listener" else 0
            self._host.links.send(peer.name, self.known._replace(fence=fence))
