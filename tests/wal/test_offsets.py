"""The sparse map from entries to places, against one that knows where every entry lies."""

import random

import pytest

from etcdz.wal import offsets
from etcdz.wal.offsets import Offsets, Place


@pytest.mark.parametrize("seed", range(30))
def test_spans_lead_to_every_live_entry_whatever_was_rewritten(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offsets, "POINT_EVERY", 5)
    choose = random.Random(seed)
    sparse = Offsets()
    written: list[tuple[int, Place]] = []
    """(index, place) of every entry in the order of the file, the rewritten ones too."""
    last, sequence, offset = 0, 0, 0
    for _ in range(200):
        index = choose.randint(max(1, last - 8), last) if last and choose.random() < 0.1 else last + 1
        if choose.random() < 0.05:
            sequence, offset = sequence + 1, 0
        place = Place(sequence, offset)
        if sparse.is_due(index, place, last):
            sparse.add(index, place)
        written.append((index, place))
        last, offset = index, offset + choose.randint(1, 50)
    live = dict(written)  # the last one of an index wins
    lo = choose.randint(sparse.indexes[0], last)
    hi = choose.randint(lo + 1, last + 1)
    assert _found(sparse, written, lo, hi) == {index: live[index] for index in range(lo, hi)}


def _found(sparse: Offsets, written: list[tuple[int, Place]], lo: int, hi: int) -> dict[int, Place]:
    """What a reader that follows the spans finds of lo <= index < hi."""
    found = {}
    for span in sparse.spans(lo, hi):
        wanted = span.lo
        for index, place in written:
            inside = place >= span.place and place.sequence == span.place.sequence
            if inside and (span.end is None or place.offset < span.end) and index == wanted < span.hi:
                found[index] = place
                wanted += 1
        assert wanted == span.hi, "a span's entries are contiguous and in order"
    return {index: place for index, place in found.items() if lo <= index}


def test_segments_that_are_gone_are_forgotten() -> None:
    sparse = Offsets()
    for index in (1, 11, 21):
        sparse.add(index, Place(index // 10, 0))
    sparse.drop_below(1)
    assert (sparse.indexes, sparse.has(2), sparse.has(0)) == ([11, 21], True, False)
