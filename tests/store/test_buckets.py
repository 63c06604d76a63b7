"""Names of rows in the store."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etcdz.store import buckets


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
