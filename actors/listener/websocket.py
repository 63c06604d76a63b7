"""WebSocket clients of the gateway: a GET of /v3/... that asks for it becomes a POST whose body never ends.

    client                              the bridged exchange
    a message, text or binary           its bytes and a newline are a piece of the body; of a route that takes bodies
                                        whole, the first message is all of it
    -> a text message                   one line of the answer that is not empty
    -> close 1000, 1008 or 1011         the answer's end, by its status: no error, the client's, ours
    -> close 1001                       the same while the listener leaves
    close, or gone                      on_gone()

The client's token comes as a subprotocol (`Bearer, TOKEN`) or as the cookie `token`, since pages of browsers cannot set
headers of such a request. Source: grpc-websocket-proxy as in etcd 3.5, which never answers a call of one message,
closes without a word, and writes `Bearer` before the token, with which no token is valid.
"""

import time
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final, Protocol

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, TextMessage
from wsproto.utilities import generate_accept_token

from actors.listener.exchange import Exchange
from etcdz.wire.http1 import Header, Request

FRAGMENTS_MAX: Final = 1_024
"""Frames of one message."""
TURN_S: Final = 0.005
"""What one client has sent is worked on for so long at a time."""
CLOSE_S: Final = 2.0
"""A client has so long to confirm that it is closed."""
_NORMAL, _LEAVING, _REFUSED, _TOO_BIG, _FAILED, _BUSY = 1000, 1001, 1008, 1009, 1011, 1013
_TEXT: Final = b"text/plain; charset=utf-8"
_FORWARDED: Final = (b"host", b"origin", b"referer")
_VERSION: Final = (b"sec-websocket-version", b"13")
_NO_SNIFF: Final = (b"x-content-type-options", b"nosniff")


class Wire(Protocol):
    """The connection that has switched to the protocol."""

    @property
    def is_backed_up(self) -> bool: ...
    def write(self, data: bytes) -> None: ...
    def close(self) -> None: ...
    def hold(self, size: int) -> None:
        """An unfinished message keeps so many bytes more, or less."""

    def hold_reading(self, holds: bool) -> None: ...
    def call_soon(self, do: Callable[[], None]) -> None: ...
    def call_later(self, seconds: float, do: Callable[[], None]) -> None: ...
    def fail(self, error: Exception) -> None: ...


class Routes(Protocol):
    """What serves the bridged exchange."""

    def takes_all_at_once(self, path: bytes) -> bool:
        """Whether it takes a whole body, and has to wait for it."""

    def serve(self, exchange: Exchange) -> None: ...


def is_asked_for(request: Request) -> bool:
    """Whether the client wants to speak WebSocket."""
    return request.is_upgrade and b"websocket" in _tokens(request.headers.get(b"upgrade", b""))


def open_websocket(exchange: Exchange, routes: Routes, message_bytes_max: int) -> None:
    """Answers the request that asks for it. Source: RFC 6455, section 4.2"""
    request = exchange.request
    key = request.headers.get(b"sec-websocket-key", b"")
    if request.method != b"GET":
        exchange.answer(405, b"Method Not Allowed\n", _TEXT, _VERSION, _NO_SNIFF)
    elif request.headers.get(b"sec-websocket-version") != b"13" or not key:
        exchange.answer(400, b"Bad Request\n", _TEXT, _VERSION, _NO_SNIFF)
    else:
        wanted = request.headers.get(b"sec-websocket-protocol", b"")
        fields: list[Header] = [
            (b"Upgrade", b"websocket"),
            (b"Connection", b"Upgrade"),
            (b"Sec-WebSocket-Accept", generate_accept_token(key)),
        ]
        if wanted.startswith(b"Bearer"):
            fields.append((b"Sec-WebSocket-Protocol", b"Bearer"))
        exchange.switch(fields, lambda wire: WebSocket(wire, exchange, routes, message_bytes_max))


def _tokens(value: bytes) -> list[bytes]:
    return [token.strip().lower() for token in value.split(b",")]


