"""The control socket: requests of `etcdz actors` and the monitor, answered from the loop's own state.

    request   {"verb": "ps", "args": {}}
    answer    {"ok": true, "result": ...} or {"ok": false, "error": "..."}

ROUTER, JSON. Who may talk to it is decided by the private directory that it lies in.
"""

import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import zmq

from supervisor import usage

if TYPE_CHECKING:
    from supervisor.lifecycle import Life
    from supervisor.loop import Loop

REQUESTS_PER_TURN: Final = 16


class ControlError(Exception):
    """The request cannot be met; the text is for the user."""


class Control:
    """Serves requests between the loop's other work."""

    def __init__(self, context: "zmq.Context[Any]", endpoint: str, loop: "Loop") -> None:
        self.socket: zmq.Socket[bytes] = context.socket(zmq.ROUTER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.bind(endpoint)
        self._loop = loop

    def serve(self) -> None:
        """Answer what waits; a few each turn, so that a flood here cannot hold up supervision."""
        with suppress(zmq.Again):
            for _ in range(REQUESTS_PER_TURN):
                *envelope, body = self.socket.recv_multipart(zmq.NOBLOCK)
                self.socket.send_multipart([*envelope, self._answer(body)], zmq.NOBLOCK)

    def _answer(self, body: bytes) -> bytes:
        try:
            request = json.loads(body)
            verb, args = VERBS[request["verb"]], request.get("args", {})
            return _encode({"ok": True, "result": verb(self._loop, args)})
        except ControlError as error:
            return _encode({"ok": False, "error": str(error)})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return _encode({"ok": False, "error": f"bad request: {error!r}; known verbs: {', '.join(VERBS)}"})

    def close(self) -> None:
        self.socket.close(linger=0)


def _encode(answer: dict[str, Any]) -> bytes:
    """What JSON does not know, such as bytes in a heartbeat's summary, in Python's words."""
    return json.dumps(answer, default=str, skipkeys=True).encode()


def ping(loop: "Loop", args: Mapping[str, Any]) -> dict[str, Any]:
    """Who answers."""
    return {"pid": os.getpid(), "name": loop.settings.get("name", ""), "started": loop.lifecycle.started}


def ps(loop: "Loop", args: Mapping[str, Any]) -> dict[str, Any]:
    """Every process of the member."""
    now = time.monotonic()
    spawner = loop.spawner
    return {
        "supervisor": _own_process(loop, "supervisor", os.getpid(), loop.began_at, 0, now),
        "zygote": _own_process(loop, "zygote", spawner.pid, spawner.started_at, spawner.starts - 1, now),
        "actors": [describe(loop, life, now) for life in loop.lifecycle.lives.values()],
    }


def tree(loop: "Loop", args: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The table that the member runs."""
    fields = ("name", "kind", "stage", "count", "restart", "start_s", "stop_s", "hang_s", "nice", "options")
    return [
        {**{field: getattr(row, field) for field in fields}, "intensity": row.intensity._asdict()} for row in loop.tree
    ]


VERBS: Final[dict[str, Callable[["Loop", Mapping[str, Any]], Any]]] = {"ping": ping, "ps": ps, "tree": tree}


def describe(loop: "Loop", life: "Life", now: float) -> dict[str, Any]:
    """One actor as `ps` shows it. heartbeat: the numbers of its last one, None before the first."""
    beat = loop.heartbeats.get(life.name)
    if beat is not None and beat.incarnation != life.incarnation:
        beat = None
    return {
        "name": life.name,
        "kind": life.row.kind.rpartition(".")[2],
        "slot": life.slot,
        "pid": life.pid,
        "incarnation": life.incarnation,
        "state": life.state.value,
        "restarts": life.restarts,
        **_usage(loop, life.pid, now - life.spawned_at, now),
        "heartbeat_age_s": None if life.ready_at is None else round(now - life.heard_at, 3),
        "heartbeat": None if beat is None else beat._asdict(),
    }


def _own_process(loop: "Loop", name: str, pid: int, began_at: float, restarts: int, now: float) -> dict[str, Any]:
    return {"name": name, "kind": name, "pid": pid, "restarts": restarts, **_usage(loop, pid, now - began_at, now)}


def _usage(loop: "Loop", pid: int | None, uptime_s: float, now: float) -> dict[str, Any]:
    if pid is None:
        return {"uptime_s": 0.0, "cpu_percent": 0.0, "rss_bytes": 0}
    rss_bytes = usage.rss_bytes(pid) or 0
    return {"uptime_s": round(uptime_s, 3), "cpu_percent": loop.meter.cpu_percent(pid, now), "rss_bytes": rss_bytes}
