"""The v2 store as the JSON that a .snap holds in etcd 3.5: the tree of nodes that membership lives in.

    /0/members/<id>/raftAttributes     {"peerURLs":[...]}
    /0/members/<id>/attributes         {"name":...,"clientURLs":[...]}, once the member has told them
    /0/removed_members/<id>            empty
    /0/version                         3.5.0
    /1                                 keys of the v2 API
    /2                                 its users and roles

A real etcd loads it and takes its members from it. The history of events, of which etcd keeps the last 1,000 for v2
watchers, is left empty: its slots are there, as etcd indexes into them.

What a migrated member has of the v2 API (`V2Keys`) goes along untouched, for the day on which it goes back to etcd.
Source: etcd 3.5 api/v2store (store, node, event queue), read off a running 3.5.1.
"""

import json
from typing import Any, NamedTuple

from etcdz.cluster.membership import Member, Membership, encode_json

NEVER = "0001-01-01T00:00:00Z"
STORE_VERSION = 2
EVENT_SLOTS = 1000
_STATS = (
    "getsSuccess getsFail setsSuccess setsFail deleteSuccess deleteFail updateSuccess updateFail createSuccess"
    " createFail compareAndSwapSuccess compareAndSwapFail compareAndDeleteSuccess compareAndDeleteFail expireCount"
    " watchers"
)
_CLUSTER = "0"
_KEYS = "1"


class V2Keys(NamedTuple):
    """What clients of the v2 API have stored.

    newest      index of the last change, from which that API counts on
    children    of the root, but for the members' own, as JSON: `"1":{...},"2":{...}`
    """

    newest: int
    children: str

    @classmethod
    def of_snapshot(cls, data: bytes) -> "V2Keys | None":
        """None: clients have stored nothing. raises ValueError: a .snap that holds no v2 store"""
        try:
            store = json.loads(data)
            children = {name: node for name, node in store["Root"]["Children"].items() if name != _CLUSTER}
            is_empty = not any(node["Children"] for node in children.values())
            return None if is_empty else cls(int(store["CurrentIndex"]), encode_json(children)[1:-1])
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"no v2 store: {error!r}") from None

    def encode(self) -> bytes:
        """The row that keeps them."""
        return f"{self.newest},{self.children}".encode()

    @classmethod
    def decode(cls, row: bytes) -> "V2Keys":
        """raises ValueError: encode has not made this row"""
        index, _, children = row.decode().partition(",")
        return cls(int(index), children)


class _Tree:
    """Nodes, each created at the next index of the v2 store."""

    def __init__(self) -> None:
        self.index = 0
        self.root = _node("/", 0, {})
        self.cluster = self._directory(self.root, _CLUSTER, 0)

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


def v2_store_json(membership: Membership, keys: V2Keys | None = None) -> bytes:
    """The v2 store as a .snap file holds it. keys: what clients have stored by the v2 API, None: nothing"""
    tree = _Tree()
    for member in membership.sorted_members():
        tree.add_member(member)
    for id_ in sorted(membership.removed):
        tree.put(f"removed_members/{id_:x}", "")
    if membership.version is not None:
        tree.put("version", membership.version)
    queue = {"Events": [None] * EVENT_SLOTS, "Size": 0, "Front": 0, "Back": 0, "Capacity": EVENT_SLOTS}
    index = tree.index if keys is None else max(tree.index, keys.newest)
    # A watcher that asks for what was before the migration is told that it is cleared, not left to wait for it.
    begin, end = (0, 0) if keys is None else (index + 1, index)
    store = {
        "WatcherHub": {"EventHistory": {"Queue": queue, "StartIndex": begin, "LastIndex": end}},
        "CurrentIndex": index,
        "Stats": dict.fromkeys(_STATS.split(), 0),
        "CurrentVersion": STORE_VERSION,
    }
    return f'{{"Root":{_root_json(tree, keys)},{encode_json(store)[1:]}'.encode()


def _root_json(tree: _Tree, keys: V2Keys | None) -> str:
    """The keys are spliced in as text: there may be any number of them."""
    children = keys.children if keys else f'"{_KEYS}":{encode_json(_node(f"/{_KEYS}", 0, {}))}'
    return f"{encode_json(_sorted(tree.root))[:-2]},{children}}}}}"
