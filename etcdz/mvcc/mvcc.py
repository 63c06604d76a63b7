"""The multi-version key-value state of a member: revisions, an index of them in memory, records in a store.

Changes collect in `pending` until `commit` writes them, the consistent index and the term as one batch: what a crash
leaves is always the state after some raft entry. Reads see pending changes at once.

An answer is an Outcome: (gRPC code, error text or None, encoded response). Records are copied into answers as they
were stored, never encoded again.
"""

from collections.abc import Iterable

from etcdz.api import errors
from etcdz.api.errors import EtcdError
from etcdz.lease.lessor import CLOCK, NOT_KNOWN
from etcdz.mvcc import hashes, ranges, transaction
from etcdz.mvcc.compaction import CompactSlice
from etcdz.mvcc.key_index import History, KeyIndex
from etcdz.mvcc.leases import LeaseTable, lease_key
from etcdz.mvcc.loading import StoreCorrupt, load
from etcdz.proto import etcdserverpb as pb
from etcdz.proto import mvccpb
from etcdz.proto.fields import HeaderPieces, bytes_field, encode_varint, int_field, message_field
from etcdz.proto.tags import (
    DELETED,
    DELETED_PREV_KVS,
    GRANT_ID,
    GRANT_TTL,
    HASH,
    HASH_KV_COMPACT_REVISION,
    HASH_KV_HASH,
    HASH_KV_HASH_REVISION,
    KV_CREATE_REVISION,
    KV_KEY,
    KV_LEASE,
    KV_MOD_REVISION,
    KV_VALUE,
    KV_VERSION,
    LEASE_STATUS_ID,
    LEASES_LEASES,
    PUT_PREV_KV,
    RANGE_COUNT,
    RANGE_KEY,
    RANGE_KVS,
    RANGE_SERIALIZABLE_TRUE,
    TIME_TO_LIVE_GRANTED_TTL,
    TIME_TO_LIVE_ID,
    TIME_TO_LIVE_KEYS,
    TIME_TO_LIVE_TTL,
)
from etcdz.store import buckets
from etcdz.store.buckets import put_key, tombstone_key
from etcdz.store.interface import Store

Outcome = tuple[int, str | None, bytes]

#: Bytes of records kept in memory by key, and what a kept record costs beside its bytes.
CACHE_BYTES = 64 << 20
CACHE_OVERHEAD_BYTES = 160
#: New keys that may wait for their place in key order; sorting them in takes the next range 2 us each.
FRESH_KEYS_MAX = 20_000


def failed(error: EtcdError) -> Outcome:
    """The outcome of a call that ends in one of etcd's errors."""
    return error.code, error.text, b""


_RANGE_KEY = RANGE_KEY[0]
_COUNT_ONE = RANGE_COUNT + b"\x01"


