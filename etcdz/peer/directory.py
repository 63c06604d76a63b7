"""Who is who, as far as the transport has to know: the members as the backend has told them, and the remotes.

A *remote* is the address of somebody who is not, or not yet, in the membership that is known here: it has said it in a
request. Messages to it are POSTed; that is how a new member, whose membership is still empty, answers the leader.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from etcdz.cluster.versions import MIN_CLUSTER_VERSION
from etcdz.ipc.messages import Members

REMOTES_MAX: Final = 64
"""Of ids that are no members, anybody may tell more."""
URLS_MAX: Final = 16
_SCHEMES: Final = frozenset(("http", "https", "unix", "unixs"))


class Peer(NamedTuple):
    """One member, this one too."""

    id: int
    name: str
    peer_urls: list[str]
    client_urls: list[str]
    is_learner: bool


class Directory:
    """members: all, by id, ascending. removed: ids that were members. remotes: URLs by id, of no member."""

    def __init__(self, member_id: int, cluster_id: int, peer_urls: Sequence[str], server_version: str) -> None:
        """member_id, cluster_id: as far as they are known; learn has them
        peer_urls: which this member tells others of itself until it is in its own membership"""
        self.member_id = member_id
        self.cluster_id = cluster_id
        self.server_version = server_version
        self.min_cluster_version = MIN_CLUSTER_VERSION
        self.cluster_version = ""
        self.members: dict[int, Peer] = {}
        self.removed: frozenset[int] = frozenset()
        self.remotes: dict[int, list[str]] = {}
        self._peer_urls = list(peer_urls)

    def learn(self, told: Members) -> None:
        self.member_id, self.cluster_id = told.member_id, told.cluster_id
        self.members = {member[0]: Peer(*member) for member in told.members}
        self.removed = frozenset(told.removed)
        self.cluster_version = told.cluster_version
        for id_ in list(self.remotes):
            if id_ in self.members or id_ in self.removed:
                del self.remotes[id_]

    @property
    def peers(self) -> dict[int, Peer]:
        """The other members."""
        return {id_: peer for id_, peer in self.members.items() if id_ != self.member_id}

    @property
    def peer_urls(self) -> list[str]:
        """Of this member."""
        own = self.members.get(self.member_id)
        return own.peer_urls if own is not None else self._peer_urls

    @property
    def is_removed(self) -> bool:
        """Whether this member is one no more."""
        return self.member_id in self.removed

    def urls_of(self, id_: int) -> list[str]:
        """Where a member or a remote is reached; none if it is neither."""
        peer = self.members.get(id_)
        return peer.peer_urls if peer is not None else self.remotes.get(id_, [])

    def name_of(self, id_: int) -> str:
        """ "" for one that has not told its name, and for a remote."""
        peer = self.members.get(id_)
        return peer.name if peer is not None else ""

    def meet(self, id_: int, urls: Sequence[str]) -> bool:
        """Somebody has said that it is reached there; whether it is a remote now that was none, or elsewhere.

        What is no URL is passed over, and so is everybody beyond REMOTES_MAX.
        """
        usable = [url for url in urls[:URLS_MAX] if is_peer_url(url)]
        if not usable or not id_ or id_ == self.member_id or id_ in self.members or id_ in self.removed:
            return False
        if self.remotes.get(id_) == usable or (id_ not in self.remotes and len(self.remotes) >= REMOTES_MAX):
            return False
        self.remotes[id_] = usable
        return True


def is_peer_url(text: str) -> bool:
    """Whether another member can be dialled there."""
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        return False
    if url.scheme not in _SCHEMES or url.path or url.query or url.fragment or "@" in url.netloc:
        return False
    return bool(url.netloc) if url.scheme.startswith("unix") else bool(url.hostname) and port is not None
