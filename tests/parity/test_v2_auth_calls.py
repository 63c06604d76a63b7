"""Random calls for users, roles and keys of the v2 API, to a member and to a real etcd: every answer is the same,
and so is what comes into the log."""

import http.client
import json
import random
import re
from base64 import b64encode
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from etcdz.migration.log_state import read_log
from etcdz.mvcc.applier import v2_request_of
from etcdz.proto import etcdserverpb as pb
from tests.etcd_process import Etcdz, Member, RealEtcd
from tests.v2.recorded import FORM, in_order

pytestmark = [
    pytest.mark.parity,
    pytest.mark.process,
    pytest.mark.skipif(RealEtcd.why_absent() is not None, reason=RealEtcd.why_absent() or ""),
]
CALLS, CALLS_LONG = 60, 2000
USERS, ROLES, KEYS = ("root", "u", "v"), ("guest", "r", "s", "root"), ("/a", "/a/b", "/ab", "/c", "/", "", "/_h")
PATTERNS = ("/*", "/a", "/a*", "/a/*", "/c")
PASSWORDS = ("p", "q", "")
Asked = tuple[str, str, str, dict[str, str]]
"""method, path, body, headers"""


def random_call(rng: random.Random) -> Asked:
    kind = rng.choice(("key", "key", "key", "user", "user", "role", "role", "enable", "list", "odd"))
    method, path, body = _MAKERS[kind](rng)
    said = {"Authorization": rng.choice(("Basic !", "Bearer x", ""))} if rng.random() < 0.05 else {}
    if rng.random() < (0.8 if kind != "key" else 0.5):
        name = "root" if rng.random() < 0.7 else rng.choice((*USERS, f"nix{rng.randrange(1000)}"))
        password = "p" if rng.random() < 0.9 else rng.choice(PASSWORDS)
        said = {"Authorization": "Basic " + b64encode(f"{name}:{password}".encode()).decode()}
    return method, path, body, said


def _key(rng: random.Random) -> tuple[str, str, str]:
    method = rng.choice(("GET", "GET", "HEAD", "PUT", "PUT", "POST", "DELETE"))
    query = rng.choice(("", "", "?recursive=true", "?sorted=true&quorum=true", "?recursive=x"))
    return method, f"/v2/keys{rng.choice(KEYS)}{query}", f"value={rng.randrange(9)}" if method[0] == "P" else ""


def _user(rng: random.Random) -> tuple[str, str, str]:
    method, name = rng.choice(("PUT", "PUT", "PUT", "GET", "DELETE")), rng.choice((*USERS, "u"))
    if name == "root" and method == "DELETE":
        method = "GET"
    said: dict[str, object] = {"user": name if rng.random() < 0.95 else "other"}
    if rng.random() < 0.6:
        said["password"] = "p" if name == "root" else rng.choice(PASSWORDS)
    for field in ("roles", "grant", "revoke"):
        if rng.random() < 0.3:
            said[field] = rng.sample(ROLES, rng.randrange(3))
    return method, f"/v2/auth/users/{name}", json.dumps(said) if method == "PUT" else ""


def _role(rng: random.Random) -> tuple[str, str, str]:
    method, name = rng.choice(("PUT", "PUT", "PUT", "GET", "DELETE")), rng.choice(ROLES)
    said: dict[str, object] = {"role": name if rng.random() < 0.95 else "other"}
    for field in ("permissions", "grant", "revoke"):
        if rng.random() < 0.4:
            said[field] = {"kv": {each: rng.sample(PATTERNS, rng.randrange(3)) for each in ("read", "write")}}
    return method, f"/v2/auth/roles/{name}", json.dumps(said) if method == "PUT" else ""


def _enable(rng: random.Random) -> tuple[str, str, str]:
    return rng.choice(("PUT", "PUT", "PUT", "GET", "DELETE", "POST")), "/v2/auth/enable", ""


def _list(rng: random.Random) -> tuple[str, str, str]:
    tail = rng.choice(("", "/", "?x=%zz"))
    return rng.choice(("GET", "GET", "GET", "PUT")), f"/v2/auth/{rng.choice(('users', 'roles'))}{tail}", ""


def _odd(rng: random.Random) -> tuple[str, str, str]:
    body = rng.choice(
        ("{", "null", "[]", '{"USER":"u","PassWord":"p"} more', '{"user":1}', '{"user":"u","roles":null}')
    )
    path = rng.choice(("users/u", "users/u/x", "roles/r", "users/u%2fx", "enable/", "nothing", "users//u"))
    return rng.choice(("PUT", "GET", "POST")), f"/v2/auth/{path}", body


_MAKERS = {"key": _key, "user": _user, "role": _role, "enable": _enable, "list": _list, "odd": _odd}


def told(connection: http.client.HTTPConnection, asked: Asked) -> tuple[int, str, str, str]:
    method, path, body, said = asked
    connection.request(method, path, body.encode() or None, FORM | said)
    answer = connection.getresponse()
    headers = answer.headers
    return (
        answer.status,
        headers.get("X-Etcd-Index", ""),
        f"{headers.get('Content-Type')} {headers.get('Allow')}",
        answer.read().decode(),
    )


def entries(member: Member) -> list[str]:
    """What clients of the v2 API have had written to the log, without what is drawn by lot."""
    found, directory = [], member.data_dir / "member"
    state = read_log(directory, directory / "wal")
    for entry in state.entries_behind_snapshot(state.last_index):
        data = v2_request_of(entry.Data) if entry.Type == 0 and entry.Data else None
        request: Any = pb.Request.FromString(data) if data else None
        if request is not None and request.Path.startswith(("/1", "/2")):
            request.ID = 0
            request.Val = re.sub(r"\$2a\$10\$[A-Za-z0-9./]{53}", "<hash>", request.Val)
            found.append(str(request))
    state.close()
    return found


@pytest.mark.timeout(1200)
def test_random_calls_are_answered_alike(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    is_long = request.config.getoption("--long", default=False)
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    first: list[Asked] = [
        ("PUT", "/v2/auth/users/root", '{"user":"root","password":"p"}', {}),
        ("PUT", "/v2/auth/users/u", '{"user":"u","password":"p","roles":["r"]}', {}),
        ("PUT", "/v2/auth/roles/r", '{"role":"r","permissions":{"kv":{"read":["/a*"],"write":["/a"]}}}', {}),
    ]
    with (
        RealEtcd(tmp_path / "theirs", "--enable-v2", "--unsafe-no-fsync") as etcd,
        Etcdz(tmp_path / "ours", "--enable-v2", "--unsafe-no-fsync") as ours,
    ):
        clients = [http.client.HTTPConnection(urlsplit(one.client_url).netloc, timeout=60) for one in (ours, etcd)]
        for number in range(CALLS_LONG if is_long else CALLS):
            asked = first[number] if number < len(first) else random_call(rng)
            answers = [told(client, asked) for client in clients]
            assert answers[0][:3] == answers[1][:3], (asked, answers)
            ours_said, theirs_said = answers[0][3], answers[1][3]
            assert ours_said == theirs_said or in_order(ours_said) == in_order(theirs_said), asked
        ours.stop()
        etcd.stop()
    assert entries(ours) == entries(etcd) != []
