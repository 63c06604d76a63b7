"""What a member has sent of appends and has been sent, for /v2/stats/self and /v2/stats/leader. Times are arguments.

Source: etcd 3.5 v2stats. NB: its rates are over the last 200 appends, and none a second after the last one.
"""

import math
from collections import deque
from typing import Final, NamedTuple

SAMPLES_MAX: Final = 200
CALM_S: Final = 1.0
_NO_MINIMUM: Final = float(1 << 63)
"""What etcd has in the place of the least before there is any."""


class Flow(NamedTuple):
    """One direction. appends: so many. messages, bytes: a second"""

    appends: int
    messages: float
    bytes: float


class AppendFlow:
    """Counts one direction."""

    def __init__(self) -> None:
        self._count = 0
        self._bytes = 0
        self._samples: deque[tuple[float, int]] = deque()

    def count(self, size: int, now: float) -> None:
        """One append. size: of its entries, in bytes. now: on any clock in s"""
        self._count += 1
        self._bytes += size
        self._samples.append((now, size))
        if len(self._samples) > SAMPLES_MAX:
            self._bytes -= self._samples.popleft()[1]

    def figure(self, now: float) -> Flow:
        """NB: of a single append there is no rate; etcd then has none that JSON could hold."""
        samples = self._samples
        if not samples or now - samples[-1][0] > CALM_S:
            samples.clear()
            self._bytes = 0
            return Flow(self._count, 0, 0)
        duration_s = samples[-1][0] - samples[0][0]
        if duration_s <= 0:
            return Flow(self._count, 0, 0)
        return Flow(self._count, len(samples) / duration_s, self._bytes / duration_s)


class FollowerFigures(NamedTuple):
    """Times in ms, from an append's arrival at the connection to its having been written."""

    current: float = 0
    average: float = 0
    deviation: float = 0
    minimum: float = _NO_MINIMUM
    maximum: float = 0
    failed: int = 0
    succeeded: int = 0


class Follower:
    """One other member, as appends have got to it."""

    def __init__(self) -> None:
        self.figures = FollowerFigures()
        self._average_square = 0.0

    def succeed(self, taken_s: float) -> None:
        """An append was written."""
        before, current = self.figures, 1e3 * taken_s
        count = before.succeeded + 1
        average = (before.succeeded * before.average + current) / count
        self._average_square = (before.succeeded * self._average_square + current * current) / count
        self.figures = FollowerFigures(
            current,
            average,
            math.sqrt(max(0.0, self._average_square - average * average)),
            min(before.minimum, current),
            max(before.maximum, current),
            before.failed,
            count,
        )

    def fail(self) -> None:
        """An append was not taken."""
        self.figures = self.figures._replace(failed=self.figures.failed + 1)


class AppendStatistics:
    """Of one member. followers: by id"""

    def __init__(self) -> None:
        self.sent = AppendFlow()
        self.received = AppendFlow()
        self.followers: dict[int, Follower] = {}
        self._unwritten: list[tuple[Follower, float]] = []

    def meet(self, ids: set[int]) -> None:
        """Who the other members are."""
        self.followers = {id_: self.followers.get(id_) or Follower() for id_ in sorted(ids)}

    def on_append(self, to: int, size: int, is_streamed: bool, now: float) -> None:
        """One is about to leave. is_streamed: else it is POSTed, and on_posted() says what has come of it"""
        self.sent.count(size, now)
        follower = self.followers.get(to)
        if follower is not None and is_streamed:
            self._unwritten.append((follower, now))

    def on_written(self, now: float) -> None:
        """All that was about to leave on streams has left."""
        for follower, since in self._unwritten:
            follower.succeed(now - since)
        self._unwritten.clear()

    def on_posted(self, to: int, taken_s: float | None) -> None:
        """taken_s: None: it has not arrived"""
        follower = self.followers.get(to)
        if follower is None:
            return
        if taken_s is None:
            follower.fail()
        else:
            follower.succeed(taken_s)
