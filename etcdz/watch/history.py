"""Changes out of the backend: what a batch is about to write, and what lies in the store, in bounded chunks.

History is read at the end of a backend's turn, when everything that was applied is in the store. A chunk always holds
whole revisions: all changes of one transaction reach a watcher together.
"""

import heapq
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from etcdz.mvcc.state import KvState
from etcdz.proto.fields import message_field, record_key
from etcdz.proto.tags import EVENT_PREV_KV
from etcdz.store import buckets
from etcdz.watch.events import Changes, encode_delete, encode_put
from etcdz.watch.ranges import Range, RangeMap

ROWS_MAX: Final = 500
"""Records that one chunk looks at, so that a backend's turn stays short; more only to end a revision."""
CHUNK_BYTES: Final = 1 << 20
_KEY_BUCKET_BYTES: Final = len(buckets.KEY)


class Chunk(NamedTuple):
    """Everything that happened to some ranges from a revision on, up to and with `through`."""

    through: int
    changes: Changes


def pending_changes(state: KvState, with_prev_kv: bool) -> list[Changes]:
    """What is applied and not yet committed, in order, cut between revisions to about CHUNK_BYTES each.

    with_prev_kv: whether the column prev_kvs is filled
    """
    rows = (
        (*buckets.decode_store_key(name), record)
        for name, record in state.pending.items()
        if name[:_KEY_BUCKET_BYTES] == buckets.KEY and record is not None
    )
    found: list[Changes] = []
    collector = _Collector(state, with_prev_kv)
    for main, sub, tombstone, record in rows:
        if collector.bytes >= CHUNK_BYTES and main != collector.changes.mains[-1]:
            found.append(collector.changes)
            collector = _Collector(state, with_prev_kv)
        collector.add(main, sub, tombstone, record_key(record), record)
    if collector.changes.mains:
        found.append(collector.changes)
    return found


def read_history(state: KvState, first: int, spans: Iterable[Range], with_prev_kv: bool) -> Chunk:
    """A chunk of what happened in spans from revision first on. Requires: nothing is pending, first >= the compacted
    revision."""
    wanted: RangeMap[bool] = RangeMap()
    for span in spans:
        wanted.set(span, True)
    rows = _walk_log(state, first) if wanted.has_spans else _walk_keys(state, first, wanted.exact)
    collector = _Collector(state, with_prev_kv)
    last = 0
    for seen, (main, sub, tombstone, record) in enumerate(rows):
        if main != last and (seen >= ROWS_MAX or collector.bytes >= CHUNK_BYTES):
            return Chunk(last, collector.changes)
        last = main
        key = record_key(record)
        if wanted.at(key):
            collector.add(main, sub, tombstone, key, record)
    return Chunk(max(state.revision, first - 1), collector.changes)


_Row = tuple[int, int, bool, bytes]
"""(main, sub, tombstone, record)"""


def _walk_log(state: KvState, first: int) -> Iterator[_Row]:
    """All records from a revision on."""
    lo = buckets.KEY + max(first, 0).to_bytes(8, "big")
    for name, record in state.store.iterate(lo, buckets.bucket_end(buckets.KEY)):
        yield *buckets.decode_store_key(name), record


def _walk_keys(state: KvState, first: int, keys: Iterable[bytes]) -> Iterator[_Row]:
    """The records of some keys from a revision on. The index names them, so that no other key is read."""
    for main, sub, tombstone in heapq.merge(*[state.index.revisions_since(key, first) for key in keys]):
        name = buckets.tombstone_key(main, sub) if tombstone else buckets.put_key(main, sub)
        record = state.store.get(name)
        if record is not None:  # a tombstone that a compaction has taken is in the index no longer than it needs
            yield main, sub, tombstone, record


class _Collector:
    """Changes as they are put together."""

    def __init__(self, state: KvState, with_prev_kv: bool) -> None:
        self._state = state
        self._with_prev_kv = with_prev_kv
        self.changes = Changes([], [], [], [])
        self.bytes = 0

    def add(self, main: int, sub: int, tombstone: bool, key: bytes, record: bytes) -> None:
        event = encode_delete(record, main) if tombstone else encode_put(record)
        self.changes.mains.append(main)
        self.changes.keys.append(key)
        self.changes.events.append(event)
        self.bytes += len(event) + len(key)
        if self._with_prev_kv:
            prev_kv = self._prev_kv(key, main)
            self.changes.prev_kvs.append(prev_kv)
            self.bytes += len(prev_kv)

    def _prev_kv(self, key: bytes, main: int) -> bytes:
        """The encoded field prev_kv: the key as of the revision before; nothing if that is compacted, as in etcd."""
        state = self._state
        if main - 1 < state.compact_revision:
            return b""
        place = state.index.at(key, main - 1)
        return b"" if place is None else message_field(EVENT_PREV_KV, state.record_at(*place))