def _bridged_headers(headers: dict[bytes, bytes]) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {name: headers[name] for name in _FORWARDED if name in headers}
    _, named, token = headers.get(b"sec-websocket-protocol", b"").partition(b"Bearer,")
    if named:
        found[b"authorization"] = token.strip()
    try:
        cookie = SimpleCookie(headers.get(b"cookie", b"").decode("latin-1")).get("token")
    except CookieError:
        cookie = None
    if cookie is not None:
        found[b"authorization"] = cookie.value.encode("latin-1", "replace")
    return found


class BridgedExchange(Exchange):
    """The POST behind a WebSocket."""

    __slots__ = ("_socket",)

    def __init__(self, socket: "WebSocket", request: Request, common_name: str, is_secure: bool) -> None:
        super().__init__(request, common_name, is_secure)
        self._socket = socket

    @property
    def client(self) -> Any:
        return self._socket.client

    @property
    def is_gone(self) -> bool:
        return self._socket.is_closed

    @property
    def has_room(self) -> bool:
        return self._socket.has_room()

    def flush(self) -> None:
        self._socket.flush()

    def fail(self, error: Exception) -> None:
        self._socket.fail(error)

    def _answer(self, status: int, body: bytes, kind: bytes, headers: list[Header]) -> None:
        self._socket.send(body)
        self._socket.end(status)

    def _begin(self, status: int, kind: bytes, headers: list[Header]) -> None:
        self._socket.begin(status)

    def _send(self, data: bytes) -> None:
        self._socket.send(data)

    def _end(self, status: int) -> None:
        self._socket.end(status)


