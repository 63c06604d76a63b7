"""A running member that was cut off is sent a snapshot: from then on it judges by what is in there, and nobody who has
logged in there notices otherwise.
"""

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import grpc
import pytest

from etcdz.proto import authpb
from etcdz.proto import etcdserverpb as pb
from tests.cluster_process import STEADY, Cluster, ClusterMember, until
from tests.clusters.conftest import ClusterMaker
from tests.clusters.test_logins import begin, call, error_of
from tests.clusters.test_snapshots import EVERY, KEPT, wait_installed
from tests.process.load import open_channel, unary

pytestmark = [pytest.mark.process, pytest.mark.timeout(600)]

READ: Final = 0
FOO, BAR = pb.RangeRequest(key=b"foo", serializable=True), pb.RangeRequest(key=b"bar", serializable=True)
DENIED, BAD_TOKEN = "etcdserver: permission denied", "etcdserver: invalid auth token"
OLD = "etcdserver: revision of auth store is old"
FAILED = "etcdserver: authentication failed, invalid user ID or password"


class Reader:
    """Reads foo over one connection, again and again, as one user. revisions: of the answers; ended: why it stopped"""

    def __init__(self, member: ClusterMember, token: str) -> None:
        self.revisions: list[int] = []
        self.ended = ""
        self._channel = open_channel(member.target, long_running=True)
        self._metadata = (("token", token),)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        get = unary(self._channel, "KV/Range", pb.RangeResponse)
        while not self.ended:
            try:
                self.revisions.append(get(FOO, timeout=60, metadata=self._metadata).header.revision)
            except grpc.RpcError as error:
                if error.details() != OLD:  # a read that was under way at the change, as with etcd
                    self.ended = str(error.details())

    def error(self) -> str:
        """Returns when it is refused."""
        self._thread.join(120)
        self._channel.close()
        return self.ended


@contextmanager
def watching(member: ClusterMember, token: str, key: bytes) -> Iterator[queue.SimpleQueue[Any]]:
    """Its responses, as they come; the watch has begun."""
    responses: queue.SimpleQueue[Any] = queue.SimpleQueue()
    requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    requests.put(pb.WatchRequest(create_request=pb.WatchCreateRequest(key=key)).SerializeToString())
    with open_channel(member.target, long_running=True) as channel:
        stream = channel.stream_stream("/etcdserverpb.Watch/Watch")(
            iter(requests.get, None), metadata=(("token", token),), wait_for_ready=True
        )
        assert pb.WatchResponse.FromString(next(stream)).created

        def follow() -> None:
            try:
                for message in stream:
                    responses.put(pb.WatchResponse.FromString(message))
            except grpc.RpcError:
                pass  # the test is over

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        yield responses
        stream.cancel()
        requests.put(None)
        thread.join(10)


def add_user(member: ClusterMember, name: str, token: str, *keys: bytes) -> None:
    """With a role of its own that reads these keys. Its password is its name."""
    call(member, "Auth/UserAdd", pb.AuthUserAddRequest(name=name, password=name), token)
    call(member, "Auth/RoleAdd", pb.AuthRoleAddRequest(name=name), token)
    for key in keys:
        permission = authpb.Permission(permType=READ, key=key)
        call(member, "Auth/RoleGrantPermission", pb.AuthRoleGrantPermissionRequest(name=name, perm=permission), token)
    call(member, "Auth/UserGrantRole", pb.AuthUserGrantRoleRequest(user=name, role=name), token)


def log_in(member: ClusterMember, name: str) -> str:
    return str(call(member, "Auth/Authenticate", pb.AuthenticateRequest(name=name, password=name)).token)


def change_users(leader: ClusterMember, token: str) -> None:
    revoke = pb.AuthRoleRevokePermissionRequest(role="reader", key=b"foo")
    call(leader, "Auth/RoleRevokePermission", revoke, token)
    permission = authpb.Permission(permType=READ, key=b"bar")
    call(leader, "Auth/RoleGrantPermission", pb.AuthRoleGrantPermissionRequest(name="reader", perm=permission), token)
    call(leader, "Auth/UserDelete", pb.AuthUserDeleteRequest(name="gone"), token)
    call(leader, "Auth/UserChangePassword", pb.AuthUserChangePasswordRequest(name="changed", password="new"), token)
    add_user(leader, "late", token, b"bar")


def begin_with_users(cluster: Cluster) -> tuple[ClusterMember, ClusterMember, dict[str, str]]:
    """(leader, the follower that is to be cut off, tokens that this follower has given)"""
    leader, behind, token = begin(cluster)
    for name in ("reader", "gone", "changed"):
        add_user(leader, name, token, b"foo")
    tokens = {name: log_in(behind, name) for name in ("reader", "gone", "changed")}
    return leader, behind, {"root": token, **tokens}


def test_a_member_judges_by_the_snapshot_that_it_is_sent_at_once(make_cluster: ClusterMaker) -> None:
    flags = (*STEADY, EVERY, KEPT, "--bcrypt-cost=4")
    with make_cluster("etcdz,etcdz,etcdz", *flags, proxied=True) as cluster:
        leader, behind, tokens = begin_with_users(cluster)
        root = tokens["root"]
        assert log_in(behind, "reader") and error_of(behind, "KV/Range", FOO, tokens["reader"]) is None
        with watching(behind, tokens["reader"], b"foo") as responses:
            reader = Reader(behind, tokens["reader"])
            cluster.network.isolate(behind.name)
            change_users(leader, root)
            first = call(leader, "KV/Put", pb.PutRequest(key=b"foo", value=b"secret"), root).header.revision
            with open_channel(leader.target, long_running=True) as channel:
                put = unary(channel, "KV/Put", pb.PutResponse)
                request, metadata = pb.PutRequest(key=b"bar"), (("token", root),)
                under_way = [put.future(request, timeout=60, metadata=metadata) for _ in range(250)]
                assert all([one.result().header.revision for one in under_way])
            given_by_the_leader = log_in(leader, "late")
            assert not reader.ended
            cluster.network.heal()
            assert reader.error() == DENIED
            assert max(reader.revisions) < first, "what was written after the permission went was read"
            assert wait_installed(behind) == 1

            assert error_of(behind, "KV/Range", BAR, tokens["reader"]) is None
            assert error_of(behind, "KV/Range", FOO, tokens["gone"]) == BAD_TOKEN
            assert error_of(behind, "KV/Range", FOO, tokens["changed"]) == BAD_TOKEN
            assert error_of(behind, "KV/Range", BAR, given_by_the_leader) in (None, BAD_TOKEN)
            assert error_of(behind, "KV/Range", FOO) == "etcdserver: user name is empty"
            assert error_of(behind, "KV/Range", FOO, root) is None
            assert error_of(behind, "KV/Range", BAR, log_in(behind, "late")) is None
            for name in ("gone", "changed"):
                login = pb.AuthenticateRequest(name=name, password=name)
                assert error_of(behind, "Auth/Authenticate", login) == FAILED
            response = responses.get(timeout=60)
            assert response.canceled and not response.events and DENIED in response.cancel_reason
        revisions = {call(member, "Auth/AuthStatus", pb.AuthStatusRequest(), root).authRevision for member in cluster}
        assert len(revisions) == 1
        until(lambda: hashes(cluster, root), 60, lambda: "the stores are not equal")


def hashes(cluster: Cluster, token: str) -> bool:
    found = {call(member, "Maintenance/HashKV", pb.HashKVRequest(), token).hash for member in cluster}
    return len(found) == 1
