"""The requests of the key-value service, on the state below: one InternalRaftRequest or one read each.

An answer is an Outcome: (gRPC code, error text or None, encoded response). Records are copied into answers as they
were stored, never encoded again.

Reads that may take long are steps (steps.py) that add to an Answer; a few at a time are under way while changes go on.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from etcdz.api import errors
from etcdz.api.errors import EtcdError
from etcdz.auth.intervals import Intervals
from etcdz.lease.question import CLOCK, NOT_KNOWN
from etcdz.mvcc import hashes, index_pages, ranges, transaction, writes
from etcdz.mvcc.answer import Answer
from etcdz.mvcc.compaction import ScheduledCompaction
from etcdz.mvcc.leases import lease_key
from etcdz.mvcc.operation_tally import value_bytes
from etcdz.mvcc.state import CACHE_BYTES, KvState
from etcdz.mvcc.steps import Steps, finish
from etcdz.proto import etcdserverpb as pb
from etcdz.proto.fields import HeaderPieces, encode_varint, int_field, message_field
from etcdz.proto.tags import (
    GRANT_ID,
    GRANT_TTL,
    HASH,
    HASH_KV_COMPACT_REVISION,
    HASH_KV_HASH,
    HASH_KV_HASH_REVISION,
    LEASE_STATUS_ID,
    LEASES_LEASES,
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
from etcdz.store.interface import Store

Outcome = tuple[int, str | None, bytes]
LargeOutcome = tuple[int, str | None, bytes | Answer]
"""The same, of which the response may be too large to be joined."""
WRITE_ANSWER_BYTES_MAX = 256 << 20
"""What a change may be answered with. It is made while the change is applied, and kept until it is sent."""
JOINED_BYTES_MAX = 4 << 20
"""A larger answer to a change stays in its pieces, and is not kept for a next backend."""


class Reading(NamedTuple):
    """A read that goes on step by step.

    steps      adds to the answer; what it returns is an error, or None
    pin        the oldest revision that it reads: no compaction above it may take records out meanwhile
    streams    whether what has been added may be taken and sent while the rest is made
    """

    steps: Steps[EtcdError | None]
    answer: Answer
    pin: int
    streams: bool


def failed(error: EtcdError) -> Outcome:
    """The outcome of a call that ends in one of etcd's errors."""
    return error.code, error.text, b""


_RANGE_KEY = RANGE_KEY[0]
_COUNT_ONE = RANGE_COUNT + b"\x01"
KEYS_IN_A_BREATH = 1024
SMALL_RECORD_BYTES_MAX = 64 << 10
"""A key with a larger one is read as a range is, so that what many of them are answered with is bounded."""


