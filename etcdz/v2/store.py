"""The v2 store: a tree of files and directories, and what may be done with it.

Every change makes the index one higher, and is an event. What a change does depends on the store and its arguments
alone, so that members that apply the same changes in the same order have the same store; `now_ns` only tells how much
of a TTL is left, in the answer.

    /0    the cluster's own: members, its version (etcdz/v2/cluster_nodes.py)
    /1    keys of clients
    /2    users and roles

Source: etcd 3.4 v2store store. 3.5 refuses to update a directory, with an error of its own making; 3.4 does it.
"""

import posixpath
from typing import Final
from weakref import WeakSet

from etcdz.v2 import errors, events, statistics
from etcdz.v2.errors import V2Error
from etcdz.v2.events import Event, NodeView
from etcdz.v2.expiry import Expiry
from etcdz.v2.frozen_tree import FrozenTree
from etcdz.v2.history import EventHistory
from etcdz.v2.listing import Listing
from etcdz.v2.node import Node
from etcdz.v2.statistics import StoreStatistics
from etcdz.v2.watchers import Watcher, WatcherHub

CLUSTER: Final = "/0"
KEYS: Final = "/1"
AUTH: Final = "/2"
_READ_ONLY: Final = frozenset(("/", CLUSTER, KEYS))
EARLIEST_NS: Final = 946_684_800_000_000_000
"""Of the year 2000: a key that expires before it is permanent."""


