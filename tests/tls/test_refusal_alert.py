"""Who shows a certificate whose names are not allowed is told so within the handshake."""

import ssl
from pathlib import Path

import pytest

from etcdz.testing.certificates import Authority
from etcdz.tls import openssl, refusal_alert
from etcdz.tls.certificate import REFUSED
from etcdz.tls.files import TlsFiles
from etcdz.tls.handshake_errors import handshake_error
from etcdz.tls.settings import TlsSettings
from etcdz.wire.tls_session import TlsSession

TOLD = "remote error: tls: bad certificate"


def files(directory: Path, name: str, **rules: tuple[str, ...]) -> TlsFiles:
    """Of a side whose certificate has this CN. Requires: an authority `ca` there"""
    settings = TlsSettings(
        cert_file=str(directory / f"{name}.pem"),
        key_file=str(directory / f"{name}-key.pem"),
        trusted_ca_file=str(directory / "ca.pem"),
        **rules,
    )
    return TlsFiles(settings, None)


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext) -> dict[str, str]:
    """Why it has failed, by end. {}: it has not"""
    return between({"client": TlsSession(client, False, "localhost"), "server": TlsSession(server, True)})


def between(ends: dict[str, TlsSession]) -> dict[str, str]:
    found: dict[str, str] = {}
    data = {"client": b"", "server": b""}
    for _ in range(4):
        for name, other in (("client", "server"), ("server", "client")):
            if name in found:
                continue
            try:
                ends[name].receive(data[name])
            except ssl.SSLError as error:
                found[name] = handshake_error(error).text
            data[name], data[other] = b"", ends[name].outgoing()
    return found


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    ca = Authority(tmp_path, "ca")
    for name in ("a", "b"):
        ca.issue(name, dns=["localhost", f"{name}.example.com"], ips=["127.0.0.1"])
    return tmp_path


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("rules", [{"allowed_cns": ("a", "c")}, {"allowed_hostnames": ("a.example.com",)}])
def test_each_end_refuses_names_and_tells_the_other(
    directory: Path, newest: ssl.TLSVersion, rules: dict[str, tuple[str, ...]]
) -> None:
    plain, strict = ({name: files(directory, name, **more) for name in "ab"} for more in ({}, rules))
    strict_server, strict_client = strict["a"].server_context(), strict["a"].client_context()
    for context in (strict_server, strict_client):
        context.maximum_version = newest
    assert shake_hands(strict_server, plain["a"].client_context()) == {}
    assert shake_hands(plain["a"].server_context(), strict_client) == {}
    assert shake_hands(strict_server, plain["b"].client_context()) == {"server": REFUSED, "client": TOLD}
    assert shake_hands(plain["b"].server_context(), strict_client) == {"client": REFUSED, "server": TOLD}


def test_a_stranger_is_a_stranger_whatever_its_names(directory: Path, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other", "other")
    shown = other.issue("a", dns=["localhost"])
    stranger = TlsFiles(
        TlsSettings(cert_file=str(shown.cert), key_file=str(shown.key), trusted_ca_file=str(directory / "ca.pem")), None
    )
    found = shake_hands(files(directory, "b", allowed_cns=("a",)).server_context(), stranger.client_context())
    assert found["server"].endswith("certificate signed by unknown authority")


def test_a_question_that_fails_refuses(directory: Path) -> None:
    context = files(directory, "a").server_context()

    def fails(leaf: bytes) -> bool:
        raise LookupError

    assert refusal_alert.ask(context, fails)
    assert shake_hands(context, files(directory, "b").client_context())["server"] == REFUSED


def test_the_question_lives_as_long_as_its_context(directory: Path) -> None:
    for _ in range(3):
        strict = files(directory, "a", allowed_cns=("b",))
        context, client = strict.server_context(), files(directory, "b").client_context()
        del strict
        assert shake_hands(context, client) == {}


def test_where_openssl_cannot_be_asked_the_check_behind_the_handshake_refuses(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openssl, "library", lambda: None)
    strict, other = files(directory, "a", allowed_cns=("a",)), files(directory, "b")
    server = TlsSession(strict.server_context(), True)
    assert between({"client": TlsSession(other.client_context(), False, "localhost"), "server": server}) == {}
    assert strict.check_certificate(server.ssl_object) == REFUSED
