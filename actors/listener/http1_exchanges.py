"""One client's HTTP/1.1 connection: from bytes to exchanges, and back.

Requests that change nothing may be under way together, as they come; any other waits until those before it are
answered, and those behind it wait for it. Source: RFC 9112, section 9.3.2

Most clients ask one thing, in one piece, with a head that they have sent before, and wait for the answer. Such a *lone*
request passes by the parser (etcdz/wire/known_heads.py), and its answer is written as it is made. When anything else
comes while it is under way, or its answer is streamed, it is taken up among the others.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol

from actors.listener.exchange import NOBODY, Exchange, SwitchedProtocol, http_date
from actors.listener.http_router import Router
from etcdz.wire.answer_heads import AnswerHeads
from etcdz.wire.http1 import BodyPart, Event, Header, Http1Connection, Http1Limits, Request, has_body
from etcdz.wire.known_heads import KnownHeads
from etcdz.wire.unfinished import UnfinishedRequests

QUEUED_BYTES_MAX: Final = 64 << 10
"""Of what is pipelined behind a request that is under way: with more, nothing is read."""
CLOGGED_BYTES: Final = 64 << 10
"""A streamed answer that keeps more than this back has no room."""
LINGER_S: Final = 1.0
LINGER_BYTES_MAX: Final = 16 << 20
"""A client that is refused while it sends has so long to read that, and so much of what it sends is dropped: a socket
that is closed with bytes unread is reset, and the answer may be lost with it."""
_SAFE: Final = frozenset((b"GET", b"HEAD", b"OPTIONS"))


class Connection(Protocol):
    """The client's connection."""

    transport: Any
    common_name: str

    @property
    def is_secure(self) -> bool: ...
    @property
    def is_backed_up(self) -> bool: ...
    def hold_reading(self, holds: bool) -> None:
        """Reads nothing more for now, or reads on."""

    def call_soon(self, do: Callable[[], None]) -> None:
        """Runs do() when others have had their turn; an error of it ends the connection."""

    def call_later(self, seconds: float, do: Callable[[], None]) -> None:
        """The same after so many seconds."""

    def fail(self, error: Exception) -> None: ...


class Http1Exchange(Exchange):
    """A request on an HTTP/1.1 connection."""

    __slots__ = ("_is_written", "_owner")

    def __init__(self, owner: "Http1Exchanges", request: Request, connection: Connection) -> None:
        super().__init__(request, connection.common_name, connection.is_secure)
        self._owner = owner
        self._is_written = False

    @property
    def client(self) -> Connection:
        return self._owner.client

    @property
    def is_gone(self) -> bool:
        return self._owner.is_gone(self)

    @property
    def has_room(self) -> bool:
        return self._owner.has_room(self)

    def switch(self, headers: list[Header], make: Callable[[Any], SwitchedProtocol]) -> None:
        self.is_over = True
        self._owner.switch(self, headers, make)

    def flush(self) -> None:
        if not self._is_written:
            self._owner.flush()

    def fail(self, error: Exception) -> None:
        self._owner.fail(error)

    def answer(self, status: int, body: bytes, kind: bytes, *headers: Header) -> None:
        owner = self._owner
        if owner.lone is not self or not has_body(status):
            super().answer(status, body, kind, *headers)
        elif not owner.transport.is_closing():
            self.is_over = self._is_written = True
            self.handler = NOBODY
            head = owner.answer_heads.begin(http_date(), status, kind, self.common_headers, headers)
            owner.write_lone(b"%b%d\r\n\r\n%b" % (head, len(body), body))

    def _answer(self, status: int, body: bytes, kind: bytes, headers: list[Header]) -> None:
        owner = self._owner
        owner.take_up_lone()
        owner.http.respond(self.request.id, status, body, kind, headers)
        owner.on_over(self)

    def _begin(self, status: int, kind: bytes, headers: list[Header]) -> None:
        self._owner.take_up_lone()
        self._owner.http.begin(self.request.id, status, kind, headers)

    def _send(self, data: bytes) -> None:
        self._owner.http.send(self.request.id, data)

    def _end(self, status: int) -> None:
        self._owner.http.end(self.request.id)
        self._owner.on_over(self)


