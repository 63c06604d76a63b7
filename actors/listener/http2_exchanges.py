"""Requests that are not gRPC on a client's HTTP/2 connection, which etcd serves under TLS."""

from typing import Any, Final, Protocol

from actors.listener.exchange import Exchange
from actors.listener.http_router import PLAIN_TEXT, Router
from etcdz.wire.events import REQUEST, REQUEST_BODY, REQUEST_END, REQUEST_OPEN, ServerEvent
from etcdz.wire.http1 import Header, Http1Limits, Request
from etcdz.wire.request_head import Metadata
from etcdz.wire.request_target import decode_target
from etcdz.wire.server import GrpcServerConnection

CLOGGED_BYTES: Final = 64 << 10
"""A streamed answer of which so much waits for the client's windows has no room."""
_HEAD_BYTES_MAX: Final = Http1Limits().head_bytes_max


class Connection(Protocol):
    """The client's connection. grpc: None when the transport is gone"""

    grpc: GrpcServerConnection | None
    common_name: str

    @property
    def is_secure(self) -> bool: ...
    @property
    def is_backed_up(self) -> bool: ...
    def await_writable(self, call: Any) -> None:
        """As Streams."""

    def flush(self) -> None: ...
    def fail(self, error: Exception) -> None: ...


class Http2Exchange(Exchange):
    """A request on an HTTP/2 connection; the number of its request is its stream. For Streams a call that may wait to
    be writable.

    waiting     whether it does
    """

    __slots__ = ("_owner", "connection", "waiting")

    def __init__(self, owner: "Http2Exchanges", request: Request, connection: Connection) -> None:
        super().__init__(request, connection.common_name, connection.is_secure)
        self._owner = owner
        self.connection = connection
        self.waiting = False

    @property
    def client(self) -> Connection:
        return self.connection

    @property
    def is_gone(self) -> bool:
        return self.request.id not in self._owner.under_way or self.connection.grpc is None

    @property
    def is_open(self) -> bool:
        """As StreamCall."""
        return not self.is_gone

    @property
    def has_room(self) -> bool:
        return not self.is_clogged

    @property
    def is_clogged(self) -> bool:
        """As StreamCall."""
        connection = self.connection
        if self.is_gone or connection.grpc is None:
            return False
        pending = connection.grpc.pending_stream_bytes(self.request.id)
        if pending <= CLOGGED_BYTES and not connection.is_backed_up:
            return False
        connection.await_writable(self)
        return True

    def flush(self) -> None:
        self.connection.flush()

    def fail(self, error: Exception) -> None:
        self.connection.fail(error)

    @property
    def _has_body(self) -> bool:
        return self.request.method != b"HEAD"

    def _answer(self, status: int, body: bytes, kind: bytes, headers: list[Header]) -> None:
        if self.connection.grpc is not None:
            length = (b"content-length", b"%d" % len(body))
            fields = [*_in_lower_case(headers), *_kind(kind), length]
            self.connection.grpc.respond(self.request.id, status, fields, body if self._has_body else b"")
        self._owner.under_way.pop(self.request.id, None)

    def _begin(self, status: int, kind: bytes, headers: list[Header]) -> None:
        if self.connection.grpc is not None:
            self.connection.grpc.begin_response(self.request.id, status, [*_in_lower_case(headers), *_kind(kind)])

    def _send(self, data: bytes) -> None:
        if self.connection.grpc is not None and self._has_body:
            self.connection.grpc.send_data(self.request.id, data)

    def _end(self, status: int) -> None:
        if self.connection.grpc is not None:
            self.connection.grpc.end_response(self.request.id)
        self._owner.under_way.pop(self.request.id, None)


def _in_lower_case(headers: list[Header]) -> list[Header]:
    """HTTP/2 knows no other names; with one, clients take the whole answer for malformed. Source: RFC 9113, 8.2.1"""
    return [(name.lower(), value) for name, value in headers]


def _kind(kind: bytes) -> list[Header]:
    return [(b"content-type", kind)] if kind else []


class Http2Exchanges:
    """Of one connection. under_way: those that are served and not answered, by stream"""

    def __init__(self, connection: Connection, router: Router) -> None:
        self._connection = connection
        self._router = router
        self._leaving = False
        self.under_way: dict[int, Http2Exchange] = {}

    def take(self, event: ServerEvent) -> None:
        """What the wire tells of requests that are not gRPC."""
        kind, stream_id, _, data, _, fields = event
        if kind in (REQUEST, REQUEST_OPEN):
            self._open(stream_id, fields, data, kind == REQUEST_OPEN)
            return
        exchange = self.under_way.get(stream_id)
        if exchange is None:
            return  # answered already
        if kind == REQUEST_BODY:
            exchange.handler.on_body(data)
        elif kind == REQUEST_END:
            exchange.handler.on_body_end()

    def _open(self, stream_id: int, fields: Metadata, body: bytes, is_open: bool) -> None:
        """fields: of its header, pseudo-headers included"""
        method = fields[b":method"]
        target = decode_target(method, fields.get(b":path", b""))
        if target is None:
            self._refuse(stream_id, 400, b"malformed request target\n")
            return
        if sum([len(name) + len(value) for name, value in fields.items()]) > _HEAD_BYTES_MAX:
            self._refuse(stream_id, 431, b"request header fields too large\n")
            return
        headers = {name: value for name, value in fields.items() if name[:1] != b":"}
        headers.setdefault(b"host", fields.get(b":authority", b""))
        request = Request(stream_id, method, target, headers, body, "2", is_open)
        exchange = self.under_way[stream_id] = Http2Exchange(self, request, self._connection)
        self._router.dispatch(exchange)
        if self._leaving and not exchange.is_over:
            exchange.handler.on_drain()

    def _refuse(self, stream_id: int, status: int, text: bytes) -> None:
        if self._connection.grpc is not None:
            fields = [(b"content-type", PLAIN_TEXT), (b"content-length", b"%d" % len(text))]
            self._connection.grpc.respond(stream_id, status, fields, text)

    def cancel(self, stream_id: int) -> None:
        """The client has given a request up."""
        exchange = self.under_way.pop(stream_id, None)
        if exchange is not None:
            exchange.handler.on_gone()

    def lose(self) -> None:
        """The transport is gone."""
        for stream_id in list(self.under_way):
            try:
                self.cancel(stream_id)
            except Exception as error:
                self._connection.fail(error)

    def drain(self) -> None:
        """The client goes on elsewhere: answers without end are ended."""
        self._leaving = True
        for exchange in list(self.under_way.values()):
            exchange.handler.on_drain()
