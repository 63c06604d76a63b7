"""A server that answers KV calls as a test says, on the project's own wire layer, in a thread: for clients' tests."""

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from etcdz.wire.events import CALL
from etcdz.wire.server import GrpcServerConnection, Method, ServerSettings

PATHS = (b"/etcdserverpb.KV/Put", b"/etcdserverpb.KV/Range", b"/etcdserverpb.KV/Txn")
METHODS = {path: Method(path, True) for path in PATHS}
DEFAULTS = ServerSettings()

Answer = Callable[["Call"], None]


class Call:
    """One call, number `number` of all that came. Answer it now or later, on the server's thread."""

    def __init__(self, protocol: "_Protocol", stream_id: int, path: bytes, message: bytes, number: int) -> None:
        self.protocol = protocol
        self.stream_id = stream_id
        self.path = path
        self.message = message
        self.number = number

    def reply(self, message: bytes = b"") -> None:
        self.protocol.end(self)
        self.protocol.conn.reply(self.stream_id, message)
        self.protocol.write()

    def fail(self, code: int, text: str) -> None:
        self.protocol.end(self)
        self.protocol.conn.fail(self.stream_id, code, text)
        self.protocol.write()

    def reply_later(self, seconds: float) -> None:
        asyncio.get_running_loop().call_later(seconds, self.reply)

    def hang_up(self) -> None:
        self.protocol.transport.abort()

    def go_away(self) -> None:
        self.protocol.conn.go_away()
        self.protocol.write()


class _Protocol(asyncio.Protocol):
    def __init__(self, server: "KvServer") -> None:
        self.server = server
        self.conn = GrpcServerConnection(METHODS, server.settings, time.monotonic)
        self.transport: Any = None
        self.open = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.server.connections.append(self)
        self.server.open.add(self)
        self.write()

    def connection_lost(self, error: Exception | None) -> None:
        self.server.open.discard(self)
        self.conn.connection_lost()

    def data_received(self, data: bytes) -> None:
        calls = [
            (stream_id, method.path, message)
            for kind, stream_id, method, message, _, _ in self.conn.receive(data)
            if kind == CALL
        ]
        self.open += len(calls)
        self.server.open_most = max(self.server.open_most, self.open)
        for stream_id, path, message in calls:
            call = Call(self, stream_id, path, message, len(self.server.calls))
            self.server.calls.append(call)
            self.server.answer(call)
        self.write()

    def end(self, call: Call) -> None:
        self.open -= 1

    def write(self) -> None:
        output = self.conn.take_output()
        if output:
            self.transport.write(output)
        if self.conn.should_close:
            self.transport.close()


class KvServer:
    """A context manager.

    answer          called for each call, on the server's thread
    calls           all that came, in order
    connections     all that were made; open: those that still are
    open_most       the most calls that one connection had open at a time
    """

    def __init__(
        self, answer: Answer = Call.reply, settings: ServerSettings = DEFAULTS, unix_path: str | None = None
    ) -> None:
        self.answer = answer
        self.settings = settings
        self.calls: list[Call] = []
        self.connections: list[_Protocol] = []
        self.open: set[_Protocol] = set()
        self.open_most = 0
        self.target = f"unix:{unix_path}"
        self._unix_path = unix_path
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    def __enter__(self) -> "KvServer":
        self._thread.start()
        assert self._ready.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(RuntimeError):  # it has stopped before
            self._loop.call_soon_threadsafe(self.stop)
        self._thread.join()

    def stop(self) -> None:
        """On the server's thread: no connection stays, and none is accepted any more."""
        self._stop.set()

    async def _serve(self) -> None:
        self._loop = loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        if self._unix_path:
            server = await loop.create_unix_server(lambda: _Protocol(self), self._unix_path)
        else:
            server = await loop.create_server(lambda: _Protocol(self), "127.0.0.1", 0)
            self.target = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._ready.set()
        await self._stop.wait()
        server.close()
        for protocol in list(self.open):
            protocol.transport.abort()
        await asyncio.sleep(0)
