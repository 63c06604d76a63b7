"""Reads a store at start: leases, meta, and the key index out of every record that is left."""

from typing import NamedTuple

from etcdz.mvcc import buckets
from etcdz.mvcc.encoding import encode_varint, record_key
from etcdz.mvcc.key_index import KeyIndex
from etcdz.mvcc.leases import LeaseTable
from etcdz.mvcc.store import Store
from etcdz.proto import mvccpb


class StoreCorrupt(Exception):
    """The store does not hold what it must: the member has to stop."""


class Loaded(NamedTuple):
    """What a store says besides the index. Without a compaction the compaction revisions are -1."""

    revision: int
    compact_revision: int
    finished_compact: int
    consistent_index: int
    term: int


def load(store: Store, index: KeyIndex, leases: LeaseTable) -> Loaded:
    """Fills index and leases. raises StoreCorrupt if a revision is missing that no compaction took."""
    for _, row in store.iterate(buckets.LEASE, buckets.bucket_end(buckets.LEASE)):
        leases.load(row)
    scheduled = _compaction(store, buckets.SCHEDULED_COMPACT)
    finished = _compaction(store, buckets.FINISHED_COMPACT)
    compacted = max(scheduled, finished)
    last = _load_records(store, index, leases, max(compacted, 1))
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


def _load_records(store: Store, index: KeyIndex, leases: LeaseTable, floor: int) -> int:
    """return the last main revision; those above floor must follow on one another."""
    entries = index.entries
    restore, restore_tombstone = index.restore, index.restore_tombstone
    fresh = index.add_new
    parse = mvccpb.KeyValue.FromString
    has_leases = bool(leases.by_id)
    last = floor
    first_fields = _first_fields(last)
    for name, record in store.iterate(buckets.KEY, buckets.bucket_end(buckets.KEY)):
        main = int.from_bytes(name[4:12], "big")
        if main > last:
            if main != last + 1:
                raise StoreCorrupt(f"store: revisions {last + 1} to {main - 1} are missing")
            last = main
            first_fields = _first_fields(main)
        size = record[1]
        at = size + 2
        key = record[2:at] if size < 128 else record_key(record)
        if name[12:] == buckets.FIRST_SUB:
            sub = 0
        else:
            sub = int.from_bytes(name[13:21], "big")
            if len(name) == buckets.TOMBSTONE_KEY_BYTES:
                restore_tombstone(key, main, sub)
                leases.detach(key)
                continue
        if key not in entries:
            if main == last and size < 128 and record.startswith(first_fields, at):
                fresh(key, main << 32 | sub)  # written once: the most common record of a large store
            else:
                kv = parse(record)
                restore(key, main, sub, kv.create_revision, kv.version)
        else:
            restore(key, main, sub, 0, 0)
        if has_leases:
            _attach(leases, key, parse(record).lease)
    return last


def _first_fields(main: int) -> bytes:
    """What stands behind the key in the record of a key that was created by that revision."""
    mod = encode_varint(main)
    return b"\x10" + mod + b"\x18" + mod + b"\x20\x01"


def _attach(leases: LeaseTable, key: bytes, lease_id: int) -> None:
    if lease_id:
        leases.attach(key, lease_id)
    else:
        leases.detach(key)
