"""A client's core, servers that do what a test says, and a clock that stands still: no sockets, no threads.

world = World("a:1", "b:1")
call = world.call(PUT)
world.servers["a:1"].requests()      what has come: [(path, body)]
"""

from collections.abc import Callable
from typing import Any

from etcdz.api.errors import EtcdError
from etcdz.api.methods import AUTH_PATHS, PATHS, STREAM_PATHS
from etcdz.client.core import Core
from etcdz.client.endpoints import parse_endpoint
from etcdz.client.lines import Line
from etcdz.client.methods import Method as ClientMethod
from etcdz.client.options import Options
from etcdz.client.pending import Call, Pending, Work
from etcdz.wire.events import CALL, CANCEL, STREAM_MESSAGE, STREAM_OPEN
from etcdz.wire.frames import REFUSED_STREAM, encode_rst_stream
from etcdz.wire.request_head import Method
from etcdz.wire.server import GrpcServerConnection, ServerSettings

METHODS = {path: Method(path, path not in STREAM_PATHS) for path in (*PATHS, *AUTH_PATHS, *STREAM_PATHS)}


class Server:
    """One endpoint. answers: path -> what is done with (server, stream id, body); without one a call stays open.

    is_down     dials fail
    breaks      its connection ends without a word, at the next opportunity
    """

    def __init__(self, world: "World") -> None:
        self.is_down = False
        self.breaks = False
        self.answers: dict[bytes, Callable[[Server, int, bytes], None]] = {}
        self.seen: list[tuple[bytes, bytes]] = []
        self.tokens: list[bytes] = []
        self.streams: dict[int, bytes] = {}
        self.canceled: list[int] = []
        self.line: Line | None = None
        self._world = world
        self.conn = self._new_conn()

    def _new_conn(self) -> GrpcServerConnection:
        return GrpcServerConnection(METHODS, ServerSettings(), self._world.clock)

    def accept(self, line: Line) -> None:
        self.line = line
        self.conn = self._new_conn()
        self.streams = {}

    def read(self, data: bytes) -> None:
        for kind, stream_id, method, message, _, metadata in self.conn.receive(data):
            path = method.path or self.streams.get(stream_id, b"")
            if kind in (CALL, STREAM_OPEN):
                self.tokens.append(dict(metadata or ()).get(b"token", b""))
            if kind == STREAM_OPEN:
                self.streams[stream_id] = method.path
            elif kind in (CALL, STREAM_MESSAGE):
                self.seen.append((path, message))
                if path in self.answers:
                    self.answers[path](self, stream_id, message)
            elif kind == CANCEL:
                self.canceled.append(stream_id)

    def paths(self) -> list[bytes]:
        return [path for path, _ in self.seen]

    def break_off(self) -> None:
        """The connection ends without a word, now."""
        self.breaks = True
        self._world.turn()

    def refuse(self, stream_id: int) -> None:
        """As a server that is going does with calls that it has not begun."""
        self.conn._out.append(encode_rst_stream(stream_id, REFUSED_STREAM))


class World:
    """endpoints are names of servers. now: the clock, that `advance` moves."""

    def __init__(self, *endpoints: str, **options: Any) -> None:
        self.now = 1000.0
        self.servers = {name: Server(self) for name in endpoints}
        parsed = tuple([parse_endpoint(name) for name in endpoints])
        self.core = Core(Options(parsed, **options), self.clock, lambda: 0.5)

    def clock(self) -> float:
        return self.now

    @property
    def server(self) -> Server:
        """The first."""
        return next(iter(self.servers.values()))

    def call(self, method: ClientMethod, body: bytes = b"", timeout_s: float | None = None) -> Call:
        call = self.core.call(method, body, timeout_s)
        self.turn()
        return call

    def turn(self) -> None:
        """Until nobody has anything to say at this moment."""
        busy = True
        while busy:
            busy = False
            for line in self.core.take_dials():
                busy = True
                server = self.servers[line.remote.endpoint.text]
                if server.is_down:
                    self.core.dial_failed(line, "refused")
                else:
                    server.accept(line)
                    self.core.connected(line)
            for line in self.core.take_writes():
                output = line.grpc.take_output()
                server = self.servers[line.remote.endpoint.text]
                if output and server.line is line:
                    busy = True
                    server.read(output)
            for line in self.core.take_hangups():
                busy = True
                server = self.servers[line.remote.endpoint.text]
                if server.line is line:
                    server.line = None
            for server in self.servers.values():
                if server.breaks and server.line is not None:
                    busy, server.breaks = True, False
                    line, server.line = server.line, None
                    self.core.lost(line, "reset by peer")
                data = server.conn.take_output() if server.line is not None else b""
                if data and server.line is not None:
                    busy = True
                    self.core.received(server.line, data)

    def advance(self, seconds: float) -> None:
        """Time passes; whatever is due is done when it is due."""
        until = self.now + seconds
        for _ in range(10_000):
            deadline = self.core.next_deadline()
            if deadline is None or deadline > until:
                break
            self.now = max(self.now, deadline)
            self.core.expire()
            self.turn()
        else:
            raise AssertionError("the core is due again and again without time passing")
        self.now = until


class Running:
    """An operation, as a shell runs it."""

    def __init__(self, world: World, work: Work[Any]) -> None:
        self.ended = False
        self.error: BaseException | None = None
        self.result: Any = None
        self._world = world
        self._work = work
        self._step: Any = None
        self._pending: Pending[Any] | None = None
        self.go_on()

    def go_on(self) -> None:
        """As far as it comes without waiting."""
        self._world.turn()
        while not self.ended and (self._pending is None or self._pending.done):
            try:
                self._next()
            except StopIteration as stop:
                self.ended, self.result = True, stop.value
            except Exception as error:
                self.ended, self.error = True, error
            self._world.turn()

    def _next(self) -> None:
        pending = self._pending
        if pending is not None and pending.error is not None:
            self._step = self._work.throw(pending.error)
        else:
            self._step = self._work.send(None if pending is None else self._step.result(pending.value))
        self._pending = self._step.begin(self._world.core)

    def advance(self, seconds: float) -> None:
        self._world.advance(seconds)
        self.go_on()


def fails(row: EtcdError, times: int = 1, then: Callable[[Server, int, bytes], None] | None = None) -> Any:
    """An answer that is an error so many times, and then another one."""
    left = times

    def answer(server: Server, stream_id: int, body: bytes) -> None:
        nonlocal left
        if left > 0:
            left -= 1
            server.conn.fail(stream_id, row.code, row.text)
        elif then is not None:
            then(server, stream_id, body)
        else:
            server.conn.reply(stream_id, b"")

    return answer


def replies(message: bytes = b"") -> Any:
    return lambda server, stream_id, body: server.conn.reply(stream_id, message)
