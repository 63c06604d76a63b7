"""Takes compacted revisions out of the store in slices, so that no request waits longer than one slice.

Meta says how far it got: scheduledCompactRev is written with the compaction, finishedCompactRev with the last slice.
After a restart between the two it begins again; records that are gone already are simply not met.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from etcdz.mvcc import buckets
from etcdz.mvcc.encoding import record_key
from etcdz.mvcc.hashes import KvHash, KvHasher

if TYPE_CHECKING:
    from etcdz.mvcc.mvcc import Mvcc

#: Hashes of compactions that are remembered, as in etcd.
HASHES_KEPT = 10


class Scrub:
    """One compaction at a time; a newer one takes over the work of one that is under way.

    hashes    compacted revision -> hash of all revisions up to it, as it was just before
    """

    __slots__ = ("_cursor", "_hasher", "_mvcc", "hashes", "running", "target")

    def __init__(self, mvcc: Mvcc, finished: int) -> None:
        self._mvcc = mvcc
        self.target = mvcc.compact_revision
        self.running = self.target > finished
        self.hashes: dict[int, KvHash] = {}
        self._cursor = buckets.KEY
        self._hasher: KvHasher | None = None  # no hash of what an earlier process began

    def start(self, before: int, target: int) -> None:
        """A new compaction; before: the revision of the last one."""
        # An interrupted scrub leaves revisions of unknown fate below `before`: etcd stores no hash then, nor do we.
        self._hasher = None if self.running else KvHasher(self._mvcc.index, before, target, scrubbing=True)
        self.target = target
        self.running = True
        self._cursor = buckets.KEY

    def step(self, limit: int) -> bool:
        """Looks at up to limit records. return whether nothing is left to do."""
        if not self.running:
            return True
        store, index, target, hasher = self._mvcc.store, self._mvcc.index, self.target, self._hasher
        batch: dict[bytes, bytes | None] = {}
        seen = 0
        name = b""
        end = buckets.KEY + (target + 1).to_bytes(8, "big")
        for name, record in islice(store.iterate(self._cursor, end), limit):
            seen += 1
            main, sub, tombstone = buckets.decode_store_key(name)
            key = record_key(record)
            kept = index.keeps(key, main, sub, target)
            if hasher is not None:
                hasher.add(name, record, main, tombstone, kept)
            if not kept:
                batch[name] = None
        if seen < limit:
            self._finish(batch)
        else:
            self._cursor = name + b"\0"
        if batch:
            store.write(batch)
        return not self.running

    def _finish(self, batch: dict[bytes, bytes | None]) -> None:
        batch[buckets.FINISHED_COMPACT] = buckets.encode_revision(self.target)
        self.running = False
        if self._hasher is not None:
            self.hashes[self.target] = self._hasher.result()
            self._hasher = None
            while len(self.hashes) > HASHES_KEPT:
                del self.hashes[min(self.hashes)]
