"""What a member makes known of itself through the log, once there is a leader: its name and client URLs; and the
cluster version, if there is no other member whose version counts.

A follower's proposal goes to the leader and may get lost on the way, so it is made again until it is committed. Clients
come when it is applied, as in etcd.
"""

import time
from collections.abc import Sequence
from contextlib import suppress

from etcdz import CLUSTER_VERSION
from etcdz.cluster.membership import attributes_request, version_request
from etcdz.config import MemberConfig
from etcdz.ipc.request_ids import RAFT_SLOT, RequestIds
from etcdz.raft import Entry, ProposalDropped, RawNode

RETRY_S = 1.0
"""Without seeing it committed for so long, it is proposed again."""


class Publish:
    """waiting  entries that are to be proposed
    index       where the last of them stands in the log, committed; 0: nowhere yet
    """

    def __init__(self, config: MemberConfig) -> None:
        self._config = config
        self._member_id = 0
        """0: not begun."""
        self._ids: RequestIds
        self._awaited: set[bytes] = set()
        """The last entry of each try."""
        self._retry_at = 0.0
        self.waiting: list[bytes] = []
        self.index = 0

    def begin(self, member_id: int, cluster_version: str | None) -> None:
        """Once in the life of this process. cluster_version: the one that the cluster has; None: that is not this
        member's business, or unknown."""
        if self._member_id:
            return
        self._member_id = member_id
        self._ids = RequestIds(member_id, RAFT_SLOT, time.time_ns() // 1000)
        self.waiting.append(self._attributes())
        if cluster_version is not None and cluster_version != CLUSTER_VERSION:
            self.waiting.append(version_request(self._ids.next(), CLUSTER_VERSION))

    def _attributes(self) -> bytes:
        config = self._config
        return attributes_request(self._ids.next(), self._member_id, config.name, config.advertise_client_urls)

    def propose(self, node: RawNode, now: float) -> None:
        """Requires: the end of the log is raft's. now: on the monotonic clock"""
        with suppress(ProposalDropped):
            node.propose_batch(self.waiting)
            self._awaited.add(self.waiting[-1])
            self.waiting = []
            self._retry_at = now + RETRY_S

    def look(self, entries: Sequence[Entry]) -> None:
        """These are committed. To be called until there is an index."""
        for entry in entries:
            if entry.data in self._awaited:
                self.index = entry.index

    def retry(self, now: float) -> None:
        """Have it proposed once more, if it seems lost."""
        if self._awaited and not self.index and not self.waiting and now >= self._retry_at:
            self.waiting.append(self._attributes())
