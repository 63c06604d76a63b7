"""Verbs that only look: which processes live, what they use, which child specs they have."""

import os
import resource
import time
from dataclasses import asdict
from typing import Any, Final

from supervisor.children.child import Child
from supervisor.control.socket import Request, Verb
from supervisor.processes import process_usage
from supervisor.runtime.context import Member


def ping(member: Member, request: Request) -> dict[str, Any]:
    """Which member this is."""
    return {"pid": os.getpid(), "name": member.settings.get("name", ""), "started": member.lifecycle.started}


def ps(member: Member, request: Request) -> dict[str, Any]:
    """Every process of the member."""
    now = time.monotonic()
    spawner = member.spawner
    return {
        "supervisor": _own_process(member, "supervisor", os.getpid(), member.began_at, 0, now),
        "zygote": _own_process(member, "zygote", spawner.pid, spawner.started_at, spawner.starts - 1, now),
        "actors": [describe(member, child, now) for child in member.lifecycle.everyone()],
    }


def tree(member: Member, request: Request) -> list[dict[str, Any]]:
    """The table that the member runs."""
    return [{**asdict(spec), "intensity": spec.intensity._asdict()} for spec in member.lifecycle.specs.values()]


def variables(member: Member, request: Request) -> dict[str, Any]:
    """What etcd has under /debug/vars of its process, and what the last heartbeat of raft said.

    resident_bytes  of all processes
    """
    beats = [member.observations.heartbeats.last(c.incarnation) for c in member.lifecycle.listed()]
    summaries = {beat.name: beat.summary for beat in beats if beat is not None}
    pids = [os.getpid(), *member.pids()]
    return {
        "cmdline": process_usage.command_line(os.getpid()),
        "open_files_max": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        "resident_bytes": sum(process_usage.rss_bytes(pid) or 0 for pid in pids),
        "raft": summaries.get("raft", {}),
        "applied_index": summaries.get("backend", {}).get("applied_index", 0),
    }


VERBS: Final[dict[str, Verb]] = {"ping": ping, "ps": ps, "tree": tree}


def describe(member: Member, child: Child, now: float) -> dict[str, Any]:
    """One actor as `ps` shows it. heartbeat: the fields of its last one, None before the first and after its end"""
    beat = member.observations.heartbeats.last(child.incarnation)
    return {
        "name": child.name,
        "kind": child.spec.role,
        "slot": child.slot,
        "pid": child.pid,
        "incarnation": child.incarnation,
        "state": "draining" if child.draining or child.leaving else child.state.value,
        "restarts": child.restarts,
        **_usage(member, child.pid, now - child.spawned_at, now),
        "heartbeat_age_s": None if child.ready_at is None else round(now - child.heard_at, 3),
        **member.observations.shown(child, now),
        "heartbeat": None if beat is None else beat._asdict(),
    }


def _own_process(member: Member, name: str, pid: int, began_at: float, restarts: int, now: float) -> dict[str, Any]:
    return {"name": name, "kind": name, "pid": pid, "restarts": restarts, **_usage(member, pid, now - began_at, now)}


def _usage(member: Member, pid: int | None, uptime_s: float, now: float) -> dict[str, Any]:
    if pid is None:
        return {"uptime_s": 0.0, "cpu_percent": 0.0, "rss_bytes": 0, "fds": 0}
    return {
        "uptime_s": round(uptime_s, 3),
        "cpu_percent": member.cpu_meter.cpu_percent(pid, now),
        "rss_bytes": process_usage.rss_bytes(pid) or 0,
        "fds": process_usage.open_files(pid) or 0,
    }
