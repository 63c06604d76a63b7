"""Reads a store at start: leases, meta, and the key index, out of every record that is left or out of pages."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from etcdz.mvcc.index_pages import FIELDS, IndexPages, Page
from etcdz.mvcc.key_index import KeyIndex
from etcdz.mvcc.leases import LeaseTable
from etcdz.proto import mvccpb
from etcdz.proto.fields import encode_varint, record_key
from etcdz.proto.tags import KV_VERSION
from etcdz.store import buckets
from etcdz.store.interface import Store

_EVERYWHERE = b"\xff"


class StoreCorrupt(Exception):
    """The store does not hold what it must: the member has to stop."""


class Loaded(NamedTuple):
    """What a store says besides the index. Without a compaction the compaction revisions are -1."""

    revision: int
    compact_revision: int
    finished_compact: int
    consistent_index: int
    term: int


def load(store: Store, index: KeyIndex, leases: LeaseTable, pages: IndexPages, reads_all: bool = True) -> Loaded:
    """Fills index, leases and pages.

    reads_all   every row is read, so that damage shows now; else no records but those that no page lists
    raises      StoreCorrupt: a revision is missing that no compaction took. OSError: a row is not as it was written
    """
    listed: Iterable[Page] = pages.read()
    if reads_all:
        for lo, hi in ((b"", buckets.KEY), (buckets.bucket_end(buckets.KEY), _EVERYWHERE)):
            for _ in store.iterate(lo, hi, verify=True):
                pass
        for _ in listed:
            pass
        listed = ()
    for _, row in store.iterate(buckets.LEASE, buckets.bucket_end(buckets.LEASE), verify=True):
        leases.load(row)
    scheduled = _compaction(store, buckets.SCHEDULED_COMPACT)
    finished = _compaction(store, buckets.FINISHED_COMPACT)
    compacted = max(scheduled, finished)
    last = _load_index(store, index, leases, max(compacted, 1), listed)
    pages.complete(last, looks_everywhere=reads_all)
    return Loaded(
        revision=max(last, compacted, 1),
        compact_revision=compacted,
        finished_compact=finished,
        consistent_index=int.from_bytes(store.get(buckets.CONSISTENT_INDEX) or b"", "big"),
        term=int.from_bytes(store.get(buckets.TERM) or b"", "big"),
    )


def _compaction(store: Store, key: bytes) -> int:
    value = store.get(key)
    return -1 if value is None else buckets.decode_revision(value)[0]


def _load_index(store: Store, index: KeyIndex, leases: LeaseTable, floor: int, listed: Iterable[Page]) -> int:
    """return the last main revision; those above floor must follow on one another"""
    last = floor
    lo = buckets.KEY
    for first, end, fields in listed:
        hi = buckets.KEY + first.to_bytes(8, "big")
        if lo < hi:
            last = _load_records(store, index, leases, last, lo, hi)
        last = _load_page(index, leases, last, fields)
        lo = buckets.KEY + (end + 1).to_bytes(8, "big")
    last = _load_records(store, index, leases, last, lo, buckets.bucket_end(buckets.KEY))
    index.adopt()
    return last


def _load_page(index: KeyIndex, leases: LeaseTable, last: int, fields: list[Any]) -> int:
    """As _load_records, by what a page lists."""
    restore, has_leases = index.restore, bool(leases.by_id)
    for main, sub, created, version, lease, key in zip(*[iter(fields)] * FIELDS, strict=True):
        if main > last:
            _check_next(main, last)
            last = main
        if not version:
            _restore_tombstone(index, leases, key, main, sub)
            continue
        restore(key, main, sub, created, version)
        if has_leases:
            _attach(leases, key, lease)
    return last


def _check_next(main: int, last: int) -> None:
    if main != last + 1:
        raise StoreCorrupt(f"store: revisions {last + 1} to {main - 1} are missing")


def _load_records(store: Store, index: KeyIndex, leases: LeaseTable, floor: int, lo: bytes, hi: bytes) -> int:
    """The records between two store keys. return the last main revision, floor if there is none above it

    A record of a key not met before, whose two revisions are the same bytes and whose version is 1, was the key's
    first: most records of a large store are that, and they are not worth a parser each.
    """
    entries, restore, parse = index.entries, index.restore, mvccpb.KeyValue.FromString
    has_leases = bool(leases.by_id)
    last = floor
    first = KV_VERSION + b"\x01"
    n = 1  # bytes of a revision's varint
    for name, record in store.iterate(lo, hi, verify=True):
        main = int.from_bytes(name[4:12], "big")
        if main > last:
            if main != last + 1:
                raise StoreCorrupt(f"store: revisions {last + 1} to {main - 1} are missing")
            last = main
        sub = 0
        if name[12:] != buckets.FIRST_SUB:
            sub = int.from_bytes(name[13:21], "big")
            if len(name) == buckets.TOMBSTONE_KEY_BYTES:
                _restore_tombstone(index, leases, record_key(record), main, sub)
                continue
        if main >> 7 * n:
            n = len(encode_varint(main))
        at = record[1] + 2
        key = record[2:at] if at < 130 else record_key(record)
        if key in entries:
            restore(key, main, sub, 0, 0)
        elif (
            record[at + 1 : at + 1 + n] == record[at + 2 + n : at + 2 + n + n]
            and record[at + 2 + n + n : at + 4 + n + n] == first
            and at < 130
        ):
            entries[key] = main << 32 | sub
        else:
            kv = parse(record)
            restore(key, main, sub, kv.create_revision, kv.version)
        if has_leases:
            _attach(leases, key, parse(record).lease)
    return last


def _restore_tombstone(index: KeyIndex, leases: LeaseTable, key: bytes, main: int, sub: int) -> None:
    index.restore_tombstone(key, main, sub)
    leases.detach(key)


def _attach(leases: LeaseTable, key: bytes, lease_id: int) -> None:
    if lease_id:
        leases.attach(key, lease_id)
    else:
        leases.detach(key)
