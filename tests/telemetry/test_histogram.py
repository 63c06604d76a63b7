"""Percentiles of the histogram against those of a sorted list."""

import math

from hypothesis import given
from hypothesis import strategies as st

from etcdz.telemetry.histogram import BUCKETS, Histogram, upper

VALUES = st.lists(st.one_of(st.integers(0, 20), st.integers(0, 1 << 40), st.just((1 << 63) - 1)), min_size=1)


@given(VALUES, st.floats(0, 1))
def test_a_percentile_is_that_of_a_sorted_list_but_for_a_quarter(values: list[int], fraction: float) -> None:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    count, (found,) = histogram.percentiles(fraction)
    exact = sorted(values)[max(1, math.ceil(len(values) * fraction)) - 1]
    assert count == len(values)
    assert exact <= found <= exact * 1.25 + 1


@given(st.integers(0, (1 << 63) - 1))
def test_a_value_lies_below_the_upper_bound_of_its_bucket_and_above_that_of_the_one_before(value: int) -> None:
    histogram = Histogram()
    histogram.add(value)
    bucket = histogram.counts.index(1)
    used = [b for b in range(BUCKETS) if b < 4 or b >= 12]
    before = upper(used[used.index(bucket) - 1]) if bucket else -1
    assert before < value <= upper(bucket)


def test_a_window_is_forgotten_after_the_next_one() -> None:
    histogram = Histogram()
    histogram.add(5000)
    histogram.roll()
    histogram.add(3)
    assert histogram.show(unit_per=1) == {"count": 2, "p50": 3, "p99": 5119, "max": 5119}
    histogram.roll()
    assert histogram.show(unit_per=1)["count"] == 1
    histogram.roll()
    assert histogram.show() == {"count": 0, "p50": 0, "p99": 0, "max": 0}
