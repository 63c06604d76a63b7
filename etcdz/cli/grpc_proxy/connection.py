"""One client's connection: between the event loop's transport and the protocols of etcdz.wire.

What a client sends faster than it can be handled waits while others have their turn. A client that does not read what
it is told is given up: a stream at STREAM_BYTES_MAX, the connection at SOCKET_BYTES_MAX of small messages, and the one
with most if all together leave too much. It begins again where it was.
"""

import asyncio
import time
from typing import Any, Final, Protocol

from etcdz.api import methods as m
from etcdz.api.errors import REQUEST_TOO_MANY_REQUESTS, Code
from etcdz.cli.grpc_proxy.callers import Caller, caller_of
from etcdz.cli.grpc_proxy.calls import Asked, Calls
from etcdz.telemetry import logs
from etcdz.wire.call_tally import CallTally
from etcdz.wire.events import CALL, CANCEL, STREAM_END, STREAM_MESSAGE, STREAM_OPEN, ServerEvent
from etcdz.wire.http1 import Http1Connection, Http1Limits, Request
from etcdz.wire.request_head import NO_METADATA, Metadata
from etcdz.wire.server import GrpcServerConnection
from etcdz.wire.sniff import BROKEN, HTTP1, sniff

log = logs.get()

STREAM_BYTES_MAX: Final = 8 << 20
SOCKET_BYTES_MAX: Final = 16 << 20
OUTBOX_BYTES_MAX: Final = 16 << 20
"""Answers that a client leaves unread; a further one is refused, and so are further calls."""
STREAMS_MAX: Final = 4096
"""Of one connection that are open; calls do not count."""
CALLS_MAX: Final = 512
"""With so many calls under way nothing more is read from a client: those of others would wait behind its own. NB: calls
that wait for what another call does (a lock) do not count."""
_BACKED_UP_BYTES: Final = 256 << 10
_STALLED_BYTES: Final = 4 << 20
"""With so much waiting in a client's socket nothing more is read from it."""
_SLICE_BYTES: Final = 16 << 10
_TURN_S: Final = 0.005
_BODY_BYTES_MAX: Final = 1 << 16
_UNREAD: Final = "the client does not read its answers"


class Service(Protocol):
    """What serves a stream of a client."""

    def on_message(self, message: bytes) -> None: ...
    def on_end(self) -> None: ...
    def on_cancel(self) -> None:
        """It is gone: nothing is to be sent."""

    def on_writable(self) -> None:
        """The client has read something."""


class Host(Protocol):
    """What a connection needs of the process."""

    calls: Calls
    tally: CallTally
    logs_calls: bool
    connections: "set[ProxyConnection]"

    def new_grpc(self) -> GrpcServerConnection: ...
    def open_stream(self, stream: "ClientStream", tag: int, path: bytes, caller: Caller) -> Service | None: ...
    def serve_http(self, connection: "ProxyConnection", request: Request) -> None: ...
    def refuse_certificate(self, transport: Any) -> bool: ...
    def flush_later(self, connection: "ProxyConnection") -> None: ...
    def on_defect(self, connection: "ProxyConnection", error: Exception) -> None: ...


class ClientStream:
    """A stream of a client, for who serves it."""

    __slots__ = ("_connection", "_id")

    def __init__(self, connection: "ProxyConnection", stream_id: int) -> None:
        self._connection = connection
        self._id = stream_id

    def send(self, message: bytes) -> None:
        self.send_parts(message, b"")

    def send_parts(self, head: bytes, body: bytes) -> None:
        """body is shared by many, and is not copied."""
        self._connection.send_parts(self._id, head, body)

    def finish(self, code: int, text: str) -> None:
        self._connection.finish(self._id, code, text)

    @property
    def backlog_bytes(self) -> int:
        return self._connection.backlog_bytes(self._id)


