"""One run: faults for some seconds of its own time, then everything works and must come to rest; then the last words.

play(seed) -> Outcome      the same seed gives the same run, on any machine
"""

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from tests.sim.cluster import Cluster, Faults, Healing
from tests.sim.plan import TICK_MS, plan_for
from tests.sim.world import Violation, World

HEAL_TIMEOUTS = 60  # election timeouts for a healthy cluster to be as it should; a few are usual
EVENTS_MAX = 200_000


class Outcome(NamedTuple):
    """failure: empty, or what rule did not hold (rule) and how. counts: what happened, see REPORTED in report.py."""

    seed: int
    rule: str
    failure: str
    counts: "Counter[str]"

    @property
    def passed(self) -> bool:
        return not self.rule


def play(seed: int, say: Callable[[str], None] | None = None) -> Outcome:
    """An exception of the core is a failure as well: it found an invariant of its own broken."""
    world = World(plan_for(seed), say)
    try:
        _play(world)
    except Violation as violation:
        return Outcome(seed, violation.rule, str(violation), world.counts)
    except Exception as error:
        return Outcome(seed, "no exception", f"{type(error).__name__}: {error}", world.counts)
    return Outcome(seed, "", "", world.counts)


def _play(world: World) -> None:
    plan = world.plan
    if world.traced:
        world.say(f"{plan}")
    cluster = Cluster(world)
    faults = Faults(cluster)
    end = plan.faults_ms
    world.after(TICK_MS, cluster.clients_write, end)
    world.after(TICK_MS, cluster.clients_read, end)
    world.after(5 * TICK_MS, faults.act, end)
    world.run_until(end)
    _heal(cluster)
    _last_words(cluster)


def _heal(cluster: Cluster) -> None:
    world = cluster.world
    healing = Healing(cluster)
    healing.begin()
    begun = world.now
    deadline = begun + HEAL_TIMEOUTS * world.plan.election_ticks * TICK_MS
    while not healing.is_done():
        if world.now >= deadline or world.events > EVENTS_MAX:
            raise Violation("liveness", f"{deadline - begun} ms after all works again: {healing.complaint}")
        world.run_until(world.now + 50)
    world.counts["ms to heal"] += world.now - begun


def _last_words(cluster: Cluster) -> None:
    """What was acknowledged to anybody is in the log for good."""
    checker, counts = cluster.checker, cluster.world.counts
    kept = {entry.data for entry in checker.committed}
    lost = checker.acked - kept
    if lost:
        raise Violation("no committed entry lost", f"{sorted(lost)[:3]} of {len(lost)} acknowledged writes are gone")
    counts["entries committed"] += len(checker.committed)
    counts["writes acknowledged"] += len(checker.acked)
    counts["configurations"] += len(checker.conf_states)
    counts["joint configurations"] += sum(1 for state in checker.conf_states.values() if state.voters_outgoing)
    counts["configurations with learners"] += sum(1 for state in checker.conf_states.values() if state.learners)
    counts["events"] += cluster.world.events
