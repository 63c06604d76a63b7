"""The v2 store as the JSON that a .snap holds, byte for byte as etcd 3.5 writes it:

    {"Root":NODE,"WatcherHub":{"EventHistory":{"Queue":QUEUE,"StartIndex","LastIndex"}},"CurrentIndex","Stats",
     "CurrentVersion":2}
    NODE  := {"Path","CreatedIndex","ModifiedIndex","ExpireTime","Value","Children":{name:NODE,...} or null}
    QUEUE := {"Events":[event or null, 1,000 of them],"Size","Front","Back","Capacity":1000}

Source: etcd 3.5 api/v2store (store, node, event queue), read off a running 3.5.1.
"""

import json
from collections.abc import Iterator
from typing import Any, Final

from etcdz.v2.events import Event, NodeView
from etcdz.v2.go_json import NEVER, decode_time, encode_text, encode_time
from etcdz.v2.history import EVENTS_MAX, EventHistory
from etcdz.v2.node import Node
from etcdz.v2.store import V2Store
from etcdz.v2.watchers import WatcherHub

STORE_VERSION: Final = 2


# ---- writing ----


def encode(store: V2Store) -> bytes:
    """The data of a .snap."""
    history = store.hub.history
    watchers = store.hub.count
    return (
        f'{{"Root":{_tree_json(store.root)},"WatcherHub":{{"EventHistory":{{"Queue":{_queue_json(history)},'
        f'"StartIndex":{history.first},"LastIndex":{history.last}}}}},"CurrentIndex":{store.index},'
        f'"Stats":{store.statistics.to_json(watchers)},"CurrentVersion":{STORE_VERSION}}}'
    ).encode()


def _tree_json(root: Node) -> str:
    """NB: without recursion, as directories may be nested deeper than calls."""
    parts: list[str] = []
    left: list[Node | str] = [root]
    while left:
        item = left.pop()
        if isinstance(item, str):
            parts.append(item)
            continue
        parts.append(_fields_json(item))
        if item.children is None:
            parts.append("null}")
            continue
        parts.append("{")
        left.append("}}")
        names = sorted(item.children, key=str.encode, reverse=True)
        for at, name in enumerate(names, 1):
            left.append(item.children[name])
            left.append(f"{',' if at < len(names) else ''}{encode_text(name)}:")
    return "".join(parts)


def _fields_json(node: Node) -> str:
    expires = encode_time(node.expires_ns) if node.expires_ns else NEVER
    return (
        f'{{"Path":{encode_text(node.path)},"CreatedIndex":{node.created},"ModifiedIndex":{node.modified},'
        f'"ExpireTime":"{expires}","Value":{encode_text(node.value or "")},"Children":'
    )


def _queue_json(history: EventHistory) -> str:
    """Events stand where etcd, which has begun at the first slot and gone round, would have them."""
    texts = [event.to_json(with_refresh=True) for event in history.events]
    size = len(texts)
    front = history.last % EVENTS_MAX if size == EVENTS_MAX else 0
    slots = texts[size - front :] + texts[: size - front] if front else texts
    slots += ["null"] * (EVENTS_MAX - size)
    back = (front + size) % EVENTS_MAX
    return f'{{"Events":[{",".join(slots)}],"Size":{size},"Front":{front},"Back":{back},"Capacity":{EVENTS_MAX}}}'


# ---- reading ----


def decode(data: bytes) -> V2Store:
    """raises ValueError: this is no v2 store, or its directories are nested too deeply to be read"""
    try:
        said = json.loads(data)
        store = V2Store()
        store.changes.clear()
        _load_tree(store, said["Root"])
        store.index = _number(said["CurrentIndex"])
        store.statistics.load(said.get("Stats"))
        store.hub = WatcherHub(_history(said["WatcherHub"]["EventHistory"], store.index))
    except (KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise ValueError(f"no v2 store: {error!r}") from None
    store.events.extend(store.hub.history.events)
    return store


def _load_tree(store: V2Store, root: Any) -> None:
    store.root.children = {}
    left: list[tuple[Any, Node]] = [(child, store.root) for child in _children(root, "/")]
    while left:
        said, parent = left.pop()
        node = node_of(said["path"], _file_value(said), said["CreatedIndex"], said["ModifiedIndex"], said["expires"])
        plant(store, parent, node)
        if node.is_dir:
            left += [(child, node) for child in _children(said, node.path)]


def node_of(path: str, value: str | None, created: Any, modified: Any, expires_ns: int) -> Node:
    """raises ValueError: what came from outside is no number"""
    node = Node(path, value, _number(created), None, expires_ns)
    node.modified = _number(modified)
    return node


def plant(store: V2Store, parent: Node, node: Node) -> None:
    """A node as somebody else has written it down. raises ValueError: its parent is a file"""
    if parent.children is None:
        raise ValueError(f"{node.path} is below a file")
    node.parent = parent
    parent.children[node.name] = node
    store.changes[node.path] = node
    if node.expires_ns:
        store.expiry.note(node)


def _children(said: Any, path: str) -> Iterator[Any]:
    """With the path that their names give them: nothing else is trusted."""
    for name, child in said["Children"].items():
        if not name or "/" in name or name in (".", ".."):
            raise ValueError(f"no name of a node: {name!r}")
        expires = child["ExpireTime"]
        at_ns = 0 if expires.startswith("0001-01-01T00:00:00") else decode_time(expires)
        yield child | {"path": f"{path.rstrip('/')}/{name}", "expires": at_ns}


def _file_value(said: Any) -> str | None:
    if said["Children"] is not None:
        return None
    value = said["Value"]
    if not isinstance(value, str):
        raise ValueError(f"the value of {said['path']} is no text")
    return value


def _history(said: Any, index: int) -> EventHistory:
    queue = said["Queue"]
    slots, size, front = queue["Events"], _number(queue["Size"]), _number(queue["Front"])
    events = [decode_event(slots[(front + n) % len(slots)]) for n in range(min(size, len(slots)))]
    return history_of(events, index)


def history_of(events: list[Event], index: int) -> EventHistory:
    """As far back from index as there is no gap: events are found by counting."""
    begin = len(events)
    while begin and events[begin - 1].store_index == index - (len(events) - begin):
        begin -= 1
    return EventHistory(index, events[begin:])


def decode_event(said: Any) -> Event:
    """Of parsed JSON. raises ValueError, KeyError, TypeError, AttributeError: it is no event"""
    node = _decode_view(said["node"])
    before = said.get("prevNode")
    return Event(
        str(said["action"]),
        node,
        None if before is None else _decode_view(before),
        node.modified,
        bool(said.get("refresh")),
    )


def _decode_view(said: Any) -> NodeView:
    value = said.get("value")
    expires = said.get("expiration")
    return NodeView(
        str(said["key"]),
        None if value is None else str(value),
        bool(said.get("dir")),
        decode_time(expires) if expires else 0,
        _signed(said.get("ttl", 0)),
        (),
        _number(said.get("modifiedIndex", 0)),
        _number(said.get("createdIndex", 0)),
    )


def _number(said: Any) -> int:
    if type(said) is not int or said < 0:
        raise ValueError(f"no index: {said!r}")
    return said


def _signed(said: Any) -> int:
    if type(said) is not int:
        raise ValueError(f"no number: {said!r}")
    return said
