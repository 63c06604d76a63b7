"""Pages of the key index in the store, so that a restart need not read large values to know which keys there are.

    store key  = "etcdz_index", 0x00, first main revision (8, BE)
    page       = msgpack (last main revision, [main, sub, create revision, version, lease, key, ...])

A page lists every record of its main revisions that is in the store; of a tombstone version is 0. Pages do not overlap.
There are pages only where records are large: a page costs as much to read as so many small records.

A page is written after its records, and a compaction changes it in the batch that takes records out, so whatever a
crash leaves, pages and records agree. Code that does not know of pages compacts without them: it leaves the mark (the
last compaction that was scheduled with pages in mind) behind, and then no page counts.
"""

from bisect import bisect_right
from collections.abc import Iterator
from typing import Any

import msgpack

from etcdz.proto import mvccpb
from etcdz.proto.fields import record_key
from etcdz.store import buckets
from etcdz.store.interface import Store

BUCKET = b"etcdz_index\0"
MARK = b"etcdz_meta\0indexed"
"""Store key: the value of scheduledCompactRev that the pages take into account."""
LARGE_BYTES = 8 << 10
"""What records must take up on average to get a page."""
PAGE_BYTES = 4 << 20
"""A page is due after so many bytes, so that a restart reads not much more than that without one."""
PAGE_BYTES_MIN = 256 << 10
"""Less is read as fast as a page."""
TAIL_BYTES = 64 << 20
"""So much behind the last page still gets one, when more is written; it would be a long turn for more than that."""
PAGE_RECORDS = 256
"""Smaller pages are joined up to here."""
RECORDS_MAX = 4096
_FIELDS = 6


Page = tuple[int, int, list[Any]]
"""(first revision, last revision, what the row lists: so many times FIELDS)."""
FIELDS = 6
"""Main, sub, create revision, version, lease and key of a record."""


