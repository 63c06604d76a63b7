"""All that the supervisor knows of what goes on inside its actors: heartbeats, flight recorders, questions, deaths.

The loop hands in what happens; `inspecting.py` has the verbs that read it.
"""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from etcdz import limits
from etcdz.ipc.boot import stack_path
from etcdz.ipc.messages import Heartbeat, Query
from etcdz.telemetry import logs
from supervisor.telemetry import crash_reports
from supervisor.telemetry.crash_reports import Death
from supervisor.telemetry.queries import Queries
from supervisor.telemetry.recorders import Recorders

if TYPE_CHECKING:
    from supervisor.children.child import Child
    from supervisor.runtime.loop import Loop

log = logs.get("supervisor")

LOOK_S: Final = 0.05
"""How often followers are served while there are any."""
NAMES_MAX: Final = 1_000
"""Incarnations whose names are remembered."""

Follower = Callable[[float], bool]
"""follower(now) -> whether it wants to be called again."""


class Beats(NamedTuple):
    """The last two heartbeats of one incarnation, with the times at which they came."""

    last: Heartbeat
    last_at: float
    before: Heartbeat | None
    before_at: float


class Insight:
    """One per supervisor."""

    def __init__(self, loop: "Loop") -> None:
        self._loop = loop
        self.recorders = Recorders()
        self.queries = Queries(self._send)
        self.beats: dict[int, Beats] = {}
        """By incarnation."""
        self.last_exit: dict[str, dict[str, Any]] = {}
        """By name: {"time", "incarnation", "status", "reason"} of the last one that ended."""
        self._deaths: list[Death] = []
        """Not written down yet: first comes the restart."""
        self._names: dict[int, str] = {0: "supervisor"}
        self._followers: list[Follower] = []
        self._next_look = 0.0
        """When they are served again."""
        self._paused: dict[int, tuple[float, int]] = {}
        """pid -> (when it may go on, its incarnation)."""

    # ---- what the loop hands in ----

    def on_spawn(self, name: str, incarnation: int) -> str:
        """return the path of the flight recorder of a new incarnation"""
        if len(self._names) >= NAMES_MAX:
            del self._names[min(number for number in self._names if number)]
        self._names[incarnation] = name
        return self.recorders.open(name, incarnation)

    def on_heartbeat(self, beat: Heartbeat, now: float) -> None:
        known = self.beats.get(beat.incarnation)
        before, before_at = (known.last, known.last_at) if known is not None else (None, 0.0)
        self.beats[beat.incarnation] = Beats(beat, now, before, before_at)

    def on_exit(self, child: "Child", status: int, now: float) -> None:
        """A process has ended: read what it left, before its files are removed and another takes its name."""
        self.queries.on_gone(child.incarnation)
        reason = child.reason or (f"was killed by signal {-status}" if status < 0 else f"exited with status {status}")
        self.last_exit[child.name] = {
            "time": time.time(),
            "incarnation": child.incarnation,
            "status": status,
            "reason": reason,
        }
        beats = self.beats.pop(child.incarnation, None)
        if status != 0 and not (status == -signal.SIGTERM and child.state.value == "stopping"):
            self._deaths.append(self._autopsy(child, status, reason, beats, now))
        self.recorders.close(child.incarnation)

    def _autopsy(self, child: "Child", status: int, reason: str, beats: Beats | None, now: float) -> Death:
        box = self.recorders.box(child.incarnation)
        beat = beats.last if beats is not None else None
        return Death(
            name=child.name,
            kind=child.spec.role,
            incarnation=child.incarnation,
            pid=child.pid or 0,
            time_s=time.time(),
            ended_ns=time.monotonic_ns(),
            uptime_s=now - child.spawned_at,
            status=status,
            ending=child.ending.value if child.ending is not None else ("killed" if status < 0 else "failed"),
            reason=reason,
            stack=(box.text() if box is not None else "") or self.stack(child),
            headers=box.headers() if box is not None else [],
            summary=beat.summary if beat is not None else {},
            statistics=beat.statistics if beat is not None else {},
            log=box.log()[1].decode("utf-8", "replace") if box is not None else "",
        )

    def look(self, now: float) -> None:
        """Once a turn, when everything urgent is done."""
        self.queries.expire(now)
        self._continue_paused(now)
        if self._followers and now >= self._next_look:
            self._next_look = now + LOOK_S
            self._followers = [follower for follower in self._followers if follower(now)]
        deaths, self._deaths = self._deaths, []
        for death in deaths:
            self._write(death)

    def next_deadline(self) -> float | None:
        """When `look` has something to do."""
        due = [at for at, _ in self._paused.values()]
        if self._followers:
            due.append(self._next_look)
        if (deadline := self.queries.next_deadline()) is not None:
            due.append(deadline)
        return min(due, default=None)

    def _write(self, death: Death) -> None:
        try:
            content = crash_reports.report(death, self.name_of)
            path = crash_reports.write(str(self._loop.settings["data_dir"]), content)
        except OSError as error:  # a full disk: the log has said the most important
            log.warn("cannot write a crash report", child=death.name, error=str(error))
        else:
            log.info("wrote a crash report", child=death.name, incarnation=death.incarnation, path=str(path))

    def close(self) -> None:
        """The member ends: what is not written yet is."""
        for death in self._deaths:
            self._write(death)
        self._deaths = []
        self.recorders.close_all()

    # ---- what the verbs use ----

    def follow(self, follower: Follower) -> None:
        """Have it called several times a second until it has enough."""
        self._followers.append(follower)

    def name_of(self, incarnation: int) -> str:
        return self._names.get(incarnation, f"incarnation {incarnation}")

    def stack(self, child: "Child") -> str:
        """All that the process has written about its stacks so far."""
        path = stack_path(self._loop.links.endpoint_of(child.name, child.incarnation))
        with suppress(OSError):
            return Path(path).read_text(errors="replace")
        return ""

    def pause(self, pid: int, incarnation: int, until: float) -> None:
        """SIGSTOP now, SIGCONT then. raises ProcessLookupError"""
        os.kill(pid, signal.SIGSTOP)
        self._paused[pid] = (until, incarnation)

    def _continue_paused(self, now: float) -> None:
        for pid, (until, incarnation) in list(self._paused.items()):
            alive = any(child.pid == pid and child.incarnation == incarnation for child in self.children())
            if alive and now < until:
                continue
            del self._paused[pid]
            if alive:  # or the number may be another process's by now
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def children(self) -> list["Child"]:
        return list(self._loop.lifecycle.everyone())

    def is_paused(self, pid: int) -> bool:
        """Whether it is stopped on order, which is no sign of a hang."""
        return pid in self._paused

    def _send(self, name: str, incarnation: int, question: Query) -> None:
        self._loop.links.send(incarnation, question)

    def shown(self, child: "Child", now: float) -> dict[str, Any]:
        """What `ps` shows of the inside of one actor; see docs/actors.md. None where nothing is known yet."""
        beats = self.beats.get(child.incarnation)
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
            "last_exit": self.last_exit.get(child.name),
        }

    def _mailbox(self, child: "Child", statistics: dict[str, Any], now: float) -> tuple[int | None, int | None]:
        """(depth, age of the oldest in us): its own words, or, of one that is silent, what the others have sent it."""
        depth, oldest_us = statistics.get("mailbox_depth"), statistics.get("oldest_us")
        silent_s = now - child.heard_at
        if depth is None or silent_s < 2 * limits.HEARTBEAT_S:
            return depth, oldest_us
        taken = statistics.get("frames_in", {})
        sent = {beats.last.incarnation: beats.last.statistics for beats in self.beats.values()}
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
