"""A member whose data is not what the others have: found periodically, after a compaction, and before it serves."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from etcdz.mvcc.alarms import CORRUPT
from etcdz.proto import etcdserverpb as pb
from etcdz.proto import mvccpb
from etcdz.store import buckets
from etcdz.store.leveldb import LevelStore
from tests.cluster_process import STEADY, Cluster, ClusterMember, until

pytestmark = [pytest.mark.process, pytest.mark.timeout(600)]

Maker = Callable[..., Cluster]


def falsify(member: ClusterMember, key: bytes) -> None:
    """Another value stands in the store of a member that does not run; all checksums are right."""
    store = LevelStore(Path(member.data_dir) / "member" / "snap" / "leveldb")
    for name, record in list(store.iterate(buckets.KEY, buckets.bucket_end(buckets.KEY))):
        row = mvccpb.KeyValue.FromString(record)
        if row.key == key:
            row.value = b"false"
            store.write({name: row.SerializeToString()}, sync=True)
    store.close()


def alarms(member: ClusterMember) -> set[int]:
    """Members for which CORRUPT is raised."""
    found = member.ask("Maintenance/Alarm", pb.AlarmRequest(), pb.AlarmResponse)
    return {alarm.memberID for alarm in found.alarms if alarm.alarm == CORRUPT}


def falsified(cluster: Cluster, *more_flags: str) -> ClusterMember:
    """A follower that runs again with one false value."""
    cluster.start()
    for number in range(20):
        cluster["m0"].put(b"k%d" % number, b"true")
    cluster.assert_equal_stores()
    victim = cluster.followers()[0]
    victim.stop()
    falsify(victim, b"k7")
    victim.flags = [*victim.flags, *more_flags]
    cluster.launch(victim.name)
    return victim


def assert_refused(call: Callable[[], Any]) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        call()
    assert refused.value.code() is grpc.StatusCode.DATA_LOSS
    assert refused.value.details() == "etcdserver: corrupt cluster"


def test_the_leader_finds_the_member_with_other_data_and_nothing_is_written_then(make_cluster: Maker) -> None:
    cluster = make_cluster(None, *STEADY, "--experimental-corrupt-check-time=1s")
    victim = falsified(cluster).wait_ready()
    until(lambda: alarms(cluster["m0"]) == {victim.member_id}, 60, lambda: f"alarms: {alarms(cluster['m0'])}")
    for member in cluster:
        assert_refused(lambda member=member: member.put(b"a", b"b"))
        assert member.get(b"k1").kvs[0].value == b"true"


def test_members_that_have_the_same_data_raise_no_alarm(make_cluster: Maker, is_long: bool) -> None:
    if not is_long:
        pytest.skip("only with --long")
    cluster = make_cluster(None, *STEADY, "--experimental-corrupt-check-time=300ms").start()
    leader = cluster.leader()
    for number in range(600):
        cluster[f"m{number % 3}"].put(b"k%d" % (number % 50), b"%d" % number)
        if number % 100 == 50:
            leader.call("KV/Compact", pb.CompactionRequest(revision=number), pb.CompactionResponse)
    leader.wait_for_log("finished peer corruption check")
    assert alarms(leader) == set()


def test_the_hash_of_a_compaction_tells_who_is_wrong(make_cluster: Maker, is_long: bool) -> None:
    if not is_long:
        pytest.skip("only with --long")
    flags = "--experimental-compact-hash-check-enabled", "--experimental-compact-hash-check-time=1s"
    cluster = make_cluster(None, *STEADY, *flags)
    victim = falsified(cluster).wait_ready()
    revision = cluster["m0"].put(b"k7", b"newer").header.revision
    request = pb.CompactionRequest(revision=revision, physical=True)
    cluster["m0"].call("KV/Compact", request, pb.CompactionResponse)
    until(lambda: alarms(cluster["m0"]) == {victim.member_id}, 60, lambda: f"alarms: {alarms(cluster['m0'])}")


def test_a_member_with_other_data_does_not_start(make_cluster: Maker, is_long: bool) -> None:
    if not is_long:
        pytest.skip("only with --long")
    cluster = make_cluster(None, *STEADY)
    victim = falsified(cluster, "--experimental-initial-corrupt-check")
    assert victim.wait() != 0
    assert f"{victim.member_id:x} found data inconsistency with peers" in victim.log_tail(60)


def test_a_member_with_the_same_data_starts(make_cluster: Maker, is_long: bool) -> None:
    if not is_long:
        pytest.skip("only with --long")
    cluster = make_cluster(None, *STEADY, "--experimental-initial-corrupt-check").start()
    cluster["m0"].put(b"k", b"v")
    cluster.restart("m1")
    cluster["m1"].wait_for_log("initial corruption checking passed; no corruption")
    for member in cluster:
        member.stop()
    cluster.start()
    cluster.assert_equal_stores()
