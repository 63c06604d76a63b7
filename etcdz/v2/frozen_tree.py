"""The tree as it was at one moment, for what is read of it piece by piece while the store goes on changing.

Nothing is copied for it until a node is about to change: then the node as it is goes to each frozen tree that is still
read, and a directory goes on with another dictionary of children. What is taken out of the tree never changes again.
"""

from collections.abc import Generator, Iterator
from heapq import merge
from itertools import islice
from typing import Final

from etcdz.v2.node import Node

STEP_NODES: Final = 64
"""What is read piece by piece is read so many nodes at a time, in about a quarter of a millisecond."""
_RUN_NAMES: Final = 1024
"""Names that are sorted at a time."""


class FrozenTree:
    """One such moment. NB: it lasts as long as somebody has it: the store that has made it does not keep it."""

    __slots__ = ("__weakref__", "_kept")

    def __init__(self) -> None:
        self._kept: dict[Node, Node] = {}
        """Nodes that are different by now -> what they were."""

    def keep(self, node: Node) -> bool:
        """The node is about to change. return whether its dictionary of children must not, from now on"""
        if node in self._kept:
            return False
        self._kept[node] = node.copy()
        return True

    def state_of(self, node: Node) -> Node:
        """What a node was. NB: not for longer than the store stays as it is: this may be the node itself."""
        return self._kept.get(node, node)

    def children_of(self, state: Node) -> Iterator[tuple[str, Node]]:
        """Those that a directory had, in the order in which they came, with their names."""
        return iter((state.children or {}).items())

    def sort_children_of(self, state: Node) -> Generator[str, None, Iterator[tuple[str, Node]]]:
        """The same in the order of their names. If they are many that takes some steps, after each of which there is an
        empty text."""
        children = state.children or {}
        names = iter(children)
        runs: list[list[str]] = []
        # NB: texts are ordered by code points, which is the order of their bytes in UTF-8.
        while run := sorted(islice(names, _RUN_NAMES)):
            runs.append(run)
            if len(run) == _RUN_NAMES:
                yield ""
        return ((name, children[name]) for name in merge(*runs))
