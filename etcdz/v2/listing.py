"""What a get has found: a node, with what is below it, as it was when it was asked for, written piece by piece.

    {"action":"get","node":NODE}
    NODE := {"key","value","dir","expiration","ttl","nodes":[NODE,...],"modifiedIndex","createdIndex"}

Hidden nodes, whose names begin with an underscore, are left out below it. Source: etcd 3.5 v2store node Repr.
"""

from collections.abc import Generator, Iterator
from typing import NamedTuple

from etcdz.v2 import events
from etcdz.v2.frozen_tree import STEP_NODES, FrozenTree
from etcdz.v2.node import Node


class Listing(NamedTuple):
    """node: of a tree that was frozen at store_index"""

    tree: FrozenTree
    node: Node
    now_ns: int
    is_recursive: bool
    is_sorted: bool
    store_index: int

    def to_json(self, skip: int = 0) -> str:
        """All of it at once."""
        return "".join(self.pieces(skip))

    def pieces(self, skip: int) -> Iterator[str]:
        """The JSON in pieces of some nodes each, some of them empty. skip: length of what is cut off every key"""
        begin = f'{{"action":"{events.GET}","node":'
        state = self.tree.state_of(self.node)
        if state.children is None:
            yield f"{begin}{state.view(self.now_ns).to_json(skip)}}}"
            return
        head, tail = state.view(self.now_ns).fields_json(skip)
        # NB: a state is not to be looked at behind a yield: it may be the node itself, which changes then.
        yield from self._below([begin + head], _Level((yield from self._children(state)), tail), skip)
        yield "}"

    def _below(self, parts: list[str], top: "_Level", skip: int) -> Iterator[str]:
        """parts, and what stands behind them. NB: directories may be nested deeper than calls can be."""
        tree, now_ns = self.tree, self.now_ns
        levels = [top]
        seen = 0
        while levels:
            level = levels[-1]
            for name, child in level.children:
                if seen >= STEP_NODES:
                    yield "".join(parts)
                    parts.clear()
                    seen = 0
                seen += 1
                if name[0] != "_":
                    parts.append("," if level.is_open else ',"nodes":[')
                    level.is_open = True
                    state = tree.state_of(child)
                    if state.children is None or not self.is_recursive:
                        parts.append(state.view(now_ns).to_json(skip))
                    else:
                        head, tail = state.view(now_ns).fields_json(skip)
                        parts.append(head)
                        levels.append(_Level((yield from self._children(state)), tail))
                        break
            else:
                parts.append(f"]{level.tail}" if level.is_open else level.tail)
                levels.pop()
        yield "".join(parts)

    def _children(self, state: Node) -> Generator[str, None, Iterator[tuple[str, Node]]]:
        if self.is_sorted:
            return (yield from self.tree.sort_children_of(state))
        return self.tree.children_of(state)


class _Level:
    """A directory whose nodes are being written. tail: what ends it. is_open: one has been"""

    __slots__ = ("children", "is_open", "tail")

    def __init__(self, children: Iterator[tuple[str, Node]], tail: str) -> None:
        self.children = children
        self.tail = tail
        self.is_open = False
