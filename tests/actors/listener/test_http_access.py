"""Hosts and origins: who is refused, what browsers are told, and in which order it is looked at."""

from typing import Any

import pytest

from actors.listener.exchange import Exchange
from actors.listener.http_access import HttpAccess, host_of
from etcdz.wire.http1 import Header, Request
from etcdz.wire.request_target import Target

ORIGIN = "http://a.example:80"


class Asked(Exchange):
    """Keeps its answer."""

    def __init__(self, method: bytes = b"GET", is_secure: bool = False, **headers: str) -> None:
        fields = {name.encode(): value.encode() for name, value in headers.items()}
        super().__init__(Request(1, method, Target(b"/version", b""), fields, b""), is_secure=is_secure)
        self.status = 0
        self.body = b""
        self.headers: dict[bytes, bytes] = {}

    @property
    def is_gone(self) -> bool:
        return False

    def _answer(self, status: int, body: bytes, kind: bytes, headers: list[Header]) -> None:
        self.status, self.body, self.headers = status, body, dict(headers)


class Log:
    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def warn(self, text: str, /, **fields: Any) -> None:
        self.lines.append((text, fields))


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        ("a", "a"),
        ("a:1", "a"),
        ("127.0.0.1:2379", "127.0.0.1"),
        ("[::1]:2379", "::1"),
        ("[::1]", "[::1]"),
        ("::1", "::1"),
        ("", ""),
        (":1", ""),
        ("a:", "a"),
    ],
)
def test_a_host_is_compared_without_its_port(authority: str, host: str) -> None:
    assert host_of(authority) == host


def test_a_host_that_is_not_listed_is_refused_in_etcds_words_before_all_else() -> None:
    log = Log()
    access = HttpAccess(hosts=("good", "127.0.0.1"), log=log)
    assert access.admit(Asked(host="good:9")) and access.admit(Asked(host="127.0.0.1")) and not log.lines
    for method in (b"GET", b"OPTIONS"):
        asked = Asked(method, host="evil.example:99")
        assert not access.admit(asked) and asked.status == 421
        assert b"access-control-allow-origin" not in asked.headers
        assert b'  - e.g. etcd --host-whitelist "evil.example"\n\nThis requirement' in asked.body
        assert len(asked.body) == 374
    assert log.lines == [("rejecting HTTP request to prevent DNS rebinding attacks", {"host": "evil.example"})] * 2


def test_a_name_that_is_shown_by_a_certificate_needs_no_list() -> None:
    assert HttpAccess(hosts=("good",)).admit(Asked(host="evil", is_secure=True))


def test_an_empty_list_has_the_empty_name_alone() -> None:
    access = HttpAccess(hosts=("",))
    assert access.admit(Asked()) and not access.admit(Asked(host="a"))


def test_all_origins_are_told_so() -> None:
    asked = Asked(host="a", origin="http://x:1")
    assert HttpAccess().admit(asked)
    asked.answer(200, b"", b"")
    assert asked.headers[b"access-control-allow-origin"] == b"*"
    assert asked.headers[b"access-control-allow-headers"] == b"accept, content-type, authorization"
    assert asked.headers[b"access-control-allow-methods"] == b"POST, GET, OPTIONS, PUT, DELETE"


@pytest.mark.parametrize("origin", [ORIGIN, f"{ORIGIN},x", "http://a.example", "", "*"])
def test_of_listed_origins_each_is_told_its_own_and_others_get_the_answer_alone(origin: str) -> None:
    asked = Asked(host="a", origin=origin)
    assert HttpAccess(origins=(ORIGIN, "https://b:443")).admit(asked)
    asked.answer(200, b"", b"")
    expected = ORIGIN.encode() if origin.startswith(ORIGIN) else None
    assert asked.headers.get(b"access-control-allow-origin") == expected


def test_options_are_answered_whatever_is_asked() -> None:
    asked = Asked(b"OPTIONS", host="a")
    assert not HttpAccess().admit(asked)
    assert (asked.status, asked.body) == (200, b"") and b"access-control-allow-origin" in asked.headers


@pytest.mark.parametrize(
    ("fields", "is_admitted"),
    [
        ({}, True),
        ({"origin": ORIGIN}, True),
        ({"origin": "http://member:2379"}, True),
        ({"origin": "http://evil"}, False),
        ({"origin": "null"}, False),
        ({"origin": f"{ORIGIN},http://evil"}, False),
        ({"origin": "http://evil/://member:2379"}, False),
        ({"origin": ""}, False),
    ],
)
def test_pages_of_origins_that_are_not_listed_open_no_websocket(fields: dict[str, str], is_admitted: bool) -> None:
    asked = Asked(host="member:2379", **fields)
    assert HttpAccess(origins=(ORIGIN,)).admits_socket(asked) is is_admitted
    assert asked.status == (0 if is_admitted else 403)
    assert HttpAccess().admits_socket(Asked(host="a", **fields))
