"""Clients of others by TLS, with right and wrong certificates: who is served, who is not, and what is logged of it.

Each is tried on an etcd and on an etcdz in the same mode. Where both refuse, their logs say the same, but for what is
named here: etcd 3.5.1 says `failed to verify client certificate`, as Go did then, and adds the time to `expired`.
"""

import json
import re
import shutil
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from etcdz.proto import etcdserverpb as pb
from tests.etcd_process import RealEtcd, find_program, free_port
from tests.process.load import unary
from tests.secure_members import (
    PUBLIC_NAME,
    Pki,
    SecureEtcd,
    SecureEtcdz,
    SecureMember,
    SecureTarget,
    credentials_for,
    curl,
    etcdctl,
    has_old_etcdctl,
    make_pki,
    openssl,
    run,
)

FAST = ("--heartbeat-interval=50", "--election-timeout=500")
needs_etcd = pytest.mark.skipif(RealEtcd.why_absent() is not None, reason=str(RealEtcd.why_absent()))
needs_tools = pytest.mark.skipif(
    not (shutil.which("curl") and shutil.which("openssl")), reason="no curl or no openssl here"
)
pytestmark = [pytest.mark.parity, pytest.mark.process, needs_etcd, needs_tools]

OLD_VERSIONS = ("-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
STRANGE_CIPHER = ("-tls1_2", "-cipher", "AES128-SHA256:DHE-RSA-AES128-SHA")


class Both(SecureMember):
    """https and http on one port, and TLS on a socket: a file in the directory in which it is started."""

    schemes = ("https", "http")

    @property
    def socket(self) -> str:
        return f"{PUBLIC_NAME}:{self.client_port}"

    def _own_flags(self) -> list[str]:
        *flags, listen = super()._own_flags()
        return [*flags, f"{listen},unixs://{self.socket}"]


class BothEtcd(Both, SecureEtcd):
    pass


class BothEtcdz(Both, SecureEtcdz):
    pass


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return make_pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def shared_port(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[SecureMember]]:
    """No client has a certificate."""
    flags = (f"--cert-file={pki.server.cert}", f"--key-file={pki.server.key}", *FAST)
    directory = tmp_path_factory.mktemp("shared")
    with BothEtcd(directory, *flags) as etcd, BothEtcdz(directory, *flags) as etcdz:
        yield [etcd, etcdz]


@pytest.fixture(scope="module")
def strict(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[SecureMember]]:
    """https alone, and clients have certificates that are not revoked."""
    flags = [f"--cert-file={pki.server.cert}", f"--key-file={pki.server.key}", *FAST, "--client-cert-auth"]
    flags += [f"--trusted-ca-file={pki.authority.ca}", f"--client-crl-file={pki.crl}"]
    directory = tmp_path_factory.mktemp("strict")
    with SecureEtcd(directory, *flags) as etcd, SecureEtcdz(directory, *flags) as etcdz:
        yield [etcd, etcdz]


def refused(members: list[SecureMember], client: Callable[[SecureMember], object]) -> str:
    """What both have logged of a client that neither has served; once, as it would be said now."""
    said = []
    for member in members:
        before = len(member.rejections())
        client(member)
        member.wait_for_rejections(before + 1)
        errors = member.rejections()[before:]
        assert len(errors) == 1, errors
        error = errors[0].replace("verify client certificate", "verify certificate")
        said.append(re.sub(r": current time .*", "", error))
    assert said[0] == said[1]
    return said[0]


def served(members: list[SecureMember], client: Callable[[SecureMember], tuple[int, str]], text: str) -> None:
    """Both have, with this in the answer, and have logged nothing of it."""
    for member in members:
        before = len(member.rejections())
        code, said = client(member)
        assert (code, text in said) == (0, True), f"{member.kind}: {code}, {said}"
        assert member.rejections()[before:] == []


@pytest.mark.parametrize("path", ["version", "health", "metrics", "nothing"])
@pytest.mark.parametrize("version", ["1.1", "2"])
def test_http_of_either_version(shared_port: list[SecureMember], pki: Pki, version: str, path: str) -> None:
    status = 404 if path == "nothing" else 200
    flag = "--http1.1" if version == "1.1" else "--http2"
    served(shared_port, lambda member: curl(member, pki, None, flag, path=path), f" {version} {status}")


def test_plain_http_on_the_same_port(shared_port: list[SecureMember]) -> None:
    for member in shared_port:
        ended = run(["curl", "-sS", "--noproxy", "*", f"http://{member.target}/version"])
        assert ended.code == 0 and "etcdserver" in ended.text


@pytest.mark.parametrize("flags", [(), ("-tls1_2",), ("-alpn", "http/1.1"), ("-alpn", "foo")])
def test_openssl(shared_port: list[SecureMember], pki: Pki, flags: tuple[str, ...]) -> None:
    served(shared_port, lambda member: openssl(member, pki, None, *flags), '"etcdcluster"')


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (OLD_VERSIONS, "tls: client offered only unsupported versions: [302 301]"),
        (STRANGE_CIPHER, "tls: no cipher suite supported by both client and server"),
    ],
)
def test_a_client_that_speaks_another_tls(
    shared_port: list[SecureMember], pki: Pki, flags: tuple[str, ...], text: str
) -> None:
    ended = []
    assert refused(shared_port, lambda member: ended.append(openssl(member, pki, None, *flags))) == text
    alerts = [re.findall(r"alert number \d+", each.text) for each in ended]
    assert alerts[0] == alerts[1] != []