class V2Store:
    """See the module.

    index     of the last change
    changes   nodes that are new or different since somebody has taken them, by path; None: they are gone
    events    that are new since then
    Invariant: paths of nodes are clean: no empty parts, no dots, no slash at the end.
    """

    def __init__(self) -> None:
        self.index = 0
        self.root = Node("/", None, 0)
        self.statistics = StoreStatistics()
        self.expiry = Expiry()
        self.hub = WatcherHub(EventHistory())
        self.changes: dict[str, Node | None] = {}
        self.events: list[Event] = []
        self._frozen: WeakSet[FrozenTree] = WeakSet()
        """Those that somebody still reads."""
        for path in (CLUSTER, KEYS):
            self._add(self.root, Node(path, None, 0, self.root))

    # ---- reads ----

    def get(self, path: str, is_recursive: bool, is_sorted: bool, now_ns: int) -> Listing | V2Error:
        """Of a file, or of a directory and what is in it."""
        found = self.find(path, is_recursive, is_sorted, now_ns)
        self.statistics.count_get(is_recursive, not isinstance(found, V2Error))
        return found

    def find(self, path: str, is_recursive: bool, is_sorted: bool, now_ns: int) -> Listing | V2Error:
        """As get, but not counted."""
        found = self._find(clean(path))
        if isinstance(found, V2Error):
            return found
        return Listing(self.freeze(), found, now_ns, is_recursive, is_sorted, self.index)

    def freeze(self) -> FrozenTree:
        """The tree as it is, for as long as somebody reads it."""
        tree = FrozenTree()
        self._frozen.add(tree)
        return tree

    def value_at(self, path: str) -> str | None:
        """Of a file; None: it is none. Not counted. Requires: a clean path"""
        found = self._find(path)
        return found.value if isinstance(found, Node) else None

    def watch(self, watcher: Watcher) -> V2Error | None:
        """Its since may be 0: what comes next. return why it does not watch"""
        watcher.path = clean(watcher.path)
        watcher.since = watcher.since or self.index + 1
        return self.hub.add(watcher, self.index)

    # ---- writes ----

    def set(
        self, path: str, value: str | None, expires_ns: int, now_ns: int, is_refresh: bool = False
    ) -> Event | V2Error:
        """value: None for a directory. is_refresh: the value stays, and nobody is told"""
        found = self._set(clean(path), value, expires_ns, now_ns, is_refresh)
        return self._counted(statistics.SETS, found)

    def _set(self, path: str, value: str | None, expires_ns: int, now_ns: int, is_refresh: bool) -> Event | V2Error:
        before = self._find(path)
        if isinstance(before, V2Error) and (is_refresh or before.code != errors.KEY_NOT_FOUND):
            return before
        if is_refresh and isinstance(before, Node) and value is not None:
            value = before.value or ""
        made = self._put(events.SET, path, value, expires_ns, now_ns, may_replace=True)
        return made if isinstance(made, V2Error) else self._published(made._replace(is_refresh=is_refresh))

    def create(
        self, path: str, value: str | None, expires_ns: int, now_ns: int, is_in_order: bool = False
    ) -> Event | V2Error:
        """is_in_order: below path, under the next index as its name"""
        if is_in_order:
            path = f"{path}/{self.index + 1:020d}"
        made = self._put(events.CREATE, clean(path), value, expires_ns, now_ns, may_replace=False)
        return self._counted(statistics.CREATES, made if isinstance(made, V2Error) else self._published(made))

    def update(self, path: str, value: str, expires_ns: int, now_ns: int, is_refresh: bool = False) -> Event | V2Error:
        """Of a directory, the TTL alone."""
        path = clean(path)
        if path in _READ_ONLY:
            self.statistics.count(statistics.UPDATES, True)  # as in etcd
            return self._error(errors.ROOT_READ_ONLY, "/")
        node = self._find(path)
        if isinstance(node, V2Error):
            return self._counted(statistics.UPDATES, node)
        if node.is_dir and value:
            self.statistics.count(statistics.UPDATES, True)  # as in etcd
            return self._error(errors.NOT_FILE, path)
        event = self._rewritten(events.UPDATE, node, value, expires_ns, now_ns, is_refresh)
        return self._counted(statistics.UPDATES, event)

    def compare_and_swap(
        self,
        path: str,
        value: str,
        expires_ns: int,
        now_ns: int,
        *,
        before_value: str,
        before_index: int,
        is_refresh: bool = False,
    ) -> Event | V2Error:
        """before_value, before_index: what the file must have; "" and 0 are not asked for"""
        path = clean(path)
        if path in _READ_ONLY:
            self.statistics.count(statistics.SWAPS, True)  # as in etcd
            return self._error(errors.ROOT_READ_ONLY, "/")
        node = self._compared(path, before_value, before_index)
        if isinstance(node, V2Error):
            return self._counted(statistics.SWAPS, node)
        event = self._rewritten(events.COMPARE_AND_SWAP, node, value, expires_ns, now_ns, is_refresh)
        return self._counted(statistics.SWAPS, event)

    def delete(self, path: str, is_dir: bool, is_recursive: bool, now_ns: int) -> Event | V2Error:
        """A directory goes if it is one and empty, or with all that it holds if is_recursive."""
        path = clean(path)
        if path in _READ_ONLY:
            self.statistics.count(statistics.DELETES, True)  # as in etcd
            return self._error(errors.ROOT_READ_ONLY, "/")
        node = self._find(path)
        if isinstance(node, Node) and node.is_dir and not (is_dir or is_recursive):
            node = self._error(errors.NOT_FILE, path)
        elif isinstance(node, Node) and node.children and not is_recursive:
            node = self._error(errors.DIR_NOT_EMPTY, path)
        if isinstance(node, V2Error):
            return self._counted(statistics.DELETES, node)
        return self._counted(statistics.DELETES, self._removed(events.DELETE, node, now_ns))

    def compare_and_delete(self, path: str, before_value: str, before_index: int, now_ns: int) -> Event | V2Error:
        """See compare_and_swap."""
        path = clean(path)
        node = self._compared(path, before_value, before_index)
        if isinstance(node, V2Error):
            # As in etcd, only a file that is not there counts as a failure.
            is_there = node.code not in (errors.KEY_NOT_FOUND, errors.NOT_DIR)
            self.statistics.count(statistics.COMPARED_DELETES, is_there)
            return node
        return self._counted(statistics.COMPARED_DELETES, self._removed(events.COMPARE_AND_DELETE, node, now_ns))

    def expire(self, until_ns: int, now_ns: int) -> None:
        """Everything that expires up to this time goes."""
        while (node := self.expiry.pop_due(until_ns)) is not None:
            self._removed(events.EXPIRE, node, now_ns)
            self.statistics.counts[statistics.EXPIRED] += 1

    # ---- inside ----

    def _error(self, code: int, cause: str) -> V2Error:
        return V2Error(code, cause, self.index)

    def _counted(self, kind: str, found: Event | V2Error) -> Event | V2Error:
        self.statistics.count(kind, isinstance(found, Event))
        return found

    def _find(self, path: str) -> Node | V2Error:
        node = self.root
        for name in path.split("/")[1:]:
            if not name:  # path is "/"
                break
            if node.children is None:
                return self._error(errors.NOT_DIR, node.path)
            child = node.children.get(name)
            if child is None:
                return self._error(errors.KEY_NOT_FOUND, node.child_path(name))
            node = child
        return node

    def _compared(self, path: str, before_value: str, before_index: int) -> Node | V2Error:
        """A file that is as it is asked to be."""
        node = self._find(path)
        if isinstance(node, V2Error):
            return node
        if node.value is None:
            return self._error(errors.NOT_FILE, path)
        causes = []
        if before_value and before_value != node.value:
            causes.append(f"[{before_value} != {node.value}]")
        if before_index and before_index != node.modified:
            causes.append(f"[{before_index} != {node.modified}]")
        return self._error(errors.TEST_FAILED, " ".join(causes)) if causes else node

    def _put(
        self, action: str, path: str, value: str | None, expires_ns: int, now_ns: int, may_replace: bool
    ) -> Event | V2Error:
        """A new node in the place of none, or of a file; directories that lead there are made."""
        if path in _READ_ONLY:
            return self._error(errors.ROOT_READ_ONLY, "/")
        directory_path, _, name = path.rpartition("/")
        directory = self._make_directory(directory_path)
        if isinstance(directory, V2Error):
            self.statistics.count(statistics.SETS, False)  # whatever it was that failed, as in etcd
            if action == events.CREATE:
                self.statistics.failed_creates += 1
            return directory
        assert directory.children is not None
        before: NodeView | None = None
        present = directory.children.get(name)
        if present is not None:
            if not may_replace:
                return self._error(errors.NODE_EXIST, path)
            if present.is_dir:
                return self._error(errors.NOT_FILE, path)
            before = present.view(now_ns)
            self.expiry.forget(present)
        self.index += 1
        node = Node(path, value, self.index, directory, expires_ns if expires_ns >= EARLIEST_NS else 0)
        if present is not None:
            self._keep(directory)
            del directory.children[name]
        self._add(directory, node)
        return Event(action, node.view(now_ns), before, self.index)

    def _make_directory(self, path: str) -> Node | V2Error:
        """The directory of this path, "" for the root, and those that lead there, made if they are missing."""
        node = self.root
        for name in path.split("/")[1:]:
            assert node.children is not None
            child = node.children.get(name)
            if child is None:
                child = Node(node.child_path(name), None, self.index + 1, node)
                self._add(node, child)
            elif not child.is_dir:
                return self._error(errors.NOT_DIR, child.path)
            node = child
        return node

    def _keep(self, node: Node) -> None:
        """Frozen trees keep it as it is. Requires: called before it changes"""
        if self._frozen and any([tree.keep(node) for tree in self._frozen]) and node.children is not None:
            node.children = dict(node.children)

    def _add(self, directory: Node, node: Node) -> None:
        self._keep(directory)
        assert directory.children is not None
        directory.children[node.name] = node
        self.changes[node.path] = node
        if node.expires_ns:
            self.expiry.note(node)

    def _rewritten(self, action: str, node: Node, value: str, expires_ns: int, now_ns: int, is_refresh: bool) -> Event:
        before = node.view(now_ns)
        self._keep(node)
        self.index += 1
        if node.value is not None:
            node.value = node.value if is_refresh else value
            node.modified = self.index
        if node.expires_ns or expires_ns:
            node.expires_ns = expires_ns
            self.expiry.note(node)
        self.changes[node.path] = node
        # NB: a directory keeps its own index, and the event says the new one.
        after = node.view(now_ns)._replace(modified=self.index)
        return self._published(Event(action, after, before, self.index, is_refresh))

    def _removed(self, action: str, node: Node, now_ns: int) -> Event:
        self.index += 1
        before = node.view(now_ns)
        after = NodeView(node.path, None, node.is_dir, 0, 0, self.index, node.created)
        event = Event(action, after, before, self.index)
        assert node.parent is not None
        self._keep(node.parent)
        assert node.parent.children is not None
        del node.parent.children[node.name]
        for gone in reversed(node.subtree()):
            self.changes[gone.path] = None
            self.expiry.forget(gone)
            self.hub.notify_at(gone.path, event, is_gone=True)
        return self._published(event)

    def _published(self, event: Event) -> Event:
        if event.is_refresh:
            self.hub.history.add(event)
        else:
            self.hub.notify(event)
        self.events.append(event)
        return event


def clean(path: str) -> str:
    """As nodes have it."""
    return posixpath.normpath("/" + path.lstrip("/"))
