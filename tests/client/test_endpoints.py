"""Endpoints that a client finds by itself: in DNS, and among the members."""

from typing import Any

import pytest

from etcdz.client.connecting import make_options
from etcdz.client.methods import MEMBER_LIST, PUT
from etcdz.client.syncing import advertised
from etcdz.proto import etcdserverpb as pb
from tests.client.scripted import Server, World, replies

RECORDS = {
    "_etcd-client-ssl._tcp.a.example": [("one.a.example", 1), ("two.a.example", 2)],
    "_etcd-client._tcp.a.example": [("three.a.example", 3)],
    "_etcd-client-ssl-x._tcp.a.example": [("four.a.example", 4)],
}


def _look_up(name: str) -> list[tuple[str, int]]:
    if name not in RECORDS:
        raise OSError(f"lookup {name}: none")
    return RECORDS[name]


# ---- SRV records ----


def test_endpoints_by_srv_records() -> None:
    options = make_options(None, discovery_srv="a.example", look_up=_look_up, environ={})
    found = [endpoint.text for endpoint in options.endpoints]
    assert found == ["https://one.a.example:1", "https://two.a.example:2", "http://three.a.example:3"]
    assert [endpoint.is_secure for endpoint in options.endpoints] == [True, True, False]
    named = make_options(None, discovery_srv="a.example", discovery_srv_name="x", look_up=_look_up, environ={})
    assert [endpoint.host for endpoint in named.endpoints] == ["four.a.example"]


def test_only_secure_ones_and_certificates_for_the_domain_if_records_are_not_trusted() -> None:
    said = {"ETCDCTL_DISCOVERY_SRV": "a.example", "ETCDCTL_INSECURE_DISCOVERY": "false"}
    options = make_options(None, look_up=_look_up, environ=said)
    assert [endpoint.port for endpoint in options.endpoints] == [1, 2]
    assert options.tls.server_name == "a.example"


def test_no_records_at_all() -> None:
    with pytest.raises(OSError, match=r"dns lookup errors: lookup _etcd-client-ssl\._tcp\.b\.example: none and"):
        make_options(None, discovery_srv="b.example", look_up=_look_up, environ={})


# ---- what members advertise ----


def _members(*members: Any) -> bytes:
    message: bytes = pb.MemberListResponse(members=members).SerializeToString()
    return message


def test_what_members_advertise() -> None:
    found = advertised(
        _members(
            pb.Member(clientURLs=["http://a:1", "unix:///run/a"]),
            pb.Member(clientURLs=["http://a:1", "ftp://c:1"]),
            pb.Member(clientURLs=["http://b:2"], isLearner=True),
            pb.Member(),
        )
    )
    assert [endpoint.text for endpoint in found] == ["http://a:1", "unix:///run/a"]
    assert advertised(b"\xff\xff") == ()


def _world(**options: Any) -> World:
    world = World("http://a:1", "http://b:1", sync_every_s=10.0, **options)
    for server in world.servers.values():
        server.answers[PUT.path] = replies(b"")
    return world


def test_a_client_follows_the_members() -> None:
    world = _world()
    only_b = _members(pb.Member(clientURLs=["http://b:1"]))
    world.servers["http://b:1"].answers[MEMBER_LIST.path] = replies(only_b)
    world.servers["http://a:1"].answers[MEMBER_LIST.path] = replies(only_b)
    world.call(PUT)
    world.advance(9)
    assert len(world.core.options.endpoints) == 2
    world.advance(2)
    assert [endpoint.text for endpoint in world.core.options.endpoints] == ["http://b:1"]
    world.servers["http://a:1"].seen.clear()
    for _ in range(4):
        assert world.call(PUT).error is None
    assert world.servers["http://a:1"].seen == []


def test_endpoints_stay_if_nobody_can_say_better() -> None:
    world = _world()
    nobody = _members(pb.Member())

    def refuse(server: Server, stream_id: int, body: bytes) -> None:
        server.conn.fail(stream_id, 7, "no")

    for answer in (replies(nobody), refuse, replies(b"\xff")):
        for server in world.servers.values():
            server.answers[MEMBER_LIST.path] = answer
            server.seen.clear()
        world.advance(30)
        asked = sum([server.paths().count(MEMBER_LIST.path) for server in world.servers.values()])
        assert asked >= 2 and len(world.core.options.endpoints) == 2
    world.core.close()
    assert world.core.next_deadline() is None
