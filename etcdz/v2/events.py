"""What a call finds or changes: an action, and the node as it is after it and was before it.

    {"action":"set","node":{...},"prevNode":{...}}
    node := {"key","value","dir","expiration","ttl","modifiedIndex","createdIndex"}, what is empty left out

Source: etcd 3.5 v2store event and node_extern.
"""

from typing import Final, NamedTuple

from etcdz.v2.go_json import SECOND_NS, encode_text, encode_time

GET: Final = "get"
CREATE: Final = "create"
SET: Final = "set"
UPDATE: Final = "update"
DELETE: Final = "delete"
COMPARE_AND_SWAP: Final = "compareAndSwap"
COMPARE_AND_DELETE: Final = "compareAndDelete"
EXPIRE: Final = "expire"


class NodeView(NamedTuple):
    """A node at one moment, without those below it.

    value       None: it is left out, as of a directory and of what was deleted
    expires_ns  unix time, 0: never
    ttl_s       what is left then, rounded up
    """

    key: str
    value: str | None
    is_dir: bool
    expires_ns: int
    ttl_s: int
    modified: int
    created: int

    def to_json(self, skip: int = 0) -> str:
        """skip: length of what is cut off the front of the key"""
        key, value, is_dir, expires_ns, ttl_s, modified, created = self
        if value is None or is_dir or expires_ns or ttl_s or not modified or not created or len(key) <= skip:
            return "".join(self.fields_json(skip))
        # Files that never expire are most of a large listing.
        return (
            f'{{"key":{encode_text(key[skip:])},"value":{encode_text(value)},'
            f'"modifiedIndex":{modified},"createdIndex":{created}}}'
        )

    def fields_json(self, skip: int) -> tuple[str, str]:
        """What stands before the nodes of a directory, and what behind."""
        head = [f'"key":{encode_text(self.key[skip:])}'] if len(self.key) > skip else []
        if self.value is not None:
            head.append(f'"value":{encode_text(self.value)}')
        if self.is_dir:
            head.append('"dir":true')
        if self.expires_ns:
            head.append(f'"expiration":"{encode_time(self.expires_ns)}"')
        if self.ttl_s:
            head.append(f'"ttl":{self.ttl_s}')
        tail = [f'"modifiedIndex":{self.modified}'] if self.modified else []
        if self.created:
            tail.append(f'"createdIndex":{self.created}')
        glue = "," if head and tail else ""
        return "{" + ",".join(head), glue + ",".join(tail) + "}"


class Event(NamedTuple):
    """store_index: the index that it has made. is_refresh: only a TTL was renewed, of which watchers are not told"""

    action: str
    node: NodeView
    before: NodeView | None
    store_index: int
    is_refresh: bool = False

    @property
    def has_created(self) -> bool:
        """Whether there was no such node before."""
        return self.action == CREATE or (self.action == SET and self.before is None)

    def to_json(self, skip: int = 0, with_refresh: bool = False) -> str:
        """with_refresh: as snapshots have it, and clients do not"""
        text = f'{{"action":"{self.action}","node":{self.node.to_json(skip)}'
        if self.before is not None:
            text += f',"prevNode":{self.before.to_json(skip)}'
        if with_refresh and self.is_refresh:
            text += ',"refresh":true'
        return text + "}"


def ttl_of(expires_ns: int, now_ns: int) -> int:
    """Seconds that are left, rounded up; of what is past, rounded towards 0."""
    return -((now_ns - expires_ns) // SECOND_NS)
