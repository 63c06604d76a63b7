"""Read indexes: at which index a linearizable read is safe, asked of the core for all reads of a turn at once.

ReadIndex -> on_read_index -> ask -> the core, one round of the quorum -> answer -> ReadStates -> listener
"""

from collections.abc import Sequence
from typing import Protocol

from actors.runtime.link import Links
from etcdz.ipc.messages import ReadIndex, ReadStates
from etcdz.raft import RawNode
from etcdz.raft.messages import ReadState


class Host(Protocol):
    """What read indexes need of their actor."""

    links: Links


class ReadIndexes:
    """waiting  (slot, request ids) that the core has not been asked for"""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.waiting: list[tuple[int, list[int]]] = []
        self._asked: dict[bytes, list[tuple[int, list[int]]]] = {}
        """By context: what the core has been asked for."""
        self._seq = 0

    def on_read_index(self, message: ReadIndex) -> None:
        """The core is asked at the end of a turn in which this member leads."""
        self.waiting.append((message.slot, message.ids))

    def ask(self, node: RawNode) -> None:
        """One round for all that wait. Requires: an entry of this leader's term is committed."""
        self._seq += 1
        context = self._seq.to_bytes(8, "big")
        self._asked[context], self.waiting = self.waiting, []
        node.read_index(context)

    def answer(self, states: Sequence[ReadState]) -> None:
        """What the core found. One that it never finds, for want of a leader, the listener asks for again."""
        for state in states:
            for slot, ids in self._asked.pop(state.context, ()):
                self._host.links.send(self._host.links.listener(slot), ReadStates(state.index, ids))
