"""A member under TLS while its files change, and where its keys are."""

import hashlib
import http.client
import json
import re
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from etcdz.cli.actors import main
from etcdz.testing.certificates import Authority, Issued
from tests.etcd_process import Etcdz

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]

WAIT_S = 60


class SecureMember(Etcdz):
    """Asks clients for certificates; its files lie in a directory that the test writes to."""

    def __init__(self, directory: Path) -> None:
        self.ca = Authority(directory, "ca")
        self.server = self.ca.issue("server", ips=["127.0.0.1"])
        self.crl = self.ca.revoke(directory / "crl", [])
        pair = (f"cert-file={self.server.cert}", f"key-file={self.server.key}")
        flags = (
            *pair,
            *[f"peer-{flag}" for flag in pair],
            f"trusted-ca-file={self.ca.ca}",
            f"client-crl-file={self.crl}",
        )
        super().__init__(directory, "--client-cert-auth", *[f"--{flag}" for flag in flags])

    @property
    def client_url(self) -> str:
        return f"https://{self.target}"

    def connect(self, client: Issued, ca: Path) -> http.client.HTTPSConnection:
        """A connection that was served once. raises OSError: one of the two refuses the other"""
        context = ssl.create_default_context(cafile=ca)
        context.load_cert_chain(client.cert, client.key)
        connection = http.client.HTTPSConnection("127.0.0.1", self.client_port, timeout=WAIT_S, context=context)
        self.ask(connection)
        return connection

    def ask(self, connection: http.client.HTTPSConnection, path: str = "/version") -> bytes:
        try:
            connection.request("GET", path)
            return connection.getresponse().read()
        except http.client.HTTPException as error:
            raise ConnectionError(repr(error)) from error

    def is_let_in(self, client: Issued, ca: Path) -> bool:
        try:
            self.connect(client, ca).close()
        except OSError:
            return False
        return True

    def inspect(self, actor: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
        assert main(["inspect", actor, "--json", "--data-dir", str(self.data_dir)]) == 0
        return dict(json.loads(capsys.readouterr().out)["inside"]["details"])


@pytest.fixture(scope="module")
def member(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureMember]:
    with SecureMember(tmp_path_factory.mktemp("tls")) as member:
        yield member


def until(holds: Callable[[], bool]) -> None:
    """The files are looked at once a second. Each look takes a while by itself: no pause needed."""
    give_up_at = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < give_up_at


def fingerprint_of(data: bytes | None) -> str:
    return hashlib.sha256(data or b"").hexdigest()


def test_new_files_are_in_force_without_a_restart(member: SecureMember, capsys: pytest.CaptureFixture[str]) -> None:
    alice, bob = member.ca.issue("alice"), member.ca.issue("bob")
    before = member.connect(alice, member.ca.ca)

    renewed = member.ca.issue("server", ips=["127.0.0.1"])
    expected = fingerprint_of(ssl.PEM_cert_to_DER_cert(renewed.cert.read_text()))
    until(lambda: fingerprint_of(member.connect(bob, member.ca.ca).sock.getpeercert(True)) == expected)
    assert [one["fingerprint"] for one in member.inspect("listener-1", capsys)["certificates"]][:1] == [expected]

    member.ca.revoke(member.crl, [bob.serial])
    until(lambda: not member.is_let_in(bob, member.ca.ca))
    member.wait_for_log(f"transport: certificate serial {bob.serial_hex} revoked")
    assert member.is_let_in(alice, member.ca.ca)

    renewed.key.write_text("half a ke")
    until(lambda: bool(member.inspect("listener-1", capsys)["file_errors"]))
    member.wait_for_log("failed to create peer certificate")
    assert member.is_let_in(alice, member.ca.ca)

    following = Authority(member.tmp_dir, "ca")  # its certificate lies where the other's was
    following.issue("server", ips=["127.0.0.1"])
    until(lambda: member.is_let_in(following.issue("carol"), following.ca))
    assert not member.is_let_in(alice, following.ca)

    assert json.loads(member.ask(before))["etcdserver"], "a connection goes on, whatever has become of the files"
    metrics = member.ask(before, "/metrics").decode()
    found = re.findall(r'etcdz_tls_cert_not_after_seconds\{side="(.*)",use="(.*)",file=".*"\} (\S+)', metrics)
    uses = [(side, use) for side, use, _ in found]
    assert sorted(uses) == [("client", "ca"), ("client", "server"), ("peer", "server")]
    assert all(float(seconds) > time.time() for *_, seconds in found)


def test_keys_are_in_the_processes_that_use_them_alone(
    member: SecureMember, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not with the supervisor, which has looked at them, nor the zygote, from which all others come."""
    member.restart()
    text = member.server.key.read_bytes()
    key: Any = serialization.load_pem_private_key(text, None)
    number = key.private_numbers().private_value.to_bytes(32, "little")
    assert main(["ps", "--json", "--data-dir", str(member.data_dir)]) == 0
    names = {row["pid"]: row["name"] for row in json.loads(capsys.readouterr().out)}
    lines = text.splitlines()[1:2]
    found = {
        process.pid: [number in part or lines[0] in part for part in memory_of(process.pid)]
        for process in member.processes()
    }
    holders = {names.get(pid, "another") for pid, hits in found.items() if any(hits)}
    assert holders == {"listener-1", "peer"}


def memory_of(pid: int) -> Iterator[bytes]:
    """All that the process may write to, part by part."""
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            place, rights = line.split()[:2]
            start, end = (int(number, 16) for number in place.split("-"))
            if not rights.startswith("rw") or end - start > 1 << 30:
                continue
            try:
                memory.seek(start)
                yield memory.read(end - start)
            except OSError:  # of a device
                continue