class Http1Exchanges:
    """transport    the connection's
    under_way    exchanges that are served and not answered, by request id
    lone         the only one of them, if the parser has not seen it
    """

    def __init__(
        self,
        connection: Connection,
        router: Router,
        body_bytes_max: int,
        unfinished: UnfinishedRequests,
        heads: KnownHeads | None = None,
        answer_heads: AnswerHeads | None = None,
    ) -> None:
        """router        what answers
        unfinished    shared by all connections of a listener
        heads         shared by those that the router answers
        answer_heads  as unfinished
        """
        self._connection = connection
        self.transport = connection.transport
        self._router = router
        self._unfinished = unfinished
        self._heads = KnownHeads(router.takes_pieces) if heads is None else heads
        self.answer_heads = AnswerHeads() if answer_heads is None else answer_heads
        self._leaving = False
        self.under_way: dict[int, Http1Exchange] = {}
        self.lone: Http1Exchange | None = None
        self._queue: deque[Event] = deque()
        self._queued_bytes = 0
        self._is_held = False
        """Invariant: whether _queued_bytes > QUEUED_BYTES_MAX, as the connection was told"""
        self._lingers = False
        """Whether all is written and the rest of what the client sends is dropped."""
        self._is_serving = False
        """Whether what waits in the queue is looked at again."""
        self._awaits_room: dict[int, Http1Exchange] = {}
        self._switched: SwitchedProtocol | None = None
        """What is spoken instead of HTTP."""
        self.http = Http1Connection(
            Http1Limits(body_bytes_max=body_bytes_max),
            lambda size: unfinished.change(self, size),
            router.takes_pieces,
        )

    @property
    def client(self) -> Connection:
        """As Exchange."""
        return self._connection

    @property
    def has_asked(self) -> bool:
        """Whether a whole request has come at all."""
        return self.http.has_asked

    def fail(self, error: Exception) -> None:
        """As Exchange."""
        self._connection.fail(error)

    # ---- from the client ----

    def give_up_unfinished(self) -> None:
        """Refuses the request that has not come completely."""
        if self._switched is not None:
            self._switched.give_up_unfinished()
            return
        self.http.give_up_unfinished()
        self.forget_unfinished()
        self.flush()

    def forget_unfinished(self) -> None:
        """The transport is gone, or what was held is given up."""
        self._unfinished.forget(self)

    def receive(self, data: bytes) -> None:
        """Bytes of the client: serves the requests that they complete, and writes the answers that are ready."""
        if self._switched is not None:
            self._switched.receive(data)
            return
        http = self.http
        if self.under_way or self._leaving or not http.is_idle:
            self.take_up_lone()
            self._take(http.receive(data))
        else:
            request = self._heads.read(data, http.next_id)
            if request is not None:
                self._serve_lone(request)
                return
            events = http.receive(data)
            if len(events) == 1 and isinstance(events[0], Request):
                self._heads.learn(data, events[0])
            self._take(events)
        self.flush()

    def _serve_lone(self, request: Request) -> None:
        self.http.pass_by()
        exchange = self.lone = self.under_way[request.id] = Http1Exchange(self, request, self._connection)
        self._router.dispatch(exchange)
        if exchange.is_over or exchange.is_begun:
            exchange.flush()

    def write_lone(self, output: bytes) -> None:
        """The lone exchange is answered."""
        self.under_way.clear()
        self.lone = None
        self.transport.write(output)

    def take_up_lone(self) -> None:
        """If there is one: it is answered as the others are, whose requests were parsed."""
        if self.lone is not None:
            self.lone = None
            self.http.take_up()

    def receive_eof(self) -> None:
        """The client has closed its half; it still gets the answers to what it asked, but for those without end."""
        if self._switched is not None:
            self._switched.receive_eof()
            return
        self.take_up_lone()
        self._take(self.http.receive_eof())
        for exchange in list(self.under_way.values()):
            if exchange.is_begun or exchange.is_endless:
                self.http.cut(exchange.request.id)
                self._lose(exchange)
        self.flush()

    def lose(self) -> None:
        """The transport is gone."""
        if self._switched is not None:
            self._switched.lose()
        self.forget_unfinished()
        self._queue.clear()
        self.lone = None
        for exchange in list(self.under_way.values()):
            self._lose(exchange)

    def _lose(self, exchange: Http1Exchange) -> None:
        self.under_way.pop(exchange.request.id, None)
        self._awaits_room.pop(exchange.request.id, None)
        try:
            exchange.handler.on_gone()
        except Exception as error:
            self._connection.fail(error)

    def _take(self, events: list[Event]) -> None:
        for event in events:
            if self._queue or (isinstance(event, Request) and not self._may_serve(event)):
                self._queue.append(event)
                self._queued_bytes += _size_of(event)
            else:
                self._serve(event)
        if self._queue:
            self._serve_queue()

    def _serve_queue(self) -> None:
        """Serves of the queue what may be: the rest waits."""
        queue = self._queue
        self._is_serving = True
        while queue:
            event = queue[0]
            if isinstance(event, Request) and not self._may_serve(event):
                break
            queue.popleft()
            self._queued_bytes -= _size_of(event)
            self._serve(event)
        self._is_serving = False
        if (self._queued_bytes > QUEUED_BYTES_MAX) != self._is_held:
            self._is_held = not self._is_held
            self._connection.hold_reading(self._is_held)

    def _may_serve(self, request: Request) -> bool:
        if not self.under_way:
            return True
        if request.method not in _SAFE or request.is_upgrade:
            return False
        return all(exchange.request.method in _SAFE for exchange in self.under_way.values())

    def _serve(self, event: Event) -> None:
        if isinstance(event, Request):
            exchange = self.under_way[event.id] = Http1Exchange(self, event, self._connection)
            self._router.dispatch(exchange)
            if self._leaving and not exchange.is_over:
                exchange.handler.on_drain()
            return
        found = self.under_way.get(event.id)
        if found is None:
            return  # answered already, and not interested in the rest
        if isinstance(event, BodyPart):
            found.handler.on_body(event.data)
        elif event.is_whole:
            found.handler.on_body_end()
        else:
            self._lose(found)

    def on_over(self, exchange: Http1Exchange) -> None:
        """It is answered: what waits behind it has its turn."""
        self.under_way.pop(exchange.request.id, None)
        if self._queue and not self._is_serving:
            self._connection.call_soon(self._go_on)

    def _go_on(self) -> None:
        if not self._is_serving and not self.transport.is_closing():
            self._serve_queue()
            self.flush()

    def drain(self) -> None:
        """Closes the connection once every request has its answer; answers without end are ended."""
        self._leaving = True
        if self._switched is not None:
            self._switched.drain()
            return
        self.take_up_lone()
        for exchange in list(self.under_way.values()):
            exchange.handler.on_drain()
        self.flush()

    # ---- to the client ----

    def is_gone(self, exchange: Http1Exchange) -> bool:
        """As Exchange."""
        return exchange.request.id not in self.under_way or self.transport.is_closing()

    def has_room(self, exchange: Http1Exchange) -> bool:
        """As Exchange."""
        request_id = exchange.request.id
        if not self._connection.is_backed_up and self.http.waiting_bytes(request_id) <= CLOGGED_BYTES:
            return True
        self._awaits_room[request_id] = exchange
        return False

    def on_writable(self) -> None:
        """The socket has room again."""
        if self._switched is not None:
            self._switched.on_writable()
            return
        waiting, self._awaits_room = self._awaits_room, {}
        for exchange in waiting.values():
            if not exchange.is_gone and exchange.has_room:
                exchange.handler.on_writable()
        if waiting:
            self.flush()

    def flush(self) -> None:
        """Writes the answers that are ready, and closes the connection if it is over."""
        try:
            output = self.http.take_output()
            if output:
                self.transport.write(output)
                if self._awaits_room and not self._connection.is_backed_up:
                    self._connection.call_soon(self.on_writable)
            if self._switched is not None:
                return
            if self.http.should_close or (self._leaving and not self.http.is_busy):
                self._close()
        except Exception as error:
            self._connection.fail(error)

    def _close(self) -> None:
        http, transport = self.http, self.transport
        if not http.is_unread or self._leaving or http.dropped_bytes > LINGER_BYTES_MAX:
            transport.close()
        elif not self._lingers:
            self._lingers = True
            if transport.can_write_eof():
                transport.write_eof()
            self._connection.call_later(LINGER_S, transport.close)

    # ---- another protocol: websocket.Wire ----

    def switch(self, exchange: Http1Exchange, headers: list[Header], make: Callable[[Any], SwitchedProtocol]) -> None:
        """As Exchange."""
        rest = self.http.switch(exchange.request.id, headers)
        self.under_way.pop(exchange.request.id, None)
        self.flush()
        self._switched = make(self)
        if self._leaving:
            self._switched.drain()
        self._switched.receive(rest)

    @property
    def is_backed_up(self) -> bool:
        """Whether the socket has no room."""
        return self._connection.is_backed_up

    def write(self, data: bytes) -> None:
        """Bytes of the other protocol."""
        if not self.transport.is_closing():
            self.transport.write(data)

    def close(self) -> None:
        """The other protocol is at its end."""
        self.transport.close()

    def hold(self, size: int) -> None:
        """An unfinished message keeps so many bytes more, or less."""
        self._unfinished.change(self, size)

    def hold_reading(self, holds: bool) -> None:
        """Reads nothing more for now, or reads on."""
        self._connection.hold_reading(holds)

    def call_soon(self, do: Callable[[], None]) -> None:
        """Runs do() when others have had their turn; an error of it ends the connection."""
        self._connection.call_soon(do)

    def call_later(self, seconds: float, do: Callable[[], None]) -> None:
        """Runs do() after so many seconds; an error of it ends the connection."""
        self._connection.call_later(seconds, do)


def _size_of(event: Event) -> int:
    """What it keeps while it waits, at least."""
    if isinstance(event, Request):
        return len(event.body) + sum([len(name) + len(value) for name, value in event.headers.items()])
    return len(event.data) if isinstance(event, BodyPart) else 0
