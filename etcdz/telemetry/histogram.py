"""Counts of measurements in buckets that grow by a quarter: cheap to feed, good enough for p50 and p99.

Bucket of value v, whose highest bit is number n (1 for v = 1): v itself below 4, else 4 n + the two bits below the
highest. So a bucket is at most a quarter of its values wide.
"""

from typing import Any, Final

BUCKETS: Final = 4 * 64 + 4
DOUBLINGS: Final = 14


class Histogram:
    """Of whole numbers from 0 to 2^63, e.g. nanoseconds, over a sliding time: the current and the last window."""

    __slots__ = ("_last", "counts")

    def __init__(self) -> None:
        self.counts = [0] * BUCKETS
        self._last = [0] * BUCKETS

    def add(self, value: int) -> None:
        """One measurement. Requires: value >= 0"""
        if value < 4:
            self.counts[value] += 1
        else:
            bits = value.bit_length()
            self.counts[(bits << 2) + (value >> bits - 3 & 3)] += 1

    def roll(self) -> None:
        """The current window ends, and the one before it is forgotten."""
        self._last, self.counts = self.counts, [0] * BUCKETS

    def percentiles(self, *fractions: float) -> tuple[int, list[int]]:
        """(how many measurements, for each fraction the value that this part of them does not exceed).

        fractions   ascending, in [0, 1]; 1 is the greatest of all
        return      upper bounds of buckets: up to a quarter too large; 0 if there is none
        """
        counts = [a + b for a, b in zip(self._last, self.counts, strict=True)]
        total = sum(counts)
        found: list[int] = []
        seen = bucket = 0
        for fraction in fractions:
            wanted = max(1, min(total, -(-total * fraction // 1)))
            while seen < wanted and bucket < BUCKETS:
                seen += counts[bucket]
                bucket += 1
            found.append(upper(bucket - 1) if total else 0)
        return total, found

    def show(self, unit_per: int = 1000) -> dict[str, Any]:
        """As heartbeats carry it: {"count", "p50", "p99", "max"}, values divided by unit_per."""
        count, (p50, p99, most) = self.percentiles(0.5, 0.99, 1.0)
        return {"count": count, "p50": p50 // unit_per, "p99": p99 // unit_per, "max": most // unit_per}


def upper(bucket: int) -> int:
    """The largest value of a bucket."""
    if bucket < 4:
        return bucket
    bits, quarter = bucket >> 2, bucket & 3
    return (quarter + 5 << bits - 3) - 1


class Doublings:
    """Durations since the start of a process, in the buckets of etcd's metrics: up to 1 ms, 2 ms, 4 ms ... 8.192 s, or
    from another bound on."""

    __slots__ = ("_bounds", "_first_ns", "counts", "total_ns")

    def __init__(self, first_ns: int = 1_000_000, bounds: int = DOUBLINGS) -> None:
        """first_ns: the upper bound of the first of so many buckets"""
        self._first_ns = first_ns
        self._bounds = bounds
        self.counts = [0] * (bounds + 1)
        """The last: what took longer than all bounds."""
        self.total_ns = 0

    def add(self, took_ns: int, count: int = 1) -> None:
        """So many that took so long each. Requires: took_ns > 0"""
        self.counts[min(((took_ns - 1) // self._first_ns).bit_length(), self._bounds)] += count
        self.total_ns += took_ns * count

    def figure(self, unit_ns: float = 1e9) -> tuple[list[int], float]:
        """As etcdz.telemetry.families has a histogram. unit_ns: what the sum is told in; the seconds of most of them"""
        return self.counts, self.total_ns / unit_ns
