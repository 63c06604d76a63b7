"""The v2 store as the JSON that a .snap holds in etcd 3.5: the tree of nodes that membership lives in.

    /0/members/<id>/raftAttributes     {"peerURLs":[...]}
    /0/members/<id>/attributes         {"name":...,"clientURLs":[...]}, once the member has told them
    /0/removed_members/<id>            empty
    /0/version                         3.5.0
    /1                                 keys of the v2 API

A real etcd loads it and takes its members from it. The history of events, of which etcd keeps the last 1,000 for v2
watchers, is left empty: its slots are there, as etcd indexes into them.
Source: etcd 3.5 api/v2store (store, node, event queue), read off a running 3.5.1.
"""

from typing import Any

from etcdz.membership import Member, Membership, encode_json

NEVER = "0001-01-01T00:00:00Z"
STORE_VERSION = 2
EVENT_SLOTS = 1000
_STATS = (
    "getsSuccess getsFail setsSuccess setsFail deleteSuccess deleteFail updateSuccess updateFail createSuccess"
    " createFail compareAndSwapSuccess compareAndSwapFail compareAndDeleteSuccess compareAndDeleteFail expireCount"
    " watchers"
)


class _Tree:
    """Nodes, each created at the next index of the v2 store."""

    def __init__(self) -> None:
        self.index = 0
        self.root = _node("/", 0, {})
        self.cluster = self._directory(self.root, "0", 0)
        self._directory(self.root, "1", 0)

    def _directory(self, parent: dict[str, Any], name: str, index: int) -> dict[str, Any]:
        children = parent["Children"]
        if name not in children:
            children[name] = _node(f"{parent['Path'].rstrip('/')}/{name}", index, {})
        found: dict[str, Any] = children[name]
        return found

    def put(self, path: str, value: str) -> None:
        """A leaf below /0, with the directories that lead to it."""
        self.index += 1
        parent = self.cluster
        *directories, name = path.split("/")
        for directory in directories:
            parent = self._directory(parent, directory, self.index)
        parent["Children"][name] = _node(f"{parent['Path']}/{name}", self.index, None) | {"Value": value}

    def add_member(self, member: Member) -> None:
        self.put(f"members/{member.id:x}/raftAttributes", encode_json(member.raft_attributes))
        if member.attributes:
            self.put(f"members/{member.id:x}/attributes", encode_json(member.attributes))


def _node(path: str, index: int, children: dict[str, Any] | None) -> dict[str, Any]:
    node = {"Path": path, "CreatedIndex": index, "ModifiedIndex": index, "ExpireTime": NEVER, "Value": ""}
    return node | {"Children": children}


def _sorted(node: dict[str, Any]) -> dict[str, Any]:
    """Children in the order in which Go writes a map."""
    children = node["Children"]
    if children:
        children = {name: _sorted(children[name]) for name in sorted(children)}
    return node | {"Children": children}


def v2_store_json(membership: Membership) -> bytes:
    tree = _Tree()
    for member in membership.sorted_members():
        tree.add_member(member)
    for id_ in sorted(membership.removed):
        tree.put(f"removed_members/{id_:x}", "")
    if membership.version is not None:
        tree.put("version", membership.version)
    queue = {"Events": [None] * EVENT_SLOTS, "Size": 0, "Front": 0, "Back": 0, "Capacity": EVENT_SLOTS}
    store = {
        "Root": _sorted(tree.root),
        "WatcherHub": {"EventHistory": {"Queue": queue, "StartIndex": 0, "LastIndex": 0}},
        "CurrentIndex": tree.index,
        "Stats": dict.fromkeys(_STATS.split(), 0),
        "CurrentVersion": STORE_VERSION,
    }
    return encode_json(store).encode()
