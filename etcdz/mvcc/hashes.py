"""HashKV and Hash: the numbers by which members compare their data, the same as etcd's for the same history.

HashKV at r, with a compaction at c: CRC-32C over "key", then name and record of every revision <= r in order, where
  - one <= c counts only if a compaction *at r* would keep it: it is what its key shows at r;
  - unless nothing at all is kept at r: then every one that the compaction at c has left counts;
  - a tombstone at c itself never counts, since etcd before 3.5.16 deletes it and later ones keep it.
Names are revision bytes without the bucket. Source: etcd 3.5.33 server/mvcc/hash.go.
At c itself etcd from 3.5.9 on answers with the hash that was there before the compaction, and the compaction before c,
until it is restarted: it has computed that while it compacted, unless the compaction before was not finished. So does
HashKvJob: out of PassedRecords, which stand for what was deleted as well, and of what is left in front of them.
Something is always kept then, as newer versions keep a tombstone at c. etcd before 3.5.9 answers COMPACTED.
NB: etcd remembers the hashes of its last ten compactions; here those below c are COMPACTED.
"""

from collections.abc import Iterator
from itertools import chain, islice
from typing import NamedTuple

import google_crc32c

from etcdz.api import errors
from etcdz.api.errors import EtcdError
from etcdz.mvcc.key_index import KeyIndex
from etcdz.mvcc.state import KvState
from etcdz.proto.fields import record_key
from etcdz.store import buckets

_PARTS_MAX = 1024
_NAME_AT = len(buckets.KEY)


class KvHash(NamedTuple):
    """hash: CRC-32C; revision: up to which; compact_revision: of the compaction before, -1 for none."""

    hash: int
    compact_revision: int
    revision: int


class KvHasher:
    """Takes records in ascending order of revision."""

    __slots__ = ("_compacted", "_crc", "_index", "_none_kept", "_parts", "_revision")

    def __init__(self, index: KeyIndex, compacted: int, revision: int) -> None:
        self._index = index
        self._compacted = compacted
        self._revision = revision
        self._none_kept: bool | None = None
        self._crc: int = google_crc32c.value(b"key")
        self._parts: list[bytes] = []

    def add(self, name: bytes, record: bytes, main: int, tombstone: bool, kept: bool) -> None:
        """kept: whether the record is what its key shows at the hash's revision; asked only below the compaction."""
        if main <= self._compacted:
            if main == self._compacted and tombstone:
                return
            if not kept and not self._is_none_kept():
                return
        parts = self._parts
        parts.append(name[_NAME_AT:])
        parts.append(record)
        if len(parts) >= _PARTS_MAX:
            self._fold()

    def result(self) -> KvHash:
        self._fold()
        return KvHash(self._crc, self._compacted, self._revision)

    def _fold(self) -> None:
        self._crc = google_crc32c.extend(self._crc, b"".join(self._parts))
        self._parts.clear()

    def _is_none_kept(self) -> bool:
        if self._none_kept is None:
            self._none_kept = not self._index.shows_any(self._revision)
        return self._none_kept


