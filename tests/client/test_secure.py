"""TLS and logins of the client: with a certificate, through a change of users' rights, and through a restart."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

import etcdz
from etcdz.client import aio
from etcdz.client.errors import AuthFailed, PermissionDenied, Unavailable
from etcdz.testing.certificates import Authority
from tests.secure_members import SecureEtcd, SecureEtcdz

pytestmark = pytest.mark.process


@pytest.mark.parametrize("kind", [SecureEtcdz, SecureEtcd], ids=["etcdz", "etcd"])
def test_a_login_by_tls_goes_on_through_new_rights_and_a_restart(kind: Any, tmp_path: Path) -> None:
    if kind.why_absent():
        pytest.skip(str(kind.why_absent()))
    authority = Authority(tmp_path)
    server = authority.issue("server", ips=["127.0.0.1"], dns=["localhost"])
    own = authority.issue("client")
    ca, pair = str(authority.ca), (str(own.cert), str(own.key))
    flags = (f"--cert-file={server.cert}", f"--key-file={server.key}", f"--trusted-ca-file={ca}", "--client-cert-auth")
    with kind(tmp_path, *flags) as member:
        with etcdz.connect(member.client_url, ca=ca, cert=pair) as db:
            db.auth.user_add("root", "secret")
            db.auth.user_add("u", "p")
            db.auth.role_add("r")
            db.auth.role_grant_permission("r", "READWRITE", prefix="a")
            db.auth.user_grant_role("u", "r")
            db.auth.user_grant_role("root", "root")
            db.auth.enable()
        root = etcdz.connect(member.client_url, ca=ca, cert=pair, user="root", password="secret")
        user = etcdz.connect(member.client_url, ca=ca, cert=pair, user="u", password="p")
        with root, user:
            user.put("a", "0")
            with user.watch("a") as events:
                root.auth.role_grant_permission("r", "READWRITE", prefix="b")  # older tokens write no more
                user.put("b", "1")
                with pytest.raises(PermissionDenied):
                    user.put("c", "1")
                with pytest.raises(PermissionDenied), user.watch("c") as refused:
                    refused.get(60)
                member.stop()
                member.start()  # which knows no tokens
                user.put("a", "1")
                assert events.get(60).text == "1"
        _others(member.client_url, ca, pair)


def _others(url: str, ca: str, pair: tuple[str, str]) -> None:
    async def work() -> None:
        async with aio.connect(url, ca=ca, cert=pair, user="u", password="p") as db:
            await db.put("a", "2")
            assert (await db.get("a")).text == "2"

    asyncio.run(work())
    with etcdz.connect(url, ca=ca, cert=pair, user="u", password="wrong") as db, pytest.raises(AuthFailed):
        db.get("a")
    with etcdz.connect(url, cert=pair, dial_timeout=60) as db, pytest.raises(Unavailable, match="CERTIFICATE_VERIFY"):
        db.get("a")
