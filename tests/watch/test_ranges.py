"""The range map against a list of ranges."""

from hypothesis import given
from hypothesis import strategies as st

from etcdz.watch.ranges import FRESH_MAX, Range, RangeMap

keys = st.binary(min_size=1, max_size=2).map(lambda raw: bytes(b % 5 for b in raw))
spans = st.tuples(keys, st.one_of(st.none(), st.just(b""), keys)).filter(lambda s: not s[1] or s[0] < s[1])
steps = st.tuples(st.booleans(), spans)


def holds(span: Range, key: bytes) -> bool:
    lo, hi = span
    return key == lo if hi == b"" else lo <= key and (hi is None or key < hi)


@given(st.lists(steps, max_size=4 * FRESH_MAX), st.lists(keys, min_size=1, max_size=5))
def test_a_key_finds_the_ranges_that_hold_it(todo: list[tuple[bool, Range]], asked: list[bytes]) -> None:
    fast: RangeMap[int] = RangeMap()
    slow: dict[Range, int] = {}
    for number, (adds, span) in enumerate(todo):
        if adds:
            fast.set(span, number)
            slow[span] = number
        elif span in slow:
            fast.remove(span)
            del slow[span]
        for key in asked[:1]:
            assert sorted(fast.at(key)) == sorted(value for each, value in slow.items() if holds(each, key))
    for key in asked:
        assert sorted(fast.at(key)) == sorted(value for each, value in slow.items() if holds(each, key))
    assert {span: fast.get(span) for span in fast} == slow
    assert len(fast) == len(slow)


def test_many_ranges_are_found_after_many_builds() -> None:
    fast: RangeMap[int] = RangeMap()
    for i in range(2_000):
        fast.set((b"%05d" % i, b"%05d" % (i + i % 7 + 1)), i)
    for i in range(0, 2_000, 2):
        fast.remove((b"%05d" % i, b"%05d" % (i + i % 7 + 1)))
    for at in range(0, 2_000, 13):
        expected = [i for i in range(1, 2_000, 2) if i <= at < i + i % 7 + 1]
        assert sorted(fast.at(b"%05d" % at)) == expected
