"""What the other actors hear of the membership: who the members are, whole, to each new one and after each change.

Members are what entries have said that are applied and committed, so no actor is ever told of a change that a backend
which starts again would not know.
"""

from typing import Final

from actors.backend.raft_link import RaftLink
from actors.runtime.link import Links
from etcdz.cluster.membership import Membership
from etcdz.ipc.messages import Members

TOLD: Final = ("peer", "raft", "listener", "lessor")
"""Kinds of actors."""


class MemberNews:
    """Sends Members."""

    __slots__ = ("_links", "_membership", "_raft")

    def __init__(self, links: Links, membership: Membership, raft: RaftLink) -> None:
        self._links = links
        self._membership = membership
        self._raft = raft

    def greet(self, name: str) -> None:
        """An actor has begun. Requires: what is applied is committed"""
        self._links.send(name, self._message())

    def tell(self) -> None:
        """The membership has changed. Requires: the change is committed"""
        message = self._message()
        for kind in TOLD:
            for peer in self._links.of_kind(kind):
                self._links.send(peer.name, message)

    def _message(self) -> Members:
        known = self._membership
        return Members(
            applied_index=self._raft.applied_index,
            cluster_id=known.cluster_id,
            member_id=known.member_id,
            members=[(m.id, m.name, m.peer_urls, m.client_urls, m.is_learner) for m in known.sorted_members()],
            removed=sorted(known.removed),
            cluster_version=known.version or "",
            downgrade=known.downgrade,
        )
