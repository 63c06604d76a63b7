"""One actor after the other is killed or stopped, on the leader and on a follower, under load at all members.

But for raft's own end there is no election, nothing is lost or doubled, and clients hear nothing, or what etcd would
say. `--long -s` shows for each kind of actor how long the clients of each member waited at most, and, beside that, what
it is like when a whole member is killed.
"""

import os
import signal
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from typing import Final, NamedTuple

import pytest

from tests.cluster_process import STEADY, Cluster
from tests.clusters.conftest import chosen_kinds
from tests.clusters.trial import ClusterLoad, ClusterTrial, unexpected
from tests.process.load import Op

pytestmark = [pytest.mark.process, pytest.mark.timeout(3_600)]

LISTENER: Final = "listener-1"
ACTORS: Final = (LISTENER, "peer", "wal", "backend", "lessor", "compactor", "raft")
ROUNDS, ROUNDS_LONG = 1, 30
SUPERVISOR_STOP_S: Final = 3.0
RULES: Final = "--actor-rules=" + ";".join(f"{actor.partition('-')[0]}:intensity=1000/500s" for actor in ACTORS)
"""So many ends in a row would otherwise end the member."""


@pytest.fixture(scope="module")
def trial(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, is_long: bool
) -> Iterator[ClusterTrial]:
    """NB: etcd's usual timeouts only in the long form, for quiet machines: on a busy one an actor takes a second and
    more to be there again."""
    kinds = chosen_kinds(request.config)
    if "etcdz" not in kinds:
        pytest.skip("a real etcd has no actors")
    timeouts = () if is_long else STEADY
    with Cluster(tmp_path_factory.mktemp("kill"), kinds, *timeouts, "--snapshot-count=1000", RULES) as cluster:
        yield ClusterTrial(cluster, 0)


@pytest.fixture(autouse=True)
def with_logs(request: pytest.FixtureRequest, trial: ClusterTrial) -> None:
    request.node.clusters = [trial.cluster]


class End(NamedTuple):
    """What one kill was like.

    elections   terms that have passed
    stalls_ms   at each member, the victim's first
    """

    elections: int
    stalls_ms: list[int]
    errors: list[Op]


@pytest.mark.parametrize("role", ["leader", "follower"])
def test_others_do_not_notice_the_end_of_an_actor(role: str, trial: ClusterTrial, is_long: bool) -> None:
    """In the usual form raft, a listener, and two of the others."""
    if role == "follower" and not is_long:
        pytest.skip("a follower's only with --long")
    ends = end_each(trial, role, signal.SIGKILL, ROUNDS_LONG if is_long else ROUNDS)
    check_ends(trial, role, ends, is_long)


