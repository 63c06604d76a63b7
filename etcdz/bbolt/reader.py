"""Reads a bbolt file page by page. Nothing in it is trusted: whatever does not hold raises BoltCorrupt with its place.

Memory is bounded by the longest way from the root to a leaf, whatever the file's size. Cycles cannot go on for ever:
depth is bounded, and keys have to ascend, so that a page met twice is a page too many.
"""

from collections.abc import Iterator
from typing import NamedTuple, NoReturn, Protocol

from etcdz.bbolt import page as p
from etcdz.bbolt.page import BRANCH_ELEMENT, ELEMENT_BYTES, HEADER, HEADER_BYTES, LEAF_ELEMENT, BoltCorrupt, Meta

DEPTH_MAX = 64
"""Deeper than any tree of 2**64 pages with two children each."""
PAGE_SIZES = tuple(1 << bits for bits in range(9, 17))
"""Page sizes that bbolt may have written with, where the first meta page does not tell."""


class Source(Protocol):
    """An open file. Offsets and sizes are bytes."""

    path: str

    def size(self) -> int: ...

    def read(self, offset: int, length: int) -> bytes:
        """length bytes from offset on; fewer only at the end of the file."""


class Bucket(NamedTuple):
    """Where a bucket lies: a root page, or, inline, a page image that begins at `offset` of the file."""

    root: int
    sequence: int
    inline: bytes
    offset: int


class _Page(NamedTuple):
    """A page with its overflow. data: from the header on; at: its offset in the file."""

    at: int
    flags: int
    elements: int
    data: bytes


