"""The network between members does what it is told: with real etcd, of which it is known what it does then."""

import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from etcdz.proto import etcdserverpb as pb
from tests.cluster_process import FAST, Cluster, until, why_absent

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


def test_a_follower_that_is_cut_off_stops_no_one_and_catches_up(cluster: Cluster) -> None:
    leader, follower = cluster.leader(), cluster.followers()[0]
    term = cluster.term()
    cluster.network.isolate(follower.name)
    leader.put(b"alone", b"1")
    assert not follower.get(b"alone", serializable=True).kvs
    cluster.network.heal()
    until(lambda: follower.get(b"alone", serializable=True).kvs, 60, lambda: "does not catch up")
    assert cluster.term() == term


def test_members_that_form_a_ring_keep_one_leader(cluster: Cluster) -> None:
    """Each of three reaches both others but for one pair: the third one goes between."""
    leader = cluster.leader()
    one, other = others(cluster, leader.name)
    cluster.network.cut(one, other)
    for member in cluster:
        member.put(b"ring", member.name.encode())
    assert cluster.leader() is leader


def test_a_slow_link_makes_a_put_wait_for_the_way_there_and_back(cluster: Cluster) -> None:
    leader = cluster.leader()
    for name in others(cluster, leader.name):
        cluster.network.slow(leader.name, name, delay_s=0.1)
    assert timed_put(cluster) >= 0.2
    cluster.network.heal()
    until(lambda: timed_put(cluster) < 0.2, 60, lambda: "puts go on waiting for the link")


def timed_put(cluster: Cluster) -> float:
    began_at = time.monotonic()
    cluster.leader().put(b"slow", b"")
    return time.monotonic() - began_at


def put_request() -> tuple[object, object]:
    return pb.PutRequest(key=b"x", value=b""), pb.PutResponse