class ProxyConnection(asyncio.Protocol):
    """Invariant: an exception over the state of this connection, whoever calls, ends it alone: see fail().

    waiting         calls under way, by stream id; waiting_bytes: what they hold
    grpc, http1     once the client has said what it speaks; None again when the transport is gone
    is_dirty        something is to be written at the end of this turn
    only_http       gRPC is not served here
    """

    transport: Any

    def __init__(self, host: Host, only_http: bool = False) -> None:
        self.host = host
        self.only_http = only_http
        self.grpc: GrpcServerConnection | None = None
        self.http1: Http1Connection | None = None
        self.waiting: dict[int, Asked] = {}
        self._short_calls: set[int] = set()
        self.waiting_bytes = 0
        self.connected_s = time.monotonic()
        self.is_dirty = False
        self.is_secure = False
        self._services: dict[int, Service] = {}
        self._sniffed = b""
        self._rest = b""
        self._waits = self._stalled = self._is_full = self._is_backed_up = False
        self._metadata: Metadata = NO_METADATA
        self._caller: Caller = ()

    # ---- from the transport ----

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.set_write_buffer_limits(high=_BACKED_UP_BYTES)
        self.is_secure = transport.get_extra_info("ssl_object") is not None
        if self.host.refuse_certificate(transport):
            transport.abort()
            return
        self.host.connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self.host.connections.discard(self)
        grpc, self.grpc = self.grpc, None
        if grpc is not None:
            grpc.forget_unfinished()
            grpc.count_lost()
        self.host.calls.forget(self)
        services, self._services = self._services, {}
        for service in services.values():
            service.on_cancel()

    def data_received(self, data: bytes) -> None:
        try:
            self._take_slices(self._rest + data if self._rest else data)
        except Exception as error:
            self.fail(error)

    def _take_slices(self, data: bytes) -> None:
        until, at = time.monotonic() + _TURN_S, 0
        self._rest = b""
        while at < len(data) and not self.transport.is_closing():
            self._receive(data[at : at + _SLICE_BYTES])
            at += _SLICE_BYTES
            if self._is_full:
                self._rest = data[at:]
                break
            if at < len(data) and time.monotonic() >= until:
                self._rest = data[at:]
                self._waits = True
                self.transport.pause_reading()
                asyncio.get_running_loop().call_soon(self._go_on)
                break
        self.flush()

    def _go_on(self) -> None:
        self._waits = False
        if self.transport.is_closing() or self._is_full:
            return
        self.data_received(b"")
        self._read_on()

    def _read_on(self) -> None:
        if not (self._waits or self._stalled or self._is_full or self.transport.is_closing()):
            self.transport.resume_reading()

    def eof_received(self) -> bool:
        if self.http1 is None:
            return False
        self.http1.receive_eof()
        self.flush()
        return not self.transport.is_closing()

    def pause_writing(self) -> None:
        self._is_backed_up = True

    def resume_writing(self) -> None:
        self._is_backed_up = False
        if self._stalled:
            self._stalled = False
            self._read_on()
        if self.grpc is not None:
            self.grpc.uncork()
        self._tell_writable()
        self.host.flush_later(self)

    def fail(self, error: Exception) -> None:
        """Something of this client has brought out a mistake: it ends this connection alone."""
        self.transport.abort()
        self.host.on_defect(self, error)

    # ---- what the client says ----

    def _receive(self, data: bytes) -> None:
        if self.grpc is not None:
            self._take(self.grpc.receive(data))
            if self._services:
                self._tell_writable()
        elif self.http1 is not None:
            self._take_http(data)
        else:
            self._first_bytes(self._sniffed + data)

    def _first_bytes(self, data: bytes) -> None:
        kind = sniff(data)
        if kind is None:
            self._sniffed = data
        elif kind == HTTP1:
            self.http1 = Http1Connection(Http1Limits(body_bytes_max=_BODY_BYTES_MAX))
            self._take_http(data)
        elif kind == BROKEN or self.only_http:
            self.transport.close()
        else:
            self.grpc = self.host.new_grpc()
            self._take(self.grpc.receive(data))

    def _take_http(self, data: bytes) -> None:
        assert self.http1 is not None
        for event in self.http1.receive(data):
            if isinstance(event, Request):
                self.host.serve_http(self, event)

    def _take(self, events: list[ServerEvent]) -> None:
        calls, services, tally = self.host.calls, self._services, self.host.tally
        for kind, stream_id, method, message, deadline, metadata in events:
            if kind == CALL:
                tally.started[method.tag] += 1
                if self.host.logs_calls:
                    log.info("started call", method=method.path.decode())
                if method.tag not in m.WAITING:
                    self._short_calls.add(stream_id)
                calls.begin(self, stream_id, method.tag, message, deadline, self._caller_of(metadata))
            elif kind == STREAM_OPEN:
                tally.count_stream(method.tag, metadata)
                self._open(stream_id, method.tag, method.path, metadata)
            elif kind == CANCEL:
                self._cancel(stream_id)
            elif (service := services.get(stream_id)) is not None:
                if kind == STREAM_MESSAGE:
                    service.on_message(message)
                elif kind == STREAM_END:
                    service.on_end()
        self._look_at_calls()

    def _look_at_calls(self) -> None:
        if len(self._short_calls) >= CALLS_MAX and not self._is_full:
            self._is_full = True
            self.transport.pause_reading()

    def _on_over(self, stream_id: int) -> None:
        """A call is answered, or given up."""
        self._short_calls.discard(stream_id)
        if self._is_full and len(self._short_calls) <= CALLS_MAX // 2:
            self._is_full = False
            if not self._waits:
                self._waits = True
                asyncio.get_running_loop().call_soon(self._go_on)

    def _caller_of(self, metadata: Metadata) -> Caller:
        """NB: many calls share the metadata of one head."""
        if metadata is not self._metadata:
            self._metadata, self._caller = metadata, caller_of(metadata)
        return self._caller

    def _open(self, stream_id: int, tag: int, path: bytes, metadata: Metadata) -> None:
        if len(self._services) >= STREAMS_MAX:
            self.finish(stream_id, REQUEST_TOO_MANY_REQUESTS.code, REQUEST_TOO_MANY_REQUESTS.text)
            return
        service = self.host.open_stream(ClientStream(self, stream_id), tag, path, caller_of(metadata))
        if service is not None:
            self._services[stream_id] = service

    def _cancel(self, stream_id: int) -> None:
        service = self._services.pop(stream_id, None)
        if service is not None:
            service.on_cancel()
        elif stream_id in self.waiting:
            self.host.calls.cancel(self, stream_id)
            self._on_over(stream_id)

    # ---- to the client ----

    def answer(self, stream_id: int, body: bytes) -> None:
        try:
            grpc = self.grpc
            if grpc is None:
                return
            self._on_over(stream_id)
            if grpc.pending_bytes > OUTBOX_BYTES_MAX:
                self._give_up_calls(grpc)
                grpc.fail(stream_id, Code.RESOURCE_EXHAUSTED, _UNREAD)
            else:
                grpc.reply(stream_id, body)
            self._on_told()
        except Exception as error:
            self.fail(error)

    def _give_up_calls(self, grpc: GrpcServerConnection) -> None:
        """Their answers would not be read either."""
        waiting = list(self.waiting)
        self.host.calls.forget(self)
        for stream_id in waiting:
            self._on_over(stream_id)
            grpc.fail(stream_id, Code.RESOURCE_EXHAUSTED, _UNREAD)

    def refuse(self, stream_id: int, code: int, text: str) -> None:
        try:
            if self.grpc is not None:
                self._on_over(stream_id)
                self.grpc.fail(stream_id, code, text)
                self._on_told()
        except Exception as error:
            self.fail(error)

    def send_parts(self, stream_id: int, head: bytes, body: bytes) -> None:
        """On a stream."""
        try:
            if self.grpc is not None:
                self.grpc.send_parts(stream_id, head, body)
                self._check_backlog(stream_id, self.grpc)
        except Exception as error:
            self.fail(error)

    def finish(self, stream_id: int, code: int, text: str) -> None:
        """Of a stream: nothing more is told of it."""
        try:
            self._services.pop(stream_id, None)
            if self.grpc is not None:
                self.grpc.finish(stream_id, code, text)
                self._on_told()
        except Exception as error:
            self.fail(error)

    def _on_told(self) -> None:
        if not self.is_dirty:
            self.host.flush_later(self)

    def backlog_bytes(self, stream_id: int) -> int:
        if self.grpc is None:
            return 0
        waiting: int = self.transport.get_write_buffer_size()
        return waiting + self.grpc.pending_stream_bytes(stream_id)

    def _check_backlog(self, stream_id: int, grpc: GrpcServerConnection) -> None:
        if grpc.pending_stream_bytes(stream_id) > STREAM_BYTES_MAX:
            service = self._services.pop(stream_id, None)
            grpc.give_up(stream_id)
            if service is not None:
                service.on_cancel()
        self._on_told()

    @property
    def remote(self) -> str:
        """The client's address, for a log line."""
        name = self.transport.get_extra_info("peername")
        return f"{name[0]}:{name[1]}" if isinstance(name, tuple) else ""

    @property
    def unsent_bytes(self) -> int:
        """What waits to be read by the client."""
        waiting: int = self.transport.get_write_buffer_size()
        return waiting + (self.grpc.pending_bytes if self.grpc is not None else 0)

    def _tell_writable(self) -> None:
        for service in list(self._services.values()):
            service.on_writable()

    def flush(self) -> None:
        """One write for all that waits."""
        self.is_dirty = False
        protocol = self.grpc or self.http1
        if protocol is None or self.transport.is_closing():
            return
        output = protocol.take_output()
        if output:
            self.transport.write(output)
            self._look_at_socket()
        if protocol.should_close:
            self.transport.close()
        elif self.grpc is not None and self.grpc.is_corked and not self._is_backed_up:
            asyncio.get_running_loop().call_soon(self._uncork)

    def _uncork(self) -> None:
        """Others have had their turn: more of a large answer may leave."""
        if self.grpc is not None and self.grpc.is_corked and not self._is_backed_up:
            self.grpc.uncork()
            self._tell_writable()
            self.flush()

    def _look_at_socket(self) -> None:
        waiting = self.transport.get_write_buffer_size()
        if waiting > SOCKET_BYTES_MAX:
            self.transport.abort()
        elif waiting > _STALLED_BYTES and not self._stalled:
            self._stalled = True
            self.transport.pause_reading()

    def expire(self, now: float) -> None:
        """Calls whose deadline has passed, clients that are dead."""
        grpc = self.grpc
        if grpc is None:
            return
        deadline = grpc.next_deadline()
        if deadline is not None and deadline <= now:
            self._take(grpc.expire(now))
        self.flush()

    def give_up_unfinished(self) -> None:
        """Refuses the requests whose bytes have not come completely."""
        if self.grpc is not None:
            self._take(self.grpc.give_up_unfinished())
            self.flush()

    def keep_alive(self, now: float, mute_s: float) -> None:
        """A client that has been silent for long is sent a PING; one that does not answer is dead, and so is one that
        has not said what it speaks."""
        grpc = self.grpc
        if grpc is None or not grpc.has_greeted:
            if self.http1 is None and now - self.connected_s > mute_s:
                self.transport.abort()
        elif grpc.keep_alive(now):
            self.flush()
        else:
            self.transport.abort()

    def drain(self) -> None:
        """The proxy ends: the client goes elsewhere."""
        if self.grpc is not None:
            self.grpc.go_away()
        self.flush()


STREAM_TAGS: Final = frozenset(m.STREAM_PATHS.values()) - m.WAITING
"""Methods that are served by a Service."""
