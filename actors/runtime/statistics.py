"""What an actor counts about itself, as its heartbeats carry it.

Counted per turn and per frame, never timed: at most a few hundred nanoseconds a turn (tests/bench/turn_cost.py).

    received      messages taken, by type, since the actor's start
    sent          messages sent to other actors, by type, since its start
    frames_in     by incarnation of the sender: frames taken since its start
    frames_out    by name of the receiver: frames sent to its living incarnation
    mailbox_depth the most frames that lay in the mailbox when a turn began, over the last 2-4 s; a turn takes no more
                  than limits.FRAMES_PER_TURN
    oldest_us     the greatest age of a frame when its turn began, over the last 2-4 s
    turn_us       handling time of turns: {"count", "p50", "p99", "max"}, over the last 5-10 s
    NAME_us       times of another kind, such as the wal's fsync_us, in the same form
    batch         entries or calls that one turn worked off together, in the same form, where an actor has them
    last_error    {"ts", "msg"} of the last line of the log with level error or above; None if there was none
    log_level     from which level on lines are written
"""

from collections import defaultdict, deque
from typing import Any, Final

from actors.runtime.link import Links
from actors.runtime.mailbox import Mailbox
from etcdz.telemetry import logs
from etcdz.telemetry.histogram import Histogram

WINDOW_S: Final = 5.0
INTERVALS: Final = 4
"""From one heartbeat to the next, over which depth and age are shown: 0.5 s each, 1 s while idle."""


class Statistics:
    """Of one actor, over its life."""

    __slots__ = ("_maxima", "_next_roll", "batches", "depth_max", "oldest_ns_max", "received", "times", "turns")

    def __init__(self) -> None:
        self.received: defaultdict[type[Any], int] = defaultdict(int)
        self.turns = Histogram()
        """Nanoseconds."""
        self.times: dict[str, Histogram] = {}
        """Further times in nanoseconds, by name without unit."""
        self.batches = Histogram()
        self.depth_max = 0
        self.oldest_ns_max = 0
        self._maxima: deque[tuple[int, int]] = deque(maxlen=INTERVALS - 1)
        """(depth_max, oldest_ns_max) of the intervals before."""
        self._next_roll = 0.0

    def show(self, mailbox: Mailbox, links: Links) -> dict[str, Any]:
        """The fields above."""
        maxima = (*self._maxima, (self.depth_max, self.oldest_ns_max))
        return {
            "received": _by_name(self.received),
            "sent": _by_name(links.sent),
            "frames_in": mailbox.taken(),
            "frames_out": links.frames_sent(),
            "mailbox_depth": max(depth for depth, _ in maxima),
            "oldest_us": max(oldest_ns for _, oldest_ns in maxima) // 1000,
            "turn_us": self.turns.show(),
            **{f"{name}_us": times.show() for name, times in self.times.items()},
            "batch": self.batches.show(unit_per=1),
            "last_error": logs.last_error(),
            "log_level": logs.level(),
        }

    def begin_interval(self, now: float) -> None:
        """A heartbeat has been sent. now: seconds on a clock that does not go back"""
        self._maxima.append((self.depth_max, self.oldest_ns_max))
        self.depth_max = self.oldest_ns_max = 0
        if now >= self._next_roll:
            self._next_roll = now + WINDOW_S
            for histogram in (self.turns, self.batches, *self.times.values()):
                histogram.roll()


def _by_name(counts: dict[type[Any], int]) -> dict[str, int]:
    return {kind.__name__: count for kind, count in counts.items()}
