"""What clients are promised while a cluster's processes, members, leader, tokens and certificates come to their end."""

from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from tests.client.chaos import Load, SecureCluster
from tests.seeds import seed_of

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.timeout(3_600)]

CALLS = 60
"""That are made after each fault, at least: a third of a second's."""
ROUNDS_LONG = 20


def _kill_listener(cluster: SecureCluster, load: Load, random: Random) -> None:
    cluster.kill_actor(random.choice(cluster.members), "listener")


def _kill_backend(cluster: SecureCluster, load: Load, random: Random) -> None:
    cluster.kill_actor(random.choice(cluster.members), "backend")


def _kill_member(cluster: SecureCluster, load: Load, random: Random) -> None:
    member = random.choice(cluster.members)
    member.kill()
    load.go_on(CALLS)
    member.start()


def _stop_member(cluster: SecureCluster, load: Load, random: Random) -> None:
    with cluster.stopped(random.choice(cluster.members)):
        load.go_on(CALLS)


def _move_leader(cluster: SecureCluster, load: Load, random: Random) -> None:
    cluster.move_leader()


def _end_tokens(cluster: SecureCluster, load: Load, random: Random) -> None:
    cluster.end_tokens()


def _rotate(cluster: SecureCluster, load: Load, random: Random) -> None:
    cluster.rotate_certificates()


Fault = Callable[[SecureCluster, Load, Random], None]
FAULTS: tuple[Fault, ...] = (
    _kill_listener, _kill_backend, _kill_member, _stop_member, _move_leader, _end_tokens, _rotate,
)  # fmt: skip


@pytest.fixture
def is_long(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--long", default=False))


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[SecureCluster]:
    with SecureCluster(tmp_path) as started:
        yield started


def test_clients_notice_nothing_that_may_be_tried_again(
    cluster: SecureCluster, request: pytest.FixtureRequest, is_long: bool
) -> None:
    random = Random(seed_of(request.config, "--cluster-seed"))
    with Load(cluster, per_s=200) as load:
        for _ in range(ROUNDS_LONG if is_long else 1):
            for fault in random.sample(FAULTS, len(FAULTS)):
                load.go_on(CALLS)
                print(fault.__name__)
                fault(cluster, load, random)
                load.go_on(CALLS)
        print(load.check())
