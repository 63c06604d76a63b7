"""Writes a bbolt file from rows in order, page by page, holding one page per level of the tree in memory.

Pages get their numbers as they are written: leaves as they fill, a branch page behind the pages below it, the root
bucket last. So a tree is written bottom up, and the file front to back but for its meta pages, which name the root:

    page 0, 1 meta   2 freelist (empty)   3.. leaves and branches of one bucket after the other   .. root bucket

A caller that can seek writes the meta pages last. A caller that streams runs a writer without a sink over the same rows
first: it makes no page and says where everything will lie. Pages are filled to the brim, which bbolt does not do (it
leaves room for inserts); a file made at once is read more often than it is changed.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from etcdz.bbolt import page as p
from etcdz.bbolt.page import ELEMENT_BYTES, HEADER_BYTES, PAGE_BYTES, Meta

HEAD_PAGES = 3
"""Pages before the first bucket's: two meta pages and the freelist."""
INLINE_PARTS = 4
"""A bucket whose page is not larger than a page divided by this lives in its parent's leaf. Source: bbolt's
Bucket.inlineable."""
CHILDREN_MIN = 2
"""bbolt never leaves a branch page with a single child."""

Sink = Callable[[bytes], object]


class Layout(NamedTuple):
    """Where a file's root bucket lies, and how many pages there are: all that its first pages have to say."""

    root: int
    high_water: int
    page_bytes: int

    @property
    def file_bytes(self) -> int:
        """Size of the whole file."""
        return self.high_water * self.page_bytes

    def head(self) -> bytes:
        """The first HEAD_PAGES pages: two meta pages as of two transactions, and the freelist."""
        metas = [Meta(self.page_bytes, self.root, 0, p.FIRST_DATA_PAGE, self.high_water, txid) for txid in (0, 1)]
        pages = [p.encode_meta(txid, meta) for txid, meta in enumerate(metas)]
        return b"".join([*pages, p.encode_freelist(p.FIRST_DATA_PAGE, self.page_bytes)])