class BoltFile:
    """A file as its newer meta page describes it.

    Requires: the file does not change meanwhile.
    """

    def __init__(self, source: Source) -> None:
        """raises BoltCorrupt: no meta page is right, or the file is shorter than it says"""
        self._source = source
        self.path = source.path
        self.meta = self._read_meta()
        self.page_bytes = self.meta.page_bytes
        self.size = self.meta.high_water * self.page_bytes
        """Bytes of the file that count; there may be more."""
        if source.size() < self.size:
            self._fail(source.size(), f"truncated: {source.size()} bytes, but {self.size} are in use")
        self.root = Bucket(self.meta.root, self.meta.sequence, b"", 0)

    # ---- meta pages ----

    def _read_meta(self) -> Meta:
        head = self._source.read(0, HEADER_BYTES + p.META_BYTES)
        first = p.decode_meta(head)
        sizes = PAGE_SIZES if isinstance(first, str) else (first.page_bytes,)
        found = [] if isinstance(first, str) else [first]
        for page_bytes in sizes:
            second = p.decode_meta(self._source.read(page_bytes, HEADER_BYTES + p.META_BYTES))
            if not isinstance(second, str) and second.page_bytes == page_bytes:
                found.append(second)
        if not found:
            self._fail(0, str(first))
        meta = max(found, key=lambda meta: meta.txid)
        if meta.page_bytes not in PAGE_SIZES:
            self._fail(0, f"page size {meta.page_bytes}")
        if not p.FIRST_DATA_PAGE < meta.high_water < 1 << 48:
            self._fail(0, f"high water {meta.high_water}")
        return meta

    # ---- buckets ----

    def buckets(self, parent: Bucket | None = None) -> Iterator[tuple[bytes, Bucket]]:
        """(name, bucket) of those in a bucket, or, without one, of the whole file, in name order."""
        for offset, flags, key, value in self._elements(parent or self.root):
            if flags & p.BUCKET_FLAG:
                yield key, self._bucket(offset, value)

    def find(self, name: bytes, parent: Bucket | None = None) -> Bucket | None:
        """The bucket of this name."""
        return next((bucket for key, bucket in self.buckets(parent) if key == name), None)

    def rows(self, bucket: Bucket, flat: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """(key, value) in key order; buckets within the bucket are left out, or, with flat, are an error."""
        for offset, flags, key, value in self._elements(bucket):
            if not flags & p.BUCKET_FLAG:
                yield key, value
            elif flat:
                self._fail(offset, f"bucket {key[:64]!r} where only keys are expected")

    def _bucket(self, offset: int, value: bytes) -> Bucket:
        if len(value) < p.BUCKET_BYTES:
            self._fail(offset, f"bucket of {len(value)} bytes")
        root, sequence = p.BUCKET.unpack_from(value)
        inline = b"" if root else value[p.BUCKET_BYTES :]
        if not root and len(inline) < HEADER_BYTES:
            self._fail(offset, "inline bucket without a page")
        return Bucket(root, sequence, inline, offset)

    # ---- the tree ----

    def _elements(self, bucket: Bucket) -> Iterator[tuple[int, int, bytes, bytes]]:
        """(offset of its element or page, flags, key, value) of all leaf elements below a bucket's root."""
        last = b""
        for page in self._leaves(bucket):
            rows = self._leaf_rows(page)
            for row in rows:
                key = row[2]
                if key <= last:
                    self._fail(row[0], f"key {key[:64]!r} does not come after {last[:64]!r}" if key else "empty key")
                last = key
                yield row

    def _leaves(self, bucket: Bucket) -> Iterator[_Page]:
        if not bucket.root:
            _, flags, count, _ = HEADER.unpack_from(bucket.inline)
            if flags != p.LEAF:
                self._fail(bucket.offset, f"inline page with flags {flags:#x}")
            yield _Page(bucket.offset, flags, count, bucket.inline)
            return
        for page, _ in self._walk(bucket.root):
            if page.flags == p.LEAF:
                yield page

    def _walk(self, root: int) -> Iterator[tuple[_Page, int]]:
        """(page, its number) of the tree below a page, parents before children, in key order."""
        page = self._read_tree_page(root)
        yield page, root
        ways = [iter(self._children(page))] if page.flags == p.BRANCH else []
        while ways:
            number = next(ways[-1], None)
            if number is None:
                ways.pop()
                continue
            child = self._read_tree_page(number)
            yield child, number
            if not child.elements:
                self._fail(child.at, f"page {number} below a branch is empty")
            if child.flags == p.BRANCH:
                if len(ways) >= DEPTH_MAX:
                    self._fail(child.at, f"more than {DEPTH_MAX} pages deep")
                ways.append(iter(self._children(child)))

    def _read_tree_page(self, number: int) -> _Page:
        page = self._read_page(number)
        if page.flags not in (p.BRANCH, p.LEAF):
            self._fail(page.at, f"page {number} has flags {page.flags:#x} where a branch or leaf is expected")
        return page

    def _read_page(self, number: int) -> _Page:
        """raises BoltCorrupt: it is not in the file, or says that it is another one"""
        at = number * self.page_bytes
        if not p.FIRST_DATA_PAGE <= number < self.meta.high_water:
            self._fail(min(at, self.size), f"page {number} is not one of the {self.meta.high_water} of the file")
        data = self._read(at, self.page_bytes)
        own, flags, count, overflow = HEADER.unpack_from(data)
        if own != number:
            self._fail(at, f"page {number} says that it is page {own}")
        if number + overflow >= self.meta.high_water:
            self._fail(at, f"page {number} runs on for {overflow} pages, beyond the end")
        if overflow:
            data += self._read(at + self.page_bytes, overflow * self.page_bytes)
        return _Page(at, flags, count, data)

    def _read(self, offset: int, length: int) -> bytes:
        data = self._source.read(offset, length)
        if len(data) < length:
            self._fail(offset + len(data), "the file ends within a page")
        return data

    def _leaf_rows(self, page: _Page) -> list[tuple[int, int, bytes, bytes]]:
        at, _, count, data = page
        content = HEADER_BYTES + ELEMENT_BYTES * count
        size = len(data)
        if content > size:
            self._fail(at, f"leaf of {count} elements in {size} bytes")
        rows = []
        element = HEADER_BYTES
        for flags, pos, key_bytes, value_bytes in LEAF_ELEMENT.iter_unpack(data[HEADER_BYTES:content]):
            start = element + pos
            middle = start + key_bytes
            end = middle + value_bytes
            if start < content or end > size:
                self._fail(at + element, f"leaf element from {start} to {end} in {size} bytes")
            rows.append((at + element, flags, data[start:middle], data[middle:end]))
            element += ELEMENT_BYTES
        return rows

    def _children(self, page: _Page) -> list[int]:
        at, _, count, data = page
        content = HEADER_BYTES + ELEMENT_BYTES * count
        if not count or content > len(data):
            self._fail(at, f"branch of {count} elements in {len(data)} bytes")
        children: list[int] = []
        element = HEADER_BYTES
        last = b""
        for pos, key_bytes, number in BRANCH_ELEMENT.iter_unpack(data[HEADER_BYTES:content]):
            start = element + pos
            key = data[start : start + key_bytes]
            if start < content or start + key_bytes > len(data):
                self._fail(at + element, f"branch element with a key of {key_bytes} bytes at {start}")
            if key <= last and children:
                self._fail(at + element, "keys of a branch do not ascend")
            children.append(number)
            last = key
            element += ELEMENT_BYTES
        return children

    # ---- the whole file ----

    def free_pages(self) -> list[int]:
        """What the freelist names; nothing if the file keeps none."""
        if self.meta.freelist == p.NO_FREELIST:
            return []
        page = self._read_page(self.meta.freelist)
        if page.flags != p.FREELIST:
            self._fail(page.at, f"freelist page with flags {page.flags:#x}")
        start, count = HEADER_BYTES, page.elements
        if count == p.COUNT_MAX:
            count = int.from_bytes(page.data[start : start + 8], "little")
            start += 8
        if start + 8 * count > len(page.data):
            self._fail(page.at, f"freelist of {count} pages in {len(page.data)} bytes")
        return [int.from_bytes(page.data[at : at + 8], "little") for at in range(start, start + 8 * count, 8)]

    def check(self) -> None:
        """Every page belongs to exactly one thing: a bucket's tree, or the freelist. Takes one byte per page.

        raises BoltCorrupt: it does not. Source: bbolt's Tx.Check
        """
        seen = bytearray(self.meta.high_water)
        seen[0] = seen[1] = 1
        keeps_free = self.meta.freelist != p.NO_FREELIST
        if keeps_free:
            self._take(seen, self.meta.freelist, self._read_page(self.meta.freelist))
        for number in self.free_pages():
            self._take(seen, number, None)
        self._check_bucket(seen, self.root, 0)
        if keeps_free and (lost := seen.find(0)) >= 0:
            self._fail(lost * self.page_bytes, f"page {lost} is neither in a bucket nor free")

    def _check_bucket(self, seen: bytearray, bucket: Bucket, depth: int) -> None:
        if depth > DEPTH_MAX:
            self._fail(bucket.offset, f"buckets more than {DEPTH_MAX} deep")
        if bucket.root:
            for page, number in self._walk(bucket.root):
                self._take(seen, number, page)
        for _, child in self.buckets(bucket):
            self._check_bucket(seen, child, depth + 1)

    def _take(self, seen: bytearray, number: int, page: _Page | None) -> None:
        """page: None for a free one."""
        pages = 1 if page is None else len(page.data) // self.page_bytes
        for n in range(number, number + pages):
            if not p.FIRST_DATA_PAGE <= n < len(seen):
                self._fail(self.size, f"page {n} is free, but not in the file")
            if seen[n]:
                self._fail(n * self.page_bytes, f"page {n} is used twice")
            seen[n] = 1

    def _fail(self, offset: int, why: str) -> NoReturn:
        raise BoltCorrupt(self.path, offset, why)
