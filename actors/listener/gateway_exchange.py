"""What a request over the JSON gateway is, whatever its method: a client of Calls or Streams with one call.

Places and turns that it takes are its connection's (`client`).
"""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from actors.listener.call import Caller, Client, ForClient
from actors.listener.calls import Calls
from actors.listener.exchange import Exchange, Handler
from actors.listener.identities import Identities
from actors.listener.streams import Streams
from actors.listener.tracing import TRACE_PARENT, TRACE_STATE, ConnectionTracer, Span, Tracing
from etcdz.api.errors import Code
from etcdz.api.methods import AUTH_PATHS, PATHS, STREAM_PATHS
from etcdz.gateway.routes import GatewayMethod
from etcdz.gateway.statuses import error_body, http_status
from etcdz.wire.call_tally import CallTally
from etcdz.wire.request_head import Metadata

JSON: Final = b"application/json"
OF_GRPC: Final = (b"grpc-metadata-content-type", b"application/grpc")
"""A header of all answers that are no errors."""
STREAM_ID: Final = 1
"""Of the one call."""
_PATH_OF: Final = {tag: path for path, tag in (PATHS | AUTH_PATHS | STREAM_PATHS).items()}
_TIMEOUT_S_MAX: Final = 86_400.0 * 365
_TIMED_OUT: Final = "context deadline exceeded"


class Host(Protocol):
    """What the gateway needs of its listener."""

    calls: Calls
    streams: Streams
    identities: Identities
    event_loop: asyncio.AbstractEventLoop
    tally: CallTally
    tracing: Tracing | None


class Settings:
    """message_bytes_max: of a request, encoded"""

    __slots__ = ("host", "message_bytes_max", "tally", "tracing")

    def __init__(self, host: Host, message_bytes_max: int) -> None:
        self.host = host
        self.tally = host.tally
        self.tracing = host.tracing
        self.message_bytes_max = message_bytes_max


class GatewayExchange(Handler, ForClient, Client):
    """Base of GatewayCall and GatewayStream."""

    __slots__ = ("_host", "_message_bytes_max", "_method", "_span", "_tally", "_timer", "_tracing", "exchange")

    def __init__(self, settings: Settings, method: GatewayMethod, exchange: Exchange) -> None:
        self._host = settings.host
        self._message_bytes_max = settings.message_bytes_max
        self._method = method
        self._tally = settings.tally
        self._timer: asyncio.TimerHandle | None = None
        self._tracing = settings.tracing
        self._span: tuple[ConnectionTracer, Span] | None = None
        self.exchange = exchange

    def begin(self, metadata: Metadata, timeout_s: float | None) -> None:
        """timeout_s: the client waits no longer; None: for ever"""
        self.exchange.handler = self
        if timeout_s is not None:
            self._timer = self.call_later(min(timeout_s, _TIMEOUT_S_MAX), self._on_timeout)
        self._begin(metadata)

    def _begin(self, metadata: Metadata) -> None:
        raise NotImplementedError

    def _give_up(self, code: int) -> None:
        """Nobody waits for the answer any more. code: gRPC's, for why"""
        raise NotImplementedError

    def _fail(self, code: int, text: str) -> None:
        """Answers with an error, whatever has been answered before."""
        raise NotImplementedError

    def _on_timeout(self) -> None:
        self._timer = None
        if not self.exchange.is_over:
            self._fail(Code.DEADLINE_EXCEEDED, _TIMED_OUT)
            self._give_up(Code.DEADLINE_EXCEEDED)

    def on_gone(self) -> None:
        self._stop_timer()
        self._give_up(Code.CANCELED)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # ---- spans ----

    def begin_span(self, metadata: Metadata) -> None:
        """The call has begun. NB: etcd knows of a trace by the metadata alone, clients of HTTP name it in a header."""
        if self._tracing is None:
            return
        headers = self.exchange.request.headers
        if TRACE_PARENT not in metadata:
            metadata = {name: headers[name] for name in (TRACE_PARENT, TRACE_STATE) if name in headers}
        tracer = ConnectionTracer(self._tracing, self.remote)
        span = tracer.begin(_PATH_OF[self._method.method], metadata)
        if span is not None:
            self._span = tracer, span

    def end_span(self, code: int, text: str = "") -> None:
        """It is over, as far as its client is concerned."""
        if self._span is not None:
            (tracer, span), self._span = self._span, None
            tracer.end(span, code, text)

    def drop_span(self) -> None:
        """It is refused, and has not begun."""
        self._span = None

    def call_later(self, seconds: float, do: Callable[[], None]) -> asyncio.TimerHandle:
        """Runs do() for this client, and writes what it has answered; an error of it ends the connection."""

        def guarded() -> None:
            try:
                do()
                self.exchange.flush()
            except Exception as error:
                self.exchange.fail(error)

        return self._host.event_loop.call_later(seconds, guarded)

    # ---- as Client, ForClient ----

    @property
    def client(self) -> Caller:
        client: Caller = self.exchange.client
        return client

    @property
    def remote(self) -> str:
        """The client's address, for a log line."""
        return str(self.exchange.client.remote)

    @property
    def open_calls(self) -> int:
        return 1

    @property
    def has_room(self) -> bool:
        return self.exchange.has_room

    @property
    def unsent_bytes(self) -> int:
        return 0

    def give_up_unsent(self) -> None:
        """NB: a streamed answer cannot be taken back: its connection ends."""
        self.exchange.client.transport.abort()

    def flush(self) -> None:
        self.exchange.flush()


def refuse(exchange: Exchange, code: int, text: str) -> None:
    """Answers with an error."""
    exchange.answer(http_status(code), error_body(code, text), JSON)