class BoltWriter:
    """Takes buckets in name order, and rows in key order. `sink` is given the pages from HEAD_PAGES on, in order.

    Invariant: `next_page` is the number of the page that is written next.
    """

    def __init__(self, sink: Sink | None, page_bytes: int = PAGE_BYTES) -> None:
        """sink: None only measures."""
        self.page_bytes = page_bytes
        self.next_page = HEAD_PAGES
        self._sink = sink
        self._root = _Tree(self, p.BUCKET_FLAG)

    def add_bucket(self, name: bytes, rows: Iterable[tuple[bytes, bytes]]) -> int:
        """The next bucket with all its rows. return how many there were. raises ValueError: out of order, or a key or
        value that bbolt refuses"""
        tree = _Tree(self, 0)
        count = tree.add(rows)
        self._root.add([(name, tree.finish_bucket())])
        return count

    def finish(self) -> Layout:
        """Writes the root bucket; the meta pages can be made now."""
        root = self._root.finish()
        return Layout(root, self.next_page, self.page_bytes)

    def write_page(self, flags: int, count: int, size: int, content: Callable[[], bytes]) -> int:
        """A page of so many bytes, its header among them. return its number. content: makes all behind the header"""
        page_id = self.next_page
        pages = -(-size // self.page_bytes)
        self.next_page += pages
        if self._sink is not None:
            head = p.HEADER.pack(page_id, flags, count, pages - 1)
            self._sink((head + content()).ljust(pages * self.page_bytes, b"\0"))
        return page_id


class _Tree:
    """One bucket's tree while it grows: its last leaf, and above it the last branch page of each level.

    Invariant: `_size` is what the leaf page of `_keys` and `_values` takes.
    Invariant: levels[n] holds (first key, page) of the written pages of level n that no written page refers to.
    """

    def __init__(self, writer: BoltWriter, flags: int) -> None:
        self._writer = writer
        self._flags = flags
        self._keys: list[bytes] = []
        self._values: list[bytes] = []
        self._size = HEADER_BYTES
        self._last = b""
        self._levels: list[_Level] = []

    def add(self, rows: Iterable[tuple[bytes, bytes]]) -> int:
        keys, values, size, last = self._keys, self._values, self._size, self._last
        page_bytes = self._writer.page_bytes
        count = 0
        for key, value in rows:
            if key <= last:
                raise ValueError(f"bbolt: key {key!r} does not come after {last!r}" if key else "bbolt: empty key")
            more = ELEMENT_BYTES + len(key) + len(value)
            if size + more > page_bytes:
                if more > page_bytes:
                    _check_sizes(key, value)
                if keys:
                    self._write_leaf(size)
                    keys, values, size = self._keys, self._values, HEADER_BYTES
            keys.append(key)
            values.append(value)
            size += more
            last = key
            count += 1
        self._size, self._last = size, last
        return count

    def _write_leaf(self, size: int) -> int:
        keys, values, flags = self._keys, self._values, self._flags
        page_id = self._writer.write_page(p.LEAF, len(keys), size, lambda: p.encode_leaf(keys, values, flags))
        self._refer(0, keys[0] if keys else b"", page_id)
        self._keys, self._values = [], []
        return page_id

    def _refer(self, level: int, first_key: bytes, page_id: int) -> None:
        """A page of a level is written: the branch above has one more child."""
        if level == len(self._levels):
            self._levels.append(_Level())
        above = self._levels[level]
        above.add(first_key, page_id)
        full = above.take_full(self._writer.page_bytes)
        if full:
            self._write_branch(level, full)

    def _write_branch(self, level: int, children: list[tuple[bytes, int]]) -> None:
        size = HEADER_BYTES + sum([ELEMENT_BYTES + len(key) for key, _ in children])
        page_id = self._writer.write_page(p.BRANCH, len(children), size, lambda: p.encode_branch(children))
        self._refer(level + 1, children[0][0], page_id)

    def finish(self) -> int:
        """Writes what is left. return the root's page."""
        if self._keys or not self._levels:
            self._write_leaf(self._size)
        level = 0
        while level + 1 < len(self._levels) or len(self._levels[level].children) > 1:
            self._write_branch(level, self._levels[level].take_all())
            level += 1
        return self._levels[level].children[0][1]

    def finish_bucket(self) -> bytes:
        """As `finish`; return what the parent's leaf holds of the bucket, which may be all of it."""
        if not self._levels and self._size <= self._writer.page_bytes // INLINE_PARTS:
            head = p.BUCKET.pack(0, 0) + p.HEADER.pack(0, p.LEAF, len(self._keys), 0)
            return head + p.encode_leaf(self._keys, self._values, self._flags)
        return p.BUCKET.pack(self.finish(), 0)


class _Level:
    """Children of the branch page of one level that is not written yet."""

    def __init__(self) -> None:
        self.children: list[tuple[bytes, int]] = []
        self._sizes = HEADER_BYTES
        self._cut = 0
        """So many of the children fill a page; 0: not full yet."""

    def add(self, first_key: bytes, page_id: int) -> None:
        size = ELEMENT_BYTES + len(first_key)
        self.children.append((first_key, page_id))
        self._sizes += size

    def take_full(self, page_bytes: int) -> list[tuple[bytes, int]]:
        """The children of a page that is full, if enough are left for another one; else nothing."""
        if not self._cut and self._sizes > page_bytes:
            self._cut = max(CHILDREN_MIN, len(self.children) - 1)
        if not self._cut or len(self.children) < self._cut + CHILDREN_MIN:
            return []
        full, self.children = self.children[: self._cut], self.children[self._cut :]
        self._cut = 0
        self._sizes = HEADER_BYTES + sum([ELEMENT_BYTES + len(key) for key, _ in self.children])
        return full

    def take_all(self) -> list[tuple[bytes, int]]:
        """NB: at the end a page may hold one child too many to fit, and then runs over into a second page."""
        taken, self.children = self.children, []
        return taken


def _check_sizes(key: bytes, value: bytes) -> None:
    if len(key) > p.KEY_BYTES_MAX:
        raise ValueError(f"bbolt: key of {len(key)} bytes, more than {p.KEY_BYTES_MAX}")
    if len(value) > p.VALUE_BYTES_MAX:
        raise ValueError(f"bbolt: value of {len(value)} bytes, more than {p.VALUE_BYTES_MAX}")
