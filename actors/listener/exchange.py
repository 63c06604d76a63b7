"""A request of HTTP and its answer, whichever version of HTTP, or WebSocket, carries them.

A route (`http_router.py`) says whether its requests come whole, in `exchange.request.body`, or piece by piece. Its
`serve(exchange)` answers at once, or keeps the exchange and answers later; it may set `exchange.handler`, which is told
what the client does meanwhile:

    client                          handler
    a piece of the body             on_body(data)        only where the route takes bodies in pieces
    the end of the body             on_body_end()        the same
    gone, reset, a broken body      on_gone()            nothing can be sent any more; not called after the answer's end
    reads on after it stalled       on_writable()        once after each `has_room` that was False
    -                               on_drain()           the listener leaves: an answer that has no end of its own ends

An answer is whole (`answer`), or streamed (`begin`, `send`..., `end`): chunked over HTTP/1.1, until the connection ends
over HTTP/1.0, DATA frames over HTTP/2. Streamed answers may begin before the request's body has ended (full duplex).
What is answered within serve() or an on_... leaves by itself; at other times it leaves with `flush()`.

    class Echo(Handler):
        def __init__(self, exchange):
            self._exchange = exchange
            exchange.handler = self
            exchange.begin(200, b"text/plain")

        def on_body(self, data):
            self._exchange.send(data)

        def on_body_end(self):
            self._exchange.end()

    Route(b"/echo", Echo, methods=(b"POST",), body=PIECES)

Exceptions out of serve() and the on_... end this client's connection alone; code that runs at another time (the answer
of an actor, a timer) hands its own to `fail`.
"""

import time
from collections.abc import Callable
from typing import Any, Final, Protocol

from etcdz.wire.http1 import Header, Request

_DATE: Final = "%a, %d %b %Y %H:%M:%S GMT"
"""Of RFC 9110, 5.6.7. NB: nothing here sets a locale, so that the names are English."""


class SwitchedProtocol(Protocol):
    """What speaks another protocol on a connection that has switched to it."""

    def receive(self, data: bytes) -> None: ...
    def receive_eof(self) -> None: ...
    def lose(self) -> None: ...
    def drain(self) -> None: ...
    def on_writable(self) -> None: ...
    def flush(self) -> None: ...
    def give_up_unfinished(self) -> None: ...


class Handler:
    """What waits for the client of one exchange. When each is called: see the table above."""

    __slots__ = ()

    def on_body(self, data: bytes) -> None:
        """data: not empty"""

    def on_body_end(self) -> None:
        """The client has sent all; it still reads."""

    def on_gone(self) -> None:
        """Lets go of what was begun for the client."""

    def on_writable(self) -> None:
        """There is room again."""

    def on_drain(self) -> None:
        """Ends a streamed answer that would go on for ever; the client asks again elsewhere."""


NOBODY: Final = Handler()


class Exchange:
    """One request and its answer.

    request         method, path, query, headers (lower-case names, the host among them), version, and the whole body
                    where the route takes such
    common_name     of the client's certificate, if clients are known by that (--client-cert-auth); "": none
    is_secure       whether it came over TLS
    handler         is told what the client does; let go of with the answer's end, for it holds the exchange
    common_headers  of every answer: those of CORS
    is_begun        whether a streamed answer has begun
    is_over         whether the answer is complete
    is_endless      whether it may wait for ever: a client that has closed its half of the connection is gone then
    """

    __slots__ = (
        "common_headers",
        "common_name",
        "handler",
        "is_begun",
        "is_endless",
        "is_over",
        "is_secure",
        "request",
    )

    def __init__(self, request: Request, common_name: str = "", is_secure: bool = False) -> None:
        self.request = request
        self.common_name = common_name
        self.is_secure = is_secure
        self.handler = NOBODY
        self.common_headers: tuple[Header, ...] = ()
        self.is_begun = False
        self.is_over = False
        self.is_endless = False

    def answer(self, status: int, body: bytes, kind: bytes, *headers: Header) -> None:
        """The whole answer. After the end, or to a client that is gone: nothing.

        kind    its Content-Type; b"": none
        headers others; Content-Length, Date and those of CORS come by themselves
        """
        if self.is_over or self.is_gone:
            return
        self.is_over = True
        self.handler = NOBODY
        self._answer(status, body, kind, [*self.common_headers, *headers, (b"date", http_date())])

    def begin(self, status: int, kind: bytes, *headers: Header) -> None:
        """The head of a streamed answer. As answer."""
        if self.is_over or self.is_begun or self.is_gone:
            return
        self.is_begun = True
        self._begin(status, kind, [*self.common_headers, *headers, (b"date", http_date())])

    def send(self, data: bytes) -> None:
        """A piece of a streamed answer. After the end: nothing. Requires: begin(); see has_room"""
        if data and not (self.is_over or self.is_gone):
            self._send(data)

    def end(self, status: int = 200) -> None:
        """The end of a streamed answer. Requires: begin()

        status  200, or what an error would have as its status that the body has told: a WebSocket closes by that
        """
        if not (self.is_over or self.is_gone):
            self.is_over = True
            self.handler = NOBODY
            self._end(status)

    def switch(self, headers: list[Header], make: Callable[[Any], SwitchedProtocol]) -> None:
        """Answers that the connection speaks another protocol from now on, and has it spoken.

        Requires: request.is_upgrade, which is so over HTTP/1.1 alone
        make    called with the connection, websocket.Wire
        """
        raise NotImplementedError

    @property
    def client(self) -> Any:
        """Its connection: whose places and turns are taken by what is asked for it."""
        raise NotImplementedError

    @property
    def is_gone(self) -> bool:
        """Whether nothing can be written to the client any more."""
        raise NotImplementedError

    @property
    def has_room(self) -> bool:
        """Whether the client takes what it is sent. If not, send() still keeps what it is given, without a bound: who
        has much to send waits for on_writable, which comes as soon as there is room."""
        raise NotImplementedError

    def flush(self) -> None:
        """Writes what has been answered. As Caller.flush."""
        raise NotImplementedError

    def fail(self, error: Exception) -> None:
        """Something that was done for this client has raised: its connection ends, and it is reported."""
        raise NotImplementedError

    # ---- of each version of HTTP ----

    def _answer(self, status: int, body: bytes, kind: bytes, headers: list[Header]) -> None:
        raise NotImplementedError

    def _begin(self, status: int, kind: bytes, headers: list[Header]) -> None:
        raise NotImplementedError

    def _send(self, data: bytes) -> None:
        raise NotImplementedError

    def _end(self, status: int) -> None:
        raise NotImplementedError


_date_s, _date = 0, b""


def http_date() -> bytes:
    """Now, as a Date header has it; made once a second."""
    global _date_s, _date
    now = int(time.time())
    if now != _date_s:
        _date_s, _date = now, time.strftime(_DATE, time.gmtime(now)).encode()
    return _date
