"""Pieces built by hand are what the protobuf runtime would write."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etcdz.mvcc import encoding
from etcdz.proto import etcdserverpb as pb
from etcdz.proto import mvccpb
from etcdz.store import buckets

EDGES = [
    0,
    1,
    127,
    128,
    16383,
    16384,
    16385,
    (1 << 21) - 1,
    1 << 21,
    1 << 35,
    (1 << 63) - 1,
    (1 << 64) - 1,
    -1,
    -(1 << 63),
]


@pytest.mark.parametrize("value", EDGES)
def test_varint_edges(value: int) -> None:
    encoded = encoding.encode_varint(value)
    assert encoding.decode_varint(b"x" + encoded + b"y", 1) == (value & 0xFFFFFFFFFFFFFFFF, 1 + len(encoded))
    if value > 0:
        assert pb.RequestHeader(ID=value & 0xFFFFFFFFFFFFFFFF).SerializeToString() == b"\x08" + encoded


@pytest.mark.parametrize("cut", range(3))
def test_a_cut_varint_raises(cut: int) -> None:
    with pytest.raises(IndexError):
        encoding.decode_varint(encoding.encode_varint(1 << 20)[:cut], 0)
    with pytest.raises(ValueError, match="ten bytes"):
        encoding.decode_varint(b"\xff" * 12, 0)


@given(st.integers(1, (1 << 63) - 1), st.sampled_from([0, 1, 300]))
def test_header_of_any_revision(revision: int, term: int) -> None:
    pieces = encoding.HeaderPieces(0xCDF818194E3A8C32, 0x8E9E05C52164694D, term)
    header = pb.ResponseHeader(
        cluster_id=0xCDF818194E3A8C32, member_id=0x8E9E05C52164694D, revision=revision, raft_term=term
    )
    assert pieces.field(revision) == pb.PutResponse(header=header).SerializeToString()
    inner = pb.PutResponse(header=pb.ResponseHeader(revision=revision))
    assert encoding.revision_header(revision) == inner.SerializeToString()


@given(st.binary(min_size=1, max_size=300))
def test_key_of_a_record(key: bytes) -> None:
    record = mvccpb.KeyValue(key=key, create_revision=3, mod_revision=4, version=2, value=b"v").SerializeToString()
    assert encoding.record_key(record) == key


@given(st.lists(st.tuples(st.integers(1, 1 << 62), st.integers(0, 1 << 30), st.booleans()), max_size=20))
def test_store_keys_sort_as_revisions_do(revisions: list[tuple[int, int, bool]]) -> None:
    names = [buckets.tombstone_key(m, s) if dead else buckets.put_key(m, s) for m, s, dead in revisions]
    assert [buckets.decode_store_key(name) for name in names] == revisions
    assert [buckets.decode_store_key(name) for name in sorted(names)] == sorted(revisions)


def test_buckets_lie_in_name_order_and_apart() -> None:
    assert list(buckets.ALL) == sorted(buckets.ALL, key=lambda bucket: bucket[:-1])
    ends = [(bucket, buckets.bucket_end(bucket)) for bucket in sorted(buckets.ALL)]
    assert all(lo < hi <= next_lo for (lo, hi), (next_lo, _) in pairwise(ends))


def test_revision_bytes_that_are_too_short_are_an_error() -> None:
    assert buckets.decode_revision(buckets.encode_revision(7, 3)) == (7, 3)
    with pytest.raises(ValueError, match="revision of 16 bytes"):
        buckets.decode_revision(buckets.encode_revision(7)[:16])
