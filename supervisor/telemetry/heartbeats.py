"""The last two heartbeats of every incarnation, and what `ps` makes of them: rates, and how full a mailbox is."""

from typing import Any, NamedTuple

from etcdz import limits
from etcdz.ipc.messages import Heartbeat
from supervisor.children.child import Child


class Beats(NamedTuple):
    """The last two heartbeats of one incarnation, with the times at which they came."""

    last: Heartbeat
    last_at: float
    before: Heartbeat | None
    before_at: float


class Heartbeats:
    """Of all living incarnations. Times are seconds on the monotonic clock."""

    def __init__(self) -> None:
        self._beats: dict[int, Beats] = {}
        """By incarnation."""

    def record(self, beat: Heartbeat, now: float) -> None:
        """One has come."""
        known = self._beats.get(beat.incarnation)
        before, before_at = (known.last, known.last_at) if known is not None else (None, 0.0)
        self._beats[beat.incarnation] = Beats(beat, now, before, before_at)

    def last(self, incarnation: int) -> Heartbeat | None:
        """None before the first, and after its end."""
        beats = self._beats.get(incarnation)
        return beats.last if beats is not None else None

    def remove(self, incarnation: int) -> Heartbeat | None:
        """This incarnation has ended. return its last heartbeat"""
        beats = self._beats.pop(incarnation, None)
        return beats.last if beats is not None else None

    def shown(self, child: Child, now: float) -> dict[str, Any]:
        """What `ps` shows of the inside of one actor; see docs/actors.md. None where nothing is known yet."""
        beats = self._beats.get(child.incarnation)
        statistics = beats.last.statistics if beats is not None else {}
        depth, oldest_us = self._mailbox(child, statistics, now)
        return {
            "mailbox_depth": depth,
            "oldest_us": oldest_us,
            "received_per_s": _rates(beats, "received"),
            "sent_per_s": _rates(beats, "sent"),
            "turns_per_s": _turns_per_s(beats),
            "turn_us": statistics.get("turn_us"),
            "fsync_us": statistics.get("fsync_us"),
            "batch": statistics.get("batch"),
            "last_error": statistics.get("last_error"),
            "log_level": statistics.get("log_level"),
        }

    def _mailbox(self, child: Child, statistics: dict[str, Any], now: float) -> tuple[int | None, int | None]:
        """(frames that wait, age of the oldest in us): by its own words, or, of one that sends no heartbeat, by how
        many more frames the others say they have sent it than it has taken."""
        depth, oldest_us = statistics.get("mailbox_depth"), statistics.get("oldest_us")
        silent_s = now - child.heard_at
        if depth is None or silent_s < 2 * limits.HEARTBEAT_S:
            return depth, oldest_us
        taken = statistics.get("frames_in", {})
        sent = {beats.last.incarnation: beats.last.statistics for beats in self._beats.values()}
        waiting = sum(
            max(0, of.get("frames_out", {}).get(child.name, 0) - taken.get(incarnation, 0))
            for incarnation, of in sent.items()
        )
        if not waiting:
            return depth, oldest_us
        return waiting, max(oldest_us or 0, int((silent_s - limits.HEARTBEAT_S) * 1e6))


def _rates(beats: Beats | None, field: str) -> dict[str, float] | None:
    """Messages a second by type, between the last two heartbeats."""
    if beats is None or beats.before is None or beats.last_at <= beats.before_at:
        return None
    seconds = beats.last_at - beats.before_at
    now, before = beats.last.statistics.get(field, {}), beats.before.statistics.get(field, {})
    return {kind: round((count - before.get(kind, 0)) / seconds, 1) for kind, count in now.items()}


def _turns_per_s(beats: Beats | None) -> float | None:
    if beats is None or beats.before is None or beats.last_at <= beats.before_at:
        return None
    return round((beats.last.batches - beats.before.batches) / (beats.last_at - beats.before_at), 1)
