"""Members whose clients come by TLS, and programs of others as these clients."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import grpc

from etcdz.testing.certificates import SERVER, Authority, Issued
from tests.etcd_process import Etcdz, Member, MemberFailed, OldEtcd, RealEtcd, find_program

HOST = "127.0.0.1"
PUBLIC_NAME = "localhost"
REJECTED = "rejected connection"
REQUEST = b"GET /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
CLIENT_TIMEOUT_S = 90


class Pki(NamedTuple):
    """What an authority has issued. stranger: of another authority"""

    authority: Authority
    server: Issued
    alice: Issued
    nameless: Issued
    server_only: Issued
    expired: Issued
    revoked: Issued
    stranger: Issued
    crl: Path


def make_pki(directory: Path) -> Pki:
    """All of it, in this directory."""
    authority = Authority(directory)
    other = Authority(directory / "other", "another authority")
    revoked = authority.issue("revoked", dns=["revoked.example"])
    return Pki(
        authority,
        authority.issue("server", ips=[HOST], dns=[PUBLIC_NAME]),
        authority.issue("alice", dns=["alice.example"]),
        authority.issue("nameless", cn=""),
        authority.issue("server-only", usages=[SERVER]),
        authority.issue("expired", days=-2),
        revoked,
        other.issue("stranger"),
        authority.revoke(directory / "crl.pem", [revoked.serial], der=False),
    )


class SecureTarget(str):
    """host:port, with what a client needs there. own: its certificate; token: of its user, empty if it has none"""

    ca: Path
    own: Issued | None
    token: str

    @classmethod
    def of(cls, address: str, ca: Path, own: Issued | None = None, token: str = "") -> "SecureTarget":
        made = cls(address)
        made.ca, made.own, made.token = ca, own, token
        return made


class SecureMember(Member):
    """Serves clients by https; `schemes` may add http on the same address.

    ca      whom a client may trust; None: it knows by itself
    own     what clients show
    token   what they send with each call, if it is not empty
    """

    schemes: tuple[str, ...] = ("https",)
    ca: Path | None = None
    own: Issued | None = None
    token = ""

    @property
    def target(self) -> str:
        address = super().target
        return address if self.ca is None else SecureTarget.of(address, self.ca, self.own, self.token)

    @property
    def client_url(self) -> str:
        return f"https://{self.target}"

    def _own_flags(self) -> list[str]:
        urls = ",".join([f"{scheme}://{self.target}" for scheme in self.schemes])
        flags = [flag for flag in super()._own_flags() if not flag.startswith("--listen-client-urls=")]
        return [*flags, f"--listen-client-urls={urls}"]

    def rejections(self) -> list[str]:
        """The errors of refused clients that it has logged."""
        return [json.loads(line)["error"] for line in list(self._log.lines) if REJECTED in line]

    def wait_for_rejections(self, count: int) -> None:
        """Returns once it has logged so many; raises MemberFailed otherwise."""
        if not self._log.wait_for_count(REJECTED, count, CLIENT_TIMEOUT_S):
            raise MemberFailed(self.report(f"did not refuse {count} clients"))


class SecureEtcdz(SecureMember, Etcdz):
    pass


class SecureEtcd(SecureMember, RealEtcd):
    pass


class _SendsToken(grpc.UnaryUnaryClientInterceptor, grpc.StreamStreamClientInterceptor):  # type: ignore[misc]
    """With each call of a channel. NB: grpcio's own credentials for calls would start a thread for each."""

    def __init__(self, token: str) -> None:
        self._metadata = ("token", token)

    def intercept_unary_unary(self, go_on: Callable[..., Any], details: Any, request: Any) -> Any:
        return go_on(self._with_token(details), request)

    def intercept_stream_stream(self, go_on: Callable[..., Any], details: Any, requests: Any) -> Any:
        return go_on(self._with_token(details), requests)

    def _with_token(self, details: Any) -> Any:
        return details._replace(metadata=[*(details.metadata or ()), self._metadata])


def with_token(channel: grpc.Channel, token: str) -> grpc.Channel:
    """It sends this token with each call."""
    return grpc.intercept_channel(channel, _SendsToken(token))


class Ended(NamedTuple):
    """How a program has ended, with what it has written to either output."""

    code: int
    text: str


def credentials_for(target: SecureTarget) -> grpc.ChannelCredentials:
    """For a channel of grpcio."""
    own = target.own and (target.own.key.read_bytes(), target.own.cert.read_bytes())
    return grpc.ssl_channel_credentials(target.ca.read_bytes(), *(own or ()))


def run(command: list[str], said: bytes = b"", timeout_s: float = CLIENT_TIMEOUT_S) -> Ended:
    """Runs a client to its end. said: its input"""
    done = subprocess.run(command, input=said, capture_output=True, timeout=timeout_s)
    return Ended(done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace"))


def certificate_flags(issued: Issued | None, cert: str, key: str) -> list[str]:
    """For a client that names the files by these flags."""
    return [] if issued is None else [cert, str(issued.cert), key, str(issued.key)]


def openssl(member: Member, pki: Pki, issued: Issued | None = None, *flags: str, said: bytes = REQUEST) -> Ended:
    """openssl s_client, which asks for /version."""
    own = certificate_flags(issued, "-cert", "-key")
    ca = ["-CAfile", str(pki.authority.ca), "-verify_return_error"]
    command = ["openssl", "s_client", "-connect", member.target, "-servername", PUBLIC_NAME]
    return run([*command, *ca, *own, "-ign_eof", *flags], said)


def curl(member: Member, pki: Pki, issued: Issued | None = None, *flags: str, path: str = "version") -> Ended:
    """Prints the body, the version of HTTP and the status."""
    own = certificate_flags(issued, "--cert", "--key")
    ca = ["--cacert", str(pki.authority.ca), "-w", " %{http_version} %{http_code}"]
    return run(["curl", "-sS", "--noproxy", "*", *ca, *own, *flags, f"https://{member.target}/{path}"])


def etcdctl(
    member: Member, pki: Pki, issued: Issued | None, *words: str, old: bool = False, patience: str = "60s"
) -> Ended:
    """etcdctl 3.5.1, or 3.4. patience: how long it tries to be served"""
    program = shutil.which("etcdctl", path="/usr/bin") if old else find_program("etcdctl")
    assert program is not None
    own = certificate_flags(issued, "--cert", "--key")
    command = ["env", "ETCDCTL_API=3", program, f"--endpoints={member.client_url}", f"--cacert={pki.authority.ca}"]
    return run([*command, *own, f"--dial-timeout={patience}", f"--command-timeout={patience}", *words])


def has_old_etcdctl() -> bool:
    """Whether etcdctl 3.4 is here."""
    return OldEtcd.program() is not None and shutil.which("etcdctl", path="/usr/bin") is not None
