"""Which CPU each actor runs on: one rule for small loads, one for large. Pure; `loop.py` measures and applies.

A single caller's request passes through every actor in turn, and a hand-over between two CPUs, one of which has to
wake up, costs several times one on the same CPU: at small loads all actors share one CPU. Under load they must spread
at once, and come together again only after a calm while, since moving costs caches. If they had to spread again soon
after that, the next calm has to be longer. A listener that has many calls under way says so at once; for all else there
are the looks.

Which CPU they share follows the client: what it sends and is sent then crosses no CPU either. A kernel may prefer to
let it run on another, and would do so again after each move: then the moves become rare.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

INTERVAL_S: Final = 0.1
"""From look to look."""
IDLE_INTERVAL_S: Final = 0.5
"""While hardly anything runs. A burst is spread within this and one INTERVAL_S."""
IDLE_BELOW: Final = 0.1
SPREAD_ABOVE: Final = 0.9
"""Of one CPU, by all actors together over one interval: nearly saturated. One caller leaves gaps, while the disk syncs
and while it thinks itself."""
WAIT_ABOVE: Final = 1.5
"""Time runnable without a CPU, of all actors together, as a share of the interval. With one caller at most one actor at
a time has something to do, and this stays about 1 even if other programs hog the CPU; above, actors hinder actors."""
GATHER_BELOW: Final = 0.7
"""What fits on one CPU again."""
CALM_S: Final = 3.0
CALM_MAX_S: Final = 48.0
FOLLOW_S: Final = 0.5
"""From one move after the client to the next; twice as long each time that it did not stay."""
FOLLOW_MAX_S: Final = 64.0


class Load(NamedTuple):
    """One actor since the last look, in seconds per second."""

    cpu: float
    wait: float
    """Runnable, without a CPU."""


class Placement:
    """Answers each look with the CPUs that every actor may use."""

    def __init__(self, cpus: Sequence[int], home: int, policy: str = "auto") -> None:
        """cpus: what the member may use. home: any number, chooses the CPU to gather on. policy: "auto" or "none"."""
        self.everywhere = frozenset(cpus)
        self.together = frozenset((sorted(cpus)[home % len(cpus)],))
        self.enabled = policy == "auto" and len(self.everywhere) > 1
        self.spread = not self.enabled
        self.interval_s = INTERVAL_S if self.enabled else IDLE_INTERVAL_S
        """Until the next look."""
        self.wants_wait = False
        """The next look needs waiting times: actors share a CPU and use it."""
        self._calm_since: float | None = None
        self._calm_s = CALM_S
        self._gathered_at = float("-inf")
        self._followed_at = float("-inf")
        self._follow_s = FOLLOW_S

    def cpus(self) -> frozenset[int]:
        """For an actor that starts now."""
        return self.everywhere if self.spread else self.together

    def look(self, loads: Mapping[str, Load], now: float) -> frozenset[int] | None:
        """The CPUs for all actors from now on, or None if they stay as they are."""
        if not self.enabled:
            return None
        cpu = sum(load.cpu for load in loads.values())
        moved = self._maybe_gather(cpu, now) if self.spread else self._maybe_spread(cpu, loads, now)
        self.interval_s = INTERVAL_S if cpu > IDLE_BELOW else IDLE_INTERVAL_S
        self.wants_wait = not self.spread and cpu > IDLE_BELOW
        return self.cpus() if moved else None

    def on_busy(self, now: float) -> frozenset[int] | None:
        """Many callers at once: there is work for several actors at a time, whatever the last look has said."""
        if not self.enabled or self.spread:
            return None
        self._spread(now)
        return self.cpus()

    def follow(self, cpu: int, now: float) -> frozenset[int] | None:
        """A listener's client is on this CPU. return the CPUs for all actors, or None if they stay as they are."""
        if not self.enabled or cpu not in self.everywhere or cpu in self.together:
            return None
        since = now - self._followed_at
        if since < self._follow_s:
            return None
        self._follow_s = min(FOLLOW_MAX_S, 2 * self._follow_s) if since < 4 * self._follow_s else FOLLOW_S
        self._followed_at = now
        self.together = frozenset((cpu,))
        return None if self.spread else self.together

    def _maybe_spread(self, cpu: float, loads: Mapping[str, Load], now: float) -> bool:
        if cpu <= SPREAD_ABOVE and sum(load.wait for load in loads.values()) <= WAIT_ABOVE:
            return False
        self._spread(now)
        return True

    def _spread(self, now: float) -> None:
        soon = now - self._gathered_at < 2 * self._calm_s
        self._calm_s = min(CALM_MAX_S, 2 * self._calm_s) if soon else CALM_S
        self._calm_since = None
        self.spread = True

    def _maybe_gather(self, cpu: float, now: float) -> bool:
        if cpu >= GATHER_BELOW:
            self._calm_since = None
            return False
        if self._calm_since is None:
            self._calm_since = now
        if now - self._calm_since < self._calm_s:
            return False
        self._gathered_at = now
        self.spread = False
        return True
