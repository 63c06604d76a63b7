"""Verbs that only look: who lives, what it uses, which rules it lives under."""

import os
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from supervisor.control.socket import Request, Verb
from supervisor.processes import process_usage

if TYPE_CHECKING:
    from supervisor.children.child import Child
    from supervisor.runtime.loop import Loop


def ping(loop: "Loop", request: Request) -> dict[str, Any]:
    """Who answers."""
    return {"pid": os.getpid(), "name": loop.settings.get("name", ""), "started": loop.lifecycle.started}


def ps(loop: "Loop", request: Request) -> dict[str, Any]:
    """Every process of the member."""
    now = time.monotonic()
    spawner = loop.spawner
    return {
        "supervisor": _own_process(loop, "supervisor", os.getpid(), loop.began_at, 0, now),
        "zygote": _own_process(loop, "zygote", spawner.pid, spawner.started_at, spawner.starts - 1, now),
        "actors": [describe(loop, child, now) for child in loop.lifecycle.everyone()],
    }


def tree(loop: "Loop", request: Request) -> list[dict[str, Any]]:
    """The table that the member runs."""
    return [{**asdict(spec), "intensity": spec.intensity._asdict()} for spec in loop.lifecycle.specs.values()]


VERBS: Final[dict[str, Verb]] = {"ping": ping, "ps": ps, "tree": tree}


def describe(loop: "Loop", child: "Child", now: float) -> dict[str, Any]:
    """One actor as `ps` shows it. heartbeat: the numbers of its last one, None before the first."""
    beat = loop.heartbeats.get(child.name)
    if beat is not None and beat.incarnation != child.incarnation:
        beat = None
    return {
        "name": child.name,
        "kind": child.spec.role,
        "slot": child.slot,
        "pid": child.pid,
        "incarnation": child.incarnation,
        "state": "draining" if child.draining or child.leaving else child.state.value,
        "restarts": child.restarts,
        **_usage(loop, child.pid, now - child.spawned_at, now),
        "heartbeat_age_s": None if child.ready_at is None else round(now - child.heard_at, 3),
        **loop.insight.shown(child, now),
        "heartbeat": None if beat is None else beat._asdict(),
    }


def _own_process(loop: "Loop", name: str, pid: int, began_at: float, restarts: int, now: float) -> dict[str, Any]:
    return {"name": name, "kind": name, "pid": pid, "restarts": restarts, **_usage(loop, pid, now - began_at, now)}


def _usage(loop: "Loop", pid: int | None, uptime_s: float, now: float) -> dict[str, Any]:
    if pid is None:
        return {"uptime_s": 0.0, "cpu_percent": 0.0, "rss_bytes": 0, "fds": 0}
    return {
        "uptime_s": round(uptime_s, 3),
        "cpu_percent": loop.meter.cpu_percent(pid, now),
        "rss_bytes": process_usage.rss_bytes(pid) or 0,
        "fds": process_usage.open_files(pid) or 0,
    }
