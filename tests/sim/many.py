"""Many runs on all cores, and what they did together.

run_many(seeds) -> Report      failures in the order of their seeds; counts summed over all runs
"""

import gc
import os
from collections import Counter
from collections.abc import Callable, Iterable
from multiprocessing import get_context
from typing import NamedTuple

from tests.sim.run import Outcome, play

_PER_TASK = 10
# What shows whether runs are worth anything, in the order of the report.
REPORTED = (
    "events",
    "campaigns",
    "elections",
    "transfers",
    "entries committed",
    "writes acknowledged",
    "reads",
    "reads by lease",
    "configurations",
    "joint configurations",
    "configurations with learners",
    "logs compacted",
    "snapshots sent",
    "snapshots installed",
    "power losses",
    "kills",
    "crashes with entries lost",
    "crashes in a write",
    "partitions",
    "partitions one way",
    "messages lost",
    "messages twice",
    "messages late",
    "streams dialled",
    "streams broken",
    "logs cut back",
    "stalemates",
    "deaf members",
)


class Report(NamedTuple):
    runs: int
    failures: list[Outcome]
    counts: "Counter[str]"

    def table(self) -> str:
        """One line per thing that happened: how often, and how often in a run."""
        return "\n".join(
            f"{self.counts[name]:>10} {name} ({self.counts[name] / max(self.runs, 1):.2f} a run)" for name in REPORTED
        )


def play_some(seeds: list[int]) -> tuple[list[Outcome], "Counter[str]"]:
    """Runs in this process: (those that failed, what happened in all)."""
    counts: Counter[str] = Counter()
    failures = []
    # A run makes cycles and no garbage to speak of otherwise; looking for it would take a third of the time.
    gc.disable()
    try:
        for seed in seeds:
            outcome = play(seed)
            counts.update(outcome.counts)
            if not outcome.passed:
                failures.append(outcome)
    finally:
        gc.enable()
        gc.collect()
    return failures, counts


def run_many(
    seeds: Iterable[int], workers: int = 0, on_failure: Callable[[Outcome], None] = lambda outcome: None
) -> Report:
    """workers   processes; 0: as many as there are cores"""
    wanted = list(seeds)
    parts = [wanted[at : at + _PER_TASK] for at in range(0, len(wanted), _PER_TASK)]
    failures: list[Outcome] = []
    counts: Counter[str] = Counter()
    with get_context("spawn").Pool(workers or os.cpu_count() or 1) as pool:
        for failed, counted in pool.imap(play_some, parts):
            counts.update(counted)
            failures += failed
            for outcome in failed:
                on_failure(outcome)
    return Report(len(wanted), failures, counts)
