"""When the watchers of each stream are told where they are: every so often per stream, with jitter, as in etcd.

Jitter spreads streams that were opened at once, by clients that come back after a restart.
"""

import heapq
from collections.abc import Callable
from itertools import count

from etcdz.watch.watcher import WatchStream


class ProgressClock:
    """interval_s   between two looks; up to a tenth more
    now          a monotonic clock in seconds
    chance       a random number in [0, 1)
    """

    def __init__(self, interval_s: float, now: Callable[[], float], chance: Callable[[], float]) -> None:
        self._interval_s = interval_s
        self._now = now
        self._chance = chance
        self._heap: list[tuple[float, int, WatchStream]] = []
        self._order = count()

    def begin(self, stream: WatchStream) -> None:
        """The stream has a watcher with progress_notify."""
        if stream.progress_due is None:
            self._schedule(stream, self._now())

    def _schedule(self, stream: WatchStream, now: float) -> None:
        stream.progress_due = now + self._interval_s * (1 + self._chance() / 10)
        heapq.heappush(self._heap, (stream.progress_due, next(self._order), stream))

    def due(self, now: float) -> list[WatchStream]:
        """The open streams whose time has come; each is scheduled again."""
        found = []
        while self._heap and self._heap[0][0] <= now:
            stream = heapq.heappop(self._heap)[2]
            if stream.is_open:
                found.append(stream)
                self._schedule(stream, now)
        return found
