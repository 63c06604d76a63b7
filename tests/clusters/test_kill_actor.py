"""One actor after the other is killed, on the leader and on a follower, under load at all members.

But for raft's own end there is no election, nothing is lost or doubled, and clients hear nothing, or what etcd would
say. `--long -s` shows for each kind of actor how long the clients of each member waited at most, and, beside that, what
it is like when a whole member is killed.
"""

import signal
import statistics
import time
from collections.abc import Iterator
from typing import Final, NamedTuple

import pytest

from tests.cluster_process import FAST, Cluster
from tests.clusters.conftest import chosen_kinds
from tests.clusters.trial import ClusterLoad, ClusterTrial, texts, unexpected

pytestmark = [pytest.mark.process, pytest.mark.timeout(3_600)]

ACTORS: Final = ("peer", "wal", "backend", "lessor", "compactor", "listener-1", "raft")
ROUNDS, ROUNDS_LONG = 1, 30
RULES: Final = "--actor-rules=" + ";".join(f"{actor.partition('-')[0]}:intensity=1000/500s" for actor in ACTORS)
"""So many ends in a row would otherwise end the member."""


@pytest.fixture(scope="module")
def trial(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterTrial]:
    kinds = chosen_kinds(request.config)
    if "etcdz" not in kinds:
        pytest.skip("a real etcd has no actors")
    with Cluster(tmp_path_factory.mktemp("kill"), kinds, *FAST, "--snapshot-count=1000", RULES) as cluster:
        yield ClusterTrial(cluster, 0)


@pytest.fixture(autouse=True)
def with_logs(request: pytest.FixtureRequest, trial: ClusterTrial) -> None:
    request.node.clusters = [trial.cluster]


class End(NamedTuple):
    """What one kill was like. elections: terms that have passed; stalls_ms: at each member, the victim's first"""

    elections: int
    stalls_ms: list[int]
    errors: int


@pytest.mark.parametrize("role", ["leader", "follower"])
@pytest.mark.parametrize("actor", ACTORS)
def test_others_do_not_notice_the_end_of(actor: str, role: str, trial: ClusterTrial, is_long: bool) -> None:
    ends = []
    with trial.load(clients=8) as load:
        for _ in range(ROUNDS_LONG if is_long else ROUNDS):
            ends.append(kill_one(trial, load, actor, role))
    print(f"\n{table(f'{actor} of {role}', ends)} {texts(load.errors()).most_common(3)}")
    trial.verify()
    assert max(end.elections for end in ends) <= (1 if actor == "raft" else 0)
    assert not unexpected(load.errors(), connection_lost=actor.startswith("listener"))


def kill_one(trial: ClusterTrial, load: ClusterLoad, actor: str, role: str) -> End:
    cluster = trial.cluster
    leader = cluster.leader()
    name = leader.name if role == "leader" else next(m.name for m in cluster if m is not leader)
    load.random_moment()
    term, errors, killed_s = cluster.term(), len(load.errors()), time.monotonic()
    before = trial.signal_actor(name, actor, signal.SIGKILL)
    trial.wait_restarted(name, before, actor)
    load.wait_more(4 * 8)
    stalls = load.stalls_ms(killed_s)
    in_order = [stalls.pop(name), *stalls.values()]
    return End(cluster.term() - term, in_order, len(load.errors()) - errors)


def table(what: str, ends: list[End]) -> str:
    own = [end.stalls_ms[0] for end in ends]
    others = [max(end.stalls_ms[1:]) for end in ends]
    return (
        f"{what:22} n {len(ends):3}  elections {sum(end.elections for end in ends):3}  "
        f"stall ms: own median {statistics.median(own):5.0f} max {max(own):5}  "
        f"others median {statistics.median(others):5.0f} max {max(others):5}  errors {sum(end.errors for end in ends)}"
    )
