"""What a peer actor makes of members, and of others, under TLS."""

import asyncio
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from actors.peer import peer_tls, tls_accepted
from etcdz.ipc.messages import PeerAnswer, PeerCall
from etcdz.raft.codec import decode_message
from etcdz.raft.messages import MSG_VOTE, Message
from etcdz.tls.peer_names import Resolver
from etcdz.tls.settings import TlsSettings
from tests.actors.peer.world import Member, World
from tests.certificates import Authority, Issued

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
    a.actor.calls.begin(PeerCall("lessor", 17, b.id, "GET", "/version", b"", 5.0))
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
    texts = {"client certificate authentication failed", "remote error: tls: bad certificate"}
    for member in (a, b):
        assert {why_not(member), *member.log.errors(REJECTED)} & texts


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
    assert set(a.log.errors(REJECTED)) == {f'tls: "{HERE}" does not match any of IP SANs [10.1.2.3]'}
    assert b.log.errors(REJECTED) == []
