"""Users and roles of the v2 API: who may what, odd requests, and what may not be taken for a record."""

import json
from base64 import b64encode
from typing import Any

import pytest

from actors.listener.v2_flow import found_in, request_of
from etcdz.v2.auth_access import basic_auth
from etcdz.v2.auth_records import Permissions, User
from etcdz.v2.auth_store import Get, Put
from etcdz.v2.go_values import TEXT, TEXTS, Optional, decode
from etcdz.v2.store import V2Store
from tests.v2.auth_core import AuthCore

SHAPE: dict[str, Any] = {"user": TEXT, "roles": TEXTS, "in": Optional({"read": TEXTS})}


def basic(name: str, password: str) -> str:
    return "Basic " + b64encode(f"{name}:{password}".encode()).decode()


ROOT = basic("root", "pw")


@pytest.fixture
def core() -> AuthCore:
    """Auth is on, guests may read /open*, u has the role r."""
    core = AuthCore(V2Store(), request_of, found_in)
    role = {"role": "r", "permissions": {"kv": {"read": ["/q*", "/one"], "write": ["/w/*"]}}}
    guest = {"role": "guest", "permissions": {"kv": {"read": ["/open*"], "write": []}}}
    for path, body in (
        ("users/root", {"user": "root", "password": "pw"}),
        ("users/u", {"user": "u", "password": "up", "roles": ["r", "gone"]}),
        ("roles/r", role),
        ("roles/guest", guest),
    ):
        assert core.ask("PUT", f"/v2/auth/{path}", json.dumps(body)).status < 300
    assert core.ask("PUT", "/v2/auth/enable").status == 200
    return core


def test_nodes_are_made_once_and_by_the_entries_that_members_of_etcd_make() -> None:
    core = AuthCore(V2Store(), request_of, found_in)
    for name in ("a", "b"):
        core.ask("PUT", f"/v2/auth/roles/{name}", f'{{"role":"{name}"}}')
    nothing = '{"role":"%s","permissions":{"kv":{"read":null,"write":null}}}'
    assert core.steps[1:5] == [
        Put("/2", "", False, is_dir=True),
        Put("/2/users/", "", False, is_dir=True),
        Put("/2/roles/", "", False, is_dir=True),
        Put("/2/enabled", "false", False),
    ]
    assert core.steps[5:] == [
        Put("/2/roles/a", nothing % "a", False),
        Get("/2/enabled"),
        Put("/2/roles/b", nothing % "b", False),
    ]


def test_keys_are_for_whom_a_pattern_names(core: AuthCore) -> None:
    u = basic("u", "up")
    assert core.may("GET", "/q", u) and core.may("GET", "/qq/x", u) and core.may("HEAD", "/one", u)
    assert not core.may("GET", "/one/x", u) and not core.may("PUT", "/q", u)
    assert core.may("DELETE", "/w/x", u) and not core.may("DELETE", "/w", u)
    assert core.may("GET", "/q", u, is_recursive=True) and not core.may("GET", "/one", u, is_recursive=True)
    assert core.may("PUT", "/x", ROOT) and core.may("GET", "/", ROOT, is_recursive=True)
    assert core.may("GET", "/open/x") and not core.may("PUT", "/open/x") and not core.may("GET", "/q")


def test_a_certificate_counts_where_nothing_is_said_and_wrong_words_are_not_a_guest(core: AuthCore) -> None:
    assert core.may("GET", "/q", cn="u") and not core.may("GET", "/open", cn="u")
    assert core.may("GET", "/open", cn="stranger") and not core.may("GET", "/q", cn="stranger")
    for said in ("Basic", "Basic !!!", "Bearer x", basic("u", "bad"), basic("nix", ""), basic("", ""), " "):
        assert not core.may("GET", "/open", said, cn="root"), said
    assert core.ask("GET", "/v2/auth/users", cn="root").status == 200
    assert core.ask("GET", "/v2/auth/users", cn="u").status == 401
    assert core.ask("GET", "/v2/auth/users").status == 401
    assert core.ask("GET", "/v2/auth/enable").body == b'{"enabled":true}\n'


@pytest.mark.parametrize("name", ["../../1/planted", "../enabled", "..", ".", "", "a/../root", "users/root"])
def test_no_key_of_a_client_is_taken_for_a_user(core: AuthCore, name: str) -> None:
    """Who may write a key has a record of its own making there."""
    core.store.set("/1/planted", User("root", "<x>", ["root"]).encode(), 0, 0)
    assert not core.may("PUT", "/x", basic(name, "x")) and not core.may("PUT", "/x", cn=name)
    assert core.ask("GET", "/v2/auth/users", authorization=basic(name, "x")).status == 401


def test_what_is_no_record_names_nobody(core: AuthCore) -> None:
    for path in ("/2/users/odd", "/2/users/list"):
        core.store.set(path, "{" if "odd" in path else "[]", 0, 0)
        assert not core.may("GET", "/open", basic(path.rpartition("/")[2], ""))
    assert core.ask("GET", "/v2/auth/users/odd", authorization=ROOT).status == 500


