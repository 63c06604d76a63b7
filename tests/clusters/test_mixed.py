"""etcdz beside real members in one cluster: whoever leads, all hold the same, and a cluster changes kind under load."""

import random
import time
from collections.abc import Callable, Iterator

import grpc
import pytest

from etcdz.proto import etcdserverpb as pb
from tests.cluster_process import FAST, STEADY, Cluster, ClusterMember, until
from tests.clusters.machines import customized
from tests.clusters.trial import ClusterTrial, unexpected
from tests.process.load import open_channel
from tests.process.watch_lease_load import ALL, Witness, check_witnesses

pytestmark = [pytest.mark.process, pytest.mark.parity, pytest.mark.timeout(3_600)]

MIX = "old-etcd,etcd,etcdz"
MIXES_LONG = (
    "etcdz,etcd,etcd",
    "etcdz,etcdz,old-etcd",
    "etcdz,etcdz,etcd",
    "etcdz,old-etcd,old-etcd",
    "etcdz,etcdz,etcdz",
)
LONG_CALLS = 12_000
LEASE_S = 1_000


@pytest.fixture(params=[MIX, *MIXES_LONG])
def mixed(request: pytest.FixtureRequest, make_cluster: Callable[..., Cluster], is_long: bool) -> Iterator[Cluster]:
    if request.param != MIX and not is_long:
        pytest.skip("only with --long")
    with make_cluster(request.param, *STEADY, "--snapshot-count=1000") as cluster:
        yield cluster


def test_each_kind_leads_in_turn_and_all_hold_the_same(mixed: Cluster, seed: int, is_long: bool) -> None:
    trial = ClusterTrial(mixed, seed)
    witnesses = [Witness(member.target, **ALL) for member in mixed]
    with trial.load(clients=2, is_paced=not is_long) as load:
        for member in list(mixed):
            mixed.move_leader(member.name)
            load.wait_more(LONG_CALLS if is_long else 100, timeout_s=1_800)
    trial.verify()
    revision = mixed.assert_equal_stores()
    check_witnesses(witnesses, revision)
    assert not unexpected(load.errors())
    assert_equal_after_compaction(mixed, revision, trial.random)


def assert_equal_after_compaction(cluster: Cluster, revision: int, rng: random.Random) -> None:
    """A compaction at any member; and leases with keys that are revoked at others."""
    members = list(cluster)
    rng.shuffle(members)
    for at, member in enumerate(members):
        lease = member.ask("Lease/LeaseGrant", pb.LeaseGrantRequest(TTL=600), pb.LeaseGrantResponse)
        put = pb.PutRequest(key=b"leased/%d" % at, value=b"1", lease=lease.ID)
        members[at - 1].ask("KV/Put", put, pb.PutResponse)
        if at == 0:
            members[-2].call("Lease/LeaseRevoke", pb.LeaseRevokeRequest(ID=lease.ID), pb.LeaseRevokeResponse)
    compaction = pb.CompactionRequest(revision=rng.randrange(revision // 2, revision), physical=True)
    members[0].call("KV/Compact", compaction, pb.CompactionResponse)
    for member in members:
        until(lambda at=member: has_compacted(at, compaction.revision), 60, lambda: "not compacted everywhere")
    cluster.assert_equal_stores()


def has_compacted(member: ClusterMember, revision: int) -> bool:
    """Whether it reads nothing before that any more. raises grpc.RpcError: something else is wrong"""
    try:
        member.get(b"\0", revision=revision - 1, serializable=True, count_only=True)
    except grpc.RpcError as error:
        if "has been compacted" not in str(error.details()):
            raise
        return True
    return False


def test_checkpoints_of_leases_count_whoever_leads(make_cluster: Callable[..., Cluster]) -> None:
    """What etcdz notes of a lease etcd goes on from, and etcd's note at a renewal takes it back at etcdz as well.

    NB: a new leader adds the election timeout, which has to be less than what is noted here.
    """
    cluster = make_cluster("etcd,etcdz,etcdz", *FAST, "--experimental-enable-lease-checkpoint")
    for name in ("m1", "m2"):
        cluster[name].env = customized(LEASE_CHECKPOINT_EVERY_S="1")
    with cluster:
        cluster.move_leader("m1")
        lease = cluster["m1"].ask("Lease/LeaseGrant", pb.LeaseGrantRequest(TTL=LEASE_S), pb.LeaseGrantResponse).ID
        until(lambda: seconds_left(cluster["m1"], lease) < LEASE_S - 3, 60, lambda: "its clock stands still")
        for name in ("m0", "m2", "m0"):
            cluster.move_leader(name)
            for member in cluster:
                assert LEASE_S - 60 < seconds_left(member, lease) < LEASE_S - 1, (member.name, "after", name)
        began_s = time.monotonic()
        with open_channel(cluster["m2"].target, long_running=True) as channel:
            keep_alive = channel.stream_stream("/etcdserverpb.Lease/LeaseKeepAlive")
            request = pb.LeaseKeepAliveRequest(ID=lease).SerializeToString()
            answer = pb.LeaseKeepAliveResponse.FromString(next(keep_alive(iter([request]), timeout=60)))
        assert answer.TTL == LEASE_S
        cluster.move_leader("m2")
        assert seconds_left(cluster["m2"], lease) > LEASE_S - 2 - (time.monotonic() - began_s)


def seconds_left(member: ClusterMember, lease: int) -> int:
    """As the leader tells it."""
    request = pb.LeaseTimeToLiveRequest(ID=lease)
    return int(member.ask("Lease/LeaseTimeToLive", request, pb.LeaseTimeToLiveResponse).TTL)


@pytest.mark.parametrize("origin", ["etcd", "old-etcd"])
def test_a_cluster_changes_kind_member_by_member_under_load(
    make_cluster: Callable[..., Cluster], seed: int, is_long: bool, origin: str
) -> None:
    """Nothing is lost or doubled on the way, nor on the way back.

    That leads to etcd 3.5 in any case: the cluster is at 3.5 as soon as all its members are, and 3.4 joins none.
    """
    if not is_long:
        pytest.skip("only with --long")
    with make_cluster(",".join([origin] * 3), *STEADY, "--snapshot-count=200") as cluster:
        trial = ClusterTrial(cluster, seed)
        for kind in ["etcdz"] * 3 + ["etcd"] * 3:
            oldest = next(iter(cluster))
            staying = [member.name for member in cluster if member is not oldest]
            with trial.load(staying[:1], clients=1, big_one_in=0) as load:
                load.wait_more(300)
                cluster.replace(oldest.name, kind)
                load.wait_more(50)
            assert not unexpected(load.errors())
            trial.verify()
