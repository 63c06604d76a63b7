"""The key-value state of a member: revisions, an index of them in memory, records in a store.

Changes collect in `pending` until `commit` writes them, the consistent index and the term as one batch: what a crash
leaves is always the state after some raft entry. Reads see pending changes at once.

A transaction is any number of `write_put` and `write_delete`, which write at `revision + 1`, and then `end`.
Records are kept and given out as they are stored: encoded KeyValues.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice

from etcdz.mvcc.index_pages import IndexPages
from etcdz.mvcc.key_index import MASK64, History, KeyIndex
from etcdz.mvcc.leases import LeaseTable
from etcdz.mvcc.loading import StoreCorrupt, load
from etcdz.mvcc.operation_tally import OperationTally
from etcdz.mvcc.passed_records import PassedRecords
from etcdz.mvcc.steps import STEP_BYTES, STEP_ROWS
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
DELETED_AT_ONCE = 4096
"""Keys that a delete takes before it draws breath."""


def _go_on() -> None:
    pass


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
    breathe            called now and then by what takes long inside one entry: the process is at work, and not stuck

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
        self.tally = OperationTally()
        self.breathe: Callable[[], None] = _go_on
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
        for at in range(0, len(keys), DELETED_AT_ONCE):
            self._delete(keys[at : at + DELETED_AT_ONCE])
            self.breathe()
        return len(keys)

    def _delete(self, keys: Sequence[bytes]) -> None:
        """Requires: they exist now."""
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

    def records_as_of(
        self, keys: Sequence[bytes], at: int, revision: int, bytes_max: int, is_kept: bool
    ) -> tuple[list[bytes], int]:
        """Encoded KeyValues as of a main revision, of those of keys[at:] that existed then, in this order.

        is_kept   whether what is read of the store goes into the cache
        return    (records, place of the first key that was not looked at): about bytes_max are read at a time
        """
        entries, young, old = self._entries, self.young.get, self._old.get
        fetch = self._record_of if is_kept else self._uncached
        latest_max = revision << 1 | 1
        found: list[bytes] = []
        for key in keys[at:] if at else keys:
            at += 1
            entry = entries.get(key)
            if entry is None:
                continue
            if type(entry) is not History:
                record = young(key) or old(key) or fetch(key) if entry >> 32 & MASK64 <= revision else None
            elif (last := entry.mains[-1]) <= latest_max:
                record = None if last & 1 else young(key) or old(key) or fetch(key)
            else:
                place = self.index.at(key, revision)
                record = None if place is None else self.record_at(*place)
            if record is not None:
                found.append(record)
                bytes_max -= len(record)
                if bytes_max < 0:
                    break
        return found, at

    @property
    def records_max(self) -> int:
        """About how many records the store holds, at most, unless transactions have written many at a time."""
        return len(self._entries) + self.revision - max(self.finished_compact, 0)

    def rows(self, revision: int) -> Iterator[list[tuple[bytes, bytes]]]:
        """All that is written up to a main revision as (store key, record), in the order of the store, some at a time.
        What is committed meanwhile does not disturb it."""
        end = buckets.KEY + (revision + 1).to_bytes(8, "big")
        uncommitted = [(name, record) for name, record in self.pending.items() if buckets.KEY < name < end and record]
        rows = chain(self.store.iterate(buckets.KEY, end), uncommitted)
        count = 1
        while found := list(islice(rows, count)):
            yield found
            size = sum([len(record) for _, record in found])
            count = max(1, min(STEP_ROWS, count * STEP_BYTES // (size + 1)))

    def shows(self, name: bytes, key: bytes, revision: int) -> bool:
        """Whether the record with this store key is what its key shows at a main revision."""
        main, sub, tombstone = buckets.decode_store_key(name)
        return not tombstone and self.index.at(key, revision) == (main, sub)

    def record_as_of(self, key: bytes, revision: int) -> bytes | None:
        """Encoded KeyValue of a key as of a main revision, None if it did not exist then."""
        if revision > self.revision or (revision == self.revision and not self.changes):
            return self.record_now(key)
        found, _ = self.records_as_of((key,), 0, revision, 0, True)
        return found[0] if found else None

    def _record_of(self, key: bytes) -> bytes:
        record = self.record_now(key)
        if record is None:
            raise StoreCorrupt(f"index has lost key {key!r}")
        return record

    def _uncached(self, key: bytes) -> bytes:
        """The same for what is in no cache, and is to stay out."""
        latest = self.index.latest(key)
        if latest is None:
            raise StoreCorrupt(f"index has lost key {key!r}")
        return self.record_at(latest[0], latest[1])

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
