"""Members of an etcd cluster become etcdz one after the other where they are, on etcd's data, and one goes back."""

from collections.abc import Callable

import pytest

from etcdz.cli.utl import main as etcdzutl
from tests.cluster_process import STEADY, Cluster
from tests.clusters.trial import ClusterTrial, unexpected

pytestmark = [pytest.mark.process, pytest.mark.parity, pytest.mark.timeout(600)]


def test_members_change_their_program_under_load(
    make_cluster: Callable[..., Cluster], seed: int, is_long: bool
) -> None:
    steps = [("m0", "etcdz"), ("m1", "etcdz"), ("m0", "etcd")]
    with make_cluster("etcd,etcd,etcd", *STEADY, "--snapshot-count=200") as cluster:
        trial = ClusterTrial(cluster, seed)
        for name, kind in steps if is_long else (steps[0], steps[-1]):
            others = [member.name for member in cluster if member.name != name]
            if cluster.leader().name == name:
                cluster.move_leader(others[0])
            with trial.load(others[:1], clients=1, big_one_in=0) as load:
                load.wait_more(50)
                member = cluster.stop_for(name, kind)
                if kind == "etcd":
                    assert etcdzutl(["migrate", "--to=etcd", f"--data-dir={member.data_dir}"]) == 0
                cluster.start([name])
                load.wait_more(50)
            assert not unexpected(load.errors())
            trial.verify()
        cluster.assert_equal_stores()
