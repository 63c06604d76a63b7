"""Members come and go while clients write: no error, nothing lost, nothing twice."""

import json
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import grpc
import pytest

from etcdz.proto import etcdserverpb as pb
from tests.cluster_process import FAST, STEADY, Cluster, ClusterMember, until
from tests.process.load import open_channel, unary

pytestmark = [pytest.mark.process, pytest.mark.timeout(600)]

AT_ONCE = (*STEADY, "--strict-reconfig-check=false")
"""Else a change of the membership waits until connections are 5 s old."""
MIXES = ["etcdz,etcdz,etcdz", "etcdz,etcd,etcdz", "etcd,etcdz,etcdz"]


class Writer(threading.Thread):
    """One client of one member, with no retries: each acknowledged put of its key is one version of it."""

    def __init__(self, member: ClusterMember, key: bytes) -> None:
        super().__init__(daemon=True)
        self.member, self.key = member, key
        self.acknowledged = 0
        self.errors: list[str] = []
        self.stopped = threading.Event()

    def run(self) -> None:
        with open_channel(self.member.target, long_running=True) as channel:
            put = unary(channel, "KV/Put", pb.PutResponse)
            while not self.stopped.is_set():
                try:
                    put(pb.PutRequest(key=self.key), timeout=60, wait_for_ready=True)
                    self.acknowledged += 1
                except grpc.RpcError as error:
                    self.errors.append(f"{error.code().name}: {error.details()}")
                    return


@contextmanager
def written_at(member: ClusterMember, count: int = 2) -> Iterator[None]:
    """Meanwhile clients write at this member; afterwards it has all of it, once."""
    writers = [Writer(member, b"of writer %d" % number) for number in range(count)]
    for writer in writers:
        writer.start()
    try:
        yield
    finally:
        for writer in writers:
            writer.stopped.set()
        for writer in writers:
            writer.join()
    assert [writer.errors for writer in writers] == [[]] * count
    versions = [member.get(writer.key).kvs[0].version for writer in writers]
    assert versions == [writer.acknowledged for writer in writers]
    assert min(versions) > 0


def has_version(member: ClusterMember) -> bool:
    """Before it has been decided nobody can join."""
    with urllib.request.urlopen(f"{member.client_url}/version", timeout=60) as answer:
        return bool(json.load(answer)["etcdcluster"] != "not_decided")


@pytest.mark.parametrize("kinds", MIXES)
def test_one_becomes_three_and_one_again_and_its_clients_do_not_notice(
    make_cluster: Callable[..., Cluster], kinds: str, is_long: bool
) -> None:
    if kinds != MIXES[0] and not is_long:
        pytest.skip("mixes run only with --long")
    first, *others = kinds.split(",")
    cluster = make_cluster(first, *AT_ONCE)
    cluster.start()
    until(lambda: has_version(cluster["m0"]), 60, lambda: "no cluster version")
    with written_at(cluster["m0"]):
        for kind in others:
            cluster.promote(cluster.add(kind, is_learner=True).name)
        cluster.assert_equal_stores()
        for name in [member.name for member in cluster][:0:-1]:
            assert cluster.remove(name).wait() == 0
        assert len(cluster["m0"].member_list().members) == 1


def test_the_leader_removes_itself_and_another_takes_its_address(make_cluster: Callable[..., Cluster]) -> None:
    """With a new id, so that nobody takes it for the one that was removed."""
    cluster = make_cluster(None, *AT_ONCE, *FAST)
    cluster.start()
    old = cluster.leader()
    old.put(b"before", b"1")
    cluster.remove(old.name, via=old.name)
    assert old.wait() == 0
    assert "the member has been permanently removed from the cluster" in old.log_tail(60)
    leader = cluster.leader()
    assert leader.get(b"before").kvs[0].value == b"1"
    request = pb.MemberAddRequest(peerURLs=[old.peer_url])
    cluster.reconfigure("Cluster/MemberAdd", request, pb.MemberAddResponse, leader.name)
    listed = {tuple(each.peerURLs): each.ID for each in leader.member_list().members}
    assert (old.peer_url,) in listed and old.member_id not in listed.values()
    # On its old data it is still the removed one.
    assert old.launch().wait() == 0
