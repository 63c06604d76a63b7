"""The v2 store as rows of the backend's store: what has changed is written with the entries that changed it.

    bucket etcdz_v2
    n<path>             JSON [created, modified, expires in unix ns or 0, value or null for a directory]
    e<index: 8, BE>     JSON of the event, as a .snap has it; the newest 1,000
    i                   JSON {"index": of the last change, "stats": {...}}

The bucket is etcdz's own: it goes into no bbolt file. Other members get the store out of the JSON of a .snap.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Final, Protocol

from etcdz.v2.go_json import encode_text
from etcdz.v2.history import EVENTS_MAX
from etcdz.v2.node import Node
from etcdz.v2.snapshot import decode_event, history_of, node_of, plant
from etcdz.v2.store import V2Store
from etcdz.v2.watchers import WatcherHub

BUCKET: Final = b"etcdz_v2\0"
_NODE: Final = b"n"
_EVENT: Final = b"e"
_HEAD: Final = b"i"
_INDEX_BYTES: Final = 8

Row = tuple[bytes, bytes, bytes | None]
"""(bucket with its separator, key, value or None: delete)"""


class Store(Protocol):
    """What rows are loaded from."""

    def get(self, key: bytes) -> bytes | None: ...

    def iterate(self, lo: bytes, hi: bytes) -> Iterable[tuple[bytes, bytes]]: ...


def take_rows(store: V2Store) -> list[Row]:
    """What has changed since the last call, each key once."""
    if not store.changes and not store.events:
        return []
    rows: list[Row] = [(BUCKET, _NODE + path.encode(), _node_row(node)) for path, node in store.changes.items()]
    for event in store.events[-EVENTS_MAX:]:
        rows.append((BUCKET, _event_key(event.store_index), event.to_json(with_refresh=True).encode()))
    first = store.hub.history.first
    rows += [
        (BUCKET, _event_key(event.store_index - EVENTS_MAX), None)
        for event in store.events
        if 0 < event.store_index - EVENTS_MAX < first
    ]
    rows.append((BUCKET, _HEAD, f'{{"index":{store.index},"stats":{store.statistics.to_json(0)}}}'.encode()))
    store.changes.clear()
    store.events.clear()
    return rows


def all_rows(store: V2Store) -> Iterator[tuple[bytes, bytes]]:
    """Store keys and values of a store that was just decoded."""
    return ((bucket + key, value) for bucket, key, value in take_rows(store) if value is not None)


def load(rows: Store) -> V2Store | None:
    """The v2 store that a store keeps; None: it has none yet.

    raises  ValueError: a row that take_rows has not made
    """
    head = rows.get(BUCKET + _HEAD)
    if head is None:
        return None
    try:
        store = _load(rows, json.loads(head))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"rows of no v2 store: {error!r}") from None
    return store


def _load(rows: Store, head: dict[str, object]) -> V2Store:
    store = V2Store()
    assert store.root.children is not None
    store.root.children.clear()
    directories: dict[str, Node] = {"": store.root}
    for path, text in _bucket_rows(rows, _NODE):
        created, modified, expires_ns, value = json.loads(text)
        node = node_of(path.decode(), value, created, modified, expires_ns)
        plant(store, directories[node.path.rpartition("/")[0]], node)
        if node.is_dir:
            directories[node.path] = node
    index = head["index"]
    if type(index) is not int:
        raise ValueError(f"no index: {index!r}")
    store.index = index
    store.statistics.load(head["stats"])
    events = [decode_event(json.loads(text)) for _, text in _bucket_rows(rows, _EVENT)]
    store.hub = WatcherHub(history_of(events, index))
    store.changes.clear()
    return store


def _bucket_rows(rows: Store, kind: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(key without what names its kind, value)"""
    skip = len(BUCKET) + len(kind)
    for key, value in rows.iterate(BUCKET + kind, BUCKET + bytes([kind[0] + 1])):
        yield key[skip:], value


def _event_key(index: int) -> bytes:
    return _EVENT + index.to_bytes(_INDEX_BYTES, "big")


def _node_row(node: Node | None) -> bytes | None:
    if node is None:
        return None
    value = "null" if node.value is None else encode_text(node.value)
    return f"[{node.created},{node.modified},{node.expires_ns},{value}]".encode()
