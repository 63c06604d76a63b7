"""Clients at all members while members and links fail at random: nothing lost or doubled, and all of it linearizable.

Witnesses that know nothing of each other: what each write was told against the store that is left (process/checker.py),
what watches were told at each member, an order of what registers said (registers.py), and the hashes of all stores.
"""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster_process import FAST, Cluster, until
from tests.clusters import faults
from tests.clusters.machines import Machines
from tests.clusters.registers import Registers, find_violation
from tests.clusters.trial import ClusterTrial, texts, unexpected
from tests.process.watch_lease_load import ALL, Witness, check_events, check_same

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.timeout(3_600)]

FAULTS, FAULTS_LONG = 2, 600
FAULT_S = (0.2, 2.5)
CALM_S = (0.0, 1.0)
ENOUGH = 100
"""Answers, for a look at their order that means something."""
FLAGS = (*FAST, "--snapshot-count=500")


def test_writes_and_watches_under_faults(
    make_cluster: Callable[..., Cluster], tmp_path: Path, seed: int, is_long: bool
) -> None:
    cluster = make_cluster(None, *FLAGS, proxied=True, seed=seed)
    with Machines(cluster, tmp_path / "machines") as machines, cluster:
        trial = ClusterTrial(cluster, seed, machines)
        witnesses = {member.name: Witness(member.target, **ALL) for member in cluster}
        with trial.load(clients=4, long_running=True) as load:
            suffer(trial, FAULTS_LONG if is_long else FAULTS)
            cluster.leader()
            load.wait_more(20)
        summary = trial.verify()
        check_witnesses(witnesses, cluster.assert_equal_stores())
        print(f"{summary}, {texts(trial.record.errors()).most_common(8)}")
        assert not unexpected(trial.record.errors(), connection_lost=True, disk_full=True)


def test_registers_are_linearizable_under_faults(
    make_cluster: Callable[..., Cluster], tmp_path: Path, seed: int, is_long: bool
) -> None:
    cluster = make_cluster(None, *FLAGS, proxied=True, seed=seed)
    with Machines(cluster, tmp_path / "machines") as machines, cluster:
        trial = ClusterTrial(cluster, seed, machines)
        with Registers({member.name: member.target for member in cluster}, seed) as registers:
            suffer(trial, FAULTS_LONG if is_long else FAULTS)
            cluster.leader()
            until(lambda: answered(registers) > ENOUGH, 120, lambda: f"only {answered(registers)} answers")
        cluster.assert_equal_stores()
    history = registers.history()
    violation = find_violation(history)
    assert violation is None, str(violation)
    print(f"{len(history)} operations, {answered(registers)} answered")


def answered(registers: Registers) -> int:
    return sum(operation.ended_s < float("inf") for operation in registers.history())


def suffer(trial: ClusterTrial, count: int) -> None:
    """So many faults, one after the other. The waits are the faults' length, and wait for nothing."""
    began_s = time.monotonic()
    for fault, _ in zip(faults.plan(trial), range(count), strict=False):
        print(f"{time.monotonic() - began_s:7.2f} {fault.name}", flush=True)
        fault.begin()
        trial.wait(FAULT_S)
        fault.end()
        trial.wait(CALM_S)


def check_witnesses(witnesses: dict[str, Witness], revision: int) -> None:
    """raises AssertionError"""
    for witness in witnesses.values():
        witness.wait_for(revision)
        witness.stop()
    first, *others = witnesses.values()
    check_events(first.told, revision, {})
    for other in others:
        check_same(other.told, lambda event: True, first.told)
