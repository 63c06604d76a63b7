"""Whatever a client sends: ssl.SSLError or nothing, an answer of bounded length, and no session by broken bytes."""

import ssl
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etcdz.testing.certificates import Authority
from etcdz.tls import contexts
from etcdz.tls.settings import TlsSettings
from etcdz.wire.client_hello import decode_client_hello
from etcdz.wire.tls_session import TlsSession
from tests.examples import examples

ANSWER_BYTES_MAX = 32 << 10
CASES = settings(max_examples=examples(60), deadline=None)
VERSIONS = st.sampled_from([ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])


class Sides:
    """Contexts of a server that demands certificates, and of its clients."""

    def __init__(self, authority: Authority) -> None:
        server, client = authority.issue("server", dns=["localhost"]), authority.issue("client")
        chosen = TlsSettings(cert_file=str(server.cert), key_file=str(server.key), trusted_ca_file=str(authority.ca))
        self.server = contexts.server_context(chosen, ("h2",))
        self.clients = {}
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = ssl.create_default_context(cafile=str(authority.ca))
            context.load_cert_chain(client.cert, client.key)
            context.maximum_version = version
            context.set_alpn_protocols(["h2"])
            self.clients[version] = context

    def talk(self, version: ssl.TLSVersion) -> tuple[TlsSession, TlsSession, list[bytes]]:
        """A client and a server that are done, and what the client has sent for that."""
        client, server, flights = (
            TlsSession(self.clients[version], False, "localhost"),
            TlsSession(self.server, True),
            [],
        )
        client.receive(b"")
        while not (client.is_established and server.is_established):
            flights.append(client.outgoing())
            server.receive(flights[-1])
            client.receive(server.outgoing())
        return client, server, flights


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Sides:
    return Sides(Authority(tmp_path_factory.mktemp("pki")))


def feed(server: TlsSession, pieces: list[bytes]) -> None:
    """As a connection does: after an error nothing more. What the other end is told has a bound."""
    told = 0
    for piece in pieces:
        decode_client_hello(piece)
        try:
            server.receive(piece)
        except ssl.SSLError:
            told += len(server.outgoing())
            break
        told += len(server.outgoing())
    assert told <= ANSWER_BYTES_MAX


@CASES
@given(st.lists(st.binary(max_size=400), max_size=5))
def test_any_bytes(sides: Sides, pieces: list[bytes]) -> None:
    server = TlsSession(sides.server, True)
    feed(server, pieces)
    assert not server.is_established


@CASES
@given(st.integers(20, 26), st.integers(0, 0xFFFF), st.binary(max_size=300), st.booleans())
def test_any_record(sides: Sides, kind: int, size: int, body: bytes, is_honest: bool) -> None:
    server = TlsSession(sides.server, True)
    length = len(body) if is_honest else size
    feed(server, [bytes([kind, 3, 1]) + length.to_bytes(2, "big") + body])
    assert not server.is_established


@CASES
@given(VERSIONS, st.integers(0, 1 << 16), st.integers(1, 255))
def test_a_greeting_with_a_broken_byte(sides: Sides, version: ssl.TLSVersion, at: int, change: int) -> None:
    """The transcript does not fit any more, so that what follows of the true client is refused."""
    _, _, flights = sides.talk(version)
    broken = bytearray(flights[0])
    broken[at % len(broken)] ^= change
    server = TlsSession(sides.server, True)
    feed(server, [bytes(broken), *flights[1:]])
    assert not server.is_established


@CASES
@given(VERSIONS, st.integers(0, 1 << 16), st.integers(1, 255))
def test_a_broken_byte_later(sides: Sides, version: ssl.TLSVersion, at: int, change: int) -> None:
    client, server = TlsSession(sides.clients[version], False, "localhost"), TlsSession(sides.server, True)
    client.receive(b"")
    server.receive(client.outgoing())
    client.receive(server.outgoing())
    broken = bytearray(client.outgoing())
    place = at % len(broken)
    broken[place] ^= change
    feed(server, [bytes(broken)])
    is_version = server.is_established and 1 <= place % len(broken) <= 2
    assert not server.is_established or is_version or _is_in_record_head(bytes(broken), place)


def _is_in_record_head(data: bytes, place: int) -> bool:
    """The version in the head of an encrypted record, and a compatibility record, are not looked at."""
    return data[:1] in (b"\x14", b"\x17") or place < 11


@CASES
@given(VERSIONS, st.lists(st.integers(0, 3), min_size=1, max_size=8))
def test_flights_in_any_order(sides: Sides, version: ssl.TLSVersion, order: list[int]) -> None:
    _, _, flights = sides.talk(version)
    server = TlsSession(sides.server, True)
    feed(server, [flights[number % len(flights)] for number in order])
    assert not server.is_established, "what another handshake has said is worth nothing here"


@CASES
@given(VERSIONS, st.binary(min_size=1, max_size=400))
def test_any_bytes_behind_the_handshake(sides: Sides, version: ssl.TLSVersion, data: bytes) -> None:
    client, server, _ = sides.talk(version)
    client.send(b"hello")
    assert server.receive(client.outgoing()) == [b"hello"]
    with suppress(ssl.SSLError):
        assert server.receive(data) == []
    assert len(server.outgoing()) <= 64


def test_no_renegotiation(sides: Sides) -> None:
    """A greeting where data should be is refused."""
    client, server, flights = sides.talk(ssl.TLSVersion.TLSv1_2)
    with pytest.raises(ssl.SSLError):
        server.receive(flights[0])
    assert client.is_established


def test_long_data_in_small_pieces(sides: Sides) -> None:
    client, server, _ = sides.talk(ssl.TLSVersion.TLSv1_3)
    client.send(b"x" * 100_000)
    data = client.outgoing()
    heard = []
    for at in range(0, len(data), 7):
        heard += server.receive(data[at : at + 7])
    assert b"".join(heard) == b"x" * 100_000
