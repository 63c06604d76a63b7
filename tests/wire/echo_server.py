"""A small gRPC server around GrpcServerConnection, for real clients: echoes, in a thread or as a process of its own.

/test.Echo/Unary    the message back; b"fail:CODE:text" fails, b"never" is never answered, b"big:N" answers N bytes
/test.Echo/Stream   every message back, then OK
"""

import asyncio
import re
import sys
import threading
import time

from etcdz.wire.events import CALL, CANCEL, STREAM_END, STREAM_MESSAGE, ServerEvent
from etcdz.wire.server import GrpcServerConnection, Method, ServerSettings

UNARY = Method(b"/test.Echo/Unary", True, 1)
STREAM = Method(b"/test.Echo/Stream", False, 2, streams=True)
PUT = Method(b"/etcdserverpb.KV/Put", True, 3)
METHODS = {method.path: method for method in (UNARY, STREAM, PUT)}


_FAIL = re.compile(rb"fail:([0-9]{1,2}):(.*)", re.DOTALL)
_BIG = re.compile(rb"big:([0-9]{1,7})")
DEFAULTS = ServerSettings()


def answer(conn: GrpcServerConnection, events: list[ServerEvent]) -> None:
    """The echo service itself, as a step from events to replies."""
    for kind, stream_id, _, message, _, _ in events:
        if kind == CALL:
            if failure := _FAIL.fullmatch(message):
                conn.fail(stream_id, int(failure[1]), failure[2].decode("utf-8", "replace"))
            elif big := _BIG.fullmatch(message):
                conn.reply(stream_id, b"b" * int(big[1]))
            elif message != b"never":
                conn.reply(stream_id, message)
        elif kind == STREAM_MESSAGE:
            conn.send_message(stream_id, message)
        elif kind == STREAM_END:
            conn.finish(stream_id)


class EchoProtocol(asyncio.Protocol):
    def __init__(self, server: "EchoServer") -> None:
        self.server = server
        self.conn = GrpcServerConnection(METHODS, server.settings, time.monotonic)
        self.timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.server.connections.add(self)
        self._write()

    def data_received(self, data: bytes) -> None:
        events = self.conn.receive(data)
        self.server.cancelled += sum(kind == CANCEL for kind, *_ in events)
        answer(self.conn, events)
        self._write()

    def connection_lost(self, error: Exception | None) -> None:
        self.server.cancelled += len(self.conn.connection_lost())
        self.server.connections.discard(self)

    def go_away(self) -> None:
        self.conn.go_away()
        self._write()

    def _expire(self) -> None:
        self.timer = None
        self.server.cancelled += len(self.conn.expire(time.monotonic()))
        self._write()

    def _write(self) -> None:
        output = self.conn.take_output()
        if output:
            self.transport.write(output)
        if self.conn.should_close:
            self.transport.close()
            return
        deadline = self.conn.next_deadline()
        if deadline is not None and self.timer is None:
            delay = max(0.0, deadline - time.monotonic())
            self.timer = asyncio.get_running_loop().call_later(delay, self._expire)


class EchoServer:
    """Runs in a thread of its own. Use as a context manager; `port` is where it listens."""

    def __init__(self, settings: ServerSettings = DEFAULTS, unix_path: str | None = None) -> None:
        self.settings = settings
        self.unix_path = unix_path
        self.connections: set[EchoProtocol] = set()
        self.cancelled = 0
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "EchoServer":
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *exc: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def go_away(self) -> None:
        self._loop.call_soon_threadsafe(lambda: [protocol.go_away() for protocol in list(self.connections)])

    def _run(self) -> None:
        self._loop.run_until_complete(self.serve())
        self._loop.close()

    async def serve(self, port: int = 0) -> None:
        loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        if self.unix_path:
            server = await loop.create_unix_server(lambda: EchoProtocol(self), self.unix_path)
        else:
            server = await loop.create_server(lambda: EchoProtocol(self), "127.0.0.1", port)
            self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for protocol in list(self.connections):
            protocol.transport.abort()
        await asyncio.sleep(0)


if __name__ == "__main__":
    import uvloop

    uvloop.install()
    asyncio.run(EchoServer().serve(int(sys.argv[1])))
