"""Members that are sent a snapshot: new ones, and those that were away for too long; from and to real etcd as well.

`--long` kills the receiver at each step, again and again, and has etcd 3.4 as a sender.
"""

from pathlib import Path

import pytest

from etcdz.proto import etcdserverpb as pb
from etcdz.store.received import PREFIX
from tests.cluster_process import STEADY, Cluster, ClusterMember, until
from tests.clusters.conftest import ClusterMaker
from tests.clusters.trial import ClusterTrial, unexpected
from tests.process.load import open_channel, unary
from tests.process.watch_lease_load import ALL, Witness, check_witnesses

pytestmark = [pytest.mark.process, pytest.mark.timeout(600)]

EVERY = "--snapshot-count=100"
KEPT = "--experimental-snapshot-catchup-entries=10"
"""What etcd 3.5.1 does not know; the log of one that has saved a snapshot never begins at 1 all the same."""
INSTALLED = {
    "etcdz": "installing a snapshot of the leader's",
    "etcd": "applied snapshot",
    "old-etcd": "applied snapshot",
}
ROUNDS = 10


def flags_of(kind: str) -> tuple[str, ...]:
    return (KEPT,) if kind == "etcdz" else ()


def put_many(member: ClusterMember, count: int = 250, prefix: bytes = b"key") -> None:
    with open_channel(member.target, long_running=True) as channel:
        put = unary(channel, "KV/Put", pb.PutResponse)
        requests = [
            pb.PutRequest(key=b"%b/%d" % (prefix, number % 40), value=b"value %d " % number * 30)
            for number in range(count)
        ]
        for call in [put.future(request, timeout=60, wait_for_ready=True) for request in requests]:
            call.result()


def snapshots_installed(member: ClusterMember) -> int:
    """So far as its log has come here."""
    return member.log_path.read_text().count(INSTALLED[member.kind])


def wait_installed(member: ClusterMember) -> int:
    """How many snapshots it has installed, of which it has told one at least."""
    return int(until(lambda: snapshots_installed(member), 60, lambda: "no snapshot was installed"))


def leftovers(member: ClusterMember) -> list[str]:
    """What a snapshot has left beside the store."""
    snap: Path = member.data_dir / "member" / "snap"
    return [path.name for path in snap.iterdir() if path.name.startswith((PREFIX, "leveldb.", "checkpoint-"))]


def wait_cleared(member: ClusterMember) -> None:
    """Returns once nothing is left beside the store. raises TimeoutError"""
    until(lambda: not leftovers(member), 60, lambda: f"left: {leftovers(member)}")


@pytest.mark.parametrize(
    ("sender", "receiver"),
    [
        ("etcd", "etcdz"),
        ("etcdz", "etcd"),
        ("etcdz", "etcdz"),
        ("old-etcd", "etcdz"),
    ],
)
def test_a_new_member_is_sent_one_and_has_all_of_it(
    sender: str, receiver: str, make_cluster: ClusterMaker, is_long: bool
) -> None:
    if not is_long and "etcd" not in (sender, receiver):
        pytest.skip("all pairs only with --long")
    cluster = make_cluster(sender, *STEADY, EVERY)
    (first,) = cluster
    first.flags += flags_of(sender)
    cluster.start()
    put_many(first)
    new = cluster.announce(receiver, *flags_of(receiver), is_learner=True)
    cluster.launch(new.name).wait_ready()
    cluster.promote(new.name)
    put_many(new, 20, b"after")
    cluster.assert_equal_stores()
    assert wait_installed(new) == 1
    cluster.restart(new.name)
    put_many(first, 5, b"again")
    cluster.assert_equal_stores()


# ---- a member that was cut off ----

KEPT_BY_ETCD = 5_000
"""Entries, whatever its flags say."""


@pytest.mark.timeout(1_200)
@pytest.mark.parametrize(("others", "behind"), [("etcdz", "etcdz"), ("etcdz", "etcd"), ("etcd", "etcdz")])
def test_its_clients_go_on_and_its_watchers_are_told_all(
    others: str, behind: str, make_cluster: ClusterMaker, seed: int, is_long: bool
) -> None:
    """While others write on, before, during and after the snapshot that it is sent."""
    if not is_long:
        pytest.skip("only with --long")
    cluster = make_cluster(f"{others},{others},{behind}", *STEADY, EVERY, proxied=True)
    *rest, member = cluster
    for each in cluster:
        each.flags += flags_of(each.kind)
    trial = ClusterTrial(cluster.start(), seed)
    cluster.move_leader(rest[0].name)
    witnesses = [Witness(each.target, **ALL) for each in cluster]
    with trial.load([each.name for each in rest], clients=2, reads=False, big_one_in=0) as load:
        cluster.network.isolate(member.name)
        load.wait_more(KEPT_BY_ETCD if others == "etcd" else 150, timeout_s=600)
        cluster.network.heal()
        with trial.load([member.name], clients=2) as own:
            wait_installed(member)
            own.wait_more(50)
            load.wait_more(50)
    trial.verify()
    assert not unexpected(load.errors() + own.errors())
    revision = cluster.assert_equal_stores()
    check_witnesses(witnesses, revision)


# ---- a member that was away ----

STEPS = {
    "it is received": f"{PREFIX}*/db",
    "it is converted": f"{PREFIX}*/leveldb/CURRENT",
    "the store is whole": "leveldb." + "[0-9a-f]" * 16,
    "the log begins behind it": "*.snap",
    "the names change": "leveldb.[io]*",
}
"""What is in the directory of the store when a step has begun."""


def away(cluster: Cluster) -> ClusterMember:
    """A member that the others have written more without than their logs keep."""
    cluster.start()
    member = cluster.followers()[0]
    member.stop()
    put_many(cluster.leader())
    return member


def three(make_cluster: ClusterMaker) -> Cluster:
    """A new cluster each time: behind a snapshot that has just arrived the log is kept for a while."""
    return make_cluster("etcdz,etcdz,etcdz", *STEADY, EVERY, KEPT)


def test_a_member_that_was_away_for_long_is_sent_one(make_cluster: ClusterMaker) -> None:
    cluster = three(make_cluster)
    member = away(cluster)
    before = cluster.term()
    cluster.launch(member.name).wait_ready()
    cluster.assert_equal_stores()
    assert wait_installed(member) == 1
    assert cluster.term() == before, "nobody was disturbed"
    wait_cleared(member)


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
def test_killed_when_a_step_has_begun_it_is_in_sync_after_its_next_start(
    step: str, make_cluster: ClusterMaker, is_long: bool
) -> None:
    if not is_long:
        pytest.skip("kills at each step only with --long")
    for _ in range(ROUNDS):
        cluster = three(make_cluster)
        member = away(cluster)
        kill_when_begun(cluster, member, STEPS[step])
        cluster.launch(member.name).wait_ready()
        cluster.assert_equal_stores()
        wait_cleared(member)
        wait_installed(member)
        cluster.discard()


def kill_when_begun(cluster: Cluster, member: ClusterMember, pattern: str) -> None:
    """Starts it, and kills all of it when it is so far; or further, on a busy machine."""
    snap: Path = member.data_dir / "member" / "snap"
    known = {*snap.glob(pattern)}

    def has_begun() -> bool:
        return bool({*snap.glob(pattern)} - known) or snapshots_installed(member) > 0

    cluster.launch(member.name)
    until(has_begun, 60, lambda: f"not seen: {pattern}", 0.0005)
    member.kill9()
