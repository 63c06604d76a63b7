"""A connection's transport under TLS: what is written is encrypted into the real transport, what that receives is
decrypted for the connection, which notices no difference.

It is made when the handshake is done (`handshakes.py`). Connections without TLS keep the event loop's own transport,
and pay nothing.
"""

import asyncio
import ssl
from typing import Any, Protocol

from etcdz.wire.tls_session import TlsSession


class Client(Protocol):
    """The protocol above: a Connection."""

    def data_received(self, data: bytes) -> None: ...
    def eof_received(self) -> bool: ...
    def pause_writing(self) -> None: ...
    def resume_writing(self) -> None: ...
    def connection_lost(self, error: Exception | None) -> None: ...


class TlsTransport(asyncio.Protocol):
    """Between the event loop's transport, whose protocol it is, and a connection, whose transport it is.

    Records that have come together are handed on together: a connection answers what it is given with one write.
    """

    __slots__ = (
        "_client", "_heard_end", "_session", "_transport", "_write", "abort", "get_extra_info", "get_write_buffer_size",
        "is_closing", "pause_reading", "resume_reading", "set_write_buffer_limits",
    )  # fmt: skip

    def __init__(self, transport: Any, session: TlsSession, client: Client) -> None:
        """transport: the event loop's. Requires: the session is established"""
        self._transport = transport
        self._session = session
        self._client = client
        self._heard_end = False
        self._write = transport.write
        self.abort = transport.abort
        self.get_extra_info = transport.get_extra_info
        self.get_write_buffer_size = transport.get_write_buffer_size
        self.is_closing = transport.is_closing
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading
        self.set_write_buffer_limits = transport.set_write_buffer_limits

    # ---- for the connection ----

    def write(self, data: bytes) -> None:
        """After the end: nothing."""
        if not self.is_closing():
            session = self._session
            session.send(data)
            self._write(session.outgoing())

    def close(self) -> None:
        """Says so (close_notify), so that the client can tell an end from a cut, and closes when all is written."""
        if not self.is_closing():
            self._session.close()
            self._write(self._session.outgoing())
            self._transport.close()

    def begin(self, heard: list[bytes], data: bytes, has_ended: bool) -> None:
        """What has come with the end of the handshake, and since. heard: decrypted already"""
        self._receive(heard, data)
        if has_ended:
            self._hear_end()

    # ---- from the event loop ----

    def data_received(self, data: bytes) -> None:
        self._receive([], data)

    def _receive(self, parts: list[bytes], data: bytes) -> None:
        session = self._session
        try:
            parts += session.receive(data)
        except ssl.SSLError:
            self._write(session.outgoing())  # the alert
            self._transport.close()
            return
        if parts:
            self._client.data_received(parts[0] if len(parts) == 1 else b"".join(parts))
        if session.is_closed:
            self._hear_end()

    def eof_received(self) -> bool:
        self._hear_end()
        return not self.is_closing()

    def _hear_end(self) -> None:
        """The client sends no more, by close_notify, the end of its half of the connection, or both."""
        if not self._heard_end:
            self._heard_end = True
            if not self._client.eof_received():
                self.close()

    def pause_writing(self) -> None:
        self._client.pause_writing()

    def resume_writing(self) -> None:
        self._client.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        self._client.connection_lost(error)
