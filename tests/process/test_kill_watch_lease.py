"""kill -9 and SIGSTOP of every kind of actor while clients watch and hold leases.

No event is lost, doubled or out of order as seen by a client that resumes by revision; no lease ends before its time,
and none lives much longer than etcd lets it.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest

from etcdz.proto import etcdserverpb as pb
from tests.cluster_process import until
from tests.process.load import open_channel, unary
from tests.process.trial import Trial
from tests.process.watch_lease_load import (
    ALL,
    DELETE,
    QueryReply,
    Scribes,
    Tenants,
    Trouble,
    Witness,
    check_events,
    check_leases,
    check_previous,
    check_same,
    contents_after,
)

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("needs_actors"), pytest.mark.timeout(1_800)]

FLAGS = ("--heartbeat-interval=10", "--election-timeout=100", "--snapshot-count=700", "--listeners=2")
ACTORS = ("raft", "wal", "backend", "lessor", "compactor", "listener-1")
ROUNDS_LONG = 15
"""Fewer than end a member for one and the same reason (supervisor/restart.py)."""
KEPT_REVISIONS = 100
"""Compactions stay this far behind those who watch."""
SINGLE = b"w/0/0"


class World:
    """A member and all its clients."""

    def __init__(self, trial: Trial) -> None:
        # A listener that comes later would be given a share of those who are connected already: their streams end.
        trial.member.wait_for_log('"ready to serve client requests","actor":"listener-2"')
        self.trial = trial
        self.troubles: list[Trouble] = []
        self.compacted = 1
        target = trial.member.target
        self.everything = Witness(target, **ALL)
        self.single = Witness(target, key=SINGLE, prev_kv=True)
        self.ends = Witness(target, key=b"lease/", range_end=b"lease0", filters=[0])
        self.scribes = Scribes(target, f"scribes {trial.seed}")
        self.tenants = Tenants(target, f"tenants {trial.seed}", self.everything)
        self.actors = trial.actors()

    @property
    def witnesses(self) -> tuple[Witness, ...]:
        return self.everything, self.single, self.ends

    def trouble(self, name: str, how: signal.Signals) -> None:
        """At some moment, and not before the clients have felt that the last one is over."""
        self.everything.wait_for(self.everything.last + self.trial.random.randint(50, 300))
        threading.Event().wait(self.trial.random.uniform(0, 0.02))  # off the beat of the answers
        if name == "compactor":
            self.compact()
        from_s = time.monotonic()
        os.kill(self.actors[name]["pid"], how)
        self.actors = self.trial.wait_restarted(self.actors, name)
        self.troubles.append(Trouble(name, from_s, time.monotonic()))

    def compact(self) -> None:
        """So that the compactor has a compaction to do. Nobody needs what goes, not even who has to resume."""
        self.ends.wait_for(1)
        upto = min(witness.last for witness in self.witnesses) - KEPT_REVISIONS
        if upto > self.compacted:
            self.compacted = upto
            self.call("KV/Compact", pb.CompactionRequest(revision=upto), pb.CompactionResponse)

    def call(self, path: str, request: Any, answer: Any) -> Any:
        with open_channel(self.trial.member.target) as channel:
            return unary(channel, path, answer)(request, timeout=30, wait_for_ready=True)

    def end(self) -> None:
        """Everybody stops; what they were told is checked."""
        self.everything.wait_for(self.everything.last + 100)
        self.scribes.stop()
        self.tenants.stop()
        now = self.call("KV/Range", pb.RangeRequest(**ALL), pb.RangeResponse)
        last = now.header.revision
        self.everything.wait_for(last)
        told = self.everything.told
        check_events(told, last, self.scribes.acknowledged)
        assert contents_after(told) == {kv.key: kv.value for kv in now.kvs}
        self.check_part(self.single, lambda event: event.key == SINGLE)
        self.check_part(self.ends, lambda event: event.key.startswith(b"lease/") and event.kind == DELETE)
        check_previous(self.single.told)
        check_leases(self.tenants.lives, self.troubles)
        until(lambda: not self.leases(), 60, lambda: f"leases without keys: {self.leases()}")
        assert len(self.tenants.lives) >= 12 and self.tenants.renewals >= 12, "leases were granted and renewed"
        print(f"{last} revisions, {len(self.tenants.lives)} leases, {self.tenants.renewals} renewals: {self.stalls()}")

    def leases(self) -> list[int]:
        """As the lessor has them, which hears of their ends when those who watch do, and not before."""
        found = self.call("Lease/LeaseLeases", pb.LeaseLeasesRequest(), pb.LeaseLeasesResponse)
        return [lease.ID for lease in found.leases]

    def check_part(self, witness: Witness, wanted: Callable[[QueryReply], bool]) -> None:
        expected = [event.revision for event in self.everything.told if wanted(event)]
        if expected:
            witness.wait_for(expected[-1])
        check_same(witness.told, wanted, self.everything.told)

    def stalls(self) -> str:
        """How long the watch of everything was told nothing, after each trouble."""
        times = [event.at_s for event in self.everything.told]
        longest = {}
        for name, from_s, to_s in self.troubles:
            around = [from_s, *(at for at in times if from_s <= at <= to_s + 1)]
            stall_s = max((b - a for a, b in pairwise(around)), default=0.0)
            longest[name] = max(longest.get(name, 0), round(stall_s * 1000))
        return ", ".join(f"{name} {stall} ms" for name, stall in longest.items())

    def stop(self) -> None:
        for crowd in (self.scribes, self.tenants):
            crowd.stopping.set()
        for witness in self.witnesses:
            witness.stop()


@pytest.fixture
def world(make_trial: Callable[..., Trial]) -> Iterator[World]:
    world = World(make_trial(*FLAGS))
    yield world
    world.stop()


@pytest.mark.parametrize(
    "ways",
    [
        pytest.param([signal.SIGKILL], id="kill", marks=pytest.mark.long),
        pytest.param([signal.SIGSTOP], id="stop", marks=pytest.mark.long),
        pytest.param([signal.SIGKILL, signal.SIGSTOP], id="either"),
    ],
)
def test_no_event_and_no_lease_suffers_from_the_death_of_an_actor(
    world: World, ways: list[signal.Signals], is_long: bool
) -> None:
    """None of these is noticed by a client as an error: but for the listener's death, which is the last."""
    for _ in range(ROUNDS_LONG if is_long else 1):
        for name in world.trial.random.sample(ACTORS[:-1], len(ACTORS) - 1):
            world.trouble(name, world.trial.random.choice(ways))
    assert world.scribes.errors == [] and world.tenants.errors == []
    assert [witness.streams for witness in world.witnesses] == [1, 1, 1], "no stream has ended"
    for _ in range(ROUNDS_LONG if is_long else 1):
        world.trouble(ACTORS[-1], world.trial.random.choice(ways))
    world.end()


@pytest.mark.long
@pytest.mark.parametrize("name", ACTORS)
def test_one_actor_that_dies_over_and_over(world: World, name: str) -> None:
    for turn in range(ROUNDS_LONG):
        world.trouble(name, (signal.SIGKILL, signal.SIGSTOP)[turn % 2])
    world.end()
