"""Between a connection under TLS and a process that speaks over a plain socket.

Keys cannot go to another process, so what comes is decrypted here and what that process says is encrypted here. Neither
side is read from while the other takes nothing.
"""

import asyncio
import socket
from typing import Any, Final

END_S: Final = 2.0
"""From the end of what the process says to the end of the connection: the process itself lingers for less."""


class TlsRelay(asyncio.Protocol):
    """In place of the protocol over the connection. other_end: for the process"""

    def __init__(self, event_loop: asyncio.AbstractEventLoop) -> None:
        ours, self._theirs = socket.socketpair()
        self.event_loop = event_loop
        self.transport: Any = None
        self._near = _NearEnd(self)
        self._task = event_loop.create_task(self._connect(ours))

    async def _connect(self, ours: socket.socket) -> None:
        await self.event_loop.create_unix_connection(lambda: self._near, sock=ours)

    def other_end(self) -> socket.socket:
        """Belongs to the caller."""
        return self._theirs

    # ---- the connection ----

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._near.write(data)

    def eof_received(self) -> bool:
        self._near.write_eof()
        return True

    def connection_lost(self, error: Exception | None) -> None:
        self._near.close()

    def pause_writing(self) -> None:
        self._near.pause_reading()

    def resume_writing(self) -> None:
        self._near.resume_reading()


class _NearEnd(asyncio.Protocol):
    """The socket to the process."""

    def __init__(self, relay: TlsRelay) -> None:
        self._relay = relay
        self._transport: Any = None
        self._early: list[bytes] = []
        """What has come before there was a transport."""
        self._is_ended = self._is_lost = False

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        for data in self._early:
            transport.write(data)
        self._early.clear()
        if self._is_lost:
            transport.close()
        elif self._is_ended:
            transport.write_eof()

    def data_received(self, data: bytes) -> None:
        self._relay.transport.write(data)

    def eof_received(self) -> bool:
        self._relay.transport.write_eof()
        self._relay.event_loop.call_later(END_S, self._relay.transport.close)
        return True

    def connection_lost(self, error: Exception | None) -> None:
        self._relay.transport.close()

    def pause_writing(self) -> None:
        self._relay.transport.pause_reading()

    def resume_writing(self) -> None:
        self._relay.transport.resume_reading()

    # ---- what the relay says ----

    def write(self, data: bytes) -> None:
        if self._transport is None:
            self._early.append(data)
        else:
            self._transport.write(data)

    def write_eof(self) -> None:
        self._is_ended = True
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write_eof()

    def close(self) -> None:
        self._is_lost = True
        if self._transport is not None:
            self._transport.close()

    def pause_reading(self) -> None:
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self._transport is not None:
            self._transport.resume_reading()
