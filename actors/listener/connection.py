"""One client connection: between the event loop's transport and the sans-IO layers of etcdz.wire.

It decides nothing about calls: what comes out of the wire goes to the calls and streams of the listener, and what they
answer goes back, with one write per turn.
"""

import asyncio
from typing import TYPE_CHECKING, Any

from actors.listener.client_affinity import arrival_cpu
from actors.listener.draining import Draining
from actors.listener.http1_endpoints import Http1Endpoints
from etcdz.api.auth_info import auth_info_from
from etcdz.net.address import Address
from etcdz.wire.events import CALL
from etcdz.wire.server import GrpcServerConnection
from etcdz.wire.sniff import HTTP1, sniff

if TYPE_CHECKING:
    from actors.listener.actor import ListenerActor

_WRITE_BUFFER_HIGH = 4 << 20
"""Bytes that wait in one connection's socket before we stop reading from it."""
_BACKED_UP_BYTES = 256 << 10
"""The same before streams stop sending."""


class Connection(asyncio.Protocol):
    """See the module."""

    __slots__ = ("draining", "grpc", "http1", "leaving", "listener", "sniffed", "transport")

    def __init__(self, listener: "ListenerActor") -> None:
        self.listener = listener
        self.transport: Any = None
        self.grpc: GrpcServerConnection | None = None
        self.http1: Http1Endpoints | None = None
        self.sniffed = b""
        self.leaving = False
        self.draining: Draining | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.set_write_buffer_limits(high=_WRITE_BUFFER_HIGH)
        self.listener.connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self.listener.connections.discard(self)
        self.listener.affinity.forget(self)
        self.listener.streams.lose(self)
        self.grpc = None

    def pause_writing(self) -> None:
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self.transport.resume_reading()
        try:
            self.listener.streams.look_writable(self)
            self.listener.flush_soon()
        except Exception as error:
            self.listener.fail(error)

    def data_received(self, data: bytes) -> None:
        if self.listener.idles:
            self.listener.wake()
        try:
            self._receive(data)
        except Exception as error:
            self.listener.fail(error)

    def _receive(self, data: bytes) -> None:
        grpc = self.grpc
        if grpc is None:
            self._first_bytes(data)
            return
        listener = self.listener
        calls, streams = listener.calls, listener.streams
        listener.affinity.latest = self
        for event in grpc.receive(data):
            kind, stream_id, method, body, _, metadata = event
            # NB: a cancelled call goes its way to the end; the answer to a stream that is gone is dropped.
            if kind == CALL and method.unary:
                calls.begin(self, stream_id, method.tag, body, auth_info_from(metadata) if metadata else None)
            else:
                streams.take(self, event)
        if streams.waiting:
            streams.look_writable(self)
        if self.draining is not None:
            self.draining.look()
        self.flush()

    def _first_bytes(self, data: bytes) -> None:
        """HTTP/1.1 and HTTP/2 share the port: the first bytes tell which it is."""
        if self.http1 is not None:
            self.http1.receive(data)
            return
        data = self.sniffed + data
        kind = sniff(data)
        if kind is None:
            self.sniffed = data
            return
        self.sniffed = b""
        if kind == HTTP1:
            listener = self.listener
            body_bytes_max = listener.config.max_request_bytes
            self.http1 = Http1Endpoints(self.transport, listener.calls, listener.scrapes, body_bytes_max)
            self.http1.receive(data)
        else:
            self.grpc = self.listener.new_grpc()
            self._receive(data)
            if self.leaving:
                self.drain()

    def incoming_cpu(self) -> int:
        """The CPU on which what the client sends comes in: a client on this host runs there itself. -1: unknown."""
        return arrival_cpu(self.transport.get_extra_info("socket"))

    def drain(self) -> None:
        """Ask the client to go on elsewhere; what is under way is finished first."""
        self.leaving = True
        if self.draining is not None:
            return
        if self.grpc is not None:
            self.draining = Draining(self.grpc, self.transport, self.listener.call_later, self._on_confirmed)
        elif self.http1 is not None:
            self.http1.drain()

    def _on_confirmed(self) -> None:
        """The client knows that it has to go on elsewhere: so its streams may end."""
        self.listener.streams.drain_connection(self)
        self.flush()

    @property
    def is_fresh(self) -> bool:
        """Whether the client has not said yet what it speaks."""
        return self.grpc is None and self.http1 is None

    @property
    def is_backed_up(self) -> bool:
        """Whether so much waits in the socket that streams should send no more for now."""
        return self.transport.get_write_buffer_size() > _BACKED_UP_BYTES  # type: ignore[no-any-return]

    @property
    def remote(self) -> str:
        """The client's address, for a log line."""
        name = self.transport.get_extra_info("peername")
        return Address(name[0].removeprefix("::ffff:"), name[1]).text if isinstance(name, tuple) else str(name or "@")

    def reply(self, stream_id: int, code: int, body: bytes) -> None:
        """Answer a call; the bytes leave with the next flush."""
        grpc = self.grpc
        if grpc is not None:
            if code:
                grpc.fail(stream_id, code, body.decode())
            else:
                grpc.reply(stream_id, body)

    def flush(self) -> None:
        """One write for everything that waits."""
        grpc, draining = self.grpc, self.draining
        if grpc is None or (draining is not None and draining.holds):
            return
        output = grpc.take_output() if draining is None else draining.take_output()
        if output:
            self.transport.write(output)
        if grpc.should_close:
            self.transport.close()
