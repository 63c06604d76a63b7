"""What a peer actor makes of members, and of others, under TLS."""

import asyncio
import os
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from actors.peer import peer_tls, tls_accepted
from etcdz.ipc.messages import PeerAnswer, PeerCall
from etcdz.raft.codec import decode_message
from etcdz.raft.messages import MSG_VOTE, Message
from etcdz.testing.certificates import Authority, Issued
from etcdz.tls.peer_names import Resolver
from etcdz.tls.settings import TlsSettings
from tests.actors.peer.world import Member, World

MakeWorld = Callable[..., World]
REJECTED = "rejected connection on peer endpoint"
HERE = "127.0.0.1"


@pytest.fixture
def ca(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


def settings(ca: Authority, issued: Issued, **more: Any) -> TlsSettings:
    own = {"cert_file": str(issued.cert), "key_file": str(issued.key), "trusted_ca_file": str(ca.ca)}
    return TlsSettings(client_cert_auth=True, **{**own, **more})


def pair(make_world: MakeWorld, a: TlsSettings, b: TlsSettings) -> tuple[World, Member, Member]:
    world = make_world("ab", {"a": a, "b": b})
    return world, world.start("a"), world.start("b")


def is_up(member: Member) -> bool:
    (remote,) = member.actor.remotes.values()
    return len(remote.outgoing) == 2 and all(stream.connection for stream in remote.incoming.values())


def why_not(member: Member) -> str:
    """What was wrong with the last probe of the other member."""
    (remote,) = member.actor.remotes.values()
    return remote.probes.why


def test_members_exchange_messages_and_calls(make_world: MakeWorld, ca: Authority) -> None:
    both = settings(ca, ca.issue("member", ips=[HERE]))
    world, a, b = pair(make_world, both, both)
    world.until(lambda: is_up(a) and is_up(b))
    a.send(Message(MSG_VOTE, to=b.id, from_=a.id, term=3, context=bytes(100_000)))
    world.until(lambda: bool(b.received()))
    assert decode_message(b.received()[0]).term == 3
    a.actor.calls.begin(PeerCall("lessor", 17, b.id, "GET", "/version", b"", 60.0))
    world.until(lambda: bool(a.of(PeerAnswer)))
    assert a.of(PeerAnswer)[0].status == 200
    assert a.log.errors(REJECTED) == b.log.errors(REJECTED) == []


def refusals(make_world: MakeWorld, a: TlsSettings, b: TlsSettings) -> tuple[Member, Member]:
    """Both, when each has been refused, or has refused."""
    world, one, other = pair(make_world, a, b)
    world.until(lambda: all(member.log.errors(REJECTED) and why_not(member) for member in (one, other)))
    assert not is_up(one) and not is_up(other)
    return one, other


UNKNOWN = "tls: failed to verify certificate: x509: certificate signed by unknown authority"


def test_strangers_are_refused_and_both_say_so(make_world: MakeWorld, ca: Authority, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other", "another authority")
    a, b = refusals(
        make_world,
        settings(ca, ca.issue("member", ips=[HERE])),
        settings(other, other.issue("stranger", ips=[HERE])),
    )
    assert UNKNOWN in (why_not(a), why_not(b))
    assert "remote error: tls: unknown certificate authority" in a.log.errors(REJECTED)


def test_a_certificate_with_another_common_name_is_refused(make_world: MakeWorld, ca: Authority) -> None:
    a, b = refusals(
        make_world,
        settings(ca, ca.issue("one", cn="example.com", ips=[HERE]), allowed_cns=("example.com",)),
        settings(ca, ca.issue("two", cn="example2.com", ips=[HERE]), allowed_cns=("example2.com",)),
    )
    for member in (a, b):
        assert why_not(member) == "client certificate authentication failed"
        assert set(member.log.errors(REJECTED)) == {"remote error: tls: bad certificate"}


def test_a_certificate_for_another_address_is_refused_unless_that_is_not_looked_at(
    make_world: MakeWorld, ca: Authority
) -> None:
    elsewhere = ca.issue("elsewhere", ips=["10.1.2.3"])
    here = ca.issue("here", ips=[HERE])
    world, a, b = pair(
        make_world,
        settings(ca, here),
        settings(ca, here, client_cert_file=str(elsewhere.cert), client_key_file=str(elsewhere.key)),
    )
    world.until(lambda: bool(a.log.errors(REJECTED)))
    assert set(a.log.errors(REJECTED)) == {f"x509: certificate is valid for 10.1.2.3, not {HERE}"}
    assert b.log.errors(REJECTED) == []


def test_names_that_take_long_to_look_up_hold_up_nobody_else(
    make_world: MakeWorld, ca: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck, told = threading.Event(), threading.Event()

    def look_up(asked: str) -> list[str]:
        told.set()
        stuck.wait(240)
        return []

    monkeypatch.setattr(peer_tls, "_SYSTEM", Resolver(look_up, look_up))
    named = ca.issue("named", dns=["b.example.com"])
    here = ca.issue("here", ips=[HERE])
    b = settings(ca, here, client_cert_file=str(named.cert), client_key_file=str(named.key))
    world = make_world("abc", {"a": settings(ca, here), "b": b, "c": settings(ca, here)})
    a, _, c = (world.start(name) for name in "abc")
    world.until(told.is_set)
    of_c = a.actor.remotes[c.id]
    world.until(lambda: len(of_c.outgoing) == 2)
    assert not a.log.errors(REJECTED)
    stuck.set()
    world.until(lambda: bool(a.log.errors(REJECTED)))
    assert a.log.errors(REJECTED)[0] == f'tls: "{HERE}" does not match any of DNSNames ["b.example.com"]'


@pytest.mark.parametrize("names", [["member.example.com"], ["*.example.com"]])
def test_a_name_of_the_address_it_comes_from_lets_a_member_in(
    make_world: MakeWorld, ca: Authority, monkeypatch: pytest.MonkeyPatch, names: list[str]
) -> None:
    monkeypatch.setattr(peer_tls, "_SYSTEM", Resolver(lambda ip: ["member.example.com."], lambda name: []))
    named, here = ca.issue("named", dns=names), ca.issue("here", ips=[HERE])
    both = settings(ca, here, client_cert_file=str(named.cert), client_key_file=str(named.key))
    world, a, b = pair(make_world, both, both)
    world.until(lambda: is_up(a) and is_up(b))


def test_new_files_hold_for_the_next_connections(make_world: MakeWorld, tmp_path: Path) -> None:
    """The CA too; the connections that stand go on."""
    ca = Authority(tmp_path / "ca")
    both = settings(ca, ca.issue("member", ips=[HERE]))
    world, a, b = pair(make_world, both, both)
    world.until(lambda: is_up(a) and is_up(b))
    after = Authority(tmp_path / "ca")  # the same paths
    after.issue("member", ips=[HERE])
    for member in (a, b):
        member.actor.tls._files._next_look = 0.0
    (remote,) = a.actor.remotes.values()
    stream = remote.incoming["message"]
    first = stream.connection
    assert first is not None
    stream.restart()
    world.until(lambda: is_up(a) and is_up(b) and stream.connection is not first)
    assert not a.log.errors(REJECTED) + b.log.errors(REJECTED)


def test_without_a_certificate_nobody_comes_in_and_requests_say_why(make_world: MakeWorld, ca: Authority) -> None:
    here = ca.issue("here", ips=[HERE])
    world = make_world("ab", {"a": settings(ca, here)})
    a = world.start("a")
    for version, told in {
        ssl.TLSVersion.TLSv1_2: "handshake failure",
        ssl.TLSVersion.TLSv1_3: "certificate required",
    }.items():
        context = ssl.create_default_context(cafile=str(ca.ca))
        context.maximum_version = version
        before = len(a.log.errors(REJECTED))
        with pytest.raises(ssl.SSLError, match=told):
            world.run(ask(world, context))
        world.until(lambda before=before: len(a.log.errors(REJECTED)) > before)
    assert set(a.log.errors(REJECTED)) == {"tls: client didn't provide a certificate"}


async def ask(
    world: World, context: ssl.SSLContext, request: bytes = b"GET /version HTTP/1.1\r\nHost: a\r\n\r\n"
) -> bytes:
    reader, writer = await asyncio.open_connection(HERE, world.ports["a"], ssl=context)
    try:
        writer.write(request)
        return await reader.readuntil(b"}")
    finally:
        writer.transport.abort()


def client_of(ca: Authority, issued: Issued) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(ca.ca))
    context.load_cert_chain(issued.cert, issued.key)
    return context


def test_what_is_no_tls_or_never_ends_a_handshake_goes(
    make_world: MakeWorld, ca: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = ca.issue("here", ips=[HERE])
    world = make_world("ab", {"a": settings(ca, here)})
    a = world.start("a")
    (listening,) = a.actor._sockets
    world.until(lambda: bool(listening.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)))
    plain = socket.create_connection((HERE, world.ports["a"]))
    plain.sendall(b"GET /version HTTP/1.1\r\nHost: a\r\n\r\n")
    world.until(lambda: bool(a.log.errors(REJECTED)))
    with monkeypatch.context() as impatient:
        impatient.setattr(tls_accepted, "HANDSHAKE_S", 0.05)
        silent, half = (socket.create_connection((HERE, world.ports["a"])) for _ in range(2))
        half.sendall(bytes.fromhex("16030100f0010000ec0303"))
        world.until(lambda: len(a.log.errors(REJECTED)) >= 3)
    assert a.log.errors(REJECTED) == [
        "tls: first record does not look like a TLS handshake",
        "i/o timeout",
        "i/o timeout",
    ]
    assert b'"etcdserver"' in world.run(ask(world, client_of(ca, here)))
    for sock in (plain, silent, half):
        sock.close()


def test_members_come_in_while_strangers_hold_all_the_connections_that_they_can(
    make_world: MakeWorld, ca: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = ca.issue("here", ips=[HERE])
    monkeypatch.setattr("actors.peer.actor.CONNECTIONS_MAX", 40)
    world = make_world("ab", {"a": settings(ca, here), "b": settings(ca, here)})
    a = world.start("a")
    random = os.urandom

    async def flood() -> list[Any]:
        return [await asyncio.open_connection(HERE, world.ports["a"]) for _ in range(100)]

    strangers = world.run(flood())
    for at, (_, writer) in enumerate(strangers):
        writer.write(b"\x16\x03\x01" + random(200) if at % 2 else b"\x16\x03\x01\x02\x00")
    b = world.start("b")
    world.until(lambda: is_up(a) and is_up(b))
    assert len(a.actor.connections) <= 41
    for _, writer in strangers:
        writer.transport.abort()


def test_a_snapshots_connection_is_handed_over_as_a_plain_one(
    make_world: MakeWorld, ca: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = ca.issue("here", ips=[HERE])
    world = make_world("ab", {"a": settings(ca, here)})
    a = world.start("a")
    size, taken = 3_000_000, bytearray()
    done = threading.Event()

    def process(connection: socket.socket, length: int, begin: bytes) -> None:
        taken.extend(begin)
        while len(taken) < length and (data := connection.recv(65536)):
            taken.extend(data)
        connection.sendall(b"HTTP/1.1 204 No Content\r\nX-Rest: {}\r\n\r\n")
        connection.close()
        done.set()

    def take(connection: socket.socket, sender: int, length: int, begin: bytes) -> None:
        connection.setblocking(True)
        threading.Thread(target=process, args=(connection, length, begin)).start()

    monkeypatch.setattr(a.actor, "take_snapshot", take)
    fields = "".join(f"{name}: {value}\r\n" for name, value in {
        "Host": "a", "X-Etcd-Cluster-ID": f"{a.actor.directory.cluster_id:x}", "X-Server-From": "5",
        "X-Server-Version": "3.5.1", "X-Min-Cluster-Version": "3.0.0", "Content-Length": size,
    }.items())  # fmt: skip
    body = os.urandom(size)
    request = f"POST /raft/snapshot HTTP/1.1\r\n{fields}\r\n".encode() + body
    assert world.run(ask(world, client_of(ca, here), request)).startswith(b"HTTP/1.1 204")
    assert bytes(taken) == body
    world.until(lambda: not a.actor.connections)


def test_members_out_of_dns_have_certificates_for_the_domain(make_world: MakeWorld, ca: Authority) -> None:
    """--discovery-srv without a CA of the members' own."""
    of_domain = ca.issue("member", dns=["example.com"])
    both = settings(ca, of_domain, server_name="example.com", skip_client_san=True)
    world, a, b = pair(make_world, both, both)
    world.until(lambda: is_up(a) and is_up(b))


def test_a_certificate_for_another_host_than_was_dialled_is_refused(make_world: MakeWorld, ca: Authority) -> None:
    both = settings(ca, ca.issue("member", dns=["example.com"]), skip_client_san=True)
    world, a, _ = pair(make_world, both, both)
    world.until(lambda: bool(why_not(a)))
    assert why_not(a).startswith("tls: failed to verify certificate: x509: ")
