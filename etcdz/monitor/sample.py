"""One answer to the verb `ps` (docs/actors.md), typed. What a member of another version does not tell is 0 or None."""

from collections.abc import Mapping
from typing import Any, NamedTuple


class ActorSample(NamedTuple):
    """One process. counted_at_s: when received and sent were counted; the others are of the sample's time.

    received, sent  messages since its start, by type
    turn_p50_us     and what else may be None: nothing is known yet
    """

    name: str
    kind: str
    pid: int | None
    incarnation: int
    state: str
    restarts: int
    uptime_s: float
    cpu_percent: float
    rss_bytes: int
    fds: int
    mailbox_depth: int | None
    oldest_us: int | None
    counted_at_s: float | None
    received: Mapping[str, int]
    sent: Mapping[str, int]
    turn_p50_us: int | None
    turn_p99_us: int | None
    fsync_p99_us: int | None
    batch_p50: int | None
    last_error: str
    last_exit: str
    summary: Mapping[str, Any]


class Sample(NamedTuple):
    """A member at one moment. at_s: on a clock that does not go back"""

    at_s: float
    actors: tuple[ActorSample, ...]


def read_sample(answer: Mapping[str, Any], at_s: float) -> Sample:
    """answer: {"supervisor", "zygote", "actors"}. raises KeyError: a process without a name"""
    rows = [answer[name] for name in ("supervisor", "zygote") if name in answer]
    return Sample(at_s, tuple(_read_actor(row, at_s) for row in [*rows, *answer.get("actors", ())]))


def _read_actor(row: Mapping[str, Any], at_s: float) -> ActorSample:
    beat: Mapping[str, Any] = row.get("heartbeat") or {}
    statistics: Mapping[str, Any] = beat.get("statistics") or {}
    age_s = row.get("heartbeat_age_s")
    return ActorSample(
        name=str(row["name"]),
        kind=str(row.get("kind", "")),
        pid=row.get("pid"),
        incarnation=int(row.get("incarnation", 0)),
        state=str(row.get("state", "-")),
        restarts=int(row.get("restarts", 0)),
        uptime_s=float(row.get("uptime_s", 0.0)),
        cpu_percent=float(row.get("cpu_percent", 0.0)),
        rss_bytes=int(row.get("rss_bytes", 0)),
        fds=int(row.get("fds", 0)),
        mailbox_depth=row.get("mailbox_depth"),
        oldest_us=row.get("oldest_us"),
        counted_at_s=at_s - age_s if beat and age_s is not None else None,
        received=statistics.get("received") or {},
        sent=statistics.get("sent") or {},
        turn_p50_us=_of(row, "turn_us", "p50"),
        turn_p99_us=_of(row, "turn_us", "p99"),
        fsync_p99_us=_of(row, "fsync_us", "p99"),
        batch_p50=_of(row, "batch", "p50"),
        last_error=str((row.get("last_error") or {}).get("msg", "")),
        last_exit=str((row.get("last_exit") or {}).get("reason", "")),
        summary=beat.get("summary") or {},
    )


def _of(row: Mapping[str, Any], field: str, which: str) -> int | None:
    """Nothing was measured: None, not 0."""
    measured = row.get(field) or {}
    return measured.get(which) if measured.get("count") else None