class IndexPages:
    """Which pages there are; keeps them right.

    due_at    a page is due once the store has written so many bytes

    Invariant: `_firsts` are the first revisions of the pages, ascending; `_pages` has (last revision, records) of each.
    Invariant: revisions from `_next` on have no page yet.
    """

    __slots__ = ("_began_at", "_firsts", "_next", "_pages", "_store", "due_at")

    def __init__(self, store: Store) -> None:
        """Requires: `read` and then `complete`, before anything else"""
        self._store = store
        self._firsts: list[int] = []
        self._pages: dict[int, tuple[int, int]] = {}
        self._next = 1
        self._began_at = 0
        self.due_at = float("inf")

    def read(self) -> Iterator[Page]:
        """In ascending order. Nothing, if code that does not know of them has compacted the store."""
        store = self._store
        if store.get(MARK) != store.get(buckets.SCHEDULED_COMPACT):
            return
        for name, row in store.iterate(BUCKET, buckets.bucket_end(BUCKET), verify=True):
            page = _decode(name, row)
            self._firsts.append(page[0])
            self._pages[page[0]] = page[1], len(page[2]) // FIELDS
            yield page

    def complete(self, revision: int, looks_everywhere: bool = True) -> None:
        """Makes the pages that are missing up to a revision.

        looks_everywhere   False: only behind the last page, as far as that is not much; the rest was looked at before
        """
        if not self._firsts:
            self._begin()
        if looks_everywhere:
            for first, last in list(self._gaps(revision)):
                self._fill(first, last)
        self._began_at, self._next = self._store.written_bytes, revision + 1
        tail = self._pages[self._firsts[-1]][0] + 1 if self._firsts else 1
        size = self._store.size_between(_name(tail), _name(revision + 1))
        if size < TAIL_BYTES:
            self._began_at, self._next = self._began_at - size, tail
        self.due_at = self._began_at + PAGE_BYTES

    def _begin(self) -> None:
        """Removes pages that do not count."""
        rows = self._store.iterate(BUCKET, buckets.bucket_end(BUCKET))
        batch: dict[bytes, bytes | None] = {name: None for name, _ in rows}
        scheduled = self._store.get(buckets.SCHEDULED_COMPACT)
        if batch or self._store.get(MARK) != scheduled:
            batch[MARK] = scheduled
            self._store.write(batch)

    def _gaps(self, revision: int) -> Iterator[tuple[int, int]]:
        """(first, last) of runs of revisions without a page."""
        first = 1
        for page in self._firsts:
            if first < page:
                yield first, page - 1
            first = self._pages[page][0] + 1
        if first <= revision:
            yield first, revision

    def _fill(self, first: int, last: int) -> None:
        """Halves a run until one page holds it, or nothing is worth one."""
        size = self._store.size_between(_name(first), _name(last + 1))
        if size < PAGE_BYTES or first == last:
            if size >= PAGE_BYTES_MIN:
                self._add(first, last, size)
            return
        middle = (first + last) // 2
        self._fill(first, middle)
        self._fill(middle + 1, last)

    def extend(self, revision: int) -> None:
        """So much is written that a page is due, up to a revision. Requires: nothing is pending"""
        written = self._store.written_bytes
        size = written - self._began_at
        if 0 < revision + 1 - self._next <= size // LARGE_BYTES:
            self._add(self._next, revision, size)
        self._next = revision + 1
        self._began_at = written
        self.due_at = written + PAGE_BYTES

    def _add(self, first: int, last: int, size: int) -> None:
        """A page, unless the records, of so many bytes about, are small or so many that it would be a long turn."""
        fields: list[Any] = []
        fields_max = FIELDS * min(size // LARGE_BYTES, RECORDS_MAX)
        for name, record in self._store.iterate(_name(first), _name(last + 1), verify=True):
            fields += _fields(name, record)
            if len(fields) > fields_max:
                return
        self._firsts.insert(bisect_right(self._firsts, first), first)
        self._pages[first] = last, len(fields) // FIELDS
        self._store.write({_row(first): msgpack.packb((last, fields))})

    def note_deleted(self, batch: dict[bytes, bytes | None]) -> None:
        """Adds to a batch what it changes in pages by the records that it deletes."""
        if not self._firsts:
            return
        gone: dict[int, set[tuple[int, int]]] = {}
        for name in [name for name, value in batch.items() if value is None and name.startswith(buckets.KEY)]:
            main, sub, _ = buckets.decode_store_key(name)
            at = bisect_right(self._firsts, main) - 1
            if at >= 0 and main <= self._pages[self._firsts[at]][0]:
                gone.setdefault(self._firsts[at], set()).add((main, sub))
        for first in sorted(gone):
            self._drop(batch, first, gone[first])

    def _drop(self, batch: dict[bytes, bytes | None], first: int, gone: set[tuple[int, int]]) -> None:
        """Takes records out of a page. What is left is joined to the page before it, if both are small."""
        last, fields = self._load(batch, first)
        left: list[Any] = []
        for at in range(0, len(fields), FIELDS):
            if (fields[at], fields[at + 1]) not in gone:
                left += fields[at : at + FIELDS]
        at = bisect_right(self._firsts, first) - 1
        before = self._firsts[at - 1] if at else first
        end, count = self._pages[before]
        if end + 1 == first and count + len(left) // FIELDS <= PAGE_RECORDS:
            batch[_row(first)] = None
            del self._firsts[at], self._pages[first]
            first, left = before, self._load(batch, before)[1] + left
        batch[_row(first)] = msgpack.packb((last, left))
        self._pages[first] = last, len(left) // FIELDS

    def _load(self, batch: dict[bytes, bytes | None], first: int) -> tuple[int, list[Any]]:
        """(last revision, fields) with what a batch changes already."""
        name = _row(first)
        row = batch.get(name) or self._store.get(name)
        if row is None:
            raise KeyError(f"no page of the index at revision {first}")
        return _decode(name, row)[1:]


def _row(first: int) -> bytes:
    return BUCKET + first.to_bytes(8, "big")


def _name(main: int) -> bytes:
    """Store key before all of a main revision."""
    return buckets.KEY + main.to_bytes(8, "big")


def _fields(name: bytes, record: bytes) -> tuple[int, int, int, int, int, bytes]:
    main, sub, is_tombstone = buckets.decode_store_key(name)
    if is_tombstone:
        return main, sub, 0, 0, 0, record_key(record)
    kv = mvccpb.KeyValue.FromString(record)
    return main, sub, kv.create_revision, kv.version, kv.lease, kv.key


def _decode(name: bytes, row: bytes) -> Page:
    last, fields = msgpack.unpackb(row)
    return int.from_bytes(name[len(BUCKET) :], "big"), last, fields
