"""A stream of raft messages from another member to this one, which dials it, again and again.

The answer to a GET is the stream, without an end. It is cut when nothing has come for READ_S: whoever writes one says
something more often than that, so a connection that is stuck is noticed.
"""

import asyncio
from typing import Any, Final, Protocol

from actors.peer.dialled import DIAL_S, dial, place_of
from actors.peer.host import Host
from etcdz.peer.dialling import OK, REMOVED, Verdict, judge_stream
from etcdz.peer.heads import ResponseHead
from etcdz.peer.http1 import END, ResponseReader
from etcdz.peer.message_stream import MessageDecoder
from etcdz.peer.msgapp_stream import MsgappDecoder
from etcdz.peer.outbox import MSGAPP
from etcdz.peer.protocol_error import ProtocolError
from etcdz.peer.redial import Redial

READ_S: Final = 5.0
"""From one read to the next."""


class Owner(Protocol):
    """What a stream tells of the member that it comes from."""

    id: int
    redials: dict[str, Redial]

    def on_stream_up(self, kind: str) -> None: ...
    def on_stream_down(self, kind: str, why: str) -> None: ...
    def on_received(self, kind: str, size: int) -> None: ...
    def on_bad_bytes(self) -> None: ...


class IncomingStream:
    """One kind of stream from one member, over all its connections. connection: the one of now"""

    def __init__(self, host: Host, owner: Owner, kind: str) -> None:
        self._host = host
        self._owner = owner
        self.kind = kind
        self.connection: StreamConnection | None = None
        self._task = host.start_task(self._run())

    def close(self) -> None:
        """The other member is none any more, or this actor ends."""
        self._task.cancel()
        self._drop()

    def restart(self) -> None:
        """The member is reached elsewhere."""
        self._drop()

    def _drop(self) -> None:
        if self.connection is not None:
            self.connection.cut("closed")

    async def _run(self) -> None:
        redial, loop = self._owner.redials[self.kind], self._host.event_loop
        while True:
            await asyncio.sleep(redial.due(loop.time()))
            redial.on_dial(loop.time())
            why = await self._read_once(redial.url)
            self._owner.on_stream_down(self.kind, why)
            redial.on_failure()

    async def _read_once(self, url: str) -> str:
        """From the dial to the end. return why it ended"""
        host = self._host
        try:
            place = place_of(url)
            connection = await dial(
                host.event_loop,
                place,
                lambda: StreamConnection(host, self._owner, self.kind),
                host.dial_s + DIAL_S,
                host.tls,
            )
        except OSError as error:  # TimeoutError is one
            return str(error) or "dial timed out"
        self.connection = connection
        connection.request(host.dialler.stream_request(self.kind, place.authority, self._owner.id))
        try:
            return await connection.ended
        finally:
            self.connection = None
            connection.cut("closed")


class StreamConnection(asyncio.Protocol):
    """One connection. ended: why, once it has."""

    def __init__(self, host: Host, owner: Owner, kind: str) -> None:
        self._host = host
        self._owner = owner
        self._kind = kind
        self._reader = ResponseReader(is_stream=True)
        self._decoder = MsgappDecoder(host.screen, owner.id) if kind == MSGAPP else MessageDecoder(host.screen)
        self._head: ResponseHead | None = None
        self._refusal = b""
        self._is_held = False
        self.transport: asyncio.Transport | None = None
        self.ended: asyncio.Future[str] = host.event_loop.create_future()
        self._heard_at = host.event_loop.time()
        host.clocked.add(self)

    # ---- asyncio ----

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        self._end(str(error) if error is not None else "EOF")

    def data_received(self, data: bytes) -> None:
        self._heard_at = self._host.event_loop.time()
        try:
            self._take(data)
        except ProtocolError as error:
            self._owner.on_bad_bytes()
            self.cut(error.text)
        except Exception as error:
            self._host.on_connection_error(f"{self._kind} stream of {self._owner.id:x}", error)
            self.cut(repr(error))

    # ---- what the stream says ----

    def request(self, head: bytes) -> None:
        """Ask for the stream."""
        if self.transport is not None:
            self.transport.write(head)

    def _take(self, data: bytes) -> None:
        for event in self._reader.receive(data):
            if self.ended.done():  # refused, by an event before
                return
            if isinstance(event, bytes):
                self._take_body(event)
            elif event is END:
                self._on_end()
            elif isinstance(event, ResponseHead):
                self._head = event
                if event.status == 200:
                    self._judge(event, b"")

    def _take_body(self, data: bytes) -> None:
        if self._head is not None and self._head.status != 200:
            self._refusal += data
            return
        self._owner.on_received(self._kind, len(data))
        messages = self._decoder.receive(data)
        if messages:
            self._host.deliver(messages)

    def _on_end(self) -> None:
        if self._head is not None and self._head.status != 200:
            self._judge(self._head, self._refusal)
        self.cut("EOF")

    def _judge(self, head: ResponseHead, body: bytes) -> None:
        verdict = judge_stream(head.status, head.headers, body, self._host.directory.server_version)
        if verdict.kind == OK:
            self._owner.on_stream_up(self._kind)
            return
        self._on_refused(verdict)

    def _on_refused(self, verdict: Verdict) -> None:
        if verdict.kind == REMOVED:
            self._host.on_removed()
        self.cut(verdict.text)

    # ---- its end ----

    def check(self, now: float) -> None:
        """Cut it if nothing has come for long, unless it is held."""
        if now - self._heard_at > READ_S and not self._is_held:
            self.cut("i/o timeout")

    def hold(self, is_held: bool) -> None:
        """Read no more for now, or read on."""
        if self.transport is None or self.transport.is_closing() or is_held == self._is_held:
            return
        self._is_held = is_held
        if is_held:
            self.transport.pause_reading()
        else:
            self._heard_at = self._host.event_loop.time()
            self.transport.resume_reading()

    def cut(self, why: str) -> None:
        """End it now."""
        self._end(why)
        if self.transport is not None:
            self.transport.abort()

    def _end(self, why: str) -> None:
        self._host.clocked.discard(self)
        if not self.ended.done():
            self.ended.set_result(why)
