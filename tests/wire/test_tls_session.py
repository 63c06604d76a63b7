"""TLS without I/O: both ends in one process, bytes handed over by hand."""

import ssl
from contextlib import suppress

import pytest

from etcdz.testing.certificates import Authority
from etcdz.tls import contexts
from etcdz.tls.settings import TlsSettings
from etcdz.wire.tls_session import (
    BARREN_RECORDS_MAX,
    HANDSHAKE_BYTES_MAX,
    HandshakeTooLong,
    TlsSession,
    TooManyBarrenRecords,
)
from tests.wire.key_updates import key_updates


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def server_context(authority: Authority) -> ssl.SSLContext:
    files = authority.issue("server", ips=["127.0.0.1"], dns=["localhost"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.cert, files.key)
    context.load_verify_locations(authority.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    context.num_tickets = 0
    return context


def client_context(authority: Authority, name: str = "", **issued: object) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority.ca))
    if name:
        files = authority.issue(name, **issued)  # type: ignore[arg-type]
        context.load_cert_chain(files.cert, files.key)
    return context


def exchange(client: TlsSession, server: TlsSession) -> tuple[list[bytes], list[bytes]]:
    """Both until nothing is left to be handed over. return (what the client, what the server has been told)"""
    told: tuple[list[bytes], list[bytes]] = ([], [])
    while True:
        to_server, to_client = client.outgoing(), server.outgoing()
        if not to_server and not to_client:
            return told
        if to_server:
            told[1].extend(server.receive(to_server))
        if to_client:
            told[0].extend(client.receive(to_client))


def pair(authority: Authority, server_context: ssl.SSLContext, name: str = "somebody") -> tuple[TlsSession, TlsSession]:
    client = TlsSession(client_context(authority, name), False, "localhost")
    client.receive(b"")
    server = TlsSession(server_context, True)
    exchange(client, server)
    return client, server


def test_both_ends_hear_what_the_other_says(authority: Authority, server_context: ssl.SSLContext) -> None:
    client, server = pair(authority, server_context)
    assert client.is_established and server.is_established
    long = bytes(range(256)) * 1000
    client.send(b"hello ", b"server", b"")
    server.send(long)
    to_client, to_server = exchange(client, server)
    assert (b"".join(to_client), b"".join(to_server)) == (long, b"hello server")
    assert server.common_name() == "somebody"


def test_byte_by_byte(authority: Authority, server_context: ssl.SSLContext) -> None:
    client = TlsSession(client_context(authority, "slow"), False, "localhost")
    server = TlsSession(server_context, True)
    client.receive(b"")
    heard = []
    for sender, receiver in ((client, server), (server, client)) * 4:
        for byte in sender.outgoing():
            receiver.receive(bytes([byte]))
    assert server.is_established
    client.send(b"one", b"two")
    for byte in client.outgoing():
        heard += server.receive(bytes([byte]))
    assert heard == [b"onetwo"]


def test_what_is_said_with_the_end_of_the_handshake_is_heard(
    authority: Authority, server_context: ssl.SSLContext
) -> None:
    client = TlsSession(client_context(authority, "eager"), False, "localhost")
    server = TlsSession(server_context, True)
    client.receive(b"")
    server.receive(client.outgoing())
    client.receive(server.outgoing())
    client.send(b"at once")
    assert server.receive(client.outgoing()) == [b"at once"]


def test_a_refusal_leaves_an_alert_for_the_other_side(authority: Authority, server_context: ssl.SSLContext) -> None:
    client = TlsSession(client_context(authority), False, "localhost")
    server = TlsSession(server_context, True)
    client.receive(b"")
    with pytest.raises(ssl.SSLError) as refusal:
        exchange(client, server)
    assert refusal.value.reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE"
    with pytest.raises(ssl.SSLError) as told:
        client.receive(server.outgoing())
    assert "CERTIFICATE_REQUIRED" in str(told.value)


def test_a_handshake_without_end_is_refused(server_context: ssl.SSLContext) -> None:
    """A client greeting that claims 124 KiB, which OpenSSL would wait for."""
    server = TlsSession(server_context, True)
    message = b"\x01\x01\xf0\x00" + bytes(0x1F000)
    with pytest.raises(HandshakeTooLong):
        for at in range(0, HANDSHAKE_BYTES_MAX + 1, 0x4000):
            server.receive(b"\x16\x03\x01\x40\x00" + message[at : at + 0x4000])


def test_close_tells_the_other_side(authority: Authority, server_context: ssl.SSLContext) -> None:
    client, server = pair(authority, server_context)
    server.send(b"last")
    server.close()
    to_client, _ = exchange(client, server)
    assert to_client == [b"last"] and client.is_closed and not server.is_closed
    client.close()
    exchange(client, server)
    assert server.is_closed


def test_close_before_the_handshake_says_nothing(server_context: ssl.SSLContext) -> None:
    server = TlsSession(server_context, True)
    server.close()
    assert server.outgoing() == b""


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_no_session_is_resumed(authority: Authority, version: ssl.TLSVersion) -> None:
    files = authority.issue("unforgetful", ips=["127.0.0.1"], dns=["localhost"])
    settings = TlsSettings(cert_file=str(files.cert), key_file=str(files.key))
    server_side = contexts.server_context(settings, ("h2",))
    client_side = client_context(authority)
    client_side.maximum_version = version
    session, alive = None, []
    for _ in range(2):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = client_side.wrap_bio(incoming, outgoing, server_hostname="localhost", session=session)
        server = TlsSession(server_side, True)
        for _ in range(4):
            with suppress(ssl.SSLWantReadError):
                client.do_handshake()
            server.receive(outgoing.read())
            incoming.write(server.outgoing())
        assert server.is_established and not server.ssl_object.session_reused
        session = client.session
        alive.append((client, server))


@pytest.mark.parametrize("asks", [False, True])
def test_new_keys_alone_are_not_taken_without_end(
    authority: Authority, server_context: ssl.SSLContext, asks: bool
) -> None:
    client, server = pair(authority, server_context)
    with pytest.raises(TooManyBarrenRecords):
        server.receive(key_updates(client, 5_000, asks))
    assert len(server.outgoing()) < 8 << 10, "it has stopped soon"


def test_few_new_keys_are_taken_and_answered(authority: Authority, server_context: ssl.SSLContext) -> None:
    client, server = pair(authority, server_context)
    for _ in range(10):
        assert server.receive(key_updates(client, BARREN_RECORDS_MAX, True)) == []
        assert server.has_outgoing
        client.receive(server.outgoing())
        client.send(b"x")
        assert server.receive(client.outgoing()) == [b"x"]
        server.send(b"y")
        assert client.receive(server.outgoing()) == [b"y"]


def test_a_long_message_comes_in_many_pieces_without_plaintext(
    authority: Authority, server_context: ssl.SSLContext
) -> None:
    client, server = pair(authority, server_context)
    message = bytes(range(256)) * 1024
    client.send(message)
    data = client.outgoing()
    got = b"".join([part for at in range(0, len(data), 100) for part in server.receive(data[at : at + 100])])
    client.send(message)
    assert (got, b"".join(server.receive(client.outgoing()))) == (message, message)
