"""The bbolt format: what a page looks like. All numbers are little endian.

    file        := page*                         page n lies at offset n * page size (4096 as etcd writes it)
    page 0, 1   := meta pages; of those with a right sum the one with the higher transaction id counts
    page        := header, content; with overflow o > 0 the page runs on over the next o pages
    header      := id u64, flags u16, count u16, overflow u32                        16 bytes
    flags       := 1 branch | 2 leaf | 4 meta | 16 freelist

    meta        := magic u32 0xED0CDAED, version u32 2, page size u32, flags u32 0,
                   root bucket {page u64, sequence u64}, freelist page u64, high water u64, transaction id u64,
                   sum u64                       FNV-1a 64 of the 56 bytes before it
    high water  := the first page number that was never used: the file is that long at least
    freelist    := page numbers u64 * count, ascending; count 0xFFFF: the real one is the first u64
                   (freelist page ~0: the freelist is not kept, free is what no tree reaches)

    leaf        := (flags u32, pos u32, key size u32, value size u32) * count, then keys and values
    branch      := (pos u32, key size u32, page u64) * count, then keys; a key is the first one below its page
    pos         := where the key begins, counted from the element's own first byte; the value follows the key

    bucket      := a leaf element with flags 1; its value is {root page u64, sequence u64}; with root page 0 the
                   bucket is inline: a whole leaf page (its id 0) follows in the value

A file is a tree of buckets; the root bucket, to which the meta page points, holds only buckets. Within a bucket keys
ascend bytewise; none is empty. A leaf page that holds one small bucket {"k": "v"} inline, from its second line on:

    01 00 00 00  10 00 00 00  04 00 00 00  32 00 00 00     bucket, pos 16, key 4 bytes, value 50 bytes
    6d 65 74 61                                            "meta"
    00 00 00 00 00 00 00 00   00 00 00 00 00 00 00 00      root page 0: inline; sequence 0
    00 00 00 00 00 00 00 00   02 00  01 00  00 00 00 00    page header: leaf with one element
    00 00 00 00  10 00 00 00  01 00 00 00  01 00 00 00     no bucket, pos 16, key 1 byte, value 1 byte
    6b 76                                                  "k", "v"

Source: bbolt's page, meta, bucket and freelist types as of 1.3, the version of etcd 3.4 and 3.5.
"""

from collections.abc import Sequence
from functools import lru_cache
from struct import Struct
from typing import Final, NamedTuple

PAGE_BYTES: Final = 4096
MAGIC: Final = 0xED0CDAED
VERSION: Final = 2
BRANCH, LEAF, META, FREELIST = 1, 2, 4, 16
BUCKET_FLAG: Final = 1
NO_FREELIST: Final = (1 << 64) - 1
COUNT_MAX: Final = 0xFFFF
FIRST_DATA_PAGE: Final = 2
KEY_BYTES_MAX: Final = 32_768
VALUE_BYTES_MAX: Final = (1 << 31) - 2

HEADER = Struct("<QHHI")
HEADER_BYTES: Final = 16
LEAF_ELEMENT = Struct("<IIII")
BRANCH_ELEMENT = Struct("<IIQ")
ELEMENT_BYTES: Final = 16
BUCKET = Struct("<QQ")
BUCKET_BYTES: Final = 16
_META_BODY = Struct("<IIIIQQQQQ")
_META_SUM = Struct("<Q")
META_BYTES: Final = _META_BODY.size + _META_SUM.size


class BoltCorrupt(Exception):
    """The file does not hold what bbolt writes. path, offset: the file, and where in it the first bad thing begins."""

    def __init__(self, path: str, offset: int, why: str) -> None:
        super().__init__(f"bbolt: {why}: in file '{path}' at position: {offset}")
        self.path = path
        self.offset = offset
        self.why = why


class Meta(NamedTuple):
    """What a meta page says."""

    page_bytes: int
    root: int
    sequence: int
    freelist: int
    high_water: int
    txid: int


def fnv64a(data: bytes) -> int:
    """FNV-1a, 64 bits."""
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value


def encode_meta(page_id: int, meta: Meta) -> bytes:
    """A whole meta page."""
    body = _META_BODY.pack(MAGIC, VERSION, meta.page_bytes, 0, *meta[1:])
    page = HEADER.pack(page_id, META, 0, 0) + body + _META_SUM.pack(fnv64a(body))
    return page.ljust(meta.page_bytes, b"\0")


def decode_meta(page: bytes) -> Meta | str:
    """Of a meta page, or as much of its begin; a text says why it is none."""
    if len(page) < HEADER_BYTES + META_BYTES:
        return "the file ends within a meta page"
    magic, version, page_bytes, _, *numbers = _META_BODY.unpack_from(page, HEADER_BYTES)
    if magic != MAGIC:
        return "not a bbolt file (wrong magic)"
    if version != VERSION:
        return f"bbolt version {version}, not {VERSION}"
    body = page[HEADER_BYTES : HEADER_BYTES + _META_BODY.size]
    if fnv64a(body) != _META_SUM.unpack_from(page, HEADER_BYTES + _META_BODY.size)[0]:
        return "meta page with a wrong checksum"
    return Meta(page_bytes, *numbers)


@lru_cache(256)
def _elements(count: int) -> Struct:
    return Struct(f"<{4 * count}I")


def encode_leaf(keys: Sequence[bytes], values: Sequence[bytes], flags: int) -> bytes:
    """Elements, keys and values of a leaf page, without header and padding. flags: of all elements."""
    count = len(keys)
    numbers: list[int] = []
    pos = ELEMENT_BYTES * count
    for key, value in zip(keys, values, strict=True):
        numbers += (flags, pos, len(key), len(value))
        pos += len(key) + len(value) - ELEMENT_BYTES
    pieces = [_elements(count).pack(*numbers)]
    for pair in zip(keys, values, strict=True):
        pieces += pair
    return b"".join(pieces)


def encode_branch(children: Sequence[tuple[bytes, int]]) -> bytes:
    """Elements and keys of a branch page, without header and padding. children: (first key, page)."""
    pos = ELEMENT_BYTES * len(children)
    pieces = []
    for key, page_id in children:
        pieces.append(BRANCH_ELEMENT.pack(pos, len(key), page_id))
        pos += len(key) - ELEMENT_BYTES
    return b"".join(pieces) + b"".join([key for key, _ in children])


def encode_freelist(page_id: int, page_bytes: int) -> bytes:
    """The page of an empty freelist."""
    return HEADER.pack(page_id, FREELIST, 0, 0).ljust(page_bytes, b"\0")
