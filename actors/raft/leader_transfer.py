"""Handing the lead to another member: because a client asks for it, because this disk is full, and when this member
stops in order.

The core lets the other catch up, and tells it to campaign. Until it leads, or an election timeout is over, this one
takes no proposals; those of others that come meanwhile go to the next leader (actors/raft/peer_messages.py).
"""

import time
from collections.abc import Callable
from typing import Any, Final, Protocol

from actors.raft.ticks import Ticks
from actors.runtime.link import Links
from etcdz.ipc.messages import MoveLeader
from etcdz.raft import RawNode
from etcdz.raft.messages import LEADER

STOP_WAIT_S: Final = 2.0
"""How long a member that stops waits for another to lead."""
STEP_ASIDE_EVERY_S: Final = 60.0
"""Between two attempts. Where all disks are full, the lead must not go round and round."""


class Host(Protocol):
    """What this needs of its actor."""

    links: Links
    log: Any
    node: RawNode | None
    active: dict[int, float]
    ticks: Ticks

    def turn(self) -> None: ...


class LeaderTransfer:
    """See the module."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._may_step_aside_at = 0.0

    def step_aside(self, now: float) -> None:
        """Because the wal takes nothing, or soon will not. What the others write and commit would pile up in this
        process, and wait here to be applied; a follower is sent no more than it acknowledges. In etcd such a leader
        ends. now: on the monotonic clock"""
        node = self._host.node
        if node is None or node.raft.role != LEADER or now < self._may_step_aside_at:
            return
        target = self._successor(node)
        if target:
            self._may_step_aside_at = now + STEP_ASIDE_EVERY_S
            self._host.log.warn("leadership transfer starting, the disk is full", transferee_member_id=f"{target:x}")
            node.transfer_leader(target)

    def on_move_leader(self, message: MoveLeader) -> None:
        """The listener sees by who leads then whether it was done."""
        node = self._host.node
        if node is not None and node.raft.role == LEADER:
            node.transfer_leader(message.target)

    def at_stop(self) -> None:
        """Runs the actor on until another leads, and has what was on its way here.

        NB: if listeners are there, it is not the member that stops: the next raft leads on.
        """
        host, node = self._host, self._host.node
        if node is None or node.raft.role != LEADER or host.links.of_kind("listener"):
            return
        target = self._successor(node)
        if not target:
            return
        host.log.info("leadership transfer starting", transferee_member_id=f"{target:x}")
        began = time.monotonic()
        node.transfer_leader(target)
        self._run(until=began + STOP_WAIT_S, done=lambda: node.raft.lead == target)
        if node.raft.lead != target:
            host.log.warn("leadership transfer failed", transferee_member_id=f"{target:x}")
            return
        host.log.info("leadership transfer finished", took=f"{(time.monotonic() - began) * 1000:.0f}ms")
        self._run(until=time.monotonic() + host.ticks.tick_s, done=lambda: False)

    def _run(self, until: float, done: Callable[[], bool]) -> None:
        while not done() and time.monotonic() < until:
            self._host.turn()

    def _successor(self, node: RawNode) -> int:
        """The other voter that has been heard of for longest; 0: there is none."""
        voters = node.raft.tracker.config.voters
        candidates = [(since, member) for member, since in self._host.active.items() if member in voters]
        return min(candidates)[1] if candidates else 0
