"""Which part of the listener answers a request of HTTP: a table of paths.

    Route(b"/version", endpoints.version)                           one path, GET
    Route(b"/livez", endpoints.checks, is_prefix=True)              the path and all below or beside it
    Route(b"/v3/watch", gateway.watch, methods=ANY, body=PIECES)    bodies as they come, any method

An exact path goes before a prefix, a longer prefix before a shorter one, whatever their order in the table. What no
route has is 404, a method that the route does not serve 405. Who asks for /a//b or /a/../b is sent to /a/b or /b, and
who asks for /v3 to /v3/ if there is such a prefix. Source: Go's ServeMux, which etcd has.
"""

import html
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple
from urllib.parse import quote_from_bytes

from actors.listener.exchange import Exchange
from actors.listener.http_access import HttpAccess
from etcdz.wire.request_target import Target, clean_path, decode_target

PLAIN_TEXT: Final = b"text/plain; charset=utf-8"
NO_SNIFF: Final = (b"x-content-type-options", b"nosniff")
ANY: Final[tuple[bytes, ...]] = ()
"""All methods come to serve."""
WHOLE: Final = False
PIECES: Final = True
_ASCII: Final = "".join(map(chr, range(0x21, 0x7F)))


class Route(NamedTuple):
    """serve        answers an exchange, now or later
    methods      others are answered with 405
    body         WHOLE: a request is served once its body is there, up to a bound; PIECES: as soon as its head is there
    is_prefix    all paths that begin so
    monitors     whether it is served on --listen-metrics-urls, too
    """

    path: bytes
    serve: Callable[[Exchange], object]
    methods: tuple[bytes, ...] = (b"GET",)
    body: bool = WHOLE
    is_prefix: bool = False
    monitors: bool = False


class Router:
    """The table of one kind of address."""

    def __init__(
        self,
        routes: Iterable[Route],
        access: HttpAccess | None = None,
        websockets: tuple[bytes, ...] = (),
        message_bytes_max: int = 0,
    ) -> None:
        """access             who may ask; None: everybody, and browsers are told nothing
        websockets         prefixes of paths that are served over WebSocket, too
        message_bytes_max  of one message there
        """
        table = list(routes)
        self._websockets = websockets
        self._message_bytes_max = message_bytes_max
        self._access = access
        self._exact = {route.path: route for route in table if not route.is_prefix}
        self._directories = frozenset(r.path for r in table if r.is_prefix and r.path[-1:] == b"/" and r.path != b"/")
        self._prefixes = sorted((route for route in table if route.is_prefix), key=lambda r: len(r.path), reverse=True)

    def find(self, path: bytes) -> Route | None:
        """The route of a path. path: percent-decoded"""
        route = self._exact.get(path)
        if route is None:
            for route in self._prefixes:
                if path.startswith(route.path):
                    return route
            return None
        return route

    def takes_pieces(self, method: bytes, target: Target) -> bool:
        """Whether the body of such a request is handed on as it comes."""
        route = self.find(target.path)
        return route is not None and route.body is PIECES and (not route.methods or method in route.methods)

    def takes_pieces_of(self, method: bytes, path: bytes) -> bool:
        """The same for a path with its query, as HTTP/2 has it."""
        target = decode_target(method, path)
        return target is not None and self.takes_pieces(method, target)

    def dispatch(self, exchange: Exchange) -> None:
        """Has a request answered."""
        request = exchange.request
        if self._access is not None and not self._access.admit(exchange):
            return
        path = request.path
        if path not in self._exact:  # a path of the table is a proper one
            path = self._proper_path(path)
            if path != request.path and request.method != b"CONNECT":
                _redirect(exchange, path)
                return
        if request.is_upgrade and path.startswith(self._websockets) and self.find(path) is not None:
            from actors.listener import websocket  # loads wsproto and h11, which few members need

            if websocket.is_asked_for(request):
                if self._access is not None and not self._access.admits_socket(exchange):
                    return
                websocket.open_websocket(exchange, self, self._message_bytes_max)
                return
        self.serve(exchange)

    def takes_all_at_once(self, path: bytes) -> bool:
        """Whether a request waits for its whole body. path: of a WebSocket"""
        route = self.find(path)
        return route is not None and route.body is WHOLE and not route.is_prefix

    def serve(self, exchange: Exchange) -> None:
        """Has a request answered that was admitted, and whose path is the proper one."""
        request = exchange.request
        route = self.find(request.path)
        if route is None:
            exchange.answer(404, b"404 page not found\n", PLAIN_TEXT, NO_SNIFF)
        elif route.methods and request.method not in route.methods:
            allow = (b"allow", b", ".join(route.methods))
            exchange.answer(405, b"Method Not Allowed\n", PLAIN_TEXT, NO_SNIFF, allow)
        else:
            route.serve(exchange)

    def _proper_path(self, path: bytes) -> bytes:
        """path as its route has it."""
        if b"//" in path or b"/." in path:
            path = clean_path(path)
        if path not in self._exact and path + b"/" in self._directories:
            path += b"/"
        return path


def _redirect(exchange: Exchange, path: bytes) -> None:
    """301, as Go writes it."""
    request = exchange.request
    to = quote_from_bytes(path, "/-_.~$&+,:;=@").encode() + (b"?" + request.query if request.query else b"")
    location = (b"location", quote_from_bytes(to, _ASCII).encode())
    if request.method in (b"GET", b"HEAD"):
        body = b'<a href="%b">Moved Permanently</a>.\n\n' % html.escape(to.decode("latin-1")).encode("latin-1")
        exchange.answer(301, body, b"text/html; charset=utf-8", location)
    else:
        exchange.answer(301, b"", b"", location)
