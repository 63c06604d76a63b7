"""How long the way to another member and back takes, and how far its clock is from ours: asked by GET /raft/probing.

Source: etcd 3.5, which asks by each of its two kinds of connection; the names are its.
"""

import json
import re
from datetime import UTC, datetime
from typing import Final

PATH: Final = "/raft/probing"
PROBE_S: Final = 4.0
FIRST_LOOK_S: Final = 5.0
LOOK_S: Final = 30.0
UNHEALTHY_LOOK_S: Final = 5.0
DRIFT_S_MAX: Final = 1.0
ROUND_TRIPPER: Final = "ROUND_TRIPPER_RAFT_MESSAGE"
"""What etcd calls the kind of connection in its log."""
RTT_BUCKETS: Final = 16
RTT_BUCKET_S: Final = 0.0001
"""Upper bound of the first bucket; each further one is twice as wide."""

_WEIGHT: Final = 1 / 8
_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")


class Probes:
    """Of one member.

    round_trip_s    smoothed as TCP does it, 0.0 before the first answer
    clock_ahead_s   the other's clock less ours, in the middle of the last probe
    why             what was wrong with the last probe, "" if nothing
    counts          of round trips by bucket, the last: beyond all bounds
    """

    def __init__(self, now: float) -> None:
        self.round_trip_s = 0.0
        self.clock_ahead_s = 0.0
        self.why = ""
        self.counts = [0] * (RTT_BUCKETS + 1)
        self.total_s = 0.0
        self._look_at = now + FIRST_LOOK_S

    def on_answer(self, took_s: float, unix_s: float, body: bytes) -> None:
        """took_s: from the request to the answer. unix_s: our clock when it came"""
        told = _decode(body)
        if told is None:
            self.on_failure("malformed answer to a probe")
            return
        self.why = ""
        self.clock_ahead_s = told - (unix_s - took_s / 2)
        smoothed = self.round_trip_s
        self.round_trip_s = smoothed + (took_s - smoothed) * _WEIGHT if smoothed else took_s
        self.total_s += took_s
        self.counts[_bucket(took_s)] += 1

    def on_failure(self, why: str) -> None:
        self.why = why

    def warnings(self, now: float) -> list[str]:
        """Messages for the log that are due, in etcd's words."""
        if now < self._look_at:
            return []
        self._look_at = now + (UNHEALTHY_LOOK_S if self.why else LOOK_S)
        if self.why:
            return ["prober detected unhealthy status"]
        return ["prober found high clock drift"] if abs(self.clock_ahead_s) > DRIFT_S_MAX else []


def _bucket(took_s: float) -> int:
    bound = RTT_BUCKET_S
    for number in range(RTT_BUCKETS):
        if took_s <= bound:
            return number
        bound *= 2
    return RTT_BUCKETS


def _decode(body: bytes) -> float | None:
    """Unix time in s that the other says it is."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(answer, dict) or answer.get("OK") is not True or not isinstance(answer.get("Now"), str):
        return None
    match = _TIME.fullmatch(answer["Now"])
    if match is None:
        return None
    try:
        whole = datetime.fromisoformat(match[1] + match[3].replace("Z", "+00:00")).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return whole.timestamp() + float(match[2] or 0)
