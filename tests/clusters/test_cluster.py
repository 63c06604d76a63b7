"""Three members as one cluster: who leads, what each of them serves, what operators see, and who comes and goes.

`--cluster-kinds etcd,etcd,etcd` holds real etcd against the same, `etcdz,etcd,old-etcd` a mix.
"""

import json
import random
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families

from etcdz.cli.actors import main as actors
from etcdz.cli.monitor import main as monitor
from etcdz.proto import etcdserverpb as pb
from tests.cluster_process import FAST, Cluster, ClusterMember, patiently, until
from tests.clusters.conftest import chosen_kinds
from tests.clusters.trial import ClusterTrial, texts, unexpected
from tests.etcd_process import find_program
from tests.process.load import open_channel
from tests.process.watch_lease_load import ALL, Witness, check_same

pytestmark = [pytest.mark.process, pytest.mark.timeout(600)]
TTL_S = 600


@pytest.fixture(scope="module")
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("cluster"), chosen_kinds(request.config), *FAST)
    try:
        names = [member.name for member in cluster]
        random.shuffle(names)
        yield cluster.start(names)
    finally:
        cluster.discard()


@pytest.fixture
def cluster(shared: Cluster, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """All of its members run and agree at the beginning of each test, and hold the same at its end."""
    request.node.clusters = [shared]
    shared.leader()
    yield shared
    shared.start()
    shared.assert_equal_stores()


def etcdctl(member: ClusterMember, *words: str) -> Any:
    """What the real one says in JSON."""
    program = find_program("etcdctl")
    if program is None:
        pytest.skip("no etcdctl here")
    patience = ("--dial-timeout=60s", "--command-timeout=60s")
    command = [program, f"--endpoints={member.target}", "--write-out=json", *patience, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# ---- what operators see


def test_ids_are_those_of_the_formula(cluster: Cluster) -> None:
    for member in cluster:
        header = member.status().header
        assert (header.member_id, header.cluster_id) == (member.member_id, cluster.cluster_id)


def test_every_member_lists_all_with_what_they_have_published(cluster: Cluster) -> None:
    expected = sorted((m.member_id, m.name, (m.peer_url,), (m.client_url,), False) for m in cluster)
    for member in cluster:
        listed = [
            (m.ID, m.name, tuple(m.peerURLs), tuple(m.clientURLs), m.isLearner) for m in member.member_list().members
        ]
        assert sorted(listed) == expected


def test_the_cluster_version_is_that_of_the_oldest_member(cluster: Cluster) -> None:
    expected = "3.4.0" if any(member.kind == "old-etcd" for member in cluster) else "3.5.0"

    def said(member: ClusterMember) -> str:
        with urllib.request.urlopen(f"{member.client_url}/version", timeout=60) as answer:
            return str(json.load(answer)["etcdcluster"])

    for member in cluster:
        until(lambda at=member: said(at) == expected, 60, lambda: f"not {expected}")


def test_etcdctl_sees_one_leader_and_equal_indexes(cluster: Cluster) -> None:
    cluster.leader().put(b"etcdctl", b"1")
    cluster.assert_equal_stores()
    views: list[tuple[Any, ...]] = []

    def agree() -> bool:
        views[:] = [view_of(member) for member in cluster]
        return len(set(views)) == 1 and not any(errors for *_, errors in views)

    until(agree, 60, lambda: f"their views are {views}")


def view_of(member: ClusterMember) -> tuple[Any, ...]:
    """(leader, term, revision, errors) as etcdctl shows them of a member that is in health."""
    (said,) = etcdctl(member, "endpoint", "status")
    status = said["Status"]
    assert status["header"]["member_id"] == member.member_id
    (health,) = etcdctl(member, "endpoint", "health")
    assert health["health"]
    return status["leader"], status["raftTerm"], status["header"]["revision"], tuple(status.get("errors", ()))


# ---- what each member serves


def test_metrics_tell_of_the_other_members(cluster: Cluster) -> None:
    """As etcd's: a series for each of them, and bytes from the leader to the others."""
    for member in cluster:
        pairs = {
            frozenset({f"{member.member_id:x}", f"{other.member_id:x}"}): 1.0 for other in others_of(cluster, member)
        }
        until(lambda m=member, p=pairs: active_peers(m) == p, 60, lambda m=member: f"connections of {m.name}")
    leader = cluster.leader()
    sent = series_of(leader, "peer_sent_bytes_total")
    assert all(sent[frozenset({f"{other.member_id:x}"})] > 0 for other in others_of(cluster, leader))


def test_the_commands_that_look_inside_show_the_other_members(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    member = next((one for one in cluster if one.kind == "etcdz"), None)
    if member is None:
        pytest.skip("no etcdz among them")
    wanted = {f"{other.member_id:x}": "2 to, 2 from" for other in others_of(cluster, member)}
    until(lambda: streams_of(member, capsys) == wanted, 60, lambda: f"streams are {streams_of(member, capsys)}")
    heard = ("--once", "--json", f"--data-dir={member.data_dir}")
    until(lambda: heard_of(shown(heard, capsys)) == set(wanted), 60, lambda: shown(heard, capsys))
    all_of_them = ("--once", f"--endpoints={','.join(one.target for one in cluster)}")
    size = len(wanted) + 1
    line = f"cluster {cluster.cluster_id:x}  {size} of {size} members here"
    until(lambda: line in shown(all_of_them, capsys), 60, lambda: shown(all_of_them, capsys))


def shown(words: Sequence[str], capsys: pytest.CaptureFixture[str]) -> str:
    """By the monitor, which leaves out who does not answer within seconds."""
    assert monitor(list(words)) == 0
    return capsys.readouterr().out


def heard_of(view: str) -> set[str]:
    return {peer["id"] for peer in json.loads(view)["peers"] if peer["is_heard"]}


def others_of(cluster: Cluster, member: ClusterMember) -> list[ClusterMember]:
    return [other for other in cluster if other is not member]


def active_peers(member: ClusterMember) -> dict[frozenset[str], float]:
    """Without those at 0: members that have left."""
    return {pair: value for pair, value in series_of(member, "active_peers").items() if value}


def series_of(member: ClusterMember, metric: str) -> dict[frozenset[str], float]:
    """Values of one of etcd_network_* by the values of its labels."""
    with urllib.request.urlopen(f"{member.client_url}/metrics", timeout=60) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    samples = [sample for family in families for sample in family.samples if sample.name == f"etcd_network_{metric}"]
    return {frozenset(sample.labels.values()): sample.value for sample in samples}


def streams_of(member: ClusterMember, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """By the id of the other member; empty if it does not answer in time."""
    if actors(["inspect", "peer", "--json", f"--data-dir={member.data_dir}"]):
        return {}
    found = json.loads(capsys.readouterr().out)
    return {peer["id"]: peer["streams"] for peer in found["inside"]["details"]["peers"]}


def test_a_write_at_any_member_is_seen_by_a_read_at_any_other_at_once(cluster: Cluster) -> None:
    members = list(cluster)
    for number in range(30):
        writer, reader = random.sample(members, 2)
        revision = writer.put(b"fresh", b"%d" % number).header.revision
        answer = reader.get(b"fresh")
        assert (answer.kvs[0].value, answer.kvs[0].mod_revision) == (b"%d" % number, revision)


def test_transactions_at_different_members_exclude_each_other(cluster: Cluster) -> None:
    """Each adds one to a counter so many times, over and over until its comparison holds. Each addition has a marker:
    one whose answer is lost is not made again."""

    def count(member: ClusterMember, times: int) -> None:
        while times:
            marker = b"counted by %b/%d" % (member.name.encode(), times)
            kvs = member.get(b"counter").kvs
            if member.get(marker).kvs:
                times -= 1
                continue
            revision, value = (kvs[0].mod_revision, int(kvs[0].value)) if kvs else (0, 0)
            request = pb.TxnRequest()
            request.compare.add(key=b"counter", target="MOD", result="EQUAL", mod_revision=revision)
            request.compare.add(key=marker, target="VERSION", result="EQUAL", version=0)
            for key, new in ((b"counter", b"%d" % (value + 1)), (marker, b"")):
                put = request.success.add().request_put
                put.key, put.value = key, new
            member.ask("KV/Txn", request, pb.TxnResponse)

    threads = [threading.Thread(target=count, args=(member, 10)) for member in cluster]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cluster.leader().get(b"counter").kvs[0].value == b"30"


def test_watches_at_all_members_are_told_the_same(cluster: Cluster) -> None:
    witnesses = [Witness(member.target, **ALL) for member in cluster]
    for number in range(60):
        random.choice(list(cluster)).put(b"watched/%d" % (number % 7), b"%d" % number)
    last = cluster.leader().put(b"watched/end", b"").header.revision
    for witness in witnesses:
        witness.wait_for(last)
        witness.stop()
    for witness in witnesses[1:]:
        check_same(witness.told, lambda event: True, witnesses[0].told)


def test_a_lease_is_kept_alive_and_looked_at_through_every_member_and_its_keys_go_everywhere(cluster: Cluster) -> None:
    members = list(cluster)
    granted = members[0].call("Lease/LeaseGrant", pb.LeaseGrantRequest(ID=771, TTL=TTL_S), pb.LeaseGrantResponse)
    assert (granted.ID, granted.TTL) == (771, TTL_S)
    members[1].ask("KV/Put", pb.PutRequest(key=b"leased", value=b"1", lease=771), pb.PutResponse)
    for member in members:
        assert keep_alive(member, 771) == TTL_S
        asked = pb.LeaseTimeToLiveRequest(ID=771, keys=True)
        left = member.ask("Lease/LeaseTimeToLive", asked, pb.LeaseTimeToLiveResponse)
        assert (left.grantedTTL, list(left.keys)) == (TTL_S, [b"leased"])
        assert TTL_S - 300 <= left.TTL <= TTL_S
    members[2].call("Lease/LeaseRevoke", pb.LeaseRevokeRequest(ID=771), pb.LeaseRevokeResponse)
    assert all(keep_alive(member, 771) == 0 for member in members)
    assert not any(member.get(b"leased").kvs for member in members)


def keep_alive(member: ClusterMember, lease_id: int) -> int:
    request = pb.LeaseKeepAliveRequest(ID=lease_id).SerializeToString()
    with open_channel(member.target, long_running=True) as channel:
        call = channel.stream_stream("/etcdserverpb.Lease/LeaseKeepAlive")
        answer = patiently(lambda: next(call(iter([request]), timeout=60, wait_for_ready=True)))
    return int(pb.LeaseKeepAliveResponse.FromString(answer).TTL)


def test_a_lease_that_nobody_keeps_alive_ends_whoever_leads(cluster: Cluster) -> None:
    for member in list(cluster):
        cluster.move_leader(member.name)
        follower = next(other for other in cluster if other is not member)
        granted_s, ttl_s = put_with_lease(member, follower, b"short")
        until(lambda at=follower: not at.get(b"short").kvs, 60, lambda: "the lease does not end")
        assert time.monotonic() - granted_s >= ttl_s - 0.5


def put_with_lease(grantor: ClusterMember, writer: ClusterMember, key: bytes) -> tuple[float, int]:
    """(when the lease was asked for, its TTL): the shortest, and another one if that ends before the put has come."""
    while True:
        granted_s = time.monotonic()
        lease = grantor.ask("Lease/LeaseGrant", pb.LeaseGrantRequest(TTL=1), pb.LeaseGrantResponse)
        try:
            writer.ask("KV/Put", pb.PutRequest(key=key, value=b"", lease=lease.ID), pb.PutResponse)
        except grpc.RpcError as error:
            assert error.details() == "etcdserver: requested lease not found"
        else:
            return granted_s, lease.TTL


# ---- who leads


def test_each_member_leads_in_turn_and_all_are_served(cluster: Cluster) -> None:
    for member in list(cluster):
        cluster.move_leader(member.name)
        for other in cluster:
            other.put(b"led by " + member.name.encode(), other.name.encode())
        cluster.assert_equal_stores()


def test_a_leader_that_is_told_to_stop_hands_over_before(cluster: Cluster) -> None:
    trial = ClusterTrial(cluster, 1)
    leader = cluster.leader()
    others = [member.name for member in cluster if member is not leader]
    with trial.load(others, clients=4, reads=False) as load:
        load.wait_more(50)
        stopped_s = time.monotonic()
        leader.stop()
        load.wait_more(50)
        stalls = load.stalls_ms(stopped_s)
    print(f"stalls {stalls} ms, {texts(load.errors())}")
    assert not unexpected(load.errors())
    if leader.kind == "etcdz":  # etcd loses what it is sent between handing over and having handed over
        assert load.errors() == []
    cluster.start()


def test_a_leader_that_is_killed_is_replaced_and_joins_again(cluster: Cluster) -> None:
    leader = cluster.leader()
    others = [member.name for member in cluster if member is not leader]
    leader.kill9()
    new = cluster.leader(among=others)
    for name in others:
        cluster[name].put(b"while it was away", name.encode())
    cluster.launch(leader.name).wait_ready()
    assert cluster.leader() is new
    assert leader.get(b"while it was away").kvs


def test_without_a_quorum_only_serializable_reads_are_served(cluster: Cluster) -> None:
    leader = cluster.leader()
    leader.put(b"there", b"1")
    cluster.assert_equal_stores()
    for follower in cluster.followers():
        follower.kill9()
    until(lambda: leader.status().leader == 0, 60, lambda: "it still believes in a leader")
    assert leader.get(b"there", serializable=True).kvs[0].value == b"1"
    assert "etcdserver: no leader" in leader.status().errors
    for path, request, answer in (
        ("KV/Put", pb.PutRequest(key=b"x"), pb.PutResponse),
        ("KV/Range", pb.RangeRequest(key=b"there"), pb.RangeResponse),
    ):
        with pytest.raises(grpc.RpcError):
            leader.call(path, request, answer, timeout_s=0.5)
    cluster.start()
    cluster.leader().put(b"there", b"2")


# ---- who comes and goes


def test_a_member_is_added_as_learner_promoted_and_removed_and_then_stops(cluster: Cluster) -> None:
    kind = next(iter(cluster)).kind
    new = cluster.add(kind, is_learner=True)
    listed = {member.ID: member.isLearner for member in cluster.leader().member_list().members}
    assert listed[new.member_id]
    with pytest.raises(grpc.RpcError, match="rpc not supported for learner"):
        new.put(b"x", b"")
    follower = next(member for member in cluster.followers() if member is not new)
    cluster.promote(new.name, via=follower.name)
    new.put(b"by the new one", b"1")
    cluster.assert_equal_stores()
    removed = cluster.remove(new.name)
    assert removed.wait() == 0
    assert len(cluster.leader().member_list().members) == 3


def test_errors_of_a_leaderless_while_are_those_that_etcd_gives(cluster: Cluster) -> None:
    trial = ClusterTrial(cluster, 2)
    leader = cluster.leader()
    with trial.load(clients=4) as load:
        load.wait_more(20)
        leader.kill9()
        others = [member.name for member in cluster if member is not leader]
        load.wait_more(50, others)
        cluster.launch(leader.name).wait_ready()
        load.wait_more(20)
    for name in others:
        assert not unexpected(load.errors(name))


def test_five_members_stand_the_loss_of_two_and_come_back_from_the_loss_of_three(
    make_cluster: Callable[..., Cluster], is_long: bool
) -> None:
    if not is_long:
        pytest.skip("only with --long")
    with make_cluster("etcdz,etcdz,etcdz,etcdz,etcdz", *FAST) as five:
        first, second, third, *left = list(five)
        left[0].put(b"there", b"1")
        five.assert_equal_stores()
        for member in (first, second):
            member.kill9()
        five.leader(among=[third.name, *(member.name for member in left)])
        for member in (third, *left):
            member.put(b"by three", member.name.encode())
        third.kill9()
        for member in left:
            assert member.get(b"there", serializable=True).kvs[0].value == b"1"
            with pytest.raises(grpc.RpcError, match=r"timed out|deadline"):
                member.call("KV/Put", pb.PutRequest(key=b"x"), pb.PutResponse, timeout_s=20)
            with pytest.raises(grpc.RpcError, match="timed out"):
                member.call("KV/Range", pb.RangeRequest(key=b"there"), pb.RangeResponse, timeout_s=20)
        five.start([first.name, second.name])
        five.leader(among=[first.name, second.name, *(member.name for member in left)])
        left[0].put(b"there", b"2")
        five.start()
        five.assert_equal_stores()
