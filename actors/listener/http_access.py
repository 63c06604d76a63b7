"""Who may ask over HTTP: hosts that clients may call this member by (--host-whitelist), origins of web pages (--cors).

The first is against DNS rebinding: a page of a stranger whose name suddenly means this address. A certificate shows the
same, so it is not asked of clients with TLS. gRPC knows neither; nor do the addresses for monitoring.
Source: etcd 3.5 embed/serve.go, same texts.
"""

from collections.abc import Iterable
from typing import Final, Protocol

from actors.listener.exchange import Exchange
from etcdz.config.literals import quote
from etcdz.wire.http1 import Header

ALL: Final = "*"
_TEXT: Final = """
etcd received your request, but the Host header was unrecognized.

To fix this, choose one of the following options:
- Enable TLS, then any HTTPS request will be allowed.
- Add the hostname you want to use to the whitelist in settings.
  - e.g. etcd --host-whitelist {host}

This requirement has been added to help prevent "DNS Rebinding" attacks (CVE-2018-5702).

"""


class Log(Protocol):
    """Where it is said who was refused."""

    def warn(self, text: str, /, **fields: object) -> None: ...


class HttpAccess:
    """Of one listener."""

    def __init__(self, origins: Iterable[str] = (ALL,), hosts: Iterable[str] = (ALL,), log: Log | None = None) -> None:
        """origins, hosts   ALL among them: nobody is refused"""
        self._origins = frozenset(origin.encode() for origin in origins)
        self._hosts = frozenset(hosts)
        self._takes_all_hosts = ALL in self._hosts
        self._log = log
        self._for_all = _headers_of(b"*") if ALL.encode() in self._origins else None

    def admit(self, exchange: Exchange) -> bool:
        """Whether a request is to be served; if not, it is answered. Sets what browsers are to be told."""
        if not (self._takes_all_hosts or exchange.is_secure) and self._refuses(exchange):
            return False
        request = exchange.request
        if self._for_all is not None:
            exchange.common_headers = self._for_all
        else:
            origin = request.headers.get(b"origin", b"").partition(b",")[0]
            if origin in self._origins:
                exchange.common_headers = _headers_of(origin)
        if request.method == b"OPTIONS":  # of a browser, before it asks: the answer's headers are what it wants
            exchange.answer(200, b"", b"")
            return False
        return True

    def admits_socket(self, exchange: Exchange) -> bool:
        """Whether a WebSocket may be opened; if not, it is answered. Browsers do not ask --cors before they open one,
        show what comes over it to whatever page has opened it, and send cookies along."""
        request = exchange.request
        origin = request.headers.get(b"origin")
        if origin is None or self._for_all is not None or origin in self._origins:
            return True
        if origin.partition(b"://")[2] == request.headers.get(b"host"):
            return True  # a page of this member's own
        exchange.answer(403, b"Forbidden\n", b"text/plain; charset=utf-8", (b"x-content-type-options", b"nosniff"))
        return False

    def _refuses(self, exchange: Exchange) -> bool:
        host = host_of(exchange.request.headers.get(b"host", b"").decode("latin-1"))
        if host in self._hosts:
            return False
        if self._log is not None:
            self._log.warn("rejecting HTTP request to prevent DNS rebinding attacks", host=host)
        text = _TEXT.format(host=quote(host)).encode()
        exchange.answer(421, text, b"text/plain; charset=utf-8", (b"x-content-type-options", b"nosniff"))
        return True


def host_of(authority: str) -> str:
    """The host in a Host header, without its port; what has no port in Go's eyes stays as it is."""
    host, colon, _ = authority.rpartition(":")
    if not colon:
        return authority
    if host.startswith("[") and host.endswith("]"):
        return host[1:-1]
    return authority if ":" in host else host


def _headers_of(origin: bytes) -> tuple[Header, ...]:
    return (
        (b"access-control-allow-headers", b"accept, content-type, authorization"),
        (b"access-control-allow-methods", b"POST, GET, OPTIONS, PUT, DELETE"),
        (b"access-control-allow-origin", origin),
    )
