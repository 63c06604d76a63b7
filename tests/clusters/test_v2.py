"""The v2 API in a cluster of both kinds: whoever leads, all members have the same store and count alike."""

import http.client
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.cluster_process import Cluster, ClusterMember, until
from tests.clusters.test_membership import AT_ONCE
from tests.v2.recorded import FORM, in_order

pytestmark = [pytest.mark.process, pytest.mark.parity, pytest.mark.timeout(600)]
FLAGS = (*AT_ONCE, "--enable-v2", "--snapshot-count=20")
NO_TTL = 100_000


def ask(member: ClusterMember, method: str, path: str, **fields: str | int) -> tuple[int, Any]:
    """(X-Etcd-Index, answer). The index of an error is 0 where no store was asked."""
    connection = http.client.HTTPConnection(urlsplit(member.client_url).netloc, timeout=30)
    body = "&".join(f"{name}={value}" for name, value in fields.items())
    connection.request(method, f"/v2/keys/{path}", body.encode() or None, FORM)
    answer = connection.getresponse()
    index, text = int(answer.headers["X-Etcd-Index"]), answer.read().decode()
    connection.close()
    return index, in_order(text)


def store(member: ClusterMember) -> tuple[int, Any]:
    """All of it, without what a clock says."""
    index, told = ask(member, "GET", "?recursive=true&sorted=true")
    return index, json.loads(json.dumps(told), object_hook=lambda node: {k: v for k, v in node.items() if k != "ttl"})


def wait_equal(cluster: Cluster) -> None:
    stores: list[tuple[int, Any]] = []

    def are_equal() -> bool:
        stores[:] = [store(member) for member in cluster.running()]
        return all(other == stores[0] for other in stores)

    until(are_equal, 60, lambda: json.dumps(stores))


def wait_expired(member: ClusterMember, round_: int) -> None:
    def are_gone() -> bool:
        return not ask(member, "GET", f"short/{round_}")[1]["node"].get("nodes")

    until(are_gone, 60, lambda: "keys that have expired are still there")


def test_whoever_leads_all_count_alike_and_one_that_joins_does_too(make_cluster: Callable[..., Cluster]) -> None:
    with make_cluster("etcd,etcdz,etcdz", *FLAGS) as cluster:
        for round_, leader in enumerate(list(cluster)[:2]):
            cluster.move_leader(leader.name)
            for at, member in enumerate(list(cluster)):
                ask(member, "PUT", f"file/{round_}/{at}", value="1")
                ask(member, "PUT", f"file/{round_}/{at}", value="2", prevValue="1", ttl=NO_TTL)
                ask(member, "POST", "queue", value=at)
                ask(member, "PUT", f"short/{round_}/{at}", value="1", ttl=1)
                ask(member, "DELETE", f"file/{round_}/{at - 1}")
            wait_expired(leader, round_)
            wait_equal(cluster)
        joined = cluster.add("etcdz", *FLAGS)
        wait_equal(cluster)
        assert ask(joined, "PUT", "last", value="1")[1]["action"] == "set"
        wait_equal(cluster)
