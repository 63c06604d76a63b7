"""From changes to the messages of the watchers that they concern.

    WatchResponse = header field 1 | [10 watch_id] | [18 created] [20 canceled] [28 compact_revision] [32 cancel_reason]
                    [38 fragment] | 5a event ...

All but the watch_id is the same for watchers of one range and variant: their events are joined once, and each message
is a short head and that body. Messages to watchers on one stream are sent as one piece: see group.py.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from etcdz.proto.tags import WATCH_FRAGMENT_TRUE
from etcdz.watch.events import Changes, is_delete, response_field
from etcdz.watch.group import Bundle
from etcdz.watch.ranges import RangeMap
from etcdz.watch.watcher import NO_DELETE, NO_PUT, PREV_KV, Watcher
from etcdz.wire.frames import FRAME_BYTES_DEFAULT, GRPC_PREFIX

JOINED_BODY_MAX = FRAME_BYTES_DEFAULT // 8
"""A longer body is not copied for each watcher; a frame less per message would save little."""
G = TypeVar("G")


class EventBatch:
    """Those of some changes that concern the watchers of one range, and the bodies made of them.

    picked     positions in changes, ascending
    """

    __slots__ = ("_bodies", "_changes", "picked")

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self.picked: list[int] = []
        self._bodies: dict[tuple[int, int], tuple[list[bytes], bytes]] = {}

    def fields_for(self, watcher: Watcher) -> tuple[list[bytes], bytes]:
        """(event fields, the same joined) that this watcher has not had; both empty if its filters pass none."""
        first = 0
        mains, picked = self._changes.mains, self.picked
        if mains[picked[0]] < watcher.next_revision:
            first = bisect_left(picked, watcher.next_revision, key=mains.__getitem__)
        key = (first, watcher.variant)
        found = self._bodies.get(key)
        if found is None:
            fields = self._fields(picked[first:], watcher.variant)
            found = self._bodies[key] = fields, b"".join(fields)
        return found

    def _fields(self, picked: Sequence[int], variant: int) -> list[bytes]:
        events, prev_kvs = self._changes.events, self._changes.prev_kvs
        if variant & (NO_PUT | NO_DELETE):
            picked = [i for i in picked if not variant & (NO_DELETE if is_delete(events[i]) else NO_PUT)]
        if variant & PREV_KV:
            return [response_field(events[i], prev_kvs[i]) for i in picked]
        return [response_field(events[i]) for i in picked]


def batch_events(changes: Changes, watchers: RangeMap[G]) -> list[tuple[G, EventBatch]]:
    """For each range that a change concerns: its watchers, and the batch for them."""
    batches: dict[int, tuple[G, EventBatch]] = {}
    if watchers.has_spans:
        for position, key in enumerate(changes.keys):
            for group in watchers.at(key):
                _batch_of(batches, group, changes).picked.append(position)
    else:
        exact = watchers.exact
        for position, key in enumerate(changes.keys):
            single = exact.get(key)
            if single is not None:
                _batch_of(batches, single, changes).picked.append(position)
    return list(batches.values())


def _batch_of(batches: dict[int, tuple[G, EventBatch]], group: G, changes: Changes) -> EventBatch:
    found = batches.get(id(group))
    if found is None:
        found = batches[id(group)] = group, EventBatch(changes)
    return found[1]


def joined(bundle: Bundle, header: bytes, body: bytes) -> Iterator[tuple[bytes, int]]:
    """The messages of a bundle, each with its gRPC prefix, in pieces that fit a frame: (piece, messages in it).

    Requires: body is JOINED_BODY_MAX at most.
    """
    ids = bundle.id_fields
    size = len(header) + len(ids[0]) + len(body)
    start = GRPC_PREFIX.pack(0, size) + header
    between = body + start
    count = FRAME_BYTES_DEFAULT // (GRPC_PREFIX.size + size)
    for at in range(0, len(ids), count):
        some = ids[at : at + count]
        yield b"%b%b%b" % (start, between.join(some), body), len(some)


def send_events(watcher: Watcher, header: bytes, fields: list[bytes], body: bytes, fragment_bytes: int) -> None:
    """A response with events; in fragments if the watcher wants that, and it has fragment_bytes or more."""
    head = header + watcher.id_field
    send = watcher.stream.client.send_parts
    if not watcher.fragment or len(head) + len(body) < fragment_bytes or len(fields) < 2:
        send(head, body)
        return
    pieces = list(cut(fields, fragment_bytes - len(head) - len(WATCH_FRAGMENT_TRUE)))
    for piece in pieces[:-1]:
        send(head + WATCH_FRAGMENT_TRUE, piece)
    send(head, pieces[-1])


def cut(fields: Iterable[bytes], room: int) -> Iterable[bytes]:
    """fields joined to pieces that are each of less than room bytes, or a single field.

    Source: etcd's sendFragments.
    """
    piece: list[bytes] = []
    size = 0
    for field in fields:
        if piece and size + len(field) >= room:
            yield b"".join(piece)
            piece, size = [], 0
        piece.append(field)
        size += len(field)
    yield b"".join(piece)
