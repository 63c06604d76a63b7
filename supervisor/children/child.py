"""One actor over all its incarnations, and the work that the lifecycle hands out. Pure."""

from enum import StrEnum
from typing import Any, NamedTuple

from supervisor.restart import Ending, RestartHistory
from supervisor.tree import ChildSpec


class State(StrEnum):
    """Of one actor; the words that `etcdz actors ps` prints."""

    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    BACKOFF = "backoff"


class Spawn(NamedTuple):
    """Start this incarnation; answered by on_spawned or on_spawn_failed."""

    name: str
    incarnation: int


class ReplaceZygote(NamedTuple):
    """It did not spawn this incarnation in time, and must not do so any more."""

    name: str
    incarnation: int


class AskToStop(NamedTuple):
    """Send Stop to the actor's mailbox."""

    name: str
    incarnation: int
    deadline_s: float


class DumpStacks(NamedTuple):
    """Have a process write down the stacks of its threads; it is killed soon."""

    name: str
    incarnation: int
    pid: int


class Signal(NamedTuple):
    """Send a signal to a child."""

    pid: int
    signum: int


class PublishRoster(NamedTuple):
    """The roster has changed: send it to all actors in it."""


class Forget(NamedTuple):
    """This incarnation is dead: close its link, unlink its endpoint."""

    name: str
    incarnation: int


class LogLine(NamedTuple):
    """A log line."""

    level: str
    msg: str
    fields: dict[str, Any]


Action = Spawn | ReplaceZygote | AskToStop | DumpStacks | Signal | PublishRoster | Forget | LogLine


class Child:
    """One actor, over all its incarnations."""

    __slots__ = (
        "spec", "name", "slot", "state", "incarnation", "pid", "restarts", "history", "spawned_at", "ready_at",
        "heard_at", "worked_at", "halted_at", "deadline", "reason", "ending", "terminated", "then_start", "leaving",
        "draining", "max_age_s", "given_up",
    )  # fmt: skip

    def __init__(self, spec: ChildSpec, name: str, slot: int) -> None:
        self.spec = spec
        self.name = name
        self.slot = slot
        self.state = State.STOPPED
        self.incarnation = 0
        """The latest; 0 before the first."""
        self.pid: int | None = None
        """Invariant: not None exactly while a process of `incarnation` lives and is known."""
        self.restarts = 0
        self.history = RestartHistory()
        self.spawned_at = 0.0
        self.ready_at: float | None = None
        """Of this incarnation."""
        self.heard_at = 0.0
        """Last heartbeat."""
        self.worked_at = 0.0
        """When it was last seen to use a CPU."""
        self.halted_at: float | None = None
        """Stopped by a signal since then."""
        self.deadline: float | None = None
        """starting: must be ready; ready: hung, is killed; backoff: starts again; stopping: the next stronger means."""
        self.reason = ""
        """Why this incarnation ends, as far as it is known before its exit."""
        self.given_up = False
        """What it ends over is not tried for ever."""
        self.ending: Ending | None = None
        """Set when we ended it ourselves."""
        self.terminated = False
        """SIGTERM was sent."""
        self.then_start = False
        """Stopping: to be started again."""
        self.leaving = False
        """Stopping: its name belongs to another process already, or to none any more."""
        self.draining = False
        """Ready, but sends its clients away and takes no new ones."""
        self.max_age_s: float | None = None
        """Of this incarnation."""

    def next_deadline(self) -> float | None:
        """When something about it is due by the clock alone."""
        awaits_end = self.ending is not None or self.state not in (State.STARTING, State.READY)
        if self.halted_at is None or awaits_end:
            return self.deadline
        killed_at = self.halted_at + self.spec.halt_s
        return killed_at if self.deadline is None else min(killed_at, self.deadline)

    @property
    def alive(self) -> bool:
        """A process exists or is being made."""
        return self.state in (State.STARTING, State.READY, State.STOPPING)

    @property
    def listed(self) -> bool:
        """Its mailbox is bound and read."""
        return self.alive and self.ready_at is not None

    @property
    def serving(self) -> bool:
        """Ready, and not about to leave."""
        return self.state is State.READY and not self.draining
