"""What a write that nobody has answered in time is answered with: as far as this member can tell, the reason.

    it never left, as there has been no leader all the while        context deadline exceeded
    this member became leader while it waited, or soon after        ..., possibly due to previous leader failure
    this member leads, and has not heard of a quorum all the while  ..., possibly due to connection lost
    another one leads, and has not been heard of all the while      ..., possibly due to connection lost
    else                                                            etcdserver: request timed out

Source: etcd 3.5 server (parseProposeCtxErr).
"""

import time
from collections.abc import Mapping

from etcdz.api import errors
from etcdz.api.errors import EtcdError
from etcdz.cluster.membership import Membership
from etcdz.cluster.strict_reconfiguration import count_connected
from etcdz.config import MemberConfig
from etcdz.ipc.messages import Leadership


class Timeouts:
    """Hears what raft says of leaders."""

    def __init__(self, config: MemberConfig) -> None:
        self._elections_s = 2 * config.election_ms / 1000
        self._leader: int | None = None
        self._elected_s = float("-inf")
        """When this member became the leader last."""
        self._leaderless_since: float | None = None
        """None: there is a leader, or raft has not said anything yet."""

    def on_leadership(self, message: Leadership, own_id: int, now: float) -> None:
        """Each word of raft's. own_id: of this member; 0: not known yet"""
        if message.leader == self._leader:
            return
        self._leader = message.leader
        self._leaderless_since = None if message.leader else now
        if message.leader == own_id:
            self._elected_s = now

    def error(self, began_s: float, now: float, known: Membership, active: Mapping[int, float]) -> EtcdError:
        """For a write that began at began_s. active: other members that are heard of -> since when, in unix time"""
        if self._leaderless_since is not None and self._leaderless_since <= began_s:
            return errors.LEADERLESS
        if self._elected_s - self._elections_s < began_s < self._elected_s:
            return errors.TIMEOUT_DUE_TO_LEADER_FAIL
        is_connected = self._is_connected(time.time() - (now - began_s), known, active)
        return errors.TIMEOUT if is_connected else errors.TIMEOUT_DUE_TO_CONNECTION_LOST

    def _is_connected(self, since_s: float, known: Membership, active: Mapping[int, float]) -> bool:
        if not self._leader or not known.by_id:
            return True  # nothing is known that would speak against it
        if self._leader != known.member_id:
            return active.get(self._leader, since_s) < since_s
        return count_connected(known, known.by_id, active, since_s) > len(known.by_id) // 2
