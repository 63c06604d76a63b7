"""Who a member is and whom it begins with: decided once, before its first start, and the same for all its processes.

A founding member begins its log with one entry for each first member (`bootstrap_peers`). One that joins a cluster
begins with an empty log, and waits until the others send it everything.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from etcdz.cluster import identity


class FirstMember(NamedTuple):
    """One member of the cluster, as it is known before the first start. peer_urls: sorted."""

    id: int
    name: str
    peer_urls: tuple[str, ...]
    is_learner: bool = False


@dataclass(frozen=True, slots=True)
class Founding:
    """The decision. members: ascending by id, this one among them.

    is_join    whether the cluster is there already: then nothing is founded
    """

    member_id: int
    cluster_id: int
    is_join: bool
    members: tuple[FirstMember, ...]

    def bootstrap_peers(self) -> list[tuple[int, bytes]]:
        """(id, context of its ConfChange) of each first member: what every first member's log begins with."""
        from etcdz.cluster.membership import Member  # loads protobuf: 4 MB that the supervisor never needs

        return [(m.id, Member(m.id, m.peer_urls, m.is_learner, m.name).to_json().encode()) for m in self.members]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for msgpack and JSON."""
        return {
            "member_id": self.member_id,
            "cluster_id": self.cluster_id,
            "is_join": self.is_join,
            "members": [(m.id, m.name, list(m.peer_urls), m.is_learner) for m in self.members],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Founding":
        """Back from to_dict(). raises TypeError, ValueError, KeyError: these are no such values"""
        members = tuple(FirstMember(id_, name, tuple(urls), learner) for id_, name, urls, learner in values["members"])
        founding = cls(values["member_id"], values["cluster_id"], values["is_join"], members)
        ids = (founding.member_id, founding.cluster_id, *(member.id for member in members))
        texts = [text for member in members for text in (member.name, *member.peer_urls)]
        if not all(type(id_) is int and 0 <= id_ < 1 << 64 for id_ in ids) or not all(type(t) is str for t in texts):
            raise ValueError("no ids, or no texts")
        return founding


def bootstrap_peers(initial_cluster: Mapping[str, Sequence[str]], token: str) -> list[tuple[int, bytes]]:
    """What the logs of a new cluster's members begin with, whichever of them asks. Arguments and raises as of found"""
    return found(initial_cluster, token, min(initial_cluster)).bootstrap_peers()


def found(initial_cluster: Mapping[str, Sequence[str]], token: str, name: str) -> Founding:
    """What the member of this name founds.

    initial_cluster  peer URLs by name, `name` among them
    raises           ValueError, in etcd's words: two members have one id
    """
    members: dict[int, FirstMember] = {}
    for each, urls in initial_cluster.items():
        member = FirstMember(identity.member_id(urls, token), each, tuple(sorted(urls)))
        if member.id in members:
            raise ValueError(f"member exists with identical ID {member.id:x}")
        members[member.id] = member
    own_id = identity.member_id(initial_cluster[name], token)
    return Founding(own_id, identity.cluster_id(members), False, tuple(members[id_] for id_ in sorted(members)))
