"""The restart decision: one ended process in, what to do about it out. Pure; its table of cases is the test.

| ended as | permanent | transient | temporary |
|----------|-----------|-----------|-----------|
| normal   | again     | rest      | rest      |
| failed   | again     | again     | rest      |
| killed   | again     | again     | rest      |
| hung     | again     | again     | rest      |
| unready  | again     | again     | rest      |

"Again" is at once after a settled life, with exponential back-off after short ones. More than `restarts` of it within
`seconds`, or more than `restarts` in a row that never became ready, escalate: the member stops with the reason.
The second rule is for actors whose start alone takes longer than the window. Source: Erlang/OTP supervisor.
"""

from enum import StrEnum
from typing import Final, NamedTuple

SETTLED_S: Final = 0.5
"""Ready for this long, an actor has shown that it can run: its next restart is immediate again."""
BACKOFF_FIRST_S: Final = 0.05
BACKOFF_MAX_S: Final = 0.4
"""Short on purpose: clients wait meanwhile. A loop that would burn the machine ends by intensity, not by long waits."""


class Restart(StrEnum):
    """When an ended actor is started again."""

    PERMANENT = "permanent"
    TRANSIENT = "transient"
    TEMPORARY = "temporary"


class Ending(StrEnum):
    """How a process ended."""

    NORMAL = "normal"
    """Exit status 0."""
    FAILED = "failed"
    """Exit status other than 0."""
    KILLED = "killed"
    """By a signal that was not ours."""
    HUNG = "hung"
    """By us: no heartbeat."""
    UNREADY = "unready"
    """By us or never spawned: the start deadline ran out."""


class Intensity(NamedTuple):
    """At most this many restarts in this many seconds."""

    restarts: int
    seconds: float


class Exit(NamedTuple):
    """An ended process. ready_s: how long it had been ready, None if it never was."""

    ending: Ending
    reason: str
    ready_s: float | None


class History(NamedTuple):
    """What earlier decisions about this actor left behind."""

    times: tuple[float, ...] = ()
    """Restarts within the window, oldest first."""
    short_lives: int = 0
    """In a row, each shorter than SETTLED_S."""
    unready: int = 0
    """In a row, none of which became ready."""


class Again(NamedTuple):
    """Start it again after this long."""

    after_s: float
    history: History


class Rest(NamedTuple):
    """It has done its work."""


class GiveUp(NamedTuple):
    """The member stops with this reason."""

    reason: str


Decision = Again | Rest | GiveUp


def wants_restart(restart: Restart, ending: Ending) -> bool:
    """The table at the top."""
    if restart is Restart.PERMANENT:
        return True
    return restart is Restart.TRANSIENT and ending is not Ending.NORMAL


def backoff_s(short_lives: int, jitter: float) -> float:
    """0 for the first, then doubling up to BACKOFF_MAX_S, shortened by up to half by jitter in [0, 1)."""
    if short_lives == 0:
        return 0.0
    return float(min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2 ** min(short_lives - 1, 32)) * (1 - jitter / 2))


def decide(restart: Restart, intensity: Intensity, history: History, exit: Exit, now: float, jitter: float) -> Decision:
    """What to do about an actor that ended.

    now     seconds on any clock that does not go back
    jitter  in [0, 1), from outside
    """
    if not wants_restart(restart, exit.ending):
        return Rest()
    times = (*(at for at in history.times if now - at < intensity.seconds), now)
    unready = history.unready + 1 if exit.ready_s is None else 0
    if len(times) > intensity.restarts:
        limit = f"{intensity.restarts} restarts within {intensity.seconds:g} s"
        return GiveUp(f"more than {limit} needed, the last time because it {exit.reason}")
    if unready > intensity.restarts:
        return GiveUp(f"{unready} starts in a row did not become ready, the last time because it {exit.reason}")
    settled = exit.ready_s is not None and exit.ready_s >= SETTLED_S
    short_lives = 0 if settled else history.short_lives + 1
    # The first retry is immediate also for a short life: a life that ended early may have been killed from outside.
    return Again(backoff_s(max(0, short_lives - 1), jitter), History(times, short_lives, unready))
