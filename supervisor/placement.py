"""Which CPU each actor runs on: one rule for small loads, one for large. Pure; `member.py` measures and applies.

A single caller's request passes through every actor in turn, and a hand-over between two CPUs, one of which has to
wake up, costs several times one on the same CPU: at small loads all actors share one CPU. Under load they must spread
at once, and come together again only after a calm while (hysteresis), since moving costs caches.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

SPREAD_ABOVE: Final = 0.80
"""Of one CPU, by all actors together over one interval. Measured over INTERVAL_S, so a burst spreads within 2 of it."""
WAIT_ABOVE: Final = 0.25
"""Time spent runnable but not running, as a share of the interval: they are in one another's way."""
GATHER_BELOW: Final = 0.45
CALM_S: Final = 3.0
INTERVAL_S: Final = 0.1


class Load(NamedTuple):
    """One actor since the last look, in CPU seconds per second."""

    cpu: float
    wait: float
    """Runnable, without a CPU."""


class Placement:
    """Answers each look with the CPUs that every actor may use."""

    def __init__(self, cpus: Sequence[int], home: int, policy: str = "auto") -> None:
        """cpus: what the member may use. home: position of the CPU to gather on. policy: "auto" or "none"."""
        self.everywhere = frozenset(cpus)
        self.together = frozenset((sorted(cpus)[home % len(cpus)],))
        self.enabled = policy == "auto" and len(self.everywhere) > 1
        self.spread = not self.enabled
        self._calm_since: float | None = None
        self.wants_wait = False
        """The next look needs waiting times: actors share a CPU, and use enough of it to be in one another's way."""

    def cpus(self) -> frozenset[int]:
        """For an actor that starts now."""
        return self.everywhere if self.spread else self.together

    def look(self, loads: Mapping[str, Load], now: float) -> frozenset[int] | None:
        """The CPUs for all actors from now on, or None if they stay as they are."""
        if not self.enabled:
            return None
        cpu = sum(load.cpu for load in loads.values())
        self.wants_wait = not self.spread and cpu > WAIT_ABOVE / 2
        wait = sum(load.wait for load in loads.values())
        if not self.spread:
            return self._move(cpu > SPREAD_ABOVE or wait > WAIT_ABOVE)
        if cpu >= GATHER_BELOW:
            self._calm_since = None
        elif self._calm_since is None:
            self._calm_since = now
        return self._move(self._calm_since is None or now - self._calm_since < CALM_S)

    def _move(self, spread: bool) -> frozenset[int] | None:
        if spread == self.spread:
            return None
        self.spread = spread
        self._calm_since = None
        return self.cpus()
