"""Users of the v2 API at a running member: over keep-alive connections, with waits, and etcdctl's own commands."""

import os
import shutil
import subprocess
from base64 import b64encode
from collections.abc import Iterator

import pytest

from tests.etcd_process import Etcdz
from tests.process.test_v2 import Client
from tests.v2.recorded import FORM

pytestmark = pytest.mark.process
ETCDCTL = shutil.which("etcdctl", path="/usr/bin")
NO_AUTH = (
    '{"errorCode":110,"message":"The request requires user authentication",'
    '"cause":"Insufficient credentials","index":0}\n'
)


@pytest.fixture(scope="module")
def member(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcdz]:
    with Etcdz(tmp_path_factory.mktemp("v2-auth"), "--enable-v2") as started:
        yield started


def by(name: str, password: str) -> dict[str, str]:
    return FORM | {"Authorization": "Basic " + b64encode(f"{name}:{password}".encode()).decode()}


@pytest.mark.skipif(ETCDCTL is None, reason="no etcdctl 3.4 here: the package etcd-client")
def test_etcdctl_of_3_4_makes_users_and_what_it_has_set_is_in_force(member: Etcdz) -> None:
    def ctl(*words: str, fails: bool = False, says: str = "") -> str:
        patience = ["--timeout=60s", "--total-timeout=60s"]
        command = [str(ETCDCTL), f"--endpoints={member.client_url}", *patience, *words]
        done = subprocess.run(
            command,
            env={**os.environ, "ETCDCTL_API": "2"},
            input=says,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (done.returncode != 0) is fails, done
        return done.stdout + done.stderr

    assert "User root created" in ctl("user", "add", "root:rootpw")
    assert "User u created" in ctl("user", "add", "u:pw")
    assert "Role r created" in ctl("role", "add", "r")
    ctl("role", "grant", "r", "--path", "/q*", "--rw")
    ctl("user", "grant", "u", "--roles", "r")
    assert "/q*" in ctl("role", "get", "r")
    assert "Authentication Enabled" in ctl("auth", "enable")
    clients = [Client(member) for _ in range(3)]
    ctl("-u", "root:rootpw", "role", "revoke", "guest", "--path", "/*", "--rw")
    for client in clients:
        assert client.ask("GET", "/v2/keys/q")[::2] == (401, NO_AUTH)
        assert client.ask("GET", "/v2/keys/q", headers=by("u", "bad"))[::2] == (401, NO_AUTH)
        assert client.ask("PUT", "/v2/keys/q", "value=1", by("u", "pw"))[0] in (200, 201)
        assert client.ask("PUT", "/v2/keys/x", "value=1", by("u", "pw"))[::2] == (401, NO_AUTH)
        assert client.ask("GET", "/v2/auth/users", headers=by("u", "pw"))[0] == 401
    assert ctl("-u", "root:rootpw", "user", "list") == "root\nu\n"
    assert ctl("-u", "u:pw", "get", "/q") == "1\n"
    assert "Insufficient credentials" in ctl("get", "/q", fails=True)
    waiting = Client(member).begin("GET", "/v2/keys/q?wait=true", headers=by("u", "pw"))
    ctl("-u", "u:pw", "set", "/q", "2")
    assert '"value":"2"' in waiting.read().decode()
    ctl("-u", "root:rootpw", "user", "remove", "u")
    for client in clients:
        assert client.ask("GET", "/v2/keys/q", headers=by("u", "pw"))[::2] == (401, NO_AUTH)
    assert "Authentication Disabled" in ctl("-u", "root:rootpw", "auth", "disable")
    for client in clients:
        assert client.ask("GET", "/v2/keys/q")[0] == 200
