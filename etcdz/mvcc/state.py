"""The key-value state of a member: revisions, an index of them in memory, records in a store.

Changes collect in `pending` until `commit` writes them, the consistent index and the term as one batch: what a crash
leaves is always the state after some raft entry. Reads see pending changes at once.

A transaction is any number of `write_put` and `write_delete`, which write at `revision + 1`, and then `end`.
Records are kept and given out as they are stored: encoded KeyValues.
"""

from collections.abc import Iterable

from etcdz.mvcc.index_pages import IndexPages
from etcdz.mvcc.key_index import History, KeyIndex
from etcdz.mvcc.leases import LeaseTable
from etcdz.mvcc.loading import StoreCorrupt, load
from etcdz.mvcc.passed_records import PassedRecords
from etcdz.proto.fields import bytes_field, encode_varint
from etcdz.proto.tags import KV_CREATE_REVISION, KV_KEY, KV_LEASE, KV_MOD_REVISION, KV_VERSION
from etcdz.store import buckets
from etcdz.store.buckets import put_key, tombstone_key
from etcdz.store.interface import Store

CACHE_BYTES = 64 << 20
"""Bytes of records kept in memory by key."""
CACHE_OVERHEAD_BYTES = 160
"""What a kept record costs beside its bytes."""
FRESH_KEYS_MAX = 20_000
"""New keys that may wait for their place in key order; sorting them in takes the next range 2 us each."""


