"""HTTP/1 clients of all kinds on the client port: answered as etcd answers them, or as RFC 9112 asks."""

import re
import socket

import pytest

from tests.etcd_process import Member
from tests.hostile.raw_client import connect

_HOST = b"Host: h\r\n"
_LAST = b"Connection: close\r\n"


def _request(line: bytes, headers: bytes = _HOST) -> bytes:
    return line + b" HTTP/1.1\r\n" + headers + b"\r\n"


SAME = {
    "version": _request(b"GET /version"),
    "absolute-form": _request(b"GET http://h/version"),
    "absolute-form, another host": _request(b"GET http://other:1/health?serializable=true"),
    "escaped": _request(b"GET /%76ersion"),
    "OPTIONS": _request(b"OPTIONS /version"),
    "OPTIONS *": _request(b"OPTIONS *"),
    "OPTIONS of nothing": _request(b"OPTIONS /nothing"),
    "GET *": _request(b"GET *"),
    "no slash": _request(b"GET version"),
    "bad escape": _request(b"GET /%zz"),
    "no Host": _request(b"GET /version", b""),
    "two Hosts": _request(b"GET /version", _HOST + _HOST),
    "bad Host": _request(b"GET /version", b"Host: a/b\r\n"),
    "HEAD": _request(b"HEAD /version"),
    "POST": _request(b"POST /health", _HOST + b"Content-Length: 0\r\n"),
    "unknown coding": _request(b"POST /version", _HOST + b"Transfer-Encoding: gzip\r\n"),
    "unknown expectation": _request(b"POST /version", _HOST + b"Expect: x\r\nContent-Length: 1\r\n"),
}


def _ask(member: Member, data: bytes, close_half: bool = False) -> list[int]:
    """The statuses of what comes back until the connection ends."""
    with connect(member.target) as sock:
        sock.sendall(data)
        if close_half:
            sock.shutdown(socket.SHUT_WR)
        out = b""
        try:
            while chunk := sock.recv(1 << 16):
                out += chunk
        except OSError:
            pass
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", out)]


@pytest.mark.parametrize("name", list(SAME))
def test_requests_are_answered_as_by_etcd(name: str, etcdz: Member, etcd: Member) -> None:
    request = SAME[name].replace(b"\r\n", b"\r\n" + _LAST, 1)
    assert _ask(etcdz, request) == _ask(etcd, request) != []


@pytest.mark.parametrize("path", [b"/version", b"/health", b"/metrics"])
@pytest.mark.parametrize("count", [1, 3])
def test_a_client_that_closes_its_half_is_answered(path: bytes, count: int, etcdz: Member) -> None:
    assert _ask(etcdz, _request(b"GET " + path) * count, close_half=True) == [200] * count


def test_a_wrong_preface_is_not_answered(etcdz: Member) -> None:
    with connect(etcdz.target) as sock:
        sock.sendall(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n")
        assert sock.recv(1000) == b""