class HashKvJob:
    """HashKV in slices, since a million records take seconds.

    Changes go on between steps: they are newer than the hash's revision. Only another compaction disturbs, and then
    it begins again, or finds its revision compacted.
    """

    __slots__ = ("_compacted", "_hasher", "_is_at", "_passed", "_revision", "_rows", "_state", "now")

    def __init__(self, state: KvState, revision: int) -> None:
        """revision: 0 for the current one; a negative one has the hash of no records, as in etcd."""
        self._state = state
        self.now = state.revision
        self._revision = revision or self.now
        self._is_at = revision > 0
        self._start()

    def _start(self) -> None:
        state, revision = self._state, self._revision
        self._compacted = state.compact_revision
        self._passed = state.passed if self._is_at and revision == self._compacted else None
        self._hasher = KvHasher(state.index, self._compacted, revision)
        self._rows = _records(state, revision if self._passed is None else self._passed.after)

    def step(self, limit: int | None = None) -> KvHash | EtcdError | None:
        """Takes up to limit records (None for all). return the hash, COMPACTED or FUTURE_REV, or None: more to do."""
        state, revision = self._state, self._revision
        if revision > self.now:
            return errors.FUTURE_REV
        if 0 < revision < state.compact_revision:
            return errors.COMPACTED
        if state.compact_revision != self._compacted:
            self._start()
        seen = 0
        for name, record in islice(self._rows, limit):
            seen += 1
            self._take(name, record)
        return None if seen == limit else self._result()

    def _result(self) -> KvHash:
        found, passed = self._hasher.result(), self._passed
        return found if passed is None else KvHash(passed.crc_behind(found.hash), passed.after, found.revision)

    def _take(self, name: bytes, record: bytes) -> None:
        main, sub, tombstone = buckets.decode_store_key(name)
        kept = True
        if main <= self._compacted:
            index = self._state.index
            key = record_key(record)
            kept = not tombstone and index.at(key, self._revision) == (main, sub)
            if not kept and (self._passed is not None or index.at(key, self._compacted) != (main, sub)):
                return  # dead since the compaction: the compaction takes it, or has just done so
        self._hasher.add(name, record, main, tombstone, kept)


def _records(state: KvState, revision: int) -> Iterator[tuple[bytes, bytes]]:
    """All records up to a revision, pending ones included: those are newer than all in the store."""
    end = buckets.KEY + max(revision + 1, 0).to_bytes(8, "big")
    pending = [(name, record) for name, record in state.pending.items() if buckets.KEY < name < end and record]
    return chain(state.store.iterate(buckets.KEY, end, verify=True), pending)


class HashJob:
    """Hash in slices: CRC-32C over all of etcd's buckets, names, then keys and values, without meta's consistent index
    and term. All as it is when the job begins: an iterator does not see what is written later."""

    __slots__ = ("_crc", "_pairs", "revision")

    def __init__(self, state: KvState) -> None:
        """Requires: nothing is pending."""
        self.revision = state.revision
        self._crc = 0
        small = {bucket: list(_bucket_rows(state, bucket)) for bucket in buckets.ALL if bucket != buckets.KEY}
        self._pairs = _all_pairs(small, _bucket_rows(state, buckets.KEY))

    def step(self, limit: int | None = None) -> int | None:
        """Takes up to limit rows (None for all). return the hash, or None: more to do"""
        seen = 0
        parts: list[bytes] = []
        for name, value in islice(self._pairs, limit):
            seen += 1
            parts += (name, value)
            if len(parts) >= _PARTS_MAX:
                self._crc = google_crc32c.extend(self._crc, b"".join(parts))
                parts.clear()
        self._crc = google_crc32c.extend(self._crc, b"".join(parts))
        return None if seen == limit else int(self._crc)


def _all_pairs(
    small: dict[bytes, list[tuple[bytes, bytes]]], records: Iterator[tuple[bytes, bytes]]
) -> Iterator[tuple[bytes, bytes]]:
    """What goes into the hash, in order: of each bucket its name, then names in it and values."""
    left_out = (buckets.CONSISTENT_INDEX, buckets.TERM)
    for bucket in buckets.ALL:
        yield bucket[:-1], b""
        for name, value in small.get(bucket, records):
            if name not in left_out:
                yield name[len(bucket) :], value


def _bucket_rows(state: KvState, bucket: bytes) -> Iterator[tuple[bytes, bytes]]:
    if bucket == buckets.KEY:
        return _records(state, state.write_revision)
    rows: dict[bytes, bytes | None] = dict(state.store.iterate(bucket, buckets.bucket_end(bucket)))
    rows |= {name: value for name, value in state.pending.items() if name.startswith(bucket)}
    return iter([(name, value) for name, value in sorted(rows.items()) if value is not None])
