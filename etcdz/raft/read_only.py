"""Linearizable reads that wait for a quorum to confirm the leader.

Reads are numbered as they come. A heartbeat carries the number of the newest one, its answer confirms the leader for
that read and all before: the read with number n may be served when a quorum has answered n or more. A counter instead
of the callers' contexts lets one round confirm all waiting reads, and a repeated context cannot confuse two reads.
Source: Raft thesis 6.4; the counter is etcd-io/raft's from 3.7 on.
"""

from typing import NamedTuple

from etcdz.raft.messages import Message
from etcdz.raft.quorum import joint_committed_index
from etcdz.raft.tracker import TrackedConfig

READ_SAFE = 0  # ask a quorum
READ_LEASE_BASED = 1  # trust the clocks: a leader that passed its last quorum check is still leader


class WaitingRead(NamedTuple):
    index: int  # type: ignore[assignment]  # committed when the read came
    request: Message


class ReadOnly:
    __slots__ = ("_acked", "_confirmed", "_waiting", "option")

    def __init__(self, option: int) -> None:
        self.option = option
        self._acked: dict[int, int] = {}  # member -> number of the newest read it confirmed
        self._waiting: list[WaitingRead] = []
        self._confirmed = 0  # number of the newest confirmed read; _waiting[0] has the next number

    def add(self, commit: int, request: Message) -> None:
        self._waiting.append(WaitingRead(commit, request))

    def heartbeat_context(self) -> bytes:
        """Number of the newest waiting read, 8 bytes with the low one first; empty if none waits."""
        if not self._waiting:
            return b""
        return (self._confirmed + len(self._waiting)).to_bytes(8, "little")

    def ack(self, member: int, context: bytes) -> None:
        if len(context) >= 8:
            self._acked[member] = max(self._acked.get(member, 0), int.from_bytes(context[:8], "little"))

    def take_confirmed(self, config: TrackedConfig) -> list[WaitingRead]:
        """The reads that a quorum has confirmed since the last call."""
        confirmed = joint_committed_index(config.voters, config.outgoing, self._acked)
        count = confirmed - self._confirmed
        if count <= 0:
            return []
        taken = self._waiting[:count]
        del self._waiting[:count]
        self._confirmed += len(taken)
        return taken