def test_a_client_that_does_not_trust_the_certificate(shared_port: list[SecureMember]) -> None:
    command = ["curl", "-sS", "--noproxy", "*"]
    text = refused(shared_port, lambda member: run([*command, f"{member.client_url}/version"]))
    assert text == "remote error: tls: unknown certificate authority"


def test_programs_of_etcd_and_grpc(shared_port: list[SecureMember], strict: list[SecureMember], pki: Pki) -> None:
    for members, own in ((shared_port, None), (strict, pki.alice), (strict, pki.nameless)):
        served(members, lambda member, own=own: etcdctl(member, pki, own, "put", "key", "value"), "OK")
        if has_old_etcdctl():
            served(members, lambda member, own=own: etcdctl(member, pki, own, "get", "key", old=True), "value")
        for member in members:
            files = (own.key.read_bytes(), own.cert.read_bytes()) if own else ()
            credentials = grpc.ssl_channel_credentials(pki.authority.ca.read_bytes(), *files)
            with grpc.secure_channel(member.target, credentials) as channel:
                get = channel.unary_unary("/etcdserverpb.KV/Range")
                answer = get(pb.RangeRequest(key=b"key").SerializeToString(), timeout=60)
            assert pb.RangeResponse.FromString(answer).kvs[0].value == b"value"


def test_a_unix_socket(shared_port: list[SecureMember], pki: Pki) -> None:
    for member in shared_port:
        assert isinstance(member, Both)
        path, ca = member.tmp_dir / member.socket, str(pki.authority.ca)
        here = ["env", "-C", str(member.tmp_dir), "ETCDCTL_API=3", str(find_program("etcdctl")), f"--cacert={ca}"]
        assert run([*here, f"--endpoints=unixs://{member.socket}", "put", "by", "socket"]).text.strip() == "OK"
        answer = run(["curl", "-sS", "--unix-socket", str(path), "--cacert", ca, "https://localhost/version"])
        assert '"etcdcluster"' in answer.text
        credentials = credentials_for(SecureTarget.of(member.target, pki.authority.ca))
        options = [("grpc.ssl_target_name_override", PUBLIC_NAME)]
        with grpc.secure_channel(f"unix:{path}", credentials, options=options) as channel:
            got = unary(channel, "KV/Range", pb.RangeResponse)(pb.RangeRequest(key=b"by"), timeout=60)
        assert got.kvs[0].value == b"socket"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (None, "tls: client didn't provide a certificate"),
        ("server_only", "tls: failed to verify certificate: x509: certificate specifies an incompatible key usage"),
        ("expired", "tls: failed to verify certificate: x509: certificate has expired or is not yet valid"),
        ("stranger", "tls: failed to verify certificate: x509: certificate signed by unknown authority"),
        ("revoked", "transport: certificate serial * revoked"),
    ],
)
def test_wrong_certificates(strict: list[SecureMember], pki: Pki, name: str | None, text: str) -> None:
    issued = getattr(pki, name) if name else None
    ended = []
    for version in ("--http1.1", "--http2"):
        said = refused(strict, lambda member, version=version: ended.append(curl(member, pki, issued, version)))
        assert said == (text if issued is None else text.replace("*", f"{issued.serial:040x}"))
    assert all(each.code != 0 and " 200" not in each.text for each in ended)
    before = len(strict[1].rejections())
    told = openssl(strict[1], pki, issued, "-tls1_3")
    strict[1].wait_for_rejections(before + 1)  # or the next test would take it for its own
    assert name == "revoked" or "alert" in told.text, "the client is told why, and its system does not lose it"


