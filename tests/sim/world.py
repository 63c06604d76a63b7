"""The clock of a run and all that hangs on it: what is due, who is a member, what was counted, what was traced."""

import heapq
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

from tests.sim.plan import Plan


class Violation(Exception):
    """A rule did not hold. rule: its name, as docs/raft.md lists them."""

    def __init__(self, rule: str, text: str) -> None:
        super().__init__(f"{rule}: {text}")
        self.rule = rule


class World:
    """Nothing happens but what was put in by `after`, in the order of (time, order of putting in)."""

    def __init__(self, plan: Plan, say: Callable[[str], None] | None = None) -> None:
        self.plan = plan
        self.now = 0  # ms
        self.random = Random(plan.seed ^ 0x5EED)
        self.counts: Counter[str] = Counter()
        self.events = 0
        self._say = say
        self.traced = say is not None
        self._due: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._order = 0

    def after(self, delay_ms: int, act: Callable[..., None], *arguments: Any) -> None:
        self._order += 1
        heapq.heappush(self._due, (self.now + delay_ms, self._order, act, arguments))

    def run_one(self) -> None:
        self.now, _, act, arguments = heapq.heappop(self._due)
        self.events += 1
        act(*arguments)

    def run_until(self, time_ms: int) -> None:
        due = self._due
        while due and due[0][0] <= time_ms:
            self.run_one()
        self.now = time_ms

    def say(self, text: str) -> None:
        """NB: guard the call with `traced` where making the text costs anything."""
        if self._say is not None:
            self._say(f"{self.now:6d} {text}")

    def chance(self, per_thousand: int) -> bool:
        return per_thousand > 0 and self.random.random() * 1000 < per_thousand

    def up_to(self, longest: int) -> int:
        """1 to longest, mostly short."""
        return 1 + int(longest * self.random.random() ** 2)
