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


def cluster_member(seconds: int = 3, *, heard: bool = True) -> tuple[History, View]:
    """One that leads three: b follows, and c is sent a snapshot; at the end b is heard of or not."""
    history = History()
    for at_s in range(1, seconds + 1):
        is_heard = heard or at_s < seconds
        b = {
            "id": "b2",
            "name": "b",
            "active_s": 9.0 if is_heard else None,
            "inactive_because": "" if is_heard else "EOF",
        }
        c = {"id": "c3", "name": "", "active_s": 9.0, "waiting_bytes": 3 << 20, "dropped": 4, "snapshot": "to 45%"}
        sent = {"sent_bytes": at_s * 50_000, "received_bytes": at_s * 300, "round_trip_us": 240}
        followers = [
            {"id": "c3", "follows": "snapshot", "behind": 70_000},
            {"id": "b2", "follows": "replicate", "behind": 1},
        ]
        statistics = {"received": {"Send": 90 * at_s}, "sent": {}}
        peer = {"statistics": statistics, "summary": {"peers": [{**c, "sent_bytes": 0}, {**b, **sent}]}}
        raft = {"statistics": {"received": {"Received": 80 * at_s}, "sent": {}}, "summary": {"followers": followers}}
        view = history.feed(
            sample(
                float(at_s),
                row("backend", at_s, {"Apply": at_s * 40}),
                row("peer", at_s, {}, heartbeat=peer),
                row("raft", at_s, {}, heartbeat=raft),
                row("wal", at_s, {"Append": at_s * 40}, fsync_us={"count": 1, "p50": 900, "p99": 2100}),
                row("listener-1", at_s, {"Replies": at_s * 40}),
            )
        )
    return history, view
