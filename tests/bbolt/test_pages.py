"""Pages as bytes, both ways, out of one list; the file that the format's essay shows."""

import pytest

from etcdz.bbolt import BoltCorrupt, BoltFile
from etcdz.bbolt import page as p
from etcdz.bbolt.page import Meta
from tests.bbolt.files import Bytes, read, written

META = Meta(page_bytes=4096, root=7, sequence=0, freelist=2, high_water=8, txid=1)
META_BYTES = bytes.fromhex(
    "0100000000000000 0400 0000 00000000"  # page 1, meta
    "edda0ced 02000000 00100000 00000000"
    "0700000000000000 0000000000000000 0200000000000000 0800000000000000 0100000000000000"  # root .. txid
)
INLINE = bytes.fromhex("0000000000000000 0000000000000000 0000000000000000 0200 0100 00000000")
LEAVES = [
    (([], [], 0), b""),
    (([b"k"], [b"v"], 0), bytes.fromhex("00000000 10000000 01000000 01000000 6b76")),
    (
        ([b"a", b"bc"], [b"xyz", b""], 0),
        bytes.fromhex("00000000 20000000 01000000 03000000 00000000 14000000 02000000 00000000") + b"axyzbc",
    ),
    (
        ([b"meta"], [INLINE + bytes.fromhex("00000000 10000000 01000000 01000000 6b76")], p.BUCKET_FLAG),
        bytes.fromhex("01000000 10000000 04000000 32000000 6d657461")
        + INLINE
        + bytes.fromhex("00000000 10000000 01000000 01000000 6b76"),
    ),
]
BRANCHES = [
    ([(b"a", 3), (b"bc", 258)], bytes.fromhex("20000000 01000000 0300000000000000 11000000 02000000 0201000000000000")),
]


def leaf_file(content: bytes, count: int, flags: int = p.LEAF) -> bytes:
    """A file whose root bucket is one page with this content."""
    metas = [p.encode_meta(n, Meta(4096, 3, 0, 2, 4, n)) for n in (0, 1)]
    page = (p.HEADER.pack(3, flags, count, 0) + content).ljust(4096, b"\0")
    return b"".join([*metas, p.encode_freelist(2, 4096), page])


def test_a_meta_page_both_ways() -> None:
    page = p.encode_meta(1, META)
    assert page[: len(META_BYTES)] == META_BYTES and len(page) == 4096
    assert p.decode_meta(page) == META
    for at in range(16, 16 + p.META_BYTES):
        bad = page[:at] + bytes([page[at] ^ 1]) + page[at + 1 :]
        assert isinstance(p.decode_meta(bad), str), at
    assert p.decode_meta(page[: 15 + p.META_BYTES]) == "the file ends within a meta page"


def test_the_sum_is_fnv_1a() -> None:
    assert [p.fnv64a(text) for text in (b"", b"a", b"foobar")] == [
        0xCBF29CE484222325,
        0xAF63DC4C8601EC8C,
        0x85944171F73967E8,
    ]


@pytest.mark.parametrize(("leaf", "content"), LEAVES)
def test_a_leaf_both_ways(leaf: tuple[list[bytes], list[bytes], int], content: bytes) -> None:
    keys, values, flags = leaf
    assert p.encode_leaf(keys, values, flags) == content
    file = BoltFile(Bytes(leaf_file(content, len(keys))))
    if flags:
        ((name, bucket),) = file.buckets()
        assert name == b"meta" and list(file.rows(bucket)) == [(b"k", b"v")]
    else:
        assert list(file.rows(file.root)) == list(zip(keys, values, strict=True))


@pytest.mark.parametrize(("children", "content"), BRANCHES)
def test_a_branch(children: list[tuple[bytes, int]], content: bytes) -> None:
    assert p.encode_branch(children) == content + b"".join(key for key, _ in children)


def test_small_buckets_are_inline_and_larger_ones_have_pages() -> None:
    data = written({b"empty": [], b"small": [(b"k", b"v")], b"large": [(b"k", bytes(2000))]})
    file = BoltFile(Bytes(data))
    found = {name: (bucket.root, len(bucket.inline)) for name, bucket in file.buckets()}
    assert found == {b"empty": (0, 16), b"small": (0, 34), b"large": (3, 0)}
    assert read(data) == {b"empty": [], b"small": [(b"k", b"v")], b"large": [(b"k", bytes(2000))]}


def test_the_newer_meta_page_counts_and_one_is_enough() -> None:
    data = written({b"key": [(b"k", b"v")]})
    older = bytes(4096) + data[4096:]
    newer = data[:4096] + bytes(4096) + data[8192:]
    assert read(older) == read(newer) == read(data)
    assert [BoltFile(Bytes(d)).meta.txid for d in (older, newer, data)] == [1, 0, 1]
    with pytest.raises(BoltCorrupt, match="wrong magic"):
        read(bytes(8192) + data[8192:])


def test_buckets_within_buckets() -> None:
    inner = p.BUCKET.pack(0, 9) + p.HEADER.pack(0, p.LEAF, 1, 0) + p.encode_leaf([b"k"], [b"v"], 0)
    leaf = p.encode_leaf([b"inner", b"plain"], [inner, b"1"], 0)
    leaf = (1).to_bytes(4, "little") + leaf[4:]  # the first element is a bucket
    outer = p.BUCKET.pack(0, 0) + p.HEADER.pack(0, p.LEAF, 2, 0) + leaf
    file = BoltFile(Bytes(leaf_file(p.encode_leaf([b"outer"], [outer], p.BUCKET_FLAG), 1)))
    file.check()
    found = file.find(b"outer")
    assert found is not None and list(file.rows(found)) == [(b"plain", b"1")]
    within = file.find(b"inner", found)
    assert within is not None and within.sequence == 9 and list(file.rows(within)) == [(b"k", b"v")]
    with pytest.raises(BoltCorrupt, match="bucket b'inner' where only keys are expected"):
        list(file.rows(found, flat=True))


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([(b"b", b""), (b"a", b"")], "does not come after"),
        ([(b"a", b""), (b"a", b"")], "does not come after"),
        ([(b"", b"")], "empty key"),
        ([(bytes([1]) * 32_769, b"")], "key of 32769 bytes"),
    ],
)
def test_what_bbolt_refuses_is_not_written(rows: list[tuple[bytes, bytes]], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        written({b"key": rows})