@pytest.mark.parametrize("role", ["leader", "follower"])
def test_others_do_not_notice_an_actor_that_is_stopped(role: str, trial: ClusterTrial, is_long: bool) -> None:
    """Its supervisor kills it after a moment, and starts another."""
    if not is_long:
        pytest.skip("only with --long")
    check_ends(trial, role, end_each(trial, role, signal.SIGSTOP, ROUNDS_LONG // 3), is_long)


@pytest.mark.parametrize("role", ["leader", "follower"])
def test_a_member_whose_supervisor_is_stopped_serves_on(role: str, trial: ClusterTrial, is_long: bool) -> None:
    if not is_long:
        pytest.skip("only with --long")
    name = victim(trial, role)
    term, before = trial.cluster.term(), trial.actors(name)
    with trial.load(clients=6) as load:
        os.kill(trial.cluster[name].pid, signal.SIGSTOP)
        trial.wait((SUPERVISOR_STOP_S, SUPERVISOR_STOP_S))
        load.wait_more(4 * 6)
        os.kill(trial.cluster[name].pid, signal.SIGCONT)
        load.wait_more(4 * 6)
    trial.verify()
    assert trial.cluster.term() == term and not load.errors()
    assert {actor: row["pid"] for actor, row in trial.actors(name).items()} == {
        actor: row["pid"] for actor, row in before.items()
    }, "none of its actors is taken for dead because nobody listened to it"


def end_each(trial: ClusterTrial, role: str, how: int, rounds: int) -> dict[str, list[End]]:
    ends: dict[str, list[End]] = defaultdict(list)
    with trial.load(clients=6) as load:
        for _ in range(rounds):
            # A listener last: its clients connect anew for seconds, and what they hear then is not another's doing.
            others = ["raft", *trial.random.sample(ACTORS[1:-1], len(ACTORS) - 2 if rounds > 1 else 2)]
            trial.random.shuffle(others)
            for actor in (*others, LISTENER):
                ends[actor].append(end_one(trial, load, actor, role, how))
        for actor, found in ends.items():
            while are_often_noticed(actor, found) and len(found) < 9 * rounds:
                found.append(end_one(trial, load, actor, role, how))
    return ends


def are_often_noticed(actor: str, ends: list[End]) -> bool:
    """Whether more than a third of them. NB: one alone says nothing"""
    return 3 * sum([is_noticed(actor, end) for end in ends]) > len(ends)


def is_noticed(actor: str, end: End) -> bool:
    """Whether it took an election, or more than one if raft has ended: another member's may have begun before a busy
    machine had started this process again, and then neither of two may win."""
    return end.elections > (1 if actor == "raft" else 0)


def check_ends(trial: ClusterTrial, role: str, ends: dict[str, list[End]], is_long: bool) -> None:
    for actor, found in ends.items():
        print(table(f"{actor} of {role}", found))
    print(trial.verify())
    for actor, found in ends.items():
        assert not are_often_noticed(actor, found), f"elections when {actor} was killed"
        assert actor == "raft" or not is_long or not any(end.elections for end in found), "on a quiet machine none"
        assert not unexpected(
            (error for end in found for error in end.errors), connection_lost=actor.startswith("listener")
        )


@pytest.mark.parametrize("role", ["leader", "follower"])
def test_beside_it_the_end_of_a_whole_member(role: str, trial: ClusterTrial, is_long: bool) -> None:
    if not is_long:
        pytest.skip("only with --long")
    ends = []
    with trial.load(clients=6) as load:
        for _ in range(ROUNDS_LONG // 3):
            ends.append(kill_member(trial, load, role))
    print(table(f"member, {role}", ends))
    trial.verify()


def victim(trial: ClusterTrial, role: str) -> str:
    leader = trial.cluster.leader()
    return next(member.name for member in trial.cluster if (member is leader) == (role == "leader"))


def end_one(trial: ClusterTrial, load: ClusterLoad, actor: str, role: str, how: int) -> End:
    name = victim(trial, role)
    load.random_moment()
    term, errors, killed_s = trial.cluster.term(), len(load.errors()), time.monotonic()
    before = trial.signal_actor(name, actor, how)
    trial.wait_restarted(name, before, actor)
    return end_of(trial, load, name, term, errors, killed_s)


def kill_member(trial: ClusterTrial, load: ClusterLoad, role: str) -> End:
    name = victim(trial, role)
    load.random_moment()
    term, errors, killed_s = trial.cluster.term(), len(load.errors()), time.monotonic()
    trial.cluster[name].kill9()
    trial.cluster.launch(name).wait_ready()
    return end_of(trial, load, name, term, errors, killed_s)


def end_of(trial: ClusterTrial, load: ClusterLoad, name: str, term: int, errors: int, killed_s: float) -> End:
    """More calls are waited for than were under way: so who came back has had its part in some of them."""
    load.wait_more(4 * 6)
    stalls = load.stalls_ms(killed_s)
    in_order = [stalls.pop(name), *stalls.values()]
    return End(trial.cluster.term() - term, in_order, load.errors()[errors:])


def table(what: str, ends: list[End]) -> str:
    own = [end.stalls_ms[0] for end in ends]
    others = [max(end.stalls_ms[1:]) for end in ends]
    return (
        f"{what:22} n {len(ends):3}  elections {sum(end.elections for end in ends):3}  "
        f"stall ms: own median {statistics.median(own):5.0f} max {max(own):5}  "
        f"others median {statistics.median(others):5.0f} max {max(others):5}  errors {sum(len(e.errors) for e in ends)}"
    )
