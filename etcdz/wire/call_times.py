"""How long gRPC calls and streams take, by the method's tag, for `--metrics=extensive`."""

from bisect import bisect_left

from etcdz.api.grpc_methods import TIME_BOUNDS_S


class CallTimes:
    """counts   by tag: how many in each bucket, the last beyond all bounds
    total_s     by tag: their sum in seconds
    """

    __slots__ = ("counts", "total_s")

    def __init__(self) -> None:
        self.counts: dict[int, list[int]] = {}
        self.total_s: dict[int, float] = {}

    def add(self, tag: int, took_s: float) -> None:
        """One has ended."""
        counts = self.counts.get(tag)
        if counts is None:
            counts = self.counts[tag] = [0] * (len(TIME_BOUNDS_S) + 1)
            self.total_s[tag] = 0.0
        counts[bisect_left(TIME_BOUNDS_S, took_s)] += 1
        self.total_s[tag] += took_s
