"""What a member makes known of itself through the log, once it first leads: name, client URLs, the cluster version."""

import time
from contextlib import suppress

from etcdz import CLUSTER_VERSION
from etcdz.cluster.membership import attributes_request, version_request
from etcdz.config import MemberConfig
from etcdz.ipc.request_ids import RAFT_SLOT, RequestIds
from etcdz.raft import ProposalDropped, RawNode


class Publish:
    """waiting  entries that are not in the log yet
    index       where the last of them stands in the log; 0: nowhere yet
    """

    def __init__(self, config: MemberConfig) -> None:
        self._config = config
        self._begun = False
        self.waiting: list[bytes] = []
        self.index = 0

    def begin(self, member_id: int, cluster_version: str | None) -> None:
        """Once in the life of this process. cluster_version: the one that the cluster has, None if that is unknown."""
        if self._begun:
            return
        self._begun = True
        config = self._config
        ids = RequestIds(member_id, RAFT_SLOT, time.time_ns() // 1000)
        self.waiting.append(attributes_request(ids.next(), member_id, config.name, config.advertise_client_urls))
        if cluster_version is not None and cluster_version != CLUSTER_VERSION:
            self.waiting.append(version_request(ids.next(), CLUSTER_VERSION))

    def propose(self, node: RawNode) -> None:
        """Requires: the end of the log is raft's."""
        with suppress(ProposalDropped):
            node.propose_batch(self.waiting)
            self.waiting = []
            self.index = node.raft.log.last_index()
