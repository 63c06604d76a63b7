"""The network between members does what it is told: with real etcd, of which it is known what it does then."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from etcdz.proto import etcdserverpb as pb
from tests.cluster_process import FAST, Cluster, patiently, until, why_absent
from tests.process.load import open_channel, unary

pytestmark = [pytest.mark.process, pytest.mark.parity, pytest.mark.timeout(600)]
KINDS = ["etcd", "etcd", "etcd"]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if reason := why_absent(KINDS):
        pytest.skip(reason)
    directory: Path = tmp_path_factory.mktemp("network")
    with Cluster(directory, KINDS, *FAST, proxied=True) as cluster:
        yield cluster


@pytest.fixture
def cluster(shared: Cluster, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Healthy at the beginning and at the end of each test."""
    request.node.clusters = [shared]
    shared.leader()
    yield shared
    shared.network.heal()
    shared.leader()
    shared.assert_equal_stores()


def others(cluster: Cluster, name: str) -> list[str]:
    return [member.name for member in cluster if member.name != name]


def test_all_that_members_say_to_each_other_passes_the_proxy(cluster: Cluster) -> None:
    leader, follower = cluster.leader(), cluster.followers()[0]
    before = cluster.network.bytes(leader.name, follower.name)
    leader.put(b"big", b"v" * 100_000)
    cluster.assert_equal_stores()
    assert cluster.network.bytes(leader.name, follower.name) - before >= 100_000
    assert cluster.network.statistics()["strangers"] == 0


@pytest.mark.parametrize("how", ["isolate", "mute", "deafen"])
def test_a_leader_that_does_not_hear_the_others_or_is_not_heard_is_replaced(cluster: Cluster, how: str) -> None:
    old = cluster.leader()
    term = cluster.term()
    getattr(cluster.network, how)(old.name)
    new = cluster.leader(among=others(cluster, old.name))
    assert new is not old
    new.put(b"after", how.encode())
    assert new.status().raftTerm > term
    with pytest.raises(grpc.RpcError):
        old.call("KV/Put", *put_request(), timeout_s=0.5)


ATTEMPTS = 3
"""A leader may lose its term for want of CPU, on a busy machine; but not each time."""


def test_a_follower_that_is_cut_off_stops_no_one_and_catches_up(cluster: Cluster) -> None:
    assert any(keeps_its_term(cluster, cut_off) for _ in range(ATTEMPTS))


def keeps_its_term(cluster: Cluster, act: Callable[[Cluster, bytes], None]) -> bool:
    """Whether the leader does, while something is done with the network, which is whole again afterwards."""
    term = cluster.term()
    act(cluster, f"{act.__name__} in {term}".encode())
    cluster.network.heal()
    return cluster.term() == term


def cut_off(cluster: Cluster, key: bytes) -> None:
    leader, follower = cluster.leader(), cluster.followers()[0]
    cluster.network.isolate(follower.name)
    cluster.leader(among=others(cluster, follower.name)).put(key, b"1")
    assert not follower.get(key, serializable=True).kvs
    cluster.network.heal()
    until(lambda: follower.get(key, serializable=True).kvs, 60, lambda: f"does not catch up with {leader.name}")


def test_members_that_form_a_ring_keep_one_leader(cluster: Cluster) -> None:
    """Each of three reaches both others but for one pair: the third one goes between."""
    assert any(keeps_its_term(cluster, form_a_ring) for _ in range(ATTEMPTS))


def form_a_ring(cluster: Cluster, key: bytes) -> None:
    one, other = others(cluster, cluster.leader().name)
    cluster.network.cut(one, other)
    for member in cluster:
        member.put(key, member.name.encode())


def test_a_slow_link_makes_a_put_wait_for_the_way_there_and_back(cluster: Cluster) -> None:
    assert any(keeps_its_term(cluster, slow_down) for _ in range(ATTEMPTS))
    until(lambda: timed_put(cluster) < 0.2, 60, lambda: "puts go on waiting for the link")


def slow_down(cluster: Cluster, key: bytes) -> None:
    leader = cluster.leader()
    for name in others(cluster, leader.name):
        cluster.network.slow(leader.name, name, delay_s=0.1)
    took_s = timed_put(cluster)
    assert took_s >= 0.2 or cluster.leader() is not leader, took_s


def timed_put(cluster: Cluster) -> float:
    """How long one takes over a connection that is there."""
    with open_channel(cluster.leader().target, long_running=True) as channel:
        grpc.channel_ready_future(channel).result(timeout=60)
        put = unary(channel, "KV/Put", pb.PutResponse)
        began_at = time.monotonic()
        patiently(lambda: put(pb.PutRequest(key=b"slow"), timeout=60))
        return time.monotonic() - began_at


def put_request() -> tuple[object, object]:
    return pb.PutRequest(key=b"x", value=b""), pb.PutResponse
