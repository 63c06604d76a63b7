"""Requests that are not gRPC on a client's HTTP/2 connection, which etcd serves under TLS."""

from collections.abc import Callable
from typing import Protocol

from actors.listener.calls import Calls
from actors.listener.http_endpoints import HttpEndpoints
from actors.listener.scrapes import Scrapes
from etcdz.wire.http1 import Header, Request
from etcdz.wire.request_head import Metadata
from etcdz.wire.request_target import decode_target
from etcdz.wire.server import GrpcServerConnection


class Connection(Protocol):
    """The client's connection. grpc: None when the transport is gone"""

    grpc: GrpcServerConnection | None

    def flush(self) -> None: ...


class Http2Endpoints(HttpEndpoints):
    """The number of a request is its stream."""

    def __init__(
        self,
        connection: Connection,
        calls: Calls,
        scrapes: Scrapes,
        fail: Callable[[Exception], None],
        metrics_only: bool = False,
    ) -> None:
        super().__init__(calls, scrapes, fail, metrics_only)
        self._connection = connection
        self._without_body: set[int] = set()
        """Requests that ask for the head of an answer alone."""

    @property
    def is_gone(self) -> bool:
        return self._connection.grpc is None

    def take(self, stream_id: int, fields: Metadata, body: bytes) -> None:
        """A whole request. fields: of its header, pseudo-headers included"""
        method = fields[b":method"]
        target = decode_target(method, fields.get(b":path", b""))
        if target is None:
            self.answer(stream_id, 400, b"malformed request target\n", b"text/plain; charset=utf-8", [])
            return
        if method == b"HEAD":
            self._without_body.add(stream_id)
        self.dispatch(Request(stream_id, method, target, fields, body))

    def answer(self, request_id: int, status: int, body: bytes, kind: bytes, headers: list[Header]) -> None:
        grpc = self._connection.grpc
        if grpc is not None:
            fields = [*headers, (b"content-type", kind), (b"content-length", b"%d" % len(body))]
            grpc.respond(request_id, status, fields, b"" if request_id in self._without_body else body)
        self._without_body.discard(request_id)

    def flush(self) -> None:
        self._connection.flush()
