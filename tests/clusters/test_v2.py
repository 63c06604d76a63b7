"""The v2 API in a cluster of both kinds: whoever leads, all members have the same store and count alike."""

import http.client
import json
from base64 import b64encode
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


def about_members(
    member: ClusterMember, method: str, path: str, urls: list[str] | None = None, root: str = "/v2/members"
) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(urlsplit(member.client_url).netloc, timeout=30)
    body = None if urls is None else json.dumps({"peerURLs": urls})
    connection.request(method, root + path, body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, json.loads(text) if text else None


def change_members(cluster: Cluster, member: ClusterMember) -> None:
    """One that never starts comes and goes. Members that are connected for less than 5 s do not count."""

    def added() -> Any:
        status, told = about_members(member, "POST", "", ["http://127.0.0.1:9"])
        return told if status == 201 else None

    new = until(added, 60, lambda: str(about_members(member, "GET", "")))
    assert (new["name"], new["peerURLs"], new["clientURLs"]) == ("", ["http://127.0.0.1:9"], [])
    path = f"/{new['id']}"
    assert about_members(member, "POST", "", ["http://127.0.0.1:9"])[0] in (409, 500), "refused by either check"
    assert about_members(member, "PUT", path, ["http://127.0.0.1:7"]) == (204, None)
    listed = {one["id"]: one for one in about_members(member, "GET", "")[1]["members"]}
    assert listed[new["id"]]["peerURLs"] == ["http://127.0.0.1:7"] and len(listed) == len(list(cluster)) + 1
    assert about_members(member, "DELETE", path) == (204, None)
    gone = {"message": f"Member permanently removed: {new['id']}"}
    assert about_members(member, "DELETE", path) == (410, gone)


def check_statistics(cluster: Cluster, leader: ClusterMember) -> None:
    """The leader has sent something to everybody."""
    members = about_members(leader, "GET", "")[1]["members"]
    told = about_members(leader, "GET", "/leader", root="/v2/stats")[1]
    own = about_members(leader, "GET", "/self", root="/v2/stats")[1]
    assert own["state"] == "StateLeader" and own["id"] == own["leaderInfo"]["leader"] == told["leader"]
    assert own["sendAppendRequestCnt"] > 0
    assert set(told["followers"]) | {told["leader"]} == {member["id"] for member in members}
    for follower in told["followers"].values():
        assert follower["counts"]["success"] > 0
        assert 0 < follower["latency"]["minimum"] <= follower["latency"]["average"] <= follower["latency"]["maximum"]
    other = next(member for member in cluster if member is not leader)
    assert about_members(other, "GET", "/leader", root="/v2/stats") == (403, {"message": "not current leader"})
    assert about_members(other, "GET", "/self", root="/v2/stats")[1]["recvAppendRequestCnt"] > 0


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


def status_of(member: ClusterMember, method: str, path: str, body: str = "", by: str = "") -> int:
    """by: "name:password" """
    connection = http.client.HTTPConnection(urlsplit(member.client_url).netloc, timeout=30)
    said = {"Authorization": f"Basic {b64encode(by.encode()).decode()}"} if by else {}
    connection.request(method, f"/v2/{path}", body.encode() or None, said)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


def wait_told_strangers(member: ClusterMember, status: int) -> None:
    """It may not have applied yet what others have."""
    until(lambda: status_of(member, "GET", "keys/last") == status, 60, lambda: f"{member.name} never says {status}")


def check_users(cluster: Cluster) -> None:
    """What one kind has set is in force at the other, and at one that has joined by a snapshot."""
    first, second = list(cluster)[:2]
    root = "root:pw"
    assert status_of(first, "PUT", "auth/users/root", '{"user":"root","password":"pw"}') == 201
    assert status_of(second, "PUT", "auth/roles/guest", '{"role":"guest"}') == 201
    assert status_of(second, "PUT", "auth/users/u", '{"user":"u","password":"u"}') == 201
    assert status_of(second, "PUT", "auth/enable") == 200
    for member in cluster:
        wait_told_strangers(member, 401)
        assert status_of(member, "GET", "keys/last", by="u:u") == 401
        assert status_of(member, "GET", "keys/last", by=root) == 200
    assert status_of(first, "DELETE", "auth/enable", by=root) == 200
    for member in cluster:
        wait_told_strangers(member, 200)


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
            check_statistics(cluster, leader)
        change_members(cluster, list(cluster)[1])
        joined = cluster.add("etcdz", *FLAGS)
        wait_equal(cluster)
        assert ask(joined, "PUT", "last", value="1")[1]["action"] == "set"
        wait_equal(cluster)
        check_users(cluster)
        wait_equal(cluster)