def test_the_right_certificate(strict: list[SecureMember], pki: Pki) -> None:
    for flag in ("--http1.1", "--http2"):
        served(strict, lambda member, flag=flag: curl(member, pki, pki.alice, flag), '"etcdcluster"')


def test_the_gateway_over_either_version_of_http(strict: list[SecureMember], pki: Pki, tmp_path: Path) -> None:
    """A short answer, one that is written in pieces, and a refusal."""
    key, value = (b64encode(text).decode() for text in (b"gateway", b"v" * 100_000))
    for flag, version in (("--http1.1", "1.1"), ("--http2", "2")):
        said = []
        for member in strict:
            put, found, refused = (
                _ask_gateway(member, pki, tmp_path, flag, *call)
                for call in (("put", {"key": key, "value": value}), ("range", {"key": key}), ("range", {"key": "?"}))
            )
            assert put[1:] == found[1:] == (version, "200") and refused[1:] == (version, "400")
            said.append([(kv["key"], kv["value"]) for kv in found[0]["kvs"]])
        assert said[0] == said[1] == [(key, value)]


def _ask_gateway(
    member: SecureMember, pki: Pki, directory: Path, flag: str, method: str, asked: dict[str, str]
) -> tuple[Any, str, str]:
    """return (JSON, version of HTTP, status)"""
    body = directory / "asked.json"
    body.write_text(json.dumps(asked))
    said = curl(member, pki, pki.alice, flag, "--data-binary", f"@{body}", path=f"v3/kv/{method}").text
    answer, version, status = said.rsplit(" ", 2)
    return json.loads(answer), version, status


def test_plain_text_where_tls_is_spoken(strict: list[SecureMember]) -> None:
    command = ["curl", "-sS", "--noproxy", "*"]
    text = refused(strict, lambda member: run([*command, f"http://{member.target}/version"]))
    assert text == "tls: first record does not look like a TLS handshake"


def test_an_end_is_told(pki: Pki, strict: list[SecureMember]) -> None:
    """close_notify, on which openssl says `closed`, and not that it has read an unexpected end."""
    for member in strict:
        assert openssl(member, pki, pki.alice).text.count("closed") == 1


def test_etcdctl_with_wrong_certificates(request: pytest.FixtureRequest, strict: list[SecureMember], pki: Pki) -> None:
    if not request.config.getoption("--long"):
        pytest.skip("only with --long")
    for issued in (None, pki.server_only, pki.expired, pki.stranger, pki.revoked):
        for old in (False, True) if has_old_etcdctl() else (False,):
            said = []
            for member in strict:
                before = len(member.rejections())
                ended = etcdctl(member, pki, issued, "get", "key", old=old, patience="3s")
                assert ended.code != 0 and "deadline exceeded" in ended.text
                errors = {error.partition(": current")[0] for error in member.rejections()[before:]}
                said.append({error.replace("verify client", "verify") for error in errors})
            assert said[0] == said[1] != set()


def test_addresses_of_their_own(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> None:
    """--listen-client-http-urls and --listen-metrics-urls, which etcd 3.5.1 has only the second of."""
    http, metrics = (f"https://127.0.0.1:{free_port()}" for _ in range(2))
    flags = [f"--cert-file={pki.server.cert}", f"--key-file={pki.server.key}", *FAST]
    flags += [f"--listen-client-http-urls={http}", f"--listen-metrics-urls={metrics}"]
    with SecureEtcdz(tmp_path_factory.mktemp("apart"), *flags) as member:
        assert etcdctl(member, pki, None, "put", "key", "value").text.strip() == "OK"
        assert " 2 415" in curl(member, pki, None, "--http2").text
        assert curl(member, pki, None, "--http1.1").code != 0
        for url, answers in ((http, (200, 200, 200)), (metrics, (404, 200, 200))):
            for path, status in zip(("version", "health", "metrics"), answers, strict=True):
                for version, flag in (("1.1", "--http1.1"), ("2", "--http2")):
                    assert _status(pki, f"{url}/{path}", flag) == f"{version} {status}"
            said = run(["curl", "-sS", "--noproxy", "*", "--cacert", str(pki.authority.ca), "-X", "POST", "-i",
                        "-H", "content-type: application/grpc", f"{url}/etcdserverpb.KV/Range"])  # fmt: skip
            assert "404 page not found" in said.text and "grpc-status" not in said.text


def _status(pki: Pki, url: str, flag: str) -> str:
    command = ["curl", "-sS", "--noproxy", "*", "--cacert", str(pki.authority.ca), flag, "-o", "/dev/null"]
    return run([*command, "-w", "%{http_version} %{http_code}", url]).text
