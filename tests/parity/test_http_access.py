"""--host-whitelist, --cors and other names of paths: whole answers over HTTP, line by line as etcd's."""

import re
import socket
from collections.abc import Iterator

import pytest

from tests.etcd_process import Member, RealEtcd
from tests.hostile.raw_client import connect

FLAGS = ("--host-whitelist=good.example,127.0.0.1", "--cors=http://a.example:80,https://b:443")
CLOSE = "Connection: close"

REQUESTS = {
    "a listed host": ("GET /nothing", "Host: good.example:1"),
    "another host": ("GET /version", "Host: evil.example:99"),
    "another host before OPTIONS": ("OPTIONS /version", "Host: evil"),
    "another host before a redirect": ("GET //version", "Host: evil"),
    "an address": ("GET /nothing", "Host: [::1]:80"),
    "no host": ("GET /nothing", "Host: "),
    "a listed origin": ("GET /nothing", "Host: 127.0.0.1", "Origin: http://a.example:80"),
    "one of two origins": ("GET /nothing", "Host: 127.0.0.1", "Origin: https://b:443", "Origin: x"),
    "an origin without its port": ("GET /nothing", "Host: 127.0.0.1", "Origin: http://a.example"),
    "OPTIONS": ("OPTIONS /nothing", "Host: 127.0.0.1", "Origin: https://b:443"),
    "two slashes": ("GET //version?a=b", "Host: 127.0.0.1"),
    "two slashes, POST": ("POST //version", "Host: 127.0.0.1", "Content-Length: 0"),
    "dots": ("GET /%2e%2e/a/./b%20c<'/", "Host: 127.0.0.1"),
    "a slash too many": ("GET /health/", "Host: 127.0.0.1"),
}


def _ask(member: Member, line: str, *headers: str) -> tuple[bytes, set[bytes], bytes]:
    """(status line, headers in lower case without Date, body)"""
    with connect(member.target) as sock:
        sock.sendall("\r\n".join([f"{line} HTTP/1.1", *headers, CLOSE, "", ""]).encode())
        sock.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: sock.recv(1 << 16), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *fields = head.split(b"\r\n")
    named = {re.sub(rb"^[^:]+", lambda name: name[0].lower(), field) for field in fields}
    return status, {field for field in named if not field.startswith(b"date:")}, body


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory, subject: type[Member]) -> Iterator[tuple[Member, Member]]:
    path = tmp_path_factory.mktemp("access")
    with RealEtcd(path / "etcd", *FLAGS) as etcd, subject(path / "subject", *FLAGS) as member:
        yield etcd, member


@pytest.mark.parametrize("name", REQUESTS)
def test_answers_are_those_of_etcd(name: str, members: tuple[Member, Member]) -> None:
    etcd, member = members
    assert _ask(member, *REQUESTS[name]) == _ask(etcd, *REQUESTS[name])
