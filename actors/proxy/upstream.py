"""One request at one member, on a connection of its own, and its answer as it comes."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from typing import Any, Final, NamedTuple

from etcdz.config.urls import parse_url
from etcdz.peer.heads import ResponseHead
from etcdz.peer.http1 import END, End, ResponseReader
from etcdz.peer.protocol_error import ProtocolError

_UNREAD_MAX: Final = 64
"""Pieces of an answer that wait for the client; beyond, no more is read of the member."""
_ANSWER_BYTES_MAX: Final = 1 << 40


class Failed(Exception):
    """No answer, or not all of it."""


class Timeouts(NamedTuple):
    """In s; read_s: 0: an answer may take as long as it takes."""

    dial_s: float
    write_s: float
    read_s: float


class Upstream(asyncio.Protocol):
    """Use: connect(), then head(), then body() to its end, close() in any case."""

    def __init__(self, is_head: bool, timeouts: Timeouts) -> None:
        """is_head: the answer has no body, whatever its head says"""
        self._is_head = is_head
        self._timeouts = timeouts
        self._reader = ResponseReader(_ANSWER_BYTES_MAX)
        self._events: asyncio.Queue[ResponseHead | bytes | End | Failed] = asyncio.Queue()
        self._transport: Any = None
        self._is_paused = False
        self._is_written = asyncio.Event()
        self._is_written.set()

    # ---- asyncio ----

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.set_write_buffer_limits(high=0)

    def data_received(self, data: bytes) -> None:
        try:
            for event in self._reader.receive(data):
                self._events.put_nowait(event)
        except ProtocolError as error:
            self._events.put_nowait(Failed(str(error)))
        if self._events.qsize() > _UNREAD_MAX and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()

    def eof_received(self) -> None:
        try:
            for event in self._reader.receive_eof():
                self._events.put_nowait(event)
        except ProtocolError as error:
            self._events.put_nowait(Failed(str(error)))

    def connection_lost(self, error: Exception | None) -> None:
        self._events.put_nowait(Failed(str(error or "EOF")))

    def pause_writing(self) -> None:
        self._is_written.clear()

    def resume_writing(self) -> None:
        self._is_written.set()

    # ---- a request ----

    async def connect(self, url: str, tls: ssl.SSLContext | None, request: bytes) -> None:
        """Sends it. raises Failed"""
        loop, place = asyncio.get_running_loop(), parse_url(url)
        context, name = (tls, None) if place.is_secure else (None, None)
        try:
            async with asyncio.timeout(self._timeouts.dial_s or None):
                if place.is_unix:
                    name = "localhost" if context else None
                    path = place.socket_path
                    await loop.create_unix_connection(lambda: self, path, ssl=context, server_hostname=name)
                else:
                    host, port = place.host_port
                    await loop.create_connection(lambda: self, host, int(port), ssl=context)
        except (OSError, ValueError) as error:  # TimeoutError and ssl.SSLError are of the first kind
            raise Failed(str(error) or "dial timed out") from error
        _send_soon(self._transport)
        await self._write(request)

    async def _write(self, request: bytes) -> None:
        self._transport.write(request)
        try:
            async with asyncio.timeout(self._timeouts.write_s or None):
                await self._is_written.wait()
        except TimeoutError:
            raise Failed("i/o timeout") from None

    async def head(self) -> ResponseHead:
        """raises Failed"""
        event = await self._next()
        if not isinstance(event, ResponseHead):
            raise Failed("an answer without a head")
        return event

    async def body(self) -> AsyncIterator[bytes]:
        """Its pieces. raises Failed: it ends too early"""
        if self._is_head:
            return
        while (event := await self._next()) is not END:
            assert isinstance(event, bytes)
            yield event

    async def _next(self) -> ResponseHead | bytes | End:
        if self._is_paused and self._events.empty():
            self._is_paused = False
            self._transport.resume_reading()
        try:
            async with asyncio.timeout(self._timeouts.read_s or None):
                event = await self._events.get()
        except TimeoutError:
            raise Failed("i/o timeout") from None
        if isinstance(event, Failed):
            raise event
        return event

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


def _send_soon(transport: Any) -> None:
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.family != socket.AF_UNIX:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