@pytest.mark.parametrize(
    ("target", "body", "status", "told"),
    [
        ("users/u", '{"user":"u"', 400, "Invalid JSON in request body."),
        ("users/u", '{"user":NaN}', 400, "Invalid JSON in request body."),
        ("users/u", '{"user":["u"]}', 400, "Invalid JSON in request body."),
        ("users/u", "null", 400, "User JSON name does not match the name in the URL"),
        ("users/u", '{"user":"u","roles":["r"],"grant":["x"]}', 400, "User JSON contains both roles and grant/revoke"),
        ("users/u", '{"user":"u","revoke":["x"]}', 409, "auth: Revoking ungranted role x for user u"),
        ("users/u", '{"user":"u","roles":["r"]}', 400, "auth: Cannot create user u with an empty password"),
        ("users/u", '{"user":"u","roles":["r"],"password":"p"}', 409, "auth: User u already exists."),
        ("users/n", '{"user":"n","grant":["r"]}', 404, "auth: User n does not exist."),
        ("users/n/x", "", 400, "Invalid path"),
        ("roles/root", '{"role":"root"}', 403, "auth: Cannot modify role root: is root role."),
        ("roles/n", '{"role":"n","grant":{"kv":{"read":["/a"]}}}', 404, "auth: Role n does not exist."),
        (
            "roles/r",
            '{"role":"r","grant":{"kv":{"read":["/one"]}}}',
            409,
            "auth: Granting duplicate read permission /one",
        ),
        (
            "roles/r",
            '{"role":"r","permissions":{"kv":{"read":["/a"]}},"grant":{"kv":{"write":["/a"]}}}',
            400,
            "Role JSON contains both permissions and grant/revoke",
        ),
    ],
)
def test_changes_that_are_refused(core: AuthCore, target: str, body: str, status: int, told: str) -> None:
    answer = core.ask("PUT", f"/v2/auth/{target}", body, ROOT)
    assert (answer.status, json.loads(answer.body)["message"]) == (status, told)


def test_an_unchanged_role_is_told_and_a_list_that_nobody_set_becomes_empty(core: AuthCore) -> None:
    revoke = '{"role":"r","revoke":{"kv":{"read":["/none"]}}}'
    assert core.ask("PUT", "/v2/auth/roles/r", revoke, ROOT).body.endswith(b'"write":["/w/*"]}}}\n')
    assert core.ask("PUT", "/v2/auth/roles/r", revoke, ROOT).status == 400
    made = core.ask("PUT", "/v2/auth/users/v", '{"user":"v","password":"p"}', ROOT)
    assert (made.status, made.body) == (201, b'{"user":"v","roles":null}\n')
    again = core.ask("PUT", "/v2/auth/users/v", '{"user":"v"}', ROOT)
    assert (again.status, again.body) == (200, b'{"user":"v","roles":[]}\n')
    assert core.ask("PUT", "/v2/auth/users/v", '{"user":"v"}', ROOT).status == 400


def test_patterns() -> None:
    some = Permissions(["/a", "/b*", ""], ["*"])
    assert (
        some.covers("/a", False, False) and not some.covers("/a", False, True) and not some.covers("/a/", False, False)
    )
    assert some.covers("/b", False, True) and not some.covers("", False, False) and some.covers("", True, True)


@pytest.mark.parametrize(
    ("header", "told"),
    [
        (b"Basic dTpwOng=", ("u", b"p:x")),
        (b"bAsIc dTo=", ("u", b"")),
        (b"Basic dQ==", None),
        (b"Basic dTpw,Basic dTpw", None),
        (b"Basic  dTpw", None),
        (b"Basic\tdTpw", None),
        (b"Basic gDpw", None),
        (b"Basic", None),
    ],
)
def test_basic_auth(header: bytes, told: tuple[str, bytes] | None) -> None:
    assert basic_auth(header) == told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"USER":"a","\u017fuser":"b"} rest', ("a", None, None)),
        ('{"user":"a","user":"b","roles":["x"],"roles":null}', ("b", None, None)),
        ('{"user":null,"roles":["x",null],"in":{}}', ("", ["x", ""], {"read": None})),
        ('{"in":{"read":["a"]},"in":null}', ("", None, None)),
        ('{"role\u017f":["x"],"other":{"user":1}}', ("", ["x"], None)),
        ('{"user":"\\ud800x"}', ("\ufffdx", None, None)),
    ],
)
def test_json_as_go_reads_it(text: str, told: tuple[Any, ...]) -> None:
    assert tuple(decode(text, SHAPE).values()) == told


@pytest.mark.parametrize("text", ["", "x", "[]", '"a"', '{"user":1}', '{"roles":{}}', '{"in":[]}', "[" * 100_000])
def test_json_that_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        decode(text, SHAPE)
