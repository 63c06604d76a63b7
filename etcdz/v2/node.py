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

    # ---- what callers see ----

    def view(self, now_ns: int) -> NodeView:
        """Without its children."""
        return self._view(now_ns, ())

    def listing(self, now_ns: int, is_recursive: bool, is_sorted: bool) -> NodeView:
        """With its children, and with theirs if it is recursive; hidden ones are left out."""
        directories = [self]
        if is_recursive:
            for directory in directories:  # which grows meanwhile
                directories += [child for child in directory._visible() if child.children is not None]
        views: dict[Node, NodeView] = {}
        for directory in reversed(directories):
            below = [views[child] if child in views else child._view(now_ns, ()) for child in directory._visible()]
            if is_sorted:
                below.sort(key=_key_of)
            views[directory] = directory._view(now_ns, tuple(below))
        return views[self]

    def _visible(self) -> list["Node"]:
        return [child for name, child in (self.children or {}).items() if name[0] != "_"]

    def _view(self, now_ns: int, nodes: tuple[NodeView, ...]) -> NodeView:
        expires_ns = self.expires_ns
        ttl_s = ttl_of(expires_ns, now_ns) if expires_ns else 0
        return NodeView(
            self.path, self.value, self.children is not None, expires_ns, ttl_s, nodes, self.modified, self.created
        )


def _key_of(view: NodeView) -> bytes:
    return view.key.encode()
