"""Takes compacted revisions out of the store in slices, so that no request waits longer than one slice.

Meta says how far it got: scheduledCompactRev is written with the compaction, finishedCompactRev with the last slice.
After a restart between the two it begins again at the finished one; records that are gone already are not met.

What the finished compaction has kept is one revision per key at most, so it need not be walked over again: records
from there on are looked at, in order, and the first one of a key that makes a kept one obsolete takes it along. A
compaction so costs what was written since the last one; etcd's costs the whole store.
"""

from itertools import islice

from etcdz.mvcc.passed_records import PassedRecords
from etcdz.mvcc.state import KvState
from etcdz.proto.fields import record_key
from etcdz.store import buckets

_NAME_AT = len(buckets.KEY)
TAKEN_BYTES = b"etcdz_meta\0scrubbed"
"""Store key: how many bytes the compaction under way has taken out so far (8, BE). It is in no hash."""


class ScheduledCompaction:
    """At most one compaction is under way; a newer one takes over the work of the one before.

    target    revision of the last compaction that was scheduled; -1 for none
    running   whether it still has records to take out

    Invariant: below the state's finished_compact the store holds what the compaction there keeps, less what this one
    has taken so far.
    """

    __slots__ = ("_cursor", "_passed", "_state", "_taken_bytes", "running", "target")

    def __init__(self, state: KvState) -> None:
        self._state = state
        self._taken_bytes = int.from_bytes(state.store.get(TAKEN_BYTES) or b"", "big")
        self._passed: PassedRecords | None = None
        self._begin(state.compact_revision)

    def schedule(self, target: int) -> None:
        """A compaction at a revision, above the one of the last."""
        # If another was under way it has deleted some of what this one would pass over; as in etcd, nobody knows then.
        self._passed = None if self.running else PassedRecords(self._state.finished_compact, target)
        self._state.passed = None
        self._begin(target)

    def _begin(self, target: int) -> None:
        finished = self._state.finished_compact
        self.target = target
        self.running = target > finished
        self._cursor = _first_name(finished)

    def step(self, limit: int) -> bool:
        """A slice: looks at up to limit records. return whether nothing is left to do

        Does nothing while changes are pending: the mark of a compaction has to be in the store before its deletes.
        """
        if not self.running or self._state.pending:
            return not self.running
        store = self._state.store
        batch, seen, last = self._look_at(limit)
        if batch:
            self._state.pages.note_deleted(batch)
            batch[TAKEN_BYTES] = self._taken_bytes.to_bytes(8, "big")
        if seen < limit:
            batch[TAKEN_BYTES] = None
            batch[buckets.FINISHED_COMPACT] = buckets.encode_revision(self.target)
        if batch:
            store.write(batch)
        if seen < limit:
            self._finish()
        else:
            self._cursor = last + b"\0"
        return not self.running

    def _look_at(self, limit: int) -> tuple[dict[bytes, bytes | None], int, bytes]:
        """(the batch that deletes what goes, how many records were looked at, store key of the last)."""
        state, target = self._state, self.target
        compact_record, finished = state.index.compact_record, state.finished_compact
        batch: dict[bytes, bytes | None] = {}
        passed: list[bytes] = []
        seen = taken = 0
        name = b""
        for name, record in islice(state.store.iterate(self._cursor, _first_name(target + 1)), limit):
            seen += 1
            main, sub, _ = buckets.decode_store_key(name)
            if main > finished:
                passed += (name[_NAME_AT:], record)
            kept, obsolete = compact_record(record_key(record), main, sub, target, finished)
            if not kept:
                batch[name] = None
                taken += len(name) + len(record)
            if obsolete is not None:
                batch[buckets.put_key(*obsolete)] = None
                taken += len(name) + len(record)  # about: a record of the same key
        self._taken_bytes += taken
        state.tally.compacted += len(batch)
        if self._passed is not None:
            self._passed = self._passed.and_then(passed)
        return batch, seen, name

    def _finish(self) -> None:
        state, target = self._state, self.target
        state.store.reclaim(_first_name(state.finished_compact), _first_name(target + 1), self._taken_bytes)
        state.finished_compact = target
        state.passed = self._passed
        self._taken_bytes = 0
        self.running = False


def _first_name(main: int) -> bytes:
    """Store key before all of a main revision."""
    return buckets.KEY + max(main, 0).to_bytes(8, "big")
