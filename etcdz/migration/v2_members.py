"""Who the members are, out of the v2 store that a .snap holds, as rows of a store.

etcd keeps them in the database as well; but `snapshot restore` of etcd 3.4 takes them out there and writes the .snap
alone. Format: etcdz/v2/snapshot.py.
"""

import json
from collections.abc import Iterator
from typing import Any

from etcdz.cluster.membership import CLUSTER_VERSION_KEY, Member
from etcdz.store.buckets import CLUSTER, MEMBERS, MEMBERS_REMOVED


def member_rows(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Rows of the buckets members, members_removed and cluster. raises ValueError: no v2 store"""
    try:
        root = json.loads(data)["Root"]["Children"]["0"]["Children"]
        for id_, node in _children(root, "members"):
            member = _member(int(id_, 16), dict(_children(node, "")))
            yield MEMBERS + b"%x" % member.id, member.to_json().encode()
        for id_, _ in _children(root, "removed_members"):
            yield MEMBERS_REMOVED + b"%x" % int(id_, 16), b"removed"
        version = root.get("version", {}).get("Value")
        if version:
            yield CLUSTER + CLUSTER_VERSION_KEY, version.encode()
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no members in the .snap's v2 store: {error!r}") from None


def _children(node: Any, name: str) -> list[tuple[str, Any]]:
    """Of a node's child of this name, or of the node itself."""
    found = node.get(name, {}) if name else node
    return list((found.get("Children") or {}).items())


def _member(id_: int, nodes: dict[str, Any]) -> Member:
    said = json.loads(nodes["raftAttributes"]["Value"])
    if "attributes" in nodes:
        said |= json.loads(nodes["attributes"]["Value"])
    return Member.from_json(json.dumps(said), id_)
