"""One HTTP request to another member, of which no part takes longer than the whole may.

The standard library's client limits each wait by itself, so that one who sends a byte now and then would hold up a
start for ever; here a timer ends the connection.
"""

import http.client
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Final, NamedTuple

from etcdz.config.urls import Url, parse_url

BODY_BYTES_MAX: Final = 16 << 20
"""Of an answer: a cluster of thousands of members fits."""
CONNECT_S_MAX: Final = 3.0
"""To reach another member. Source: etcd's dial timeout, 1 s and an election timeout"""


class RequestFailed(Exception):
    """No answer came, or none that can be read; says why."""


class Response(NamedTuple):
    """headers: by names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


def request(
    base: str,
    path: str,
    timeout_s: float,
    method: str = "GET",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The answer of whoever listens at a URL. Redirects are not followed.

    base    peer URL of a member, or any other without a path
    raises  RequestFailed
    """
    connection = _connection(parse_url(base), timeout_s)
    is_late = threading.Event()
    timer: threading.Timer | None = None
    try:
        connection.connect()
        connection.sock.settimeout(timeout_s)
        timer = _timer(timeout_s, connection.sock, is_late)
        connection.request(method, path, body, dict(headers or {}))
        response = connection.getresponse()
        data = response.read(BODY_BYTES_MAX + 1)
        if is_late.is_set():
            raise TimeoutError  # what has come may be cut off
    except (OSError, http.client.HTTPException, ValueError) as error:
        why = "no answer in time" if isinstance(error, TimeoutError) or is_late.is_set() else _text(error)
        raise RequestFailed(why) from None
    finally:
        if timer is not None:
            timer.cancel()
        connection.close()
    if len(data) > BODY_BYTES_MAX:
        raise RequestFailed(f"an answer of more than {BODY_BYTES_MAX} bytes")
    if response.length:
        raise RequestFailed("unexpected EOF")
    return Response(response.status, {name.lower(): value for name, value in response.getheaders()}, data)


class _UnixConnection(http.client.HTTPConnection):
    """To the socket of a unix URL."""

    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        """raises OSError"""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _connection(url: Url, timeout_s: float) -> http.client.HTTPConnection:
    """Not connected yet. raises RequestFailed: no way to there"""
    wait_s = min(timeout_s, CONNECT_S_MAX)
    if url.is_secure:
        raise RequestFailed(f"TLS to other members is not supported yet: {url.text}")
    if url.is_unix:
        return _UnixConnection(url.socket_path, wait_s)
    try:
        host, port = url.host_port
        return http.client.HTTPConnection(host, int(port or 80), timeout=wait_s)
    except ValueError as error:
        raise RequestFailed(str(error)) from None


def _timer(timeout_s: float, sock: socket.socket, is_late: threading.Event) -> threading.Timer:
    """One that runs, and then ends the connection. NB: the client itself forgets its socket as soon as an answer has
    begun after which it is closed."""

    def cut() -> None:
        is_late.set()
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(timeout_s, cut)
    timer.daemon = True
    timer.start()
    return timer


def _text(error: Exception) -> str:
    """In few words, as far as the system has some."""
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()
