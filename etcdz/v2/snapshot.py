"""The v2 store as the JSON that a .snap holds, byte for byte as etcd 3.5 writes it:

    {"Root":NODE,"WatcherHub":{"EventHistory":{"Queue":QUEUE,"StartIndex","LastIndex"}},"CurrentIndex","Stats",
     "CurrentVersion":2}
    NODE  := {"Path","CreatedIndex","ModifiedIndex","ExpireTime","Value","Children":{name:NODE,...} or null}
    QUEUE := {"Events":[event or null, 1,000 of them],"Size","Front","Back","Capacity":1000}

Source: etcd 3.5 api/v2store (store, node, event queue), read off a running 3.5.1.
"""

import json
from collections.abc import Iterator
from itertools import chain
from typing import Any, Final

from etcdz.v2.events import Event, NodeView
from etcdz.v2.frozen_tree import STEP_NODES, FrozenTree
from etcdz.v2.go_json import NEVER, decode_time, encode_text, encode_time
from etcdz.v2.history import EVENTS_MAX, EventHistory
from etcdz.v2.node import Node
from etcdz.v2.store import V2Store
from etcdz.v2.watchers import WatcherHub

STORE_VERSION: Final = 2
_STEP_PARTS: Final = 2 * STEP_NODES
"""Two for each file."""


# ---- writing ----


def encode(store: V2Store) -> bytes:
    """The data of a .snap."""
    return "".join(pieces(store)).encode()


def pieces(store: V2Store) -> Iterator[str]:
    """The same in pieces, some of them empty, of the store as it is at the call."""
    history = store.hub.history
    tail = (
        f',"StartIndex":{history.first},"LastIndex":{history.last}}}}},"CurrentIndex":{store.index},'
        f'"Stats":{store.statistics.to_json(store.hub.count)},"CurrentVersion":{STORE_VERSION}}}'
    )
    return chain(
        ('{"Root":',),
        _tree_pieces(store.freeze(), store.root),
        (',"WatcherHub":{"EventHistory":{"Queue":',),
        _queue_pieces(list(history.events), history.last),
        (tail,),
    )


def _tree_pieces(tree: FrozenTree, root: Node) -> Iterator[str]:
    """NB: without recursion, as directories may be nested deeper than calls."""
    parts = [_fields_json(tree.state_of(root)), "{"]
    levels = [(yield from tree.sort_children_of(tree.state_of(root)))]
    glue = ""
    while levels:
        for name, child in levels[-1]:
            if len(parts) >= _STEP_PARTS:
                yield "".join(parts)
                parts.clear()
            state = tree.state_of(child)
            parts.append(f"{glue}{encode_text(name)}:{_fields_json(state)}")
            if state.children is not None:
                parts.append("{")
                levels.append((yield from tree.sort_children_of(state)))
                glue = ""
                break
            parts.append("null}")
            glue = ","
        else:
            parts.append("}}")
            levels.pop()
            glue = ","
    yield "".join(parts)


def _fields_json(node: Node) -> str:
    expires = encode_time(node.expires_ns) if node.expires_ns else NEVER
    return (
        f'{{"Path":{encode_text(node.path)},"CreatedIndex":{node.created},"ModifiedIndex":{node.modified},'
        f'"ExpireTime":"{expires}","Value":{encode_text(node.value or "")},"Children":'
    )


def _queue_pieces(events: list[Event], last: int) -> Iterator[str]:
    """Events stand where etcd, which has begun at the first slot and gone round, would have them."""
    size = len(events)
    front = last % EVENTS_MAX if size == EVENTS_MAX else 0
    slots = events[size - front :] + events[: size - front] if front else events
    yield '{"Events":['
    for at in range(0, size, STEP_NODES):
        texts = [event.to_json(with_refresh=True) for event in slots[at : at + STEP_NODES]]
        yield ("," if at else "") + ",".join(texts)
    nulls = ",".join(["null"] * (EVENTS_MAX - size))
    glue = "," if nulls and size else ""
    back = (front + size) % EVENTS_MAX
    yield f'{glue}{nulls}],"Size":{size},"Front":{front},"Back":{back},"Capacity":{EVENTS_MAX}}}'


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
