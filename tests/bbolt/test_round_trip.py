"""Whatever is written is read back, with pages of any size, and bbolt's own check of the file passes."""

from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etcdz.bbolt import BoltFile, BoltWriter
from tests.bbolt.files import Bytes, read, written
from tests.examples import examples

KEYS = st.binary(min_size=1, max_size=24)
VALUES = st.one_of(st.binary(max_size=40), st.integers(0, 9000).map(bytes))
BUCKETS = st.dictionaries(
    KEYS, st.dictionaries(KEYS, VALUES, max_size=40).map(lambda d: sorted(d.items())), max_size=12
)
PAGE_SIZES = st.sampled_from([512, 1024, 4096, 16384])


@pytest.mark.slow
@pytest.mark.slow
@settings(max_examples=examples(150), deadline=None)
@given(buckets=BUCKETS, page_bytes=PAGE_SIZES)
def test_round_trip(buckets: dict[bytes, list[tuple[bytes, bytes]]], page_bytes: int) -> None:
    assert read(written(buckets, page_bytes)) == buckets


def test_deep_trees() -> None:
    """Thousands of leaves of 512 bytes: branches upon branches, none with a single child."""
    random = Random(5)
    for count in (29, 30, 31, 700, 9000):
        rows = [(b"%08d" % n, random.randbytes(random.randrange(400))) for n in range(count)]
        data = written({b"key": rows, b"meta": [(b"a", b"b")]}, 512)
        assert read(data) == {b"key": rows, b"meta": [(b"a", b"b")]}
        assert children_of_branches(data, 512) >= 2


def children_of_branches(data: bytes, page_bytes: int) -> int:
    """The least that any branch page has."""
    file = BoltFile(Bytes(data))
    counts = [999]
    at = 0
    while at < len(data):
        _, flags, count, overflow = (
            int.from_bytes(data[at + lo : at + hi], "little") for lo, hi in ((0, 8), (8, 10), (10, 12), (12, 16))
        )
        if flags == 1:
            counts.append(count)
        at += (overflow + 1) * file.page_bytes
    return min(counts)


def test_many_buckets_need_more_than_one_page_for_the_root() -> None:
    buckets = {b"bucket%06d" % n: [(b"k", b"%d" % n)] for n in range(3000)}
    assert read(written(buckets)) == buckets


def test_only_one_page_per_level_is_held() -> None:
    """The writer hands pages on as rows come: what it holds does not grow with the file."""
    pages: list[bytes] = []
    held: list[int] = []

    def rows() -> Iterator[tuple[bytes, bytes]]:
        for n in range(5_000):
            yield n.to_bytes(8, "big") + b"k", bytes(200)
            held.append((n + 1) * 209 - sum(map(len, pages)))

    BoltWriter(pages.append).add_bucket(b"key", rows())
    assert max(held) < 3 * 4096
