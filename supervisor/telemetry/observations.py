"""All that the supervisor knows of the inside of its actors: heartbeats, flight recorders, queries, deaths.

The loop hands in what happens; the verbs of supervisor/control read it.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from etcdz.ipc.boot import stack_path
from etcdz.ipc.messages import LAST_FIGURES, Heartbeat, Query, QueryReply
from etcdz.telemetry.kept_figures import KeptFigures
from supervisor.children.child import Child
from supervisor.processes.disk_worker import DiskWorker
from supervisor.telemetry.deaths import Deaths
from supervisor.telemetry.heartbeats import Heartbeats
from supervisor.telemetry.pauses import Pauses
from supervisor.telemetry.queries import Queries
from supervisor.telemetry.recorders import Recorders

LOOK_S: Final = 0.05
"""How often followers are called while there are any."""
NAMES_MAX: Final = 1_000
"""Incarnations whose names are remembered."""

Follower = Callable[[float], bool]
"""follower(now) -> whether it wants to be called again."""


class Observations:
    """One per supervisor."""

    def __init__(
        self,
        data_dir: str,
        everyone: Callable[[], Iterable[Child]],
        endpoint_of: Callable[[str, int], str],
        send: Callable[[int, Query], None],
        worker: DiskWorker,
    ) -> None:
        """everyone: all children, those that leave included

        endpoint_of(name, incarnation); send(incarnation, query)
        """
        self._everyone = everyone
        self._endpoint_of = endpoint_of
        self.recorders = Recorders()
        self.queries = Queries(lambda name, incarnation, query: send(incarnation, query))
        self.heartbeats = Heartbeats()
        self.kept_figures = KeptFigures()
        self.pauses = Pauses()
        self.deaths = Deaths(data_dir, self.name_of, worker)
        self._names: dict[int, str] = {0: "supervisor"}
        self._followers: list[Follower] = []
        self._next_look = 0.0
        """When they are called again."""

    # ---- what the loop hands in ----

    def on_spawn(self, name: str, incarnation: int) -> str:
        """A new incarnation is about to start. return the path of its flight recorder, "" for none"""
        if len(self._names) >= NAMES_MAX:
            del self._names[min(number for number in self._names if number)]
        self._names[incarnation] = name
        return self.recorders.open(name, incarnation)

    def on_heartbeat(self, beat: Heartbeat, now: float) -> None:
        """One has come."""
        self.heartbeats.record(beat, now)

    def on_reply(self, reply: QueryReply) -> None:
        """The answer of an actor, or its last figures, which nobody asked for."""
        if reply.id == LAST_FIGURES:
            self.kept_figures.on_figures(reply.incarnation, reply.result)
        else:
            self.queries.on_reply(reply)

    def on_exit(self, child: Child, status: int, now: float) -> None:
        """A process has ended: read what it left, before its files are removed and another takes its name."""
        self.queries.on_gone(child.incarnation)
        self.kept_figures.on_end(child.incarnation)
        box, beat = self.recorders.box(child.incarnation), self.heartbeats.remove(child.incarnation)
        self.deaths.record(child, status, now, box, beat, self.stack(child.name, child.incarnation))
        self.recorders.close(child.incarnation)

    def look(self, now: float) -> None:
        """Once a turn, when everything urgent is done."""
        self.queries.expire(now)
        self.pauses.end_due(self._everyone(), now)
        if self._followers and now >= self._next_look:
            self._next_look = now + LOOK_S
            self._followers = [follower for follower in self._followers if follower(now)]
        self.deaths.write()

    def next_deadline(self) -> float | None:
        """When `look` has something to do."""
        due = [self.pauses.next_deadline(), self.queries.next_deadline(), self._next_look if self._followers else None]
        return min((at for at in due if at is not None), default=None)

    def close(self) -> None:
        """The member ends: have written what is not written yet."""
        self.deaths.write()
        self.recorders.close_all()

    # ---- what the verbs use ----

    def follow(self, follower: Follower) -> None:
        """Have it called every LOOK_S until it returns False."""
        self._followers.append(follower)

    def name_of(self, incarnation: int) -> str:
        """The actor's name, for people; a number if it is too long ago."""
        return self._names.get(incarnation, f"incarnation {incarnation}")

    def stack(self, name: str, incarnation: int) -> str:
        """All that the process has written about its stacks so far; "" if nothing, or if its files are gone."""
        with suppress(OSError):
            return Path(stack_path(self._endpoint_of(name, incarnation))).read_text(errors="replace")
        return ""

    def forget_stack(self, name: str, incarnation: int) -> None:
        """It has been said: it is not to be said again when the process ends."""
        with suppress(OSError):
            Path(stack_path(self._endpoint_of(name, incarnation))).unlink()

    def shown(self, child: Child, now: float) -> dict[str, Any]:
        """What `ps` shows of the inside of one actor, and of its last end; see docs/actors.md."""
        return {**self.heartbeats.shown(child, now), "last_exit": self.deaths.last_exit.get(child.name)}
