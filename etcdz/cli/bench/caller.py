"""One connection and its callers: each asks one thing at a time, and asks the next when it has its answer.

Callers are not objects: a connection knows how many of its callers are idle, and since when each call is out. The
clock is read once for all that one read brought, so a call's time includes what the generator itself spent between
reading its caller's last answer and writing the call; nothing is flattered.
"""

import asyncio
import ssl
from array import array
from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

from etcdz.api.errors import Code
from etcdz.cli.bench.workload import Request
from etcdz.cli.endpoints import Endpoint
from etcdz.tls.handshake_errors import handshake_error
from etcdz.wire.client import ClientSettings, GrpcClientConnection
from etcdz.wire.events import DONE, ClientEvent

_CODE_NAMES = {value: name for name, value in vars(Code).items() if name.isupper()}


class Tally:
    """What one process measured.

    latencies   seconds of each call that was answered, in the order of their answers; one array per kind of request
    errors      text -> calls that ended with it
    done        calls that have ended
    ended       when the last of them did
    in_flight   calls that are out
    """

    __slots__ = ("done", "ended", "errors", "in_flight", "latencies")

    def __init__(self, kinds: int) -> None:
        self.latencies: list[array[float]] = [array("d") for _ in range(kinds)]
        self.errors: Counter[str] = Counter()
        self.done = 0
        self.ended = 0.0
        self.in_flight = 0


class LineOwner(Protocol):
    """What a line tells."""

    def on_free(self, line: "Line", freed: int, now: float) -> None:
        """So many callers more are idle: none, if the line has just come up."""

    def on_lost(self, line: "Line") -> None:
        """The connection has ended, and its calls with it."""


class Line(asyncio.Protocol):
    """A connection, and the next one to take its place once it has ended.

    idle        callers without a call
    greeted     done when the server has sent its first bytes; fails if the connection ends before
    """

    def __init__(self, owner: LineOwner, tally: Tally, path: bytes, callers: int, clock: Callable[[], float]) -> None:
        self.idle = callers
        self.queued = False  # stands in the owner's queue of lines with idle callers
        self.greeted: asyncio.Future[None] | None = None
        self._owner = owner
        self._tally = tally
        self._path = path
        self._clock = clock
        self._begun: dict[int, tuple[float, Callable[[float], None]]] = {}
        self._record = [latencies.append for latencies in tally.latencies]
        self._transport: Any = None
        self._up = False
        self._conn = self._new_connection(ClientSettings())

    def prepare(self, endpoint: Endpoint, greeted: "asyncio.Future[None]") -> "Line":
        """Before each connection: to where it will go."""
        self._conn = self._new_connection(endpoint.client_settings(b"etcdz-bench"))
        self.greeted = greeted
        self._up = False
        return self

    def _new_connection(self, settings: ClientSettings) -> GrpcClientConnection:
        return GrpcClientConnection(settings, self._clock)

    @property
    def room(self) -> int:
        """How many calls may begin now: as many as there are idle callers, if the server lets them."""
        return min(self.idle, self._conn.room) if self._up and self.idle else 0

    def begin(self, requests: list[Request], now: float) -> None:
        """One call each. now: when they count as begun. Requires: len(requests) <= room."""
        call, path, begun, record = self._conn.call, self._path, self._begun, self._record
        for kind, body in requests:
            begun[call(path, body)] = now, record[kind]
        self.idle -= len(requests)
        self._tally.in_flight += len(requests)

    def flush(self) -> None:
        """One write for everything that waits."""
        output = self._conn.take_output()
        if output:
            self._transport.write(output)
        if self._conn.should_close:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # ---- what the transport says ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self.flush()

    def data_received(self, data: bytes) -> None:
        now = self._clock()
        freed = self._settle(self._conn.receive(data), now)
        if not self._up:
            self._greet()
        self._owner.on_free(self, freed, now)
        self.flush()

    def connection_lost(self, error: Exception | None) -> None:
        self._settle(self._conn.connection_lost(), self._clock())
        if self._up:
            self._up = False
            self._owner.on_lost(self)
        elif self.greeted is not None and not self.greeted.done():
            text = "the connection was closed before a word was said"
            if isinstance(error, ssl.SSLError):  # TLS 1.3: a server refuses a client behind the handshake
                text = handshake_error(error).text
            self.greeted.set_exception(ConnectionError(text))

    def _greet(self) -> None:
        greeted = self.greeted
        if greeted is None or greeted.done():
            return
        if self._conn.closed:
            greeted.set_exception(ConnectionError("what answers there does not speak HTTP/2"))
            return
        self._up = True
        greeted.set_result(None)

    def _settle(self, events: list[ClientEvent], now: float) -> int:
        """Enters the calls that have ended. return how many"""
        begun, freed = self._begun, 0
        for kind, stream_id, code, text, _ in events:
            if kind != DONE:
                continue
            freed += 1
            since, record = begun.pop(stream_id)
            if code == 0:
                record(now - since)
            else:
                self._tally.errors[text or _CODE_NAMES.get(code, f"code {code}")] += 1
        self.idle += freed
        if freed:
            self._tally.done += freed
            self._tally.ended = now
            self._tally.in_flight -= freed
        return freed
