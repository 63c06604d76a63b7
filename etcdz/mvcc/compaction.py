"""Takes compacted revisions out of the store in slices, so that no request waits longer than one slice.

Meta says how far it got: scheduledCompactRev is written with the compaction, finishedCompactRev with the last slice.
After a restart between the two it begins again at the finished one; records that are gone already are not met.

What the finished compaction has kept is one revision per key at most, so it need not be walked over again: records
from there on are looked at, in order, and the first one of a key that makes a kept one obsolete takes it along. A
compaction so costs what was written since the last one; etcd's costs the whole store.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from etcdz.proto.fields import record_key
from etcdz.store import buckets

if TYPE_CHECKING:
    from etcdz.mvcc.mvcc import Mvcc


#: 8 bytes: how much a compaction that is under way has taken out so far. Of our own, so in no hash.
FREED = b"etcdz_meta\0scrubbed"


class CompactSlice:
    """One compaction at a time; a newer one takes over the work of one that is under way.

    Invariant: below `finished` the store holds what the compaction there keeps, less what this compaction took so far.
    """

    __slots__ = ("_cursor", "_freed", "_mvcc", "finished", "running", "target")

    def __init__(self, mvcc: Mvcc, finished: int) -> None:
        self._mvcc = mvcc
        self.finished = finished
        self._freed = int.from_bytes(mvcc.store.get(FREED) or b"", "big")
        self.start(mvcc.compact_revision)

    def start(self, target: int) -> None:
        """A compaction at a revision, above the one of the last."""
        self.target = target
        self.running = target > self.finished
        self._cursor = _first_name(self.finished)

    def step(self, limit: int) -> bool:
        """Looks at up to limit records. return whether nothing is left to do."""
        if not self.running:
            return True
        store, compact_slice, target, finished = (
            self._mvcc.store,
            self._mvcc.index.compact_slice,
            self.target,
            self.finished,
        )
        batch: dict[bytes, bytes | None] = {}
        seen = freed = 0
        name = b""
        for name, record in islice(store.iterate(self._cursor, _first_name(target + 1)), limit):
            seen += 1
            main, sub, _ = buckets.decode_store_key(name)
            kept, obsolete = compact_slice(record_key(record), main, sub, target, finished)
            if not kept:
                batch[name] = None
                freed += len(name) + len(record)
            if obsolete is not None:
                batch[buckets.put_key(*obsolete)] = None
                freed += len(name) + len(record)  # about: a record of the same key
        self._freed += freed
        if freed:
            batch[FREED] = self._freed.to_bytes(8, "big")
        if seen < limit:
            batch[FREED] = None
            batch[buckets.FINISHED_COMPACT] = buckets.encode_revision(target)
            self.running = False
        else:
            self._cursor = name + b"\0"
        if batch:
            store.write(batch)
        if not self.running:
            store.reclaim(_first_name(finished), _first_name(target + 1), self._freed)
            self.finished = target
            self._freed = 0
        return not self.running


def _first_name(main: int) -> bytes:
    """Store key before all of a main revision."""
    return buckets.KEY + max(main, 0).to_bytes(8, "big")
