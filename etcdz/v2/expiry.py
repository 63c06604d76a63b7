"""Nodes with a TTL, by when they expire.

A heap whose rows go stale when a node gets another TTL or goes: what is stale is passed over when it comes up, and
swept when most of it is.
"""

import heapq
from typing import Final

from etcdz.v2.node import Node

_STALE_MIN: Final = 1024


class Expiry:
    """Invariant: each node with a TTL that is in the tree has one row that is not stale."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Node]] = []
        self._rows: dict[Node, int] = {}
        self._number = 0

    def __len__(self) -> int:
        return len(self._rows)

    def note(self, node: Node) -> None:
        """Its TTL is new, or gone."""
        self._rows.pop(node, None)
        if node.expires_ns:
            self._number += 1
            self._rows[node] = self._number
            heapq.heappush(self._heap, (node.expires_ns, self._number, node))
        if len(self._heap) > _STALE_MIN + 2 * len(self._rows):
            self._sweep()

    def forget(self, node: Node) -> None:
        """It is no longer in the tree."""
        self._rows.pop(node, None)

    def has_due(self, now_ns: int) -> bool:
        """Whether a node has expired. NB: what went stale lately may look so."""
        return bool(self._rows) and self._heap[0][0] <= now_ns

    def pop_due(self, now_ns: int) -> Node | None:
        """The one that has expired first; None: none has."""
        heap = self._heap
        while heap and (self._rows.get(heap[0][2]) != heap[0][1] or heap[0][0] <= now_ns):
            _, number, node = heapq.heappop(heap)
            if self._rows.get(node) == number:
                del self._rows[node]
                return node
        return None

    def _sweep(self) -> None:
        self._heap = [row for row in self._heap if self._rows.get(row[2]) == row[1]]
        heapq.heapify(self._heap)
