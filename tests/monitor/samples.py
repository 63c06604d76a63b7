"""Samples of made-up members."""

from typing import Any

from etcdz.monitor.sample import Sample, read_sample
from etcdz.monitor.view import History, View


def row(name: str, at_s: float, received: dict[str, int], **changes: Any) -> dict[str, Any]:
    """An actor as ps shows it, whose last heartbeat came 0.25 s before."""
    beat = {"statistics": {"received": received, "sent": {"Append": 2 * at_s}}, "summary": {"revision": 7}}
    whole = {
        "name": name,
        "kind": name.partition("-")[0],
        "pid": 7,
        "incarnation": 1,
        "state": "ready",
        "cpu_percent": 12.5,
        "rss_bytes": 36 << 20,
        "mailbox_depth": 3,
        "oldest_us": 1200,
        "turn_us": {"count": 4, "p50": 50, "p99": 900, "max": 1000},
        "heartbeat_age_s": 0.25,
        "heartbeat": beat,
    }
    return {**whole, **changes}


def sample(at_s: float, *rows: dict[str, Any]) -> Sample:
    supervisor = {"name": "supervisor", "kind": "supervisor", "pid": 1}
    return read_sample({"actors": rows, "supervisor": supervisor}, at_s)


def member(seconds: int = 10, **wal: Any) -> tuple[History, View]:
    """One with two listeners that has been watched so long; at the end its wal is restarted, with these fields."""
    history = History()
    for at_s in range(1, seconds + 1):
        fields = {"incarnation": 2, "pid": 8, "restarts": 1, **wal} if wal and at_s == seconds else {}
        view = history.feed(
            sample(
                float(at_s),
                row("backend", at_s, {"Durable": at_s * 400, "Read": 20 * at_s}),
                row("wal", at_s, {"Write": at_s * 1000}, fsync_us={"count": 1, "p50": 900, "p99": 2100}, **fields),
                row("raft", at_s, {"DelegatedAppends": 50 * at_s}),
                *(row(f"listener-{n}", at_s, {"Replies": at_s * 100 * n}) for n in (1, 2)),
            )
        )
    return history, view