class Mvcc:
    """See the module. Methods take parsed requests that have passed `validate`.

    revision           of the last transaction that changed something; 1 in a fresh store
    compact_revision   reads below it are refused; -1 before the first compaction
    pending            store key -> record (None deletes) of all that is applied and not yet committed
    consistent_index   raft index of the last committed batch; flushed_index: of the last that survives power loss
    """

    def __init__(
        self,
        store: Store,
        member_id: int,
        cluster_id: int,
        *,
        raft_term: int = 0,
        lease_ttl_min_s: int = 1,
        checkpoint_persist: bool = False,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self.store = store
        self.member_id = member_id
        self.cluster_id = cluster_id
        self.index = KeyIndex()
        self._entries = self.index.entries
        self.leases = LeaseTable(lease_ttl_min_s)
        self.checkpoint_persist = checkpoint_persist
        self.pending: dict[bytes, bytes | None] = {}
        loaded = load(store, self.index, self.leases)
        self.revision: int = loaded.revision
        self.compact_revision: int = loaded.compact_revision
        self.consistent_index: int = loaded.consistent_index
        self.flushed_index: int = loaded.consistent_index
        self._term = self._raft_term = raft_term or loaded.term
        self.compaction = CompactSlice(self, loaded.finished_compact)
        # Invariant: a key's record in _young, else in _old, is its latest one; no record of a deleted key is in either.
        self._young: dict[bytes, bytes] = {}
        self._old: dict[bytes, bytes] = {}
        self._young_bytes = 0
        self._young_bytes_max = cache_bytes // 2
        self._changes = 0
        self._set_pieces()

    # headers

    @property
    def raft_term(self) -> int:
        """Goes into answers."""
        return self._raft_term

    @raft_term.setter
    def raft_term(self, term: int) -> None:
        if term != self._raft_term:
            self._raft_term = term
            self._set_pieces()

    def _set_pieces(self) -> None:
        self._pieces = HeaderPieces(self.cluster_id, self.member_id, self._raft_term)
        self._header = self._pieces.field(self.revision)
        self._header_revision = self.revision

    def header(self) -> bytes:
        """Field 1 of an answer, at the current revision."""
        if self._header_revision != self.revision:
            self._header = self._pieces.field(self.revision)
            self._header_revision = self.revision
        return self._header

    def header_at(self, revision: int) -> bytes:
        return self._pieces.field(revision)

    # one transaction: changes at `revision + 1`, then end()

    @property
    def write_revision(self) -> int:
        """The revision that a read inside the running transaction sees, and that its answers carry."""
        return self.revision + 1 if self._changes else self.revision

    def write_put(self, key: bytes, key_field: bytes, value_field: bytes, lease_id: int = 0) -> None:
        """Puts a key at the next revision. key_field, value_field: encoded for a KeyValue, the value's may be empty.

        The hottest code of a member: what KeyIndex.put does stands here too, for keys with a history.
        """
        main = self.revision + 1
        changes = self._changes
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
        self.pending[put_key(main, changes)] = self._young[key] = record
        self._young_bytes += len(record) + CACHE_OVERHEAD_BYTES
        self._changes = changes + 1

    def write_delete(self, lo: bytes, hi: bytes | None) -> int:
        """Deletes the keys of a range at the next revision. hi: of `ranges.range_end`. return how many there were."""
        keys = self.index.keys_now(lo, hi)
        if not keys:
            return 0
        main = self.revision + 1
        changes = self._changes
        self.index.tombstones(keys, main, changes)
        young, old, pending, leases = self._young, self._old, self.pending, self.leases
        for at, key in enumerate(keys, changes):
            pending[tombstone_key(main, at)] = bytes_field(KV_KEY, key)
            young.pop(key, None)
            old.pop(key, None)
            if leases.lease_of:
                leases.detach(key)
        self._changes = changes + len(keys)
        return len(keys)

    def end(self) -> None:
        """Ends the transaction; without changes the revision stays."""
        if self._changes:
            self.revision += 1
            self._changes = 0

    # requests that change something

    def put(self, request: pb.PutRequest) -> Outcome:
        """Checks as etcd: lease first, then a missing key with ignore_value or ignore_lease."""
        if request.lease and request.lease not in self.leases.by_id:
            return failed(errors.LEASE_NOT_FOUND)
        if (request.ignore_value or request.ignore_lease) and self.index.latest(request.key) is None:
            return failed(errors.KEY_NOT_FOUND)
        prev = self.put_in_txn(request)
        self.end()
        return 0, None, self.header() + prev

    def put_in_txn(self, request: pb.PutRequest) -> bytes:
        """A put whose checks have passed. return the encoded prev_kv field, or nothing."""
        key, lease_id = request.key, request.lease
        value_field = bytes_field(KV_VALUE, request.value)
        if not (request.prev_kv or request.ignore_value or request.ignore_lease):
            self.write_put(key, bytes_field(KV_KEY, key), value_field, lease_id)
            return b""
        record = self.record_now(key)
        if record is not None and (request.ignore_value or request.ignore_lease):
            before = mvccpb.KeyValue.FromString(record)
            if request.ignore_value:
                value_field = bytes_field(KV_VALUE, before.value)
            if request.ignore_lease:
                lease_id = before.lease
        self.write_put(key, bytes_field(KV_KEY, key), value_field, lease_id)
        return message_field(PUT_PREV_KV, record) if record is not None and request.prev_kv else b""

    def put_plain(self, key: bytes, key_field: bytes, value_field: bytes) -> bytes:
        """A put without options as a transaction of its own. return the encoded PutResponse."""
        self.write_put(key, key_field, value_field)
        self.revision += 1
        self._changes = 0
        return self._pieces.field(self.revision)

    def put_plain_txn(self, puts: Iterable[tuple[bytes, bytes, bytes]]) -> bytes:
        """Puts without options as one transaction: (key, key field, value field). return the encoded TxnResponse."""
        write = self.write_put
        for key, key_field, value_field in puts:
            write(key, key_field, value_field)
        fields = transaction.answer_to_puts(self.revision, self._changes)
        self.end()
        return self._pieces.field(self.revision) + fields

    def delete_range(self, request: pb.DeleteRangeRequest) -> Outcome:
        fields = self.delete_in_txn(request)
        self.end()
        return 0, None, self.header() + fields

    def delete_in_txn(self, request: pb.DeleteRangeRequest) -> bytes:
        """return the fields of a DeleteRangeResponse behind its header."""
        lo, hi = request.key, ranges.range_end(request.range_end)
        previous = ranges.records_now(self, lo, hi) if request.prev_kv else []
        deleted = self.write_delete(lo, hi)
        return int_field(DELETED, deleted) + b"".join([message_field(DELETED_PREV_KVS, record) for record in previous])

    def txn(self, request: pb.TxnRequest) -> Outcome:
        """Reads alone or with changes; nothing is changed if a check fails."""
        fields = transaction.run(self, request)
        self.end()
        if isinstance(fields, EtcdError):
            return failed(fields)
        return 0, None, self.header() + fields

    def compact(self, request: pb.CompactionRequest) -> Outcome:
        """Marks everything below a revision as gone; `compaction` takes it out of the store bit by bit."""
        revision = request.revision
        if revision <= self.compact_revision:
            return failed(errors.COMPACTED)
        if revision > self.revision:
            return failed(errors.FUTURE_REV)
        self.compact_revision = revision
        self.compaction.start(revision)
        self.pending[buckets.SCHEDULED_COMPACT] = buckets.encode_revision(revision)
        return 0, None, self.header()

    # leases

    def lease_grant(self, request: pb.LeaseGrantRequest) -> Outcome:
        lease = self.leases.grant(request.ID, request.TTL)
        if isinstance(lease, EtcdError):
            return failed(lease)
        self.pending[lease_key(request.ID)] = lease.encode()
        return 0, None, self.header() + int_field(GRANT_ID, lease.lease_id) + int_field(GRANT_TTL, lease.ttl_s)

    def lease_revoke(self, request: pb.LeaseRevokeRequest) -> Outcome:
        """Deletes the lease and, at one revision, its keys."""
        keys = self.leases.revoke(request.ID)
        if isinstance(keys, EtcdError):
            return failed(keys)
        for key in keys:
            self.write_delete(key, b"")
        self.leases.forget(request.ID)
        self.pending[lease_key(request.ID)] = None
        self.end()
        return 0, None, self.header()

    def lease_checkpoint(self, request: pb.LeaseCheckpointRequest) -> Outcome:
        """Notes what is left of TTLs; leases that are gone are passed over."""
        for checkpoint in request.checkpoints:
            lease = self.leases.checkpoint(checkpoint.ID, checkpoint.remaining_TTL)
            if lease is not None and self.checkpoint_persist:
                self.pending[lease_key(checkpoint.ID)] = lease.encode()
        return 0, None, self.header()

    def lease_time_to_live(self, body: bytes) -> bytes:
        """A LeaseTimeToLiveResponse. body: the lessor's CLOCK, then one byte: whether the keys are wanted."""
        lease_id, left_s = CLOCK.unpack_from(body)
        lease = self.leases.by_id.get(lease_id)
        fields = self.header() + int_field(TIME_TO_LIVE_ID, lease_id)
        if lease is None:
            return fields + int_field(TIME_TO_LIVE_TTL, -1)
        left_s = lease.ttl_s if left_s == NOT_KNOWN else left_s
        fields += int_field(TIME_TO_LIVE_TTL, left_s) + int_field(TIME_TO_LIVE_GRANTED_TTL, lease.ttl_s)
        keys = sorted(lease.keys) if body[CLOCK.size] else []
        return fields + b"".join([message_field(TIME_TO_LIVE_KEYS, key) for key in keys])

    def lease_leases(self, body: bytes) -> bytes:
        """A LeaseLeasesResponse. body: ids in the lessor's order; those that it has not heard of yet come last."""
        known = dict.fromkeys(int.from_bytes(body[at : at + 8], "big", signed=True) for at in range(0, len(body), 8))
        by_id = self.leases.by_id
        ids = [lease_id for lease_id in known if lease_id in by_id]
        ids += [lease_id for lease_id in by_id if lease_id not in known]
        statuses = [message_field(LEASES_LEASES, int_field(LEASE_STATUS_ID, lease_id)) for lease_id in ids]
        return self.header() + b"".join(statuses)

    # reads

    def range_bytes(self, body: bytes) -> Outcome:
        """A RangeRequest as it came, validated. One key without options (or serializable alone) is the hot case."""
        size = len(body)
        if 2 < size < 130 and body[0] == _RANGE_KEY:
            key_size = body[1]
            if key_size == size - 2:
                return self._get(body[2:])
            if key_size == size - 4 and body[-2:] == RANGE_SERIALIZABLE_TRUE:
                return self._get(body[2:-2])
        return self.range(pb.RangeRequest.FromString(body))

    def _get(self, key: bytes) -> Outcome:
        record = self._young.get(key)
        if record is None:
            record = self.record_now(key)
        header = self._header if self._header_revision == self.revision else self.header()
        if record is None:
            return 0, None, header
        return 0, None, header + RANGE_KVS + encode_varint(len(record)) + record + _COUNT_ONE

    def range(self, request: pb.RangeRequest) -> Outcome:
        fields = ranges.run(self, request)
        if isinstance(fields, EtcdError):
            return failed(fields)
        return 0, None, self.header() + fields

    def range_chunk(self, request: pb.RangeRequest) -> Outcome:
        fields = ranges.run_chunk(self, request)
        if isinstance(fields, EtcdError):
            return failed(fields)
        return 0, None, self.header() + fields

    def record_now(self, key: bytes) -> bytes | None:
        """Encoded KeyValue of a key as it is now, in a transaction with its changes so far; None if there is none."""
        record = self._young.get(key)
        if record is not None:
            return record
        record = self._old.get(key)
        if record is None:
            latest = self.index.latest(key)
            if latest is None:
                return None
            record = self.record_at(latest[0], latest[1])
        self._young[key] = record
        self._young_bytes += len(record) + CACHE_OVERHEAD_BYTES
        if self._young_bytes > self._young_bytes_max:
            self._rotate()
        return record

    def records_of(self, keys: Iterable[bytes]) -> list[bytes]:
        """record_now of keys that exist."""
        young, old, fetch = self._young.get, self._old.get, self._record_of
        return [young(key) or old(key) or fetch(key) for key in keys]

    def _record_of(self, key: bytes) -> bytes:
        record = self.record_now(key)
        if record is None:
            raise StoreCorrupt(f"index has lost key {key!r}")
        return record

    def record_at(self, main: int, sub: int) -> bytes:
        """Encoded KeyValue of a revision that the index knows. raises StoreCorrupt if the store does not have it."""
        key = put_key(main, sub)
        record = self.pending.get(key) or self.store.get(key)
        if record is None:
            raise StoreCorrupt(f"store has no record of revision {main}_{sub}")
        return record

    def _rotate(self) -> None:
        """Drops the older half of the cache. Halves instead of single records: no list of ages to keep."""
        self._old = self._young
        self._young = {}
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
        self.consistent_index = consistent_index
        if durable:
            self.flushed_index = consistent_index
        if self._young_bytes > self._young_bytes_max:
            self._rotate()
        self.index.merge(FRESH_KEYS_MAX)
        return durable

    def flush(self) -> int:
        """Makes all that is committed survive power loss. return the flushed index."""
        if self.flushed_index != self.consistent_index:
            self.store.sync()
            self.flushed_index = self.consistent_index
        return self.flushed_index

    def compact_slice(self, limit: int) -> bool:
        """Takes up to `limit` records that a compaction has put out of reach into account. return whether all is done.

        Does nothing while changes are pending: the mark of a compaction has to be in the store before its deletes.
        """
        if self.pending:
            return not self.compaction.running
        return self.compaction.step(limit)

    # hashes

    def hash_kv(self, request: pb.HashKVRequest) -> Outcome:
        """All at once; `hash_kv_step` is for those who have other things to do meanwhile."""
        outcome = self.hash_kv_step(hashes.HashKvJob(self, request.revision))
        assert outcome is not None, "a step without limit is the last"
        return outcome

    def hash_kv_step(self, job: hashes.HashKvJob, limit: int | None = None) -> Outcome | None:
        """Goes on with a HashKvJob. return the outcome of the call, or None: step again."""
        found = job.step(limit)
        if found is None:
            return None
        if isinstance(found, EtcdError):
            return failed(found)
        fields = int_field(HASH_KV_HASH, found.hash) + int_field(HASH_KV_COMPACT_REVISION, found.compact_revision)
        return 0, None, self.header_at(job.now) + fields + int_field(HASH_KV_HASH_REVISION, found.revision)

    def hash(self) -> Outcome:
        """All at once, as hash_kv."""
        outcome = self.hash_step(hashes.HashJob(self))
        assert outcome is not None, "a step without limit is the last"
        return outcome

    def hash_step(self, job: hashes.HashJob, limit: int | None = None) -> Outcome | None:
        """Goes on with a HashJob. return the outcome of the call, or None: step again."""
        found = job.step(limit)
        return None if found is None else (0, None, self.header_at(job.revision) + int_field(HASH, found))

    def db_size(self) -> int:
        return self.store.size()

    def db_size_in_use(self) -> int:
        return self.store.size_in_use()
