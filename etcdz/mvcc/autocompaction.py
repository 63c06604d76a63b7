"""When a member compacts by itself, by etcd's rules: pure, the clock is an argument.

    periodic    what is older than the period goes, once a period and at least once an hour. A tenth of that interval is
                the beat: with each the current revision is noted, and the oldest note is where to compact. A compaction
                that failed is tried again with the next beat, which is a tenth of the interval later.
    revision    every five minutes all but the latest revisions go.

A beat is: `tick` when `next_at` has come, which says where to compact, and `done` once that has been tried; without
anything to compact `tick` goes on to the next beat itself. Source: etcd 3.5 v3compactor.
"""

from typing import Any, Final, Protocol

from etcdz.config.retention import PERIODIC, REVISION, parse_retention

HOUR_S: Final = 3600.0
BEATS: Final = 10
"""In an interval."""
REVISION_BEAT_S: Final = 300.0


class AutoCompaction(Protocol):
    """One of the modes.

    next_at    of the next beat, in seconds on the caller's clock
    beat_s     from beat to beat
    about      what etcd's log lines say of the settings: (field, value in ns or revisions)
    """

    mode: str
    next_at: float
    beat_s: float
    about: tuple[str, int]

    def tick(self, now_s: float, revision: int, leads: bool) -> int | None:
        """A beat, at the store's current revision. return where to compact, or None"""

    def done(self, now_s: float, revision: int, target: int, succeeded: bool) -> None:
        """A compaction at target has been tried. Compacted already is a success."""

    def notes(self) -> list[Any]:
        """What `recall` wants, so that a new process goes on where this one was."""

    def recall(self, notes: list[Any]) -> None: ...


class Periodic:
    mode = PERIODIC

    def __init__(self, period_ns: int, now_s: float, revision: int) -> None:
        self.about = ("compact-period", period_ns)
        self._period_s = period_ns / 1e9
        self._interval_s = min(self._period_s, HOUR_S)
        self.beat_s = self._interval_s / BEATS
        self._revisions_max = int(self._period_s / self.beat_s + 1e-9) + 1
        self._revisions: list[int] = []
        self._wait_s = self._period_s
        """Since the last success; the first time a whole period."""
        self._success_at = now_s
        self._next_beat(now_s, revision)

    def _next_beat(self, now_s: float, revision: int) -> None:
        self._revisions = [*self._revisions, revision][-self._revisions_max :]
        self.next_at = now_s + self.beat_s

    def tick(self, now_s: float, revision: int, leads: bool) -> int | None:
        if leads and now_s - self._success_at >= self._wait_s:
            self._wait_s = self._interval_s
            return self._revisions[0]
        self._next_beat(now_s, revision)
        return None

    def done(self, now_s: float, revision: int, target: int, succeeded: bool) -> None:
        if succeeded:
            self._success_at = now_s
        self._next_beat(now_s, revision)

    def notes(self) -> list[Any]:
        return [self.next_at, self._success_at, self._wait_s, self._revisions]

    def recall(self, notes: list[Any]) -> None:
        self.next_at, self._success_at, self._wait_s, self._revisions = notes


class ByRevision:
    mode = REVISION
    beat_s = REVISION_BEAT_S

    def __init__(self, retention: int, now_s: float) -> None:
        self.about = ("revision-compaction-retention", retention)
        self._retention = retention
        self._before = 0
        self.next_at = now_s + self.beat_s

    def tick(self, now_s: float, revision: int, leads: bool) -> int | None:
        target = revision - self._retention
        if leads and target > 0 and target != self._before:
            return target
        self.next_at = now_s + self.beat_s
        return None

    def done(self, now_s: float, revision: int, target: int, succeeded: bool) -> None:
        if succeeded:
            self._before = target
        self.next_at = now_s + self.beat_s

    def notes(self) -> list[Any]:
        return [self.next_at, self._before]

    def recall(self, notes: list[Any]) -> None:
        self.next_at, self._before = notes


def make(mode: str, retention: str, now_s: float, revision: int) -> AutoCompaction | None:
    """What --auto-compaction-mode and --auto-compaction-retention ask for; None for nothing. raises ValueError"""
    amount = parse_retention(mode, retention)
    if not amount:
        return None
    return ByRevision(amount, now_s) if mode == REVISION else Periodic(amount, now_s, revision)
