"""A connection under TLS, between the socket and a protocol that sees a plain one.

    socket <-> TlsConnection: handshake, checks <-> TlsTransport <-> the protocol above, made when all that is done

Each step of a handshake, which takes as long as hundreds of messages, is done in a thread; what comes when the
handshake is done is decrypted where it is read. The session is used by one thread at a time: what comes during a step
waits for its end.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, Final, Generic, Protocol, TypeVar

from actors.peer.tls_relay import TlsRelay
from etcdz.tls.handshake_errors import handshake_error
from etcdz.wire.tls_session import HANDSHAKE_BYTES_MAX, TlsSession

HELLO_KEPT_BYTES: Final = 4096
"""Of the first bytes, for the log line about a refusal."""
OVER_S: Final = 1.0
"""From a refusal to the cut, for an alert to be read."""


class Refused(Exception):
    """The other end's certificate is not let in; etcd's words."""


class Handshakes(Protocol):
    """What a connection needs of its surroundings.

    event_loop    of the thread in which all but `step` happens
    """

    event_loop: asyncio.AbstractEventLoop

    def step(self, session: TlsSession, data: bytes) -> Awaitable[list[bytes]]:
        """session.receive(data), in another thread."""


Check = Callable[["TlsConnection[Any]"], Awaitable[None]]
"""Called when the handshake is done. raises Refused"""


UpperT = TypeVar("UpperT", bound=asyncio.Protocol)


class TlsConnection(asyncio.Protocol, Generic[UpperT]):
    """The lower part: what asyncio calls.

    session     the handshake's, and later the connection's
    hello       how the other end has begun
    transport   the socket's; None before there is one
    """

    def __init__(self, handshakes: Handshakes, session: TlsSession, make: Callable[[], UpperT], check: Check) -> None:
        """make: the protocol above, which begins when the handshake is done and check has found nothing"""
        self.session = session
        self.transport: Any = None
        self.hello = b""
        self._handshakes = handshakes
        self._make = make
        self._check = check
        self._upper: Any = None
        self._waiting = b""
        """Ciphertext that has come before the protocol above was there."""
        self._arrival: asyncio.Future[None] | None = None
        """Somebody waits for more of it."""
        self._lost: Exception | None = None

    # ---- until the protocol above is there ----

    async def open(self) -> UpperT:
        """Requires: connection_made was called. raises OSError, ssl.SSLError, Refused; the caller cuts it then"""
        session, parts = self.session, [] if self.session.ssl_object.server_side else await self._step(b"")
        while not session.is_established:
            parts += await self._step(await self._more())
        await self._check(self)
        if self._lost is not None or self.transport.is_closing():
            raise self._lost or ConnectionResetError("connection closed")
        upper = self._upper = self._make()
        upper.connection_made(TlsTransport(self))
        self._deliver(parts)
        waiting, self._waiting = self._waiting, b""
        self.transport.resume_reading()
        if waiting:
            self.data_received(waiting)
        return upper

    async def _more(self) -> bytes:
        """What has come, or the next that comes. raises OSError: nothing more will"""
        if not self._waiting and self._lost is None:
            self._arrival = self._handshakes.event_loop.create_future()
            await self._arrival
        if not self._waiting:
            raise self._lost or EOFError
        data, self._waiting = self._waiting, b""
        self.hello = self.hello or data[:HELLO_KEPT_BYTES]
        self.transport.resume_reading()
        return data

    async def _step(self, data: bytes) -> list[bytes]:
        try:
            return await self._handshakes.step(self.session, data)
        finally:
            self._write_outgoing()

    def refuse(self) -> None:
        """Nothing more is said, but an alert that was written is given time to be read."""
        self.transport.close()
        self._handshakes.event_loop.call_later(OVER_S, self.transport.abort)

    # ---- asyncio ----

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self._upper is None:
            self._waiting += data
            if len(self._waiting) > HANDSHAKE_BYTES_MAX:
                self.transport.pause_reading()
            self._wake()
            return
        try:
            parts = self.session.receive(data)
        except ssl.SSLError as error:
            self._write_outgoing()
            self.fail(ConnectionError(handshake_error(error).text))
            return
        self._write_outgoing()
        self._deliver(parts)

    def eof_received(self) -> bool:
        """NB: nobody says so who follows TLS: what has come may have been cut."""
        self.fail(EOFError("unexpected EOF" if self._upper is not None else "EOF"))
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._lost = self._lost or error or EOFError("EOF")
        self._wake()
        if self._upper is not None:
            self._upper.connection_lost(None if isinstance(self._lost, EOFError) else self._lost)

    def pause_writing(self) -> None:
        if self._upper is not None:
            self._upper.pause_writing()

    def resume_writing(self) -> None:
        if self._upper is not None:
            self._upper.resume_writing()

    # ----

    def fail(self, error: Exception) -> None:
        """End it because of this."""
        self._lost = self._lost or error
        self._wake()
        self.transport.abort()

    def _wake(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)

    def _deliver(self, parts: list[bytes]) -> None:
        if parts:
            self._upper.data_received(parts[0] if len(parts) == 1 else b"".join(parts))
        if self.session.is_closed and not self.transport.is_closing() and not self._upper.eof_received():
            self.transport.close()

    def _write_outgoing(self) -> None:
        data = self.session.outgoing()
        if data and not self.transport.is_closing():
            self.transport.write(data)

    def hand_over(self) -> socket.socket:
        """As TlsTransport.hand_over."""
        relay = TlsRelay(self._handshakes.event_loop)
        earlier, self._upper = self._upper, relay
        self._handshakes.event_loop.call_soon(earlier.connection_lost, None)
        relay.connection_made(TlsTransport(self))
        return relay.other_end()


class TlsTransport(asyncio.Transport):
    """What the protocol above writes to."""

    def __init__(self, connection: TlsConnection[Any]) -> None:
        super().__init__()
        self._connection = connection
        self._lower, self._session = connection.transport, connection.session
        self._has_said_last = self._is_detached = False

    def write(self, data: Any) -> None:
        if self.is_closing():
            return
        try:
            self._session.send(data)
        except ssl.SSLError as error:
            self._connection.fail(ConnectionError(str(error)))
            return
        self._lower.write(self._session.outgoing())

    def close(self) -> None:
        self._say_last()
        self._lower.close()

    def write_eof(self) -> None:
        """What the other end says is read on."""
        self._say_last()

    def can_write_eof(self) -> bool:
        return True

    def _say_last(self) -> None:
        if not self.is_closing():
            self._has_said_last = True
            self._session.close()
            self._lower.write(self._session.outgoing())

    def abort(self) -> None:
        if not self._is_detached:
            self._lower.abort()

    def is_closing(self) -> bool:
        return bool(self._has_said_last or self._is_detached or self._lower.is_closing())

    def hand_over(self) -> socket.socket:
        """A plain socket for another process, to speak over this connection in place of the protocol above, which this
        transport does nothing for any more."""
        self._is_detached = True
        return self._connection.hand_over()

    def pause_reading(self) -> None:
        self._lower.pause_reading()

    def resume_reading(self) -> None:
        self._lower.resume_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._lower.set_write_buffer_limits(high=high, low=low)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._lower.get_extra_info(name, default)