class Mvcc:
    """See the module. Methods take parsed requests that have passed `validate`; each is a transaction of its own.

    state        what the requests read and change
    compaction   takes out of the store what `compact` has put out of reach
    answer_bytes_max    of what a change, or a transaction, is answered with; larger ones get etcd's error for answers
                        that cannot be sent
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
        reads_all: bool = True,
    ) -> None:
        """raft_term: 0 for that of the last committed batch. Else as KvState, which also says what this raises."""
        self.state = KvState(store, lease_ttl_min_s=lease_ttl_min_s, cache_bytes=cache_bytes, reads_all=reads_all)
        self.member_id = member_id
        self.cluster_id = cluster_id
        self.checkpoint_persist = checkpoint_persist
        self.compaction = ScheduledCompaction(self.state)
        self.answer_bytes_max = WRITE_ANSWER_BYTES_MAX
        self._raft_term = raft_term or self.state.term
        self._set_pieces()

    # headers

    @property
    def raft_term(self) -> int:
        """Of the entry applied last: goes into the headers of answers."""
        return self._raft_term

    @raft_term.setter
    def raft_term(self, term: int) -> None:
        if term != self._raft_term:
            self._raft_term = term
            self._set_pieces()

    def _set_pieces(self) -> None:
        self._pieces = HeaderPieces(self.cluster_id, self.member_id, self._raft_term)
        self._header_revision = self.state.revision
        self._header = self._pieces.field(self._header_revision)

    def header(self) -> bytes:
        """The encoded field 1 of an answer, at the current revision."""
        revision = self.state.revision
        if self._header_revision != revision:
            self._header = self._pieces.field(revision)
            self._header_revision = revision
        return self._header

    def header_at(self, revision: int) -> bytes:
        """The same at another revision."""
        return self._pieces.field(revision)

    # requests that change something

    def put(self, request: pb.PutRequest) -> Outcome:
        """Checks as etcd: lease first, then a missing key with ignore_value or ignore_lease."""
        if request.lease and request.lease not in self.state.leases.by_id:
            return failed(errors.LEASE_NOT_FOUND)
        tally = self.state.tally
        looks = request.prev_kv or request.ignore_value or request.ignore_lease
        if (request.ignore_value or request.ignore_lease) and self.state.index.latest(request.key) is None:
            tally.count(ranges=1)
            return failed(errors.KEY_NOT_FOUND)
        prev = writes.put(self.state, request)
        tally.count(ranges=int(looks), puts=1)
        self.state.end()
        return 0, None, self.header() + prev

    def put_plain(self, key: bytes, key_field: bytes, value_field: bytes) -> bytes:
        """A put without options as a transaction of its own. return the encoded PutResponse

        The hot path: what KvState.end does stands here too.
        """
        state = self.state
        state.write_put(key, key_field, value_field)
        state.revision = revision = state.revision + 1
        state.changes = 0
        tally, size = state.tally, len(value_field)
        tally.puts += 1
        tally.put_bytes += len(key) + (size - 2 if 0 < size < 130 else value_bytes(size))
        return self._pieces.field(revision)

    def put_plain_txn(self, puts: Iterable[tuple[bytes, bytes, bytes]]) -> bytes:
        """Puts without options as one transaction: (key, key field, value field). return the encoded TxnResponse"""
        state, size = self.state, 0
        write = state.write_put
        for key, key_field, value_field in puts:
            write(key, key_field, value_field)
            size += len(key) + value_bytes(len(value_field))
        fields = transaction.answer_to_puts(state.revision, state.changes)
        state.tally.count(puts=state.changes)
        state.tally.put_bytes += size
        state.end()
        return self._pieces.field(state.revision) + fields

    def delete_range(self, request: pb.DeleteRangeRequest) -> LargeOutcome:
        answer = self._new_answer()
        finish(writes.delete_range(self.state, request, answer), self.state.breathe)
        self.state.tally.count(ranges=int(request.prev_kv), deletes=1)
        self.state.end()
        return self._outcome(answer)

    def txn(self, request: pb.TxnRequest) -> LargeOutcome:
        """Reads alone or with changes; nothing is changed if a check fails."""
        answer = self._new_answer()
        error = finish(transaction.steps(self.state, request, self.state.revision, answer), self.state.breathe)
        self.state.end()
        return self._outcome(answer) if error is None else failed(error)

    def _new_answer(self) -> Answer:
        answer = Answer(self.answer_bytes_max)
        answer.add(b"")  # the place of the header
        return answer

    def _outcome(self, answer: Answer) -> LargeOutcome:
        """Requires: the change has ended."""
        if (error := answer.error) is not None:
            return failed(error)
        answer.parts[0] = header = self.header()
        answer.size += len(header)
        return 0, None, answer if answer.size > JOINED_BYTES_MAX else answer.join()

    def compact(self, request: pb.CompactionRequest) -> Outcome:
        """Marks everything below a revision as gone; `compaction` takes it out of the store slice by slice."""
        revision = request.revision
        if revision <= self.state.compact_revision:
            return failed(errors.COMPACTED)
        if revision > self.state.revision:
            return failed(errors.FUTURE_REV)
        self.state.compact_revision = revision
        self.state.tally.ranges += 1  # NB: as etcd, which looks at a key to learn the revision that it answers with
        self.compaction.schedule(revision)
        mark = buckets.encode_revision(revision)
        self.state.pending[buckets.SCHEDULED_COMPACT] = self.state.pending[index_pages.MARK] = mark
        return 0, None, self.header()

    # leases

    def lease_grant(self, request: pb.LeaseGrantRequest) -> Outcome:
        lease = self.state.leases.grant(request.ID, request.TTL)
        if isinstance(lease, EtcdError):
            return failed(lease)
        self.state.pending[lease_key(request.ID)] = lease.encode()
        self.state.tally.grant(lease.ttl_s)
        return 0, None, self.header() + int_field(GRANT_ID, lease.lease_id) + int_field(GRANT_TTL, lease.ttl_s)

    def lease_revoke(self, request: pb.LeaseRevokeRequest) -> Outcome:
        """Deletes the lease and, at one revision, its keys."""
        keys = self.state.leases.revoke(request.ID)
        if isinstance(keys, EtcdError):
            return failed(keys)
        for number, key in enumerate(keys):
            self.state.write_delete(key, b"")
            if not number % KEYS_IN_A_BREATH:
                self.state.breathe()
        self.state.leases.forget(request.ID)
        self.state.tally.count(deletes=len(keys))
        self.state.tally.revoked += 1
        self.state.pending[lease_key(request.ID)] = None
        self.state.end()
        return 0, None, self.header()

    def lease_checkpoint(self, request: pb.LeaseCheckpointRequest) -> Outcome:
        """Notes what is left of TTLs; leases that are gone are passed over."""
        for checkpoint in request.checkpoints:
            lease = self.state.leases.checkpoint(checkpoint.ID, checkpoint.remaining_TTL)
            if lease is not None and self.checkpoint_persist:
                self.state.pending[lease_key(checkpoint.ID)] = lease.encode()
        return 0, None, self.header()

    def lease_keys(self, lease_id: int) -> Iterable[bytes]:
        """Those that are attached to a lease; none if there is no such lease."""
        lease = self.state.leases.by_id.get(lease_id)
        return () if lease is None else lease.keys

    def lease_time_to_live(self, body: bytes) -> bytes:
        """A LeaseTimeToLiveResponse. body: the lessor's CLOCK, then one byte: whether the keys are wanted."""
        lease_id, left_s = CLOCK.unpack_from(body)
        lease = self.state.leases.by_id.get(lease_id)
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
        by_id = self.state.leases.by_id
        ids = [lease_id for lease_id in known if lease_id in by_id]
        ids += [lease_id for lease_id in by_id if lease_id not in known]
        statuses = [message_field(LEASES_LEASES, int_field(LEASE_STATUS_ID, lease_id)) for lease_id in ids]
        return self.header() + b"".join(statuses)

    # reads

    def get_bytes(self, body: bytes, may_read: Intervals | None = None) -> bytes | None:
        """The answer to a RangeRequest as it came, validated, if that is one key without options (or serializable
        alone): the hot case. None: it is another, or the value is large, or the key is not in may_read.

        may_read    the keys that are answered; None: all
        """
        size = len(body)
        if 2 < size < 130 and body[0] == _RANGE_KEY:
            key_size = body[1]
            if key_size == size - 2:
                key = body[2:]
            elif key_size == size - 4 and body[-2:] == RANGE_SERIALIZABLE_TRUE:
                key = body[2:-2]
            else:
                return None
            return self._get(key) if may_read is None or may_read.cover(key) else None
        return None

    def _get(self, key: bytes) -> bytes | None:
        state = self.state
        record = state.young.get(key)
        if record is None:
            record = state.record_now(key)
        header = self._header if self._header_revision == state.revision else self.header()
        if record is None:
            state.tally.ranges += 1
            return header
        if len(record) > SMALL_RECORD_BYTES_MAX:
            return None
        state.tally.ranges += 1
        return header + RANGE_KVS + encode_varint(len(record)) + record + _COUNT_ONE

    def begin_range(self, request: pb.RangeRequest) -> Reading | EtcdError:
        """A range as of now, or of the revision that it names."""
        return self._begin(ranges.resolve, ranges.steps, request)

    def begin_chunk(self, request: pb.RangeRequest) -> Reading | EtcdError:
        """The same for a chunk of a RangeStream."""
        return self._begin(ranges.resolve_chunk, ranges.chunk_steps, request)

    def _begin(
        self, resolve: Callable[..., Any], steps: Callable[..., Steps[None]], request: pb.RangeRequest
    ) -> Reading | EtcdError:
        revision = resolve(self.state, request, self.state.revision)
        if isinstance(revision, EtcdError):
            self.state.tally.ranges += 1
            return revision
        answer = Answer()
        answer.add(self.header())
        return Reading(steps(self.state, request, revision, answer), answer, revision, True)

    def begin_txn(self, request: pb.TxnRequest) -> Reading:
        """A transaction that only reads, as of now."""
        answer = Answer(self.answer_bytes_max)
        answer.add(self.header())
        now = self.state.revision
        asked = [op.request_range.revision for op in (*request.success, *request.failure)]
        pin = min([now, *[revision for revision in asked if revision > 0]])
        return Reading(transaction.steps(self.state, request, now, answer), answer, pin, False)

    def range(self, request: pb.RangeRequest) -> Outcome:
        """A range, read to its end at once."""
        reading = self.begin_range(request)
        if isinstance(reading, EtcdError):
            return failed(reading)
        error = finish(reading.steps, self.state.breathe) or reading.answer.error
        self.state.tally.ranges += 1
        return failed(error) if error is not None else (0, None, reading.answer.join())

    # hashes, in slices

    def hash_kv_step(self, job: hashes.HashKvJob, limit: int | None = None) -> Outcome | None:
        """Goes on with a HashKvJob. return the outcome of the call, or None: step again."""
        found = job.step(limit)
        if found is None:
            return None
        if isinstance(found, EtcdError):
            return failed(found)
        fields = int_field(HASH_KV_HASH, found.hash) + int_field(HASH_KV_COMPACT_REVISION, found.compact_revision)
        return 0, None, self.header_at(job.now) + fields + int_field(HASH_KV_HASH_REVISION, found.revision)

    def hash_step(self, job: hashes.HashJob, limit: int | None = None) -> Outcome | None:
        """Goes on with a HashJob. return the outcome of the call, or None: step again."""
        found = job.step(limit)
        return None if found is None else (0, None, self.header_at(job.revision) + int_field(HASH, found))

    def db_size(self) -> int:
        """Bytes that the store takes up: what the quota is held against. A look costs 10 us."""
        return self.state.store.size()

    def db_size_in_use(self) -> int:
        """The same without what a defragmentation would give back."""
        return self.state.store.size_in_use()
