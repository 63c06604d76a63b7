"""A connection's transport under TLS: what is written is encrypted into the real transport, what that receives is
decrypted for the connection, which notices no difference.

It is made when the handshake is done (`handshakes.py`). Connections without TLS keep the event loop's own transport,
and pay nothing.
"""

import asyncio
import ssl
import time
from typing import Any, Final, Protocol

from etcdz.wire.tls_session import SLICE_BYTES, TlsSession

_TURN_S: Final = 0.005
"""What one client's bytes may take of the event loop before others have their turn: records that bring little can take
long."""


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
        "_client", "_ends", "_heard_end", "_is_paused", "_rest", "_session", "_transport", "_write", "abort",
        "get_extra_info", "get_write_buffer_size", "is_closing", "set_write_buffer_limits",
    )  # fmt: skip

    def __init__(self, transport: Any, session: TlsSession, client: Client) -> None:
        """transport: the event loop's. Requires: the session is established"""
        self._transport = transport
        self._session = session
        self._client = client
        self._heard_end = self._is_paused = self._ends = False
        self._rest = b""
        """What has come and waits for its turn. Invariant: nothing is read of the transport meanwhile."""
        self._write = transport.write
        self.abort = transport.abort
        self.get_extra_info = transport.get_extra_info
        self.get_write_buffer_size = transport.get_write_buffer_size
        self.is_closing = transport.is_closing
        self.set_write_buffer_limits = transport.set_write_buffer_limits

    # ---- for the connection ----

    def write(self, data: bytes) -> None:
        """After the end: nothing."""
        if not self.is_closing():
            session = self._session
            session.send(data)
            self._write(session.outgoing())

    def can_write_eof(self) -> bool:
        """NB: what comes behind a close_notify of ours could not be told from what is left of a session."""
        return False

    def close(self) -> None:
        """Says so (close_notify), so that the client can tell an end from a cut, and closes when all is written."""
        if not self.is_closing():
            self._session.close()
            self._write(self._session.outgoing())
            self._transport.close()

    def pause_reading(self) -> None:
        self._is_paused = True
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._is_paused = False
        if self._rest:
            self._go_on_soon()
        else:
            self._transport.resume_reading()

    def begin(self, heard: list[bytes], data: bytes, has_ended: bool) -> None:
        """What has come with the end of the handshake, and since. heard: decrypted already"""
        self._take_slices(data, heard)
        if has_ended:
            self.eof_received()

    # ---- from the event loop ----

    def data_received(self, data: bytes) -> None:
        if len(data) > SLICE_BYTES or self._rest:
            self._take_slices(data, [])
            return
        try:
            parts = self._session.receive(data)
        except ssl.SSLError:
            self._end_session()
            return
        self._hand_on(parts)

    def _hand_on(self, parts: list[bytes]) -> None:
        session = self._session
        if parts:
            self._client.data_received(parts[0] if len(parts) == 1 else b"".join(parts))
        if session.has_outgoing and not self.is_closing():
            self._write(session.outgoing())  # answers of TLS itself: new keys
        if session.is_closed:
            self._hear_end()

    def _end_session(self) -> None:
        self._write(self._session.outgoing())  # the alert
        self._transport.close()

    def _take_slices(self, data: bytes, parts: list[bytes]) -> None:
        """As much as there is time for, behind these parts; the rest follows when other clients have had their turn."""
        data, self._rest = self._rest + data, b""
        until = time.monotonic() + _TURN_S
        for at in range(0, len(data), SLICE_BYTES):
            if at and time.monotonic() >= until:
                self._rest = data[at:]
                break
            try:
                parts += self._session.receive(data[at : at + SLICE_BYTES])
            except ssl.SSLError:
                self._end_session()
                return
        if self._rest:
            self._transport.pause_reading()
            self._go_on_soon()
        self._hand_on(parts)

    def _go_on_soon(self) -> None:
        asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        if self._is_paused or not self._rest or self.is_closing():
            return
        self._take_slices(b"", [])
        if self._rest or self._is_paused or self.is_closing():
            return
        if self._ends:
            self._hear_end()
        else:
            self._transport.resume_reading()

    def eof_received(self) -> bool:
        if self._rest:
            self._ends = True
        else:
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
