"""What befalls a member's machine: its disk is full or fails, its files rot, its clock jumps. At a leader and at a
follower, under load at all members: nothing is lost or doubled, and all stores stay equal.

Each for a few seconds here; at random among other faults in test_faults.py.
"""

import shutil
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from tests.cluster_process import FAST, Cluster, ClusterEtcdz, until
from tests.clusters import faults
from tests.clusters.conftest import chosen_kinds
from tests.clusters.faults import Fault
from tests.clusters.machines import Machines
from tests.clusters.trial import ClusterTrial, unexpected
from tests.process.injected import can_inject

pytestmark = [pytest.mark.process, pytest.mark.timeout(600)]

LEADER, FOLLOWER = "leader", "follower"
ROUNDS_LONG = 20
FAULT_S = (0.2, 1.0)
SEED = 12


@pytest.fixture(scope="module")
def trial(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterTrial]:
    kinds = chosen_kinds(request.config)
    if "etcd" in kinds:
        pytest.skip("a real etcd has no actors")
    parent = tmp_path_factory.mktemp("machines")
    cluster = Cluster(parent / "cluster", kinds, *FAST, "--snapshot-count=300")
    with Machines(cluster, parent / "machines") as machines, cluster:
        yield ClusterTrial(cluster, SEED, machines)


@pytest.fixture
def rounds(request: pytest.FixtureRequest, trial: ClusterTrial, is_long: bool, seed: int) -> list[str]:
    """Of whom each is the victim, in this order: in the short form, of one at random."""
    request.node.clusters = [trial.cluster]
    trial.random.seed(seed)
    return [LEADER, FOLLOWER] * ROUNDS_LONG if is_long else [trial.random.choice((LEADER, FOLLOWER))]


def victim(trial: ClusterTrial, role: str) -> str:
    leader = trial.cluster.leader()
    return leader.name if role == LEADER else trial.random.choice(trial.cluster.followers()).name


def suffer(trial: ClusterTrial, fault: Fault, until_seen: Callable[[], None] = lambda: None) -> None:
    """Under load at all members, from before it begins until all have recovered. until_seen: returns when it may end"""
    print(fault.name, flush=True)
    with trial.load(clients=2) as load:
        load.wait_more(5)
        fault.begin()
        trial.wait(FAULT_S)
        until_seen()
        fault.end()
        trial.cluster.leader()
        load.wait_more(5)
    print(trial.verify())
    assert not unexpected(trial.record.errors(), connection_lost=True, disk_full=True)


def test_a_full_disk(trial: ClusterTrial, rounds: list[str]) -> None:
    if not (trial.machines and trial.machines.disks):
        pytest.skip("only root can mount file systems")
    for role in rounds:
        name = victim(trial, role)
        fault = faults.fill_disk(trial, name, trial.random.choice(faults.LEFT_BYTES))
        suffer(trial, fault, partial(wait_handing_over, trial, name) if role == LEADER else lambda: None)


def wait_handing_over(trial: ClusterTrial, name: str) -> None:
    """Returns once a leader says so whose disk is full, or it is not the leader any more: that may come of itself."""
    member = trial.cluster[name]
    line = "leadership transfer starting, the disk is full"
    until(lambda: line in member.log_tail(1_000) or trial.cluster.leader() is not member, 60, lambda: f"no {line!r}")


def test_a_wall_clock_that_jumps(trial: ClusterTrial, rounds: list[str]) -> None:
    for role in rounds:
        backwards_or_forwards = trial.random.choice((-1, 1))
        jump_s = backwards_or_forwards * trial.random.uniform(1, 7_200)
        suffer(trial, faults.set_clock(trial, victim(trial, role), jump_s))


def test_a_log_that_cannot_be_synced(trial: ClusterTrial, rounds: list[str], is_long: bool) -> None:
    if not is_long:
        pytest.skip("only with --long")
    if not can_inject():
        pytest.skip("strace may not trace here")
    for role in rounds:
        name = victim(trial, role)
        suffer(trial, faults.fail_sync(trial, name))
        assert "failed to save Raft hard state and entries" in trial.cluster[name].log_path.read_text()


def test_a_flipped_bit(trial: ClusterTrial, rounds: list[str]) -> None:
    """It is found at the start, or by whoever reads it; whichever it is, no member has other data than the others."""
    for role in rounds:
        suffer(trial, faults.flip_bit(trial, victim(trial, role)))


def test_a_copy_of_a_member_that_runs_beside_it_is_told_of(make_cluster: Callable[..., Cluster]) -> None:
    """Both are one member to the others: see etcdz/peer/processes.py. NB: the cluster may be of no use afterwards."""
    with make_cluster("etcdz,etcdz,etcdz", *FAST) as cluster:
        leader, original = cluster.leader(), cluster.followers()[0]
        copy = ClusterEtcdz(original.tmp_dir, "copy", *original.flags)
        shutil.copytree(original.data_dir, copy.data_dir, symlinks=True)
        copy.initial_cluster, copy.peer_url = original.initial_cluster, original.peer_url
        copy.name = original.name
        try:
            copy.launch()
            leader.wait_for_log("two processes run as one member", timeout_s=60)
        finally:
            copy.discard()
        told = [line for line in leader.log_tail(1_000).splitlines() if "two processes run as one member" in line]
        assert len(told) == 1
        assert f'"remote-peer-id":"{original.member_id:x}"' in told[0]
