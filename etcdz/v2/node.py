"""A node of the tree: a file, which has a value, or a directory, which has children."""

from etcdz.v2.events import NodeView, ttl_of


class Node:
    """Invariant: exactly one of value and children is None. expires_ns: unix time, 0: never"""

    __slots__ = ("path", "value", "children", "created", "modified", "expires_ns", "parent")

    def __init__(
        self,
        path: str,
        value: str | None,
        index: int,
        parent: "Node | None" = None,
        expires_ns: int = 0,
    ) -> None:
        """value: None for a directory"""
        self.path = path
        self.value = value
        self.children: dict[str, Node] | None = {} if value is None else None
        self.created = self.modified = index
        self.expires_ns = expires_ns
        self.parent = parent

    @property
    def name(self) -> str:
        return self.path[self.path.rindex("/") + 1 :]

    @property
    def is_dir(self) -> bool:
        return self.children is not None

    def child_path(self, name: str) -> str:
        return f"{'' if self.parent is None else self.path}/{name}"

    def subtree(self) -> list["Node"]:
        """The node and all below it, each behind its parent."""
        found = [self]
        for node in found:  # which grows meanwhile
            found += (node.children or {}).values()
        return found

    def copy(self) -> "Node":
        """As it is, with the same dictionary of children."""
        node = Node(self.path, self.value, self.created, self.parent, self.expires_ns)
        node.children, node.modified = self.children, self.modified
        return node

    def view(self, now_ns: int) -> NodeView:
        """Without its children."""
        expires_ns = self.expires_ns
        ttl_s = ttl_of(expires_ns, now_ns) if expires_ns else 0
        return NodeView(
            self.path, self.value, self.children is not None, expires_ns, ttl_s, self.modified, self.created
        )
