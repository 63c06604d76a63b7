"""Requests to one other member with whole answers: messages that are POSTed, probes, and what other actors ask.

Connections are kept and used again, but not for long: the other end cuts an idle one after 5 s, and a request that
leaves just then would be lost. No request is sent twice, because nobody knows what the first one has done.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from actors.peer.dialled import DIAL_S, dial, place_of
from actors.peer.host import Host
from etcdz.peer.heads import Headers, ResponseHead
from etcdz.peer.http1 import END, End, ResponseReader
from etcdz.peer.protocol_error import ProtocolError

IDLE_S: Final = 4.0
IDLE_MAX: Final = 4
"""Connections that are kept for a member."""


class Answer(NamedTuple):
    status: int
    headers: Headers
    body: bytes


class Failed(Exception):
    """No answer. was_sent: the request may have been read all the same."""

    def __init__(self, why: str, was_sent: bool) -> None:
        super().__init__(why)
        self.was_sent = was_sent


class Exchanges:
    """With one member; several at a time go by as many connections."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._idle: list[tuple[str, float, ExchangeConnection]] = []

    async def ask(self, url: str, encode: Callable[[str], bytes], timeout_s: float) -> Answer:
        """encode: makes the request for an authority. raises Failed"""
        try:
            place = place_of(url)
            connection = self._take_idle(url)
            if connection is None:
                host = self._host
                connection = await dial(
                    host.event_loop,
                    place,
                    lambda: ExchangeConnection(host.event_loop),
                    min(timeout_s, host.dial_s + DIAL_S),
                    host.tls,
                )
        except OSError as error:
            raise Failed(str(error) or "dial timed out", was_sent=False) from error
        try:
            async with asyncio.timeout(timeout_s):
                answer = await connection.ask(encode(place.authority))
        except TimeoutError:
            connection.cut("")
            raise Failed("request timed out", was_sent=True) from None
        except BaseException:
            connection.cut("")
            raise
        if connection.is_reusable and len(self._idle) < IDLE_MAX:
            self._idle.append((url, time.monotonic(), connection))
        else:
            connection.cut("")
        return answer

    def _take_idle(self, url: str) -> "ExchangeConnection | None":
        now = time.monotonic()
        for entry in self._idle[:]:
            kept_url, since, connection = entry
            if now - since > IDLE_S or not connection.is_reusable:
                self._idle.remove(entry)
                connection.cut("")
            elif kept_url == url:
                self._idle.remove(entry)
                return connection
        return None

    def close(self) -> None:
        for _, _, connection in self._idle:
            connection.cut("")
        self._idle.clear()


class ExchangeConnection(asyncio.Protocol):
    """One request and its answer after the other."""

    def __init__(self, event_loop: asyncio.AbstractEventLoop) -> None:
        self._event_loop = event_loop
        self._transport: asyncio.Transport | None = None
        self._reader = ResponseReader()
        self._head: ResponseHead | None = None
        self._body: list[bytes] = []
        self._waiter: asyncio.Future[Answer] | None = None
        self.is_reusable = False

    async def ask(self, request: bytes) -> Answer:
        """raises Failed. Requires: the answer before has come"""
        self.is_reusable = False
        if self._transport is None or self._transport.is_closing():
            raise Failed("connection closed", was_sent=False)
        self._waiter = self._event_loop.create_future()
        self._transport.write(request)
        return await self._waiter

    def cut(self, why: str) -> None:
        """End it; who waits for an answer gets none."""
        self.is_reusable = False
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(Failed(why, was_sent=True))
        if self._transport is not None:
            self._transport.abort()

    # ---- asyncio ----

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        self.cut(str(error) if error is not None else "EOF")

    def eof_received(self) -> bool:
        try:
            self._take(self._reader.receive_eof())
        except ProtocolError as error:
            self.cut(error.text)
        return False

    def data_received(self, data: bytes) -> None:
        if self._waiter is None or self._waiter.done():
            self.cut("answer without a request")
            return
        try:
            self._take(self._reader.receive(data))
        except ProtocolError as error:
            self.cut(error.text)

    def _take(self, events: list[ResponseHead | bytes | End]) -> None:
        for event in events:
            if isinstance(event, bytes):
                self._body.append(event)
            elif isinstance(event, ResponseHead):
                self._head = event
            elif event is END:
                self._on_end()

    def _on_end(self) -> None:
        head, body = self._head, b"".join(self._body)
        self._head, self._body = None, []
        if head is None or self._waiter is None or self._waiter.done():
            return
        has_more = self._reader.waiting_bytes > 0 or bool(self._reader.proceed())
        self.is_reusable = head.keeps_alive and not has_more
        self._waiter.set_result(Answer(head.status, head.headers, body))
