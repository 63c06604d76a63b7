"""Which part of the listener answers a request of HTTP: a table of paths.

    Route(b"/version", endpoints.version)                           one path, GET
    Route(b"/livez", endpoints.checks, is_prefix=True)              the path and all below or beside it
    Route(b"/v3/watch", gateway.watch, methods=ANY, body=PIECES)    bodies as they come, any method

An exact path goes before a prefix, a longer prefix before a shorter one, whatever their order in the table. What no
route has is 404, a method that the route does not serve 405. Source: Go's ServeMux, which etcd has.
"""

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from actors.listener.exchange import Exchange
from etcdz.wire.request_target import Target, decode_target

PLAIN_TEXT: Final = b"text/plain; charset=utf-8"
NO_SNIFF: Final = (b"x-content-type-options", b"nosniff")
ANY: Final[tuple[bytes, ...]] = ()
"""All methods come to serve."""
WHOLE: Final = False
PIECES: Final = True


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


_CORS: Final = (
    (b"access-control-allow-headers", b"accept, content-type, authorization"),
    (b"access-control-allow-methods", b"POST, GET, OPTIONS, PUT, DELETE"),
    (b"access-control-allow-origin", b"*"),
)


class Router:
    """The table of one kind of address."""

    def __init__(self, routes: Iterable[Route]) -> None:
        table = list(routes)
        self._exact = {route.path: route for route in table if not route.is_prefix}
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
        exchange.common_headers = _CORS
        if request.method == b"OPTIONS":  # of a browser, before it asks: the answer's CORS headers are what it wants
            exchange.answer(200, b"", PLAIN_TEXT)
            return
        route = self.find(request.path)
        if route is None:
            exchange.answer(404, b"404 page not found\n", PLAIN_TEXT, NO_SNIFF)
        elif route.methods and request.method not in route.methods:
            allow = (b"allow", b", ".join(route.methods))
            exchange.answer(405, b"Method Not Allowed\n", PLAIN_TEXT, NO_SNIFF, allow)
        else:
            route.serve(exchange)
