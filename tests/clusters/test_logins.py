"""Auth in a cluster: a token of one member is everybody's, and a change is in force at all of them."""

from typing import Any

import grpc
import pytest

from etcdz.proto import etcdserverpb as pb
from tests.cluster_process import STEADY, Cluster, ClusterMember, until
from tests.clusters.conftest import ClusterMaker
from tests.clusters.test_membership import AT_ONCE
from tests.process.load import open_channel, unary

pytestmark = [pytest.mark.process, pytest.mark.timeout(600)]

ROOT = pb.AuthenticateRequest(name="root", password="r")


def call(member: ClusterMember, path: str, request: Any, token: str = "") -> Any:
    answer = getattr(pb, f"{type(request).__name__.removesuffix('Request')}Response")
    metadata = (("token", token),) if token else ()
    with open_channel(member.target, long_running=True) as channel:
        return unary(channel, path, answer)(request, timeout=60, metadata=metadata, wait_for_ready=True)


def begin(cluster: Cluster) -> tuple[ClusterMember, ClusterMember, str]:
    """(leader, follower, root's token), with auth on and a user u without roles."""
    leader, follower = cluster.leader(), cluster.followers()[0]
    for name in ("root", "u"):
        call(leader, "Auth/UserAdd", pb.AuthUserAddRequest(name=name, password=name[0]))
    call(leader, "Auth/RoleAdd", pb.AuthRoleAddRequest(name="root"))
    call(leader, "Auth/UserGrantRole", pb.AuthUserGrantRoleRequest(user="root", role="root"))
    call(leader, "Auth/AuthEnable", pb.AuthEnableRequest())
    return leader, follower, call(leader, "Auth/Authenticate", ROOT).token


def error_of(member: ClusterMember, path: str, request: Any, token: str = "") -> str | None:
    try:
        call(member, path, request, token)
    except grpc.RpcError as error:
        return str(error.details())
    return None


def test_a_token_is_known_at_once_at_all_members(make_cluster: ClusterMaker) -> None:
    with make_cluster("etcdz,etcdz", *STEADY, "--bcrypt-cost=4") as cluster:
        leader, follower, token = begin(cluster)
        for _ in range(10):
            token = call(leader, "Auth/Authenticate", ROOT).token
            call(follower, "KV/Range", pb.RangeRequest(key=b"a", serializable=True), token)
        call(leader, "Lease/LeaseGrant", pb.LeaseGrantRequest(ID=7, TTL=600), token)
        call(follower, "KV/Put", pb.PutRequest(key=b"secret", lease=7), token)

        u = call(follower, "Auth/Authenticate", pb.AuthenticateRequest(name="u", password="u")).token
        keys = pb.LeaseTimeToLiveRequest(ID=7, keys=True)
        for member in (leader, follower):
            assert error_of(member, "Lease/LeaseTimeToLive", keys, u) == "etcdserver: permission denied"
            assert error_of(member, "KV/Range", pb.RangeRequest(key=b"secret"), u) == "etcdserver: permission denied"
            assert list(call(member, "Lease/LeaseTimeToLive", keys, token).keys) == [b"secret"]

        call(leader, "Auth/AuthDisable", pb.AuthDisableRequest(), token)
        assert call(follower, "KV/Range", pb.RangeRequest(key=b"secret")).count == 1


def test_a_learner_is_promoted_through_a_follower_pr_21494(make_cluster: ClusterMaker) -> None:
    with make_cluster("etcdz,etcdz", *AT_ONCE, "--bcrypt-cost=4") as cluster:
        learner = cluster.add("etcdz", is_learner=True)
        leader, follower, token = begin(cluster)
        u = call(leader, "Auth/Authenticate", pb.AuthenticateRequest(name="u", password="u")).token
        request = pb.MemberPromoteRequest(ID=learner.member_id)
        assert error_of(follower, "Cluster/MemberPromote", request) == "etcdserver: user name is empty"
        assert error_of(follower, "Cluster/MemberPromote", request, u) == "etcdserver: permission denied"
        until(
            lambda: error_of(follower, "Cluster/MemberPromote", request, token) is None,
            60,
            lambda: "it is not promoted",
        )