class WebSocket:
    """One client.

    is_closed   nothing more is sent, and nothing is taken but the client's confirmation
    """

    def __init__(self, wire: Wire, asked: Exchange, routes: Routes, message_bytes_max: int) -> None:
        self.is_closed = False
        self._wire = wire
        self._asked = asked
        self._routes = routes
        self._message_max = message_bytes_max
        self._frames = Connection(ConnectionType.SERVER)
        self._out: list[bytes] = []
        self._line: list[bytes] = []
        """Of the answer, while its newline is still to come."""
        self._message = bytearray()
        self._held = 0
        """Bytes of that message that are told to the wire."""
        self._fragments = 0
        """Frames of that message."""
        self._is_broken = False
        """Nothing that comes can be understood any more."""
        self._is_pausing = False
        """Others have their turn."""
        self._is_gone = False
        self._exchange: BridgedExchange | None = None
        self._status = 200
        self._leaving = self._awaits_room = False
        if not routes.takes_all_at_once(asked.request.path):
            self._serve(b"", True)

    @property
    def client(self) -> Any:
        """As Exchange."""
        return self._asked.client

    def _serve(self, body: bytes, is_open: bool) -> None:
        asked = self._asked
        headers = _bridged_headers(asked.request.headers)
        request = Request(0, b"POST", asked.request.target, headers, body, "1.1", is_open)
        self._exchange = BridgedExchange(self, request, asked.common_name, asked.is_secure)
        self._routes.serve(self._exchange)

    # ---- from the client ----

    def receive(self, data: bytes) -> None:
        """Bytes of the client."""
        frames = self._frames
        if self._is_broken or frames.state not in (ConnectionState.OPEN, ConnectionState.LOCAL_CLOSING):
            return
        frames.receive_data(data)
        if not self._is_pausing:
            self._take_events()

    def _take_events(self) -> None:
        """What has come, for a turn: there may be thousands of frames in it. The rest follows when others have had
        theirs."""
        until = time.monotonic() + TURN_S
        frames = self._frames
        for event in frames.events():
            if isinstance(event, CloseConnection):
                self._on_close(event)
            elif not self.is_closed:
                self._on_event(event)
            if time.monotonic() >= until:
                self._is_pausing = True
                self._wire.hold_reading(True)
                self._wire.call_soon(self._go_on)
                break
        self.flush()

    def _on_event(self, event: Event) -> None:
        if isinstance(event, TextMessage | BytesMessage):
            self._on_message(event)
        elif isinstance(event, Ping):
            self._out.append(self._frames.send(event.response()))

    def _go_on(self) -> None:
        self._is_pausing = False
        if self._frames.state is not ConnectionState.CLOSED and not self._is_gone:
            self._wire.hold_reading(False)
            self._take_events()

    def _on_close(self, event: CloseConnection) -> None:
        """The client's word, or, while the connection is open, that what it sent is malformed."""
        state = self._frames.state
        if state is ConnectionState.REMOTE_CLOSING:
            self._out.append(self._frames.send(event.response()))
        elif state is not ConnectionState.CLOSED:
            self._is_broken = True
            self._close(event.code, event.reason or "")
        if not self._is_broken:
            self.flush()
            self._wire.close()
        self._let_go()

    def _on_message(self, event: TextMessage | BytesMessage) -> None:
        data = event.data.encode() if isinstance(event.data, str) else event.data
        self._message += data
        if not event.message_finished:
            self._wire.hold(len(data))
            self._held += len(data)
        self._fragments += event.frame_finished
        if len(self._message) > self._message_max or self._fragments > FRAGMENTS_MAX:
            self._close(_TOO_BIG, "message too big")
            self._let_go()
        elif event.message_finished:
            message = bytes(self._message)
            self._forget_message()
            self._take(message)

    def _forget_message(self) -> None:
        if self._held:
            self._wire.hold(-self._held)
            self._held = 0
        self._message.clear()
        self._fragments = 0

    def _take(self, message: bytes) -> None:
        exchange = self._exchange
        if exchange is None:
            self._serve(message, False)
        elif exchange.request.is_open:
            exchange.handler.on_body(message + b"\n")

    def receive_eof(self) -> None:
        """The client has closed its half, which nobody does who speaks WebSocket and is still there."""
        self.lose()
        self._wire.close()

    def lose(self) -> None:
        """The transport is gone."""
        self._is_gone = True
        self._let_go()

    def _let_go(self) -> None:
        self._forget_message()
        self.is_closed = True
        exchange, self._exchange = self._exchange, None
        if exchange is not None and not exchange.is_over:
            exchange.handler.on_gone()

    def give_up_unfinished(self) -> None:
        """Too much waits to become whole in this listener."""
        if self._message:
            self._close(_BUSY, "too many unfinished requests")
            self._let_go()
            self.flush()

    def drain(self) -> None:
        """The listener leaves."""
        self._leaving = True
        if self._exchange is None:
            self._close(_LEAVING, "")
        else:
            self._exchange.handler.on_drain()
        self.flush()

    # ---- to the client ----

    def begin(self, status: int) -> None:
        """The head of the answer, of which its end alone shows anything."""
        self._status = status

    def send(self, data: bytes) -> None:
        """Some of the answer."""
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._line.append(line)
            self._end_line()
        self._line.append(rest)

    def _end_line(self) -> None:
        line = b"".join(self._line)
        self._line.clear()
        if line:
            self._out.append(self._frames.send(TextMessage(line.decode("utf-8", "replace"))))

    def end(self, status: int) -> None:
        """The end of the answer. status: of an error that it has told, or that it has begun with"""
        self._end_line()
        status = max(status, self._status)
        code = _FAILED if status >= 500 else _REFUSED if status >= 400 else _NORMAL
        self._close(_LEAVING if self._leaving else code, "")

    def _close(self, code: int, reason: str) -> None:
        if not self.is_closed and self._frames.state is ConnectionState.OPEN:
            self.is_closed = True
            self._out.append(self._frames.send(CloseConnection(code, reason)))
            self._wire.call_later(CLOSE_S, self._wire.close)

    def has_room(self) -> bool:
        """As Exchange."""
        if self._wire.is_backed_up:
            self._awaits_room = True
            return False
        return True

    def on_writable(self) -> None:
        """The socket has room again."""
        if self._awaits_room and self._exchange is not None:
            self._awaits_room = False
            self._exchange.handler.on_writable()
            self.flush()

    def flush(self) -> None:
        """Writes what waits."""
        if self._out:
            data = b"".join(self._out)
            self._out.clear()
            self._wire.write(data)

    def fail(self, error: Exception) -> None:
        """As Exchange."""
        self._wire.fail(error)
