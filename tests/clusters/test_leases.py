"""Leases while leaders come and go: one that is kept alive through a member that runs does not end.

`--cluster-kinds` holds other members against the same. NB: a paused leader of etcd 3.5.1 is known to fail.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Final

import grpc
import psutil
import pytest

from etcdz.proto import etcdserverpb as pb
from tests.cluster_process import FAST, Cluster, ClusterMember, until
from tests.clusters.conftest import chosen_kinds
from tests.clusters.trial import ClusterTrial
from tests.process.load import open_channel

pytestmark = [pytest.mark.process, pytest.mark.timeout(600)]

TTL_S: Final = 7
"""NB: a lease ends rightly if the machine stands still for so long."""
EVERY_S: Final = 0.3
PAUSE_S: Final = TTL_S + 1.5


@pytest.fixture(scope="module")
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("leases"), chosen_kinds(request.config), *FAST)
    try:
        yield cluster.start()
    finally:
        cluster.discard()


@pytest.fixture
def cluster(shared: Cluster, request: pytest.FixtureRequest) -> Cluster:
    request.node.clusters = [shared]
    shared.leader()
    return shared


class Keeper:
    """Keeps a lease alive through one member, with a new stream whenever one ends; a context manager.

    answers    TTLs that it was told
    errors     why streams have ended
    """

    def __init__(self, member: ClusterMember, lease_id: int) -> None:
        self.member = member
        self.lease_id = lease_id
        self.answers: list[int] = []
        self.errors: list[str] = []
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Keeper":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join(30)

    def _requests(self) -> Iterator[bytes]:
        while not self._is_over.is_set():
            yield pb.LeaseKeepAliveRequest(ID=self.lease_id).SerializeToString()
            self._is_over.wait(EVERY_S)

    def _run(self) -> None:
        with open_channel(self.member.target) as channel:
            call = channel.stream_stream("/etcdserverpb.Lease/LeaseKeepAlive")
            while not self._is_over.is_set():
                try:
                    for answer in call(self._requests(), timeout=60):
                        self.answers.append(int(pb.LeaseKeepAliveResponse.FromString(answer).TTL))
                except grpc.RpcError as error:
                    self.errors.append(str(error.details()))
                    self._is_over.wait(0.1)

    def wait_more(self, count: int, timeout_s: float = 90) -> None:
        """Returns once it was told the TTL so many more times. raises TimeoutError"""
        wanted = len(self.answers) + count
        until(lambda: len(self.answers) >= wanted, timeout_s, lambda: f"no more answers, errors: {self.errors}")


def grant(member: ClusterMember, ttl_s: int = TTL_S) -> int:
    return int(member.ask("Lease/LeaseGrant", pb.LeaseGrantRequest(TTL=ttl_s), pb.LeaseGrantResponse).ID)


def alive(member: ClusterMember) -> set[int]:
    found = member.ask("Lease/LeaseLeases", pb.LeaseLeasesRequest(), pb.LeaseLeasesResponse)
    return {lease.ID for lease in found.leases}


def keep_through(cluster: Cluster, members: list[ClusterMember], trouble: Callable[[], Any]) -> None:
    """Leases are kept alive through these members while the trouble lasts: none of them ends, then or soon after."""
    leases = [grant(member) for member in members]
    keepers = [Keeper(member, lease_id) for member, lease_id in zip(members, leases, strict=True)]
    for keeper in keepers:
        keeper.__enter__()
    try:
        for keeper in keepers:
            keeper.wait_more(2)
        trouble()
        for keeper in keepers:
            keeper.wait_more(int(1.1 * TTL_S / EVERY_S))  # longer than a TTL
        for keeper in keepers:
            assert set(keeper.answers) == {TTL_S}, (keeper.member.name, keeper.answers, keeper.errors)
        for member in cluster.running():
            assert alive(member) >= set(leases)
    finally:
        for keeper in keepers:
            keeper.__exit__()


def test_no_lease_ends_because_its_leader_was_killed(cluster: Cluster) -> None:
    leader = cluster.leader()
    followers = cluster.followers()

    def kill() -> None:
        leader.kill9()
        cluster.leader([member.name for member in followers])

    keep_through(cluster, followers, kill)
    cluster.start()
    until(lambda: not alive(cluster.leader()), 60, lambda: "leases do not end when nobody keeps them alive")


def test_a_leader_that_was_paused_ends_no_lease_when_it_goes_on(cluster: Cluster) -> None:
    leader = cluster.leader()
    followers = cluster.followers()

    def pause() -> None:
        family: list[psutil.Process] = leader.processes()
        for process in family:
            process.send_signal(signal.SIGSTOP)
        try:
            threading.Event().wait(PAUSE_S)  # the length of the pause: its clocks run out meanwhile
        finally:
            for process in reversed(family):  # the supervisor last: it kills actors that it sees stopped
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGCONT)

    keep_through(cluster, followers, pause)


@pytest.mark.parametrize("role", ["leader", "follower"])
@pytest.mark.parametrize("actor", ["lessor", "peer"])
def test_no_lease_ends_because_an_actor_was_killed(cluster: Cluster, actor: str, role: str, is_long: bool) -> None:
    if not is_long:
        pytest.skip("only with --long")
    member = cluster.leader() if role == "leader" else cluster.followers()[0]
    trial = ClusterTrial(cluster, 0)
    if not trial.actors(member.name):
        pytest.skip("a real etcd has no actors")

    def kill() -> None:
        trial.wait_restarted(member.name, trial.signal_actor(member.name, actor, signal.SIGKILL), actor)

    keep_through(cluster, list(cluster), kill)


def test_a_lease_outlives_its_leader_by_its_whole_time(cluster: Cluster, is_long: bool) -> None:
    if not is_long:
        pytest.skip("only with --long")
    leader = cluster.leader()
    lease_id = grant(leader, TTL_S)
    threading.Event().wait(TTL_S / 2)
    leader.kill9()
    new = cluster.leader([member.name for member in cluster.running()])
    led_s = time.monotonic()
    until(lambda: lease_id not in alive(new), 60, lambda: "the lease does not end")
    assert time.monotonic() - led_s > TTL_S - 0.5
    cluster.start()
