"""A proxy with TLS on either side, and callers with tokens."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import etcdz
from etcdz.client import errors
from etcdz.testing.certificates import Authority, Issued
from tests.cli.grpc_proxy.proxies import Proxy
from tests.etcd_process import Etcdz

pytestmark = pytest.mark.process


class Files(NamedTuple):
    authority: Authority
    named: Issued
    nameless: Issued

    @property
    def ca(self) -> str:
        return str(self.authority.ca)


class SecureEtcdz(Etcdz):
    @property
    def client_url(self) -> str:
        return f"https://{self.target}"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    authority = Authority(tmp_path_factory.mktemp("certificates"))
    ips = ["127.0.0.1"]
    return Files(authority, authority.issue("named", ips=ips), authority.issue("nameless", cn="", ips=ips))


@pytest.fixture(scope="module")
def member(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcdz]:
    flags = [f"--cert-file={files.named.cert}", f"--key-file={files.named.key}", f"--trusted-ca-file={files.ca}"]
    with SecureEtcdz(tmp_path_factory.mktemp("member"), *flags, "--client-cert-auth") as started:
        yield started


def flags_to(files: Files, shown: Issued) -> list[str]:
    return [f"--cacert={files.ca}", f"--cert={shown.cert}", f"--key={shown.key}"]


def test_users_are_who_their_tokens_say(member: Etcdz, files: Files, tmp_path: Path) -> None:
    own = [f"--cert-file={files.named.cert}", f"--key-file={files.named.key}", f"--trusted-ca-file={files.ca}"]
    admin_files = {"ca": files.ca, "cert": (str(files.nameless.cert), str(files.nameless.key)), "timeout": 60}
    with Proxy(tmp_path, member.client_url, *flags_to(files, files.nameless), *own) as proxy:
        url = f"https://{proxy.target}"
        with etcdz.connect(url, **admin_files) as db:
            db.put("f", "1")
            assert db.get("f", serializable=True).value == b"1"
            db.auth.user_add("root", "r")
            db.auth.user_grant_role("root", "root")
            db.auth.user_add("u", "p")
            db.auth.role_add("reads")
            db.auth.role_grant_permission("reads", "READ", "f")
            db.auth.user_grant_role("u", "reads")
            db.auth.enable()
            with pytest.raises(errors.EtcdError, match="user name is empty"):
                db.get("f", serializable=True)
        with etcdz.connect(url, user="u", password="p", **admin_files) as db:
            assert db.get("f").value == b"1"
            with pytest.raises(errors.PermissionDenied):
                db.put("f", "2")
            with pytest.raises(errors.PermissionDenied), db.watch("g"):
                pass
            with etcdz.connect(url, user="root", password="r", **admin_files) as root, db.watch("f") as watch:
                root.put("f", "2")
                assert watch.get(60).value == b"2"
        with etcdz.connect(url, user="root", password="r", **admin_files) as db:
            db.auth.disable()


def test_a_certificate_with_a_name_is_refused(member: Etcdz, files: Files, tmp_path: Path) -> None:
    program = Proxy.program()
    assert program is not None
    listen = "--listen-addr=127.0.0.1:0"
    command = [*program, f"--endpoints={member.client_url}", listen, *flags_to(files, files.named)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path, check=False)
    assert ran.returncode == 1
    assert f"cert has non empty Common Name (named): {files.named.cert}" in ran.stderr


def test_a_certificate_of_its_own_making(member: Etcdz, files: Files, tmp_path: Path) -> None:
    flags = flags_to(files, files.nameless)
    with (
        Proxy(tmp_path, member.client_url, *flags, "--auto-tls") as proxy,
        etcdz.connect(f"https://{proxy.target}", skip_verify=True, timeout=60) as db,
    ):
        db.put("k", "1")
        assert db.get("k").value == b"1"
    assert (tmp_path / "default.proxy" / "fixtures" / "proxy" / "cert.pem").exists()
