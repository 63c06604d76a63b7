"""Which answers are kept, and until when."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etcdz.cli.grpc_proxy import range_cache
from etcdz.cli.grpc_proxy.range_cache import RangeCache, Span
from tests.examples import examples

KEYS = [b"a", b"a\0", b"aa", b"ab", b"b", b"c"]
spans = st.builds(Span, st.sampled_from(KEYS), st.sampled_from([b"", b"\0", *KEYS]))


def kept(cache: RangeCache, span: Span, revision: int = 0) -> bool:
    """Whether an answer to this range is kept; it is put there at once."""
    cache.add(b"r", span, revision, b"answer", cache.stamp)
    return cache.get(b"r") == b"answer"


def covers(span: Span, key: bytes) -> bool:
    if not span.end:
        return key == span.key
    return key >= span.key and (span.end == b"\0" or key < span.end)


@given(spans, spans)
@settings(max_examples=examples(300))
def test_spans_meet_if_they_have_a_key_in_common(one: Span, other: Span) -> None:
    candidates = {*KEYS, *[key + b"\0" for key in KEYS]}
    if any(covers(one, key) and covers(other, key) for key in candidates):
        assert one.meets(other) and other.meets(one)


@pytest.mark.parametrize(
    ("touched", "stays"),
    [
        (Span(b"k", b""), False),
        (Span(b"j", b"l"), False),
        (Span(b"a", b"\0"), False),
        (Span(b"j", b"k"), True),
        (Span(b"k\0", b""), True),
        (Span(b"l", b"\0"), True),
    ],
)
def test_an_answer_stays_until_one_of_its_keys_is_touched(touched: Span, stays: bool) -> None:
    cache = RangeCache()
    assert kept(cache, Span(b"k", b""))
    cache.touch(touched)
    assert (cache.get(b"r") is not None) == stays
    assert (cache.hits, cache.misses) == (1 + stays, 1 - stays)


@given(st.lists(st.tuples(spans, st.booleans()), max_size=30))
@settings(max_examples=examples(100))
def test_what_is_kept_is_what_no_write_has_touched(steps: list[tuple[Span, bool]]) -> None:
    cache = RangeCache()
    expected: dict[bytes, Span] = {}
    for span, is_write in steps:
        if is_write:
            cache.touch(span)
            expected = {request: kept for request, kept in expected.items() if not kept.meets(span)}
        else:
            request = repr(span).encode()
            cache.add(request, span, 0, b"x", cache.stamp)
            expected[request] = span
    assert {request for request in expected if cache.get(request)} == set(expected)
    assert len(cache) == len(expected)


def test_a_range_that_a_write_has_overtaken_is_not_kept() -> None:
    cache = RangeCache()
    began = cache.stamp
    cache.touch(Span(b"k", b""))
    cache.add(b"other", Span(b"x", b""), 0, b"x", began)
    cache.add(b"r", Span(b"k", b""), 0, b"old", began)
    assert cache.get(b"other") == b"x"
    assert cache.get(b"r") is None


def test_a_range_under_way_for_longer_than_writes_are_remembered_is_not_kept() -> None:
    cache = RangeCache()
    began = cache.stamp
    for _ in range(2000):
        cache.touch(Span(b"other", b""))
    cache.add(b"r", Span(b"k", b""), 0, b"old", began)
    assert cache.get(b"r") is None


def test_what_was_true_at_a_revision_stays_true_until_that_is_compacted() -> None:
    cache = RangeCache()
    assert kept(cache, Span(b"k", b""), revision=5)
    cache.touch(Span(b"k", b""))
    assert cache.get(b"r") is not None
    cache.compact(5)
    assert cache.get(b"r") is not None
    cache.compact(6)
    assert cache.get(b"r") is None


def test_entries_and_bytes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = RangeCache()
    for number in range(range_cache.ENTRIES_MAX + 10):
        cache.add(b"%d" % number, Span(b"k", b""), 0, b"x", cache.stamp)
    assert len(cache) == range_cache.ENTRIES_MAX
    assert cache.get(b"0") is None
    monkeypatch.setattr(range_cache, "BYTES_MAX", 10)
    cache.add(b"last", Span(b"k", b""), 0, b"123456789", cache.stamp)
    assert len(cache) <= 10
    assert cache.get(b"last") is not None
    monkeypatch.setattr(range_cache, "ENTRY_BYTES_MAX", 3)
    cache.add(b"long", Span(b"k", b""), 0, b"1234", cache.stamp)
    assert cache.get(b"long") is None


def test_clear_forgets_also_what_is_under_way() -> None:
    cache = RangeCache()
    began = cache.stamp
    assert kept(cache, Span(b"k", b""))
    cache.clear()
    cache.add(b"s", Span(b"k", b""), 0, b"old", began)
    assert cache.get(b"r") is None
    assert cache.get(b"s") is None
