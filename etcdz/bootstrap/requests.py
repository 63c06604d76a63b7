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
from etcdz.net.tls_socket import TlsDialler

BODY_BYTES_MAX: Final = 16 << 20
"""Of an answer: a cluster of thousands of members fits."""
CONNECT_S_MAX: Final = 3.0
"""To reach another member. Source: etcd's dial timeout, 1 s and an election timeout"""


class RequestFailed(Exception):
    """No answer came, or none that can be read; says why. is_late: the time was up"""

    def __init__(self, why: str, is_late: bool = False) -> None:
        super().__init__(why)
        self.is_late = is_late


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
    proxy: str = "",
    tls: TlsDialler | None = None,
) -> Response:
    """The answer of whoever listens at a URL. Redirects are not followed.

    base    peer URL of a member, or any other without a path
    proxy   URL of an HTTP proxy, empty: none
    tls     for an https URL
    raises  RequestFailed
    """
    url = parse_url(base)
    connection = _connection(url, timeout_s, proxy)
    if proxy and not url.is_secure:
        path = base + path
    is_late = threading.Event()
    timer: _Timer | None = None
    try:
        connection.connect()
        connection.sock.settimeout(timeout_s)
        timer = _Timer(timeout_s, connection.sock, is_late)
        if url.is_secure:
            connection.sock = _secure(connection.sock, url, tls)
        connection.request(method, path, body, dict(headers or {}))
        response = connection.getresponse()
        data = response.read(BODY_BYTES_MAX + 1)
        if is_late.is_set():
            raise TimeoutError  # what has come may be cut off
    except (OSError, http.client.HTTPException, ValueError) as error:
        if isinstance(error, TimeoutError) or is_late.is_set():
            raise RequestFailed("no answer in time", is_late=True) from None
        raise RequestFailed(_text(error)) from None
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


def _connection(url: Url, timeout_s: float, proxy: str) -> http.client.HTTPConnection:
    """Not connected yet, and without TLS. raises RequestFailed: no way to there"""
    wait_s = min(timeout_s, CONNECT_S_MAX)
    if url.is_unix:
        return _UnixConnection(url.socket_path, wait_s)
    host, port = _address(url, 443 if url.is_secure else 80)
    if proxy:
        address = _address(parse_url(proxy if "://" in proxy else f"http://{proxy}"), 80)
        connection = http.client.HTTPConnection(*address, timeout=wait_s)
        if url.is_secure:
            connection.set_tunnel(host, port)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=wait_s)
    if url.is_secure:
        connection.default_port = 443  # so that the field Host does not name it
    return connection


def _secure(connection: socket.socket, url: Url, tls: TlsDialler | None) -> socket.socket:
    """raises OSError"""
    if tls is None:
        raise OSError(f"no TLS to {url.text}")
    return tls.wrap(connection, "localhost" if url.is_unix else _address(url, 443)[0])


def _address(url: Url, port: int) -> tuple[str, int]:
    """port: where the URL names none. raises RequestFailed"""
    try:
        host, given = url.host_port if ":" in url.host.rpartition("]")[2] else (url.host.strip("[]"), "")
        return host, int(given or port)
    except ValueError as error:
        raise RequestFailed(str(error)) from None


class _Timer:
    """Ends a connection when the time is up, unless it is cancelled before.

    NB: the client itself forgets its socket as soon as an answer has begun after which it is closed, and TLS takes it
    away from the object that it was.
    """

    def __init__(self, timeout_s: float, sock: socket.socket, is_late: threading.Event) -> None:
        self._kept = sock.dup()
        self._is_late = is_late
        self._timer = threading.Timer(timeout_s, self._cut)
        self._timer.daemon = True
        self._timer.start()

    def _cut(self) -> None:
        self._is_late.set()
        with suppress(OSError):
            self._kept.shutdown(socket.SHUT_RDWR)

    def cancel(self) -> None:
        self._timer.cancel()
        self._kept.close()


def _text(error: Exception) -> str:
    """In few words, as far as the system has some."""
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()
