"""The restart decision: one ended process in, what to do about it out. Pure; its table of cases is the test.

| ended as | permanent   | transient    | temporary    |
|----------|-------------|--------------|--------------|
| normal   | start again | stay stopped | stay stopped |
| failed   | start again | start again  | stay stopped |
| killed   | start again | start again  | stay stopped |
| hung     | start again | start again  | stay stopped |
| unready  | start again | start again  | stay stopped |

The strategy says which others are restarted beside it: none (one for one), all that start after it (rest for one), or
all (one for all). The member's table uses the first throughout: what makes it safe is the resync between actors.

It is started again at once after a settled life, and after an exponential back-off after short ones. The member stops
with the reason instead after

1. more than `restarts` of them within `seconds`: the intensity of the child spec,
2. more than `restarts` in a row that never became ready: for actors whose start alone takes longer than that window,
3. more than REPEATS_MAX ends for one and the same reason within REPEATS_S: for a poison message, which ends every
   process that handles it, however slowly these ends follow each other. Ends by a signal from outside (SIGKILL,
   SIGTERM) do not count there, nor ends over a read that is given up in time, nor normal ones.

Source: Erlang/OTP supervisor; rules 2 and 3 are our own.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple

SETTLED_S: Final = 0.5
"""Ready for this long, an actor has shown that it can run: its next restart is immediate again."""
BACKOFF_FIRST_S: Final = 0.05
BACKOFF_MAX_S: Final = 0.4
"""Short on purpose: clients wait meanwhile. What ends a crash loop is the intensity, not long waits."""

REPEATS_MAX: Final = 20
REPEATS_S: Final = 600.0


class Restart(StrEnum):
    """When an ended actor is started again."""

    PERMANENT = "permanent"
    TRANSIENT = "transient"
    TEMPORARY = "temporary"


class Strategy(StrEnum):
    """Which others are restarted beside an actor that ended."""

    ONE_FOR_ONE = "one_for_one"
    REST_FOR_ONE = "rest_for_one"
    ONE_FOR_ALL = "one_for_all"


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
    from_outside: bool = False
    """It was killed or halted by a signal that was not ours, or ended over a client's read, which is given up:
    none of these says that it will end so for ever."""


class RestartHistory(NamedTuple):
    """What earlier decisions about this actor left behind."""

    times: tuple[float, ...] = ()
    """Restarts within the window, oldest first."""
    short_lives: int = 0
    """In a row, each shorter than SETTLED_S."""
    unready: int = 0
    """In a row, none of which became ready."""
    repeats: tuple[float, ...] = ()
    """Ends by its own fault for `repeated` within REPEATS_S, oldest first."""
    repeated: str = ""


class StartAgain(NamedTuple):
    """Start it again after this long."""

    after_s: float
    history: RestartHistory


class StayStopped(NamedTuple):
    """It has done its work, or its restart type says that it has."""


class GiveUp(NamedTuple):
    """The member stops with this reason."""

    reason: str


Decision = StartAgain | StayStopped | GiveUp


def wants_restart(restart: Restart, ending: Ending) -> bool:
    """The table at the top."""
    if restart is Restart.PERMANENT:
        return True
    return restart is Restart.TRANSIENT and ending is not Ending.NORMAL


def restarted_with(strategy: Strategy, name: str, stages: Mapping[str, int]) -> list[str]:
    """The others that are restarted beside name. stages: name -> place in the order of start, of all actors."""
    if strategy is Strategy.ONE_FOR_ALL:
        return [other for other in stages if other != name]
    if strategy is Strategy.REST_FOR_ONE:
        return [other for other, stage in stages.items() if stage > stages[name]]
    return []


class RecyclingLimits(NamedTuple):
    """Beyond which a process is recycled; None: no limit. max_rss_after_s: the age from which its memory counts"""

    max_age_s: float | None = None
    max_rss_bytes: int | None = None
    max_rss_after_s: float = 0.0


def recycling_reason(limits: RecyclingLimits, age_s: float, rss_bytes: int) -> str:
    """Why a process that works well should be replaced by a new one; "" if it should not."""
    if limits.max_age_s is not None and age_s > limits.max_age_s:
        return f"has lived for {age_s:.0f} s"
    is_old_enough = age_s > limits.max_rss_after_s
    if limits.max_rss_bytes is not None and rss_bytes > limits.max_rss_bytes and is_old_enough:
        return f"uses {rss_bytes >> 20} MiB of memory"
    return ""


def _repeats(history: RestartHistory, exit: Exit, now: float) -> tuple[tuple[float, ...], str]:
    if exit.from_outside or exit.ending is Ending.NORMAL:
        return history.repeats, history.repeated
    # The reason of an end of ours tells how long we have waited, which is never the same.
    why = exit.reason if exit.ending in (Ending.FAILED, Ending.KILLED) else exit.ending.value
    earlier = history.repeats if history.repeated == why else ()
    return (*(at for at in earlier if now - at < REPEATS_S), now), why


def backoff_s(short_lives: int, jitter: float) -> float:
    """0 for the first, then doubling up to BACKOFF_MAX_S, shortened by up to half by jitter in [0, 1)."""
    if short_lives == 0:
        return 0.0
    return float(min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2 ** min(short_lives - 1, 32)) * (1 - jitter / 2))


def decide(
    restart: Restart, intensity: Intensity, history: RestartHistory, exit: Exit, now: float, jitter: float
) -> Decision:
    """What to do about an actor that ended.

    now     seconds on any clock that does not go back
    jitter  in [0, 1), from outside
    """
    if not wants_restart(restart, exit.ending):
        return StayStopped()
    times = (*(at for at in history.times if now - at < intensity.seconds), now)
    unready = history.unready + 1 if exit.ready_s is None else 0
    if len(times) > intensity.restarts:
        limit = f"{intensity.restarts} restarts within {intensity.seconds:g} s"
        return GiveUp(f"more than {limit} needed, the last time because it {exit.reason}")
    if unready > intensity.restarts:
        return GiveUp(f"{unready} starts in a row did not become ready, the last time because it {exit.reason}")
    repeats, repeated = _repeats(history, exit, now)
    if len(repeats) > REPEATS_MAX:
        return GiveUp(f"{len(repeats)} times within {REPEATS_S:g} s it {exit.reason}")
    settled = exit.ready_s is not None and exit.ready_s >= SETTLED_S
    short_lives = 0 if settled else history.short_lives + 1
    # The first retry is immediate also for a short life: a life that ended early may have been killed from outside.
    return StartAgain(
        backoff_s(max(0, short_lives - 1), jitter), RestartHistory(times, short_lives, unready, repeats, repeated)
    )
