"""What the log says of handshakes that fail, by handshakes that do."""

import ssl
import warnings
from pathlib import Path
from typing import Any

import pytest

from etcdz.testing.certificates import Authority, Issued
from etcdz.tls import contexts
from etcdz.tls.handshake_errors import handshake_error
from etcdz.tls.settings import TlsSettings
from tests.tls.handshakes import shake


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"), "ca")


@pytest.fixture(scope="module")
def server(ca: Authority) -> Issued:
    return ca.issue("server", dns=["localhost"])


def serving(shown: Issued, **more: Any) -> ssl.SSLContext:
    return contexts.server_context(TlsSettings(cert_file=str(shown.cert), key_file=str(shown.key), **more), ("h2",))


def old_client(version: ssl.TLSVersion, ciphers: str = "ALL:@SECLEVEL=0") -> ssl.SSLContext:
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    client.set_ciphers(ciphers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of versions that are old
        client.minimum_version = client.maximum_version = version
    return client


def failure(server: ssl.SSLContext, client: ssl.SSLContext, host: str = "localhost") -> tuple[str, str]:
    with pytest.raises(ssl.SSLError) as caught:
        shake(server, client, host)
    return handshake_error(caught.value)


def test_an_old_version_and_a_strange_cipher(server: Issued) -> None:
    text = "tls: client offered only unsupported versions"
    assert failure(serving(server), old_client(ssl.TLSVersion.TLSv1_1)) == (text, "warn")
    assert failure(serving(server, min_version="TLS1.3"), old_client(ssl.TLSVersion.TLSv1_2)) == (text, "warn")
    text = "tls: no cipher suite supported by both client and server"
    assert failure(serving(server), old_client(ssl.TLSVersion.TLSv1_2, "AES128-SHA")) == (text, "warn")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "tls: first record does not look like a TLS handshake"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "tls: first record does not look like a TLS handshake"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "tls: first record does not look like a TLS handshake"),
        (bytes(64), "tls: first record does not look like a TLS handshake"),
        (b"\x16\x03\x01\x00\x05hello", "tls: unexpected message"),
        (b"\x15\x03\x01\x00\x02\x02\x28", "tls: unexpected message"),
    ],
)
def test_what_is_no_tls(server: Issued, data: bytes, text: str) -> None:
    incoming = ssl.MemoryBIO()
    incoming.write(data)
    session = serving(server).wrap_bio(incoming, ssl.MemoryBIO(), server_side=True)
    with pytest.raises(ssl.SSLError) as caught:
        session.do_handshake()
    assert handshake_error(caught.value) == (text, "warn")


def test_what_a_client_says_of_the_server(ca: Authority, server: Issued, tmp_path: Path) -> None:
    client = contexts.client_context(TlsSettings(trusted_ca_file=str(ca.ca)))
    text = "tls: failed to verify certificate: x509: certificate is not valid for 'example.com'"
    assert failure(serving(server), client, "example.com") == (text, "warn")
    assert "certificate is not valid for" in failure(serving(server), client, "127.0.0.1")[0]
    text = "tls: failed to verify certificate: x509: certificate has expired or is not yet valid"
    assert failure(serving(ca.issue("old", dns=["localhost"], days=-1)), client) == (text, "warn")
    stranger = contexts.client_context(TlsSettings(trusted_ca_file=str(Authority(tmp_path).ca)))
    text = "tls: failed to verify certificate: x509: certificate signed by unknown authority"
    assert failure(serving(server), stranger) == (text, "warn")


def test_an_alert_of_the_other_end_is_a_remote_error(server: Issued, tmp_path: Path) -> None:
    stranger = contexts.client_context(TlsSettings(trusted_ca_file=str(Authority(tmp_path).ca)))
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = serving(server).wrap_bio(to_server, to_client, server_side=True)
    theirs = stranger.wrap_bio(to_client, to_server, server_hostname="localhost")
    for end in (theirs, ours):
        with pytest.raises(ssl.SSLWantReadError):
            end.do_handshake()
    with pytest.raises(ssl.SSLCertVerificationError):
        theirs.do_handshake()
    with pytest.raises(ssl.SSLError) as caught:
        ours.do_handshake()
    assert handshake_error(caught.value) == ("remote error: tls: unknown certificate authority", "warn")


def test_who_goes_away_is_no_warning_and_who_is_silent_is_one() -> None:
    assert handshake_error(EOFError()) == ("EOF", "debug")
    assert handshake_error(ssl.SSLEOFError(8, "EOF occurred in violation of protocol")) == ("EOF", "debug")
    assert handshake_error(TimeoutError()) == ("i/o timeout", "warn")
    assert handshake_error(ConnectionResetError()) == ("read: connection reset by peer", "warn")
