"""Raft's clock: one tick per heartbeat interval.

In a member alone nothing depends on a tick coming in time, so while the wal appends several may be one, and what was
missed is made up for. Among others a tick that comes late stands for all that were missed, as in etcd, and what others
have said meanwhile counts before it: or a member that was held up for a moment would take its leader for dead, and a
leader its followers.
"""

from typing import Any, Final, Protocol

from actors.raft.appends import Appends
from actors.raft.delegation import Delegation
from actors.raft.peer_messages import PeerMessages
from etcdz import limits
from etcdz.config import MemberConfig
from etcdz.raft import RawNode
from etcdz.raft.messages import LEADER

ADVANCE_S: Final = 5.0
"""A member that has started so long ago waits for its election timeout like any other."""


_LATE: Final = "leader failed to send out heartbeat on time; took too long, leader is overloaded likely from slow disk"


class Host(Protocol):
    """What the clock needs of its actor."""

    log: Any
    node: RawNode | None
    active: dict[int, float]
    appends: Appends
    delegation: Delegation
    peer_messages: PeerMessages


class Ticks:
    """late_heartbeats  how often a leader's heartbeat left more than an interval too late
    tick_s              the heartbeat interval
    """

    def __init__(self, host: Host, config: MemberConfig, now: float, is_members_start: bool) -> None:
        """now: on the monotonic clock. is_members_start: this is not a raft that is restarted alone, which waits for a
        whole election timeout."""
        self._host = host
        self.tick_s = config.heartbeat_ms / 1000
        self.late_heartbeats = 0
        self._next = now + self.tick_s
        self._beat_at: float | None = None
        """When this leader's last heartbeats left; None: it did not lead."""
        may_advance = is_members_start and config.initial_election_tick_advance
        self._may_advance_until = now + ADVANCE_S if may_advance else now

    def deadline(self) -> float:
        """Of the next tick, on the monotonic clock."""
        host = self._host
        if host.delegation.number and not host.appends.owes_commit_index:
            return self._next + limits.TICKS_DELEGATED * self.tick_s
        return self._next

    def run(self, now: float) -> None:
        """All that is due."""
        node = self._host.node
        if node is not None and not node.raft.tracker.single_member:
            self._next += self.tick_s
            if self._next <= now:
                self._next = now + self.tick_s
            self._tick_among_others(node, now)
            return
        while self._next <= now:
            self._next += self.tick_s
            if now - self._next > 1.0:
                self._next = now + self.tick_s  # the process was stopped: that time does not count
            if node is not None:
                node.tick()

    def _tick_among_others(self, node: RawNode, now: float) -> None:
        if self._host.peer_messages.waiting:
            self._host.peer_messages.step(node)
        node.tick()
        if node.raft.role != LEADER:
            self._beat_at = None
            return
        before, self._beat_at = self._beat_at, now
        if before is not None and now - before > 2 * self.tick_s:
            self.late_heartbeats += 1
            self._host.log.warn(
                _LATE,
                heartbeat_interval=f"{self.tick_s * 1000:g}ms",
                expected_duration=f"{2 * self.tick_s * 1000:g}ms",
                exceeded_duration=f"{(now - before - 2 * self.tick_s) * 1000:.0f}ms",
            )

    def advance(self, now: float) -> None:
        """A member that has just started need not wait for a whole election timeout, once it is connected to more than
        one other: two ticks are left for a leader to be heard of, as in etcd."""
        node = self._host.node
        if node is None or now >= self._may_advance_until or len(self._host.active) <= 1:
            return
        self._may_advance_until = now
        if not node.raft.lead:
            for _ in range(node.raft.election_ticks - 2):
                node.tick()