class KvState:
    """See the module.

    revision           of the last transaction that changed something; 1 in a fresh store
    changes            so many keys the running transaction has changed
    compact_revision   reads below it are refused; -1 before the first compaction
    finished_compact   the last compaction that has taken all out of the store that it had to; -1 for none
    passed             what the compaction at compact_revision has passed over; None while it goes on, after a restart,
                       and if the one before had not finished
    pending            store key -> record (None deletes) of all that is applied and not yet committed
    consistent_index   raft index of the last committed batch
    flushed_index      raft index of the last batch that survives power loss
    term               raft term of the last committed batch
    pages              lists of large records in the store; see index_pages.py
    young              the younger half of the cache of records, by key

    Invariant: a key's record in young, else in _old, is its latest one; no record of a deleted key is in either.
    """

    def __init__(
        self, store: Store, *, lease_ttl_min_s: int = 1, cache_bytes: int = CACHE_BYTES, reads_all: bool = True
    ) -> None:
        """Reads what the store holds.

        lease_ttl_min_s   leases with a smaller TTL get this one
        cache_bytes       of records in memory; 0 keeps none beyond the next commit
        reads_all         False: large records are not read, so that damage in them shows only when they are
        raises            StoreCorrupt: a revision is missing that no compaction has taken
        """
        self.store = store
        self.index = KeyIndex()
        self._entries = self.index.entries
        self.leases = LeaseTable(lease_ttl_min_s)
        self.pending: dict[bytes, bytes | None] = {}
        self.pages = IndexPages(store)
        loaded = load(store, self.index, self.leases, self.pages, reads_all)
        self.revision: int = loaded.revision
        self.changes = 0
        self.compact_revision: int = loaded.compact_revision
        self.finished_compact: int = loaded.finished_compact
        self.passed: PassedRecords | None = None
        self.consistent_index: int = loaded.consistent_index
        self.flushed_index: int = loaded.consistent_index
        self.term: int = loaded.term
        self.young: dict[bytes, bytes] = {}
        self._old: dict[bytes, bytes] = {}
        self._young_bytes = 0
        self._young_bytes_max = cache_bytes // 2

    # one transaction

    @property
    def write_revision(self) -> int:
        """The revision that a read inside the running transaction sees, and that its answers carry."""
        return self.revision + 1 if self.changes else self.revision

    def write_put(self, key: bytes, key_field: bytes, value_field: bytes, lease_id: int = 0) -> None:
        """Puts a key at the next revision. key_field, value_field: encoded for a KeyValue, the value's may be empty.

        The hottest code of a member: what KeyIndex.put does stands here too, for keys with a history.
        """
        main = self.revision + 1
        changes = self.changes
        entry = self._entries.get(key)
        if entry.__class__ is History and not entry.mains[-1] & 1:
            if changes or entry.subs is not None:
                entry.append(main, changes, 0)
            else:
                entry.mains.append(main << 1)
            entry.version = version = entry.version + 1
            created = entry.created
        else:
            created, version = self.index.put(key, main, changes)
        mod = encode_varint(main)
        create = mod if created == main else encode_varint(created)
        parts = (
            key_field,
            KV_CREATE_REVISION,
            create,
            KV_MOD_REVISION,
            mod,
            KV_VERSION,
            encode_varint(version),
            value_field,
        )
        record = b"".join(parts)
        leases = self.leases
        if lease_id:
            record += KV_LEASE + encode_varint(lease_id)
            leases.attach(key, lease_id)
        elif leases.lease_of:
            leases.detach(key)
        self.pending[put_key(main, changes)] = self.young[key] = record
        self._young_bytes += len(record) + CACHE_OVERHEAD_BYTES
        self.changes = changes + 1

    def write_delete(self, lo: bytes, hi: bytes | None) -> int:
        """Deletes the keys of a range at the next revision. hi: of `ranges.range_end`. return how many there were"""
        keys = self.index.keys_now(lo, hi)
        if not keys:
            return 0
        main = self.revision + 1
        changes = self.changes
        self.index.tombstones(keys, main, changes)
        young, old, pending, leases = self.young, self._old, self.pending, self.leases
        for at, key in enumerate(keys, changes):
            pending[tombstone_key(main, at)] = bytes_field(KV_KEY, key)
            young.pop(key, None)
            old.pop(key, None)
            if leases.lease_of:
                leases.detach(key)
        self.changes = changes + len(keys)
        return len(keys)

    def end(self) -> None:
        """Ends the transaction; without changes the revision stays."""
        if self.changes:
            self.revision += 1
            self.changes = 0

    # records

    def record_now(self, key: bytes) -> bytes | None:
        """Encoded KeyValue of a key as it is now, in a transaction with its changes so far; None if there is none."""
        record = self.young.get(key)
        if record is not None:
            return record
        record = self._old.get(key)
        if record is None:
            latest = self.index.latest(key)
            if latest is None:
                return None
            record = self.record_at(latest[0], latest[1])
        self.young[key] = record
        self._young_bytes += len(record) + CACHE_OVERHEAD_BYTES
        if self._young_bytes > self._young_bytes_max:
            self._rotate()
        return record

    def records_of(self, keys: Iterable[bytes]) -> list[bytes]:
        """record_now of keys that exist."""
        young, old, fetch = self.young.get, self._old.get, self._record_of
        return [young(key) or old(key) or fetch(key) for key in keys]

    def _record_of(self, key: bytes) -> bytes:
        record = self.record_now(key)
        if record is None:
            raise StoreCorrupt(f"index has lost key {key!r}")
        return record

    def record_at(self, main: int, sub: int) -> bytes:
        """Encoded KeyValue of a revision that the index knows. raises StoreCorrupt: the store does not have it"""
        key = put_key(main, sub)
        record = self.pending.get(key) or self.store.get(key)
        if record is None:
            raise StoreCorrupt(f"store has no record of revision {main}_{sub}")
        return record

    def _rotate(self) -> None:
        """Drops the older half of the cache. Halves instead of single records: no list of ages to keep."""
        self._old = self.young
        self.young = {}
        self._young_bytes = 0

    # commit

    def commit(
        self,
        consistent_index: int,
        term: int,
        extra_puts: Iterable[tuple[bytes, bytes, bytes | None]] = (),
        sync: bool = False,
    ) -> bool:
        """Writes all that is pending, the consistent index and the term as one batch.

        extra_puts   (bucket with its separator, key, value or None) of other modules
        return       whether everything up to consistent_index now survives power loss
        """
        batch = self.pending
        for bucket, key, value in extra_puts:
            batch[bucket + key] = value
        batch[buckets.CONSISTENT_INDEX] = consistent_index.to_bytes(8, "big")
        batch[buckets.TERM] = term.to_bytes(8, "big")
        durable = self.store.write(batch, sync)
        self.pending = {}
        self.consistent_index, self.term = consistent_index, term
        if durable:
            self.flushed_index = consistent_index
        if self._young_bytes > self._young_bytes_max:
            self._rotate()
        self.index.merge(FRESH_KEYS_MAX)
        if self.store.written_bytes >= self.pages.due_at:
            self.pages.extend(self.revision)
        return durable
