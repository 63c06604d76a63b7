"""Exchanges over HTTP/1.1 and HTTP/2: bodies in pieces, answers in pieces, order, room, and the client's end."""

from types import SimpleNamespace
from typing import Any

import pytest

from actors.listener.exchange import Exchange, Handler
from actors.listener.http1_exchanges import Http1Exchanges
from actors.listener.http2_exchanges import Http2Exchanges
from actors.listener.http_router import ANY, PIECES, Route, Router
from etcdz.wire import frames as f
from etcdz.wire.http1 import Request
from etcdz.wire.request_target import Target
from etcdz.wire.server import GrpcServerConnection, ServerSettings
from etcdz.wire.unfinished import UnfinishedRequests
from tests.actors.listener.test_http1_endpoints import Transport
from tests.hostile.raw_client import encode_headers
from tests.wire.conversation import HELLO, METHODS, Clock, Reader, data, headers, rst_stream, window_update

HEAD = b"Host: h\r\n"
POST = b"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
FIELDS = [(b":method", b"POST"), (b":scheme", b"https"), (b":path", b"/echo"), (b":authority", b"h")]


class Echo(Handler):
    """Answers with what it is told, and keeps what happens."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.events: list[str] = []
        exchange.handler = self

    def on_body(self, data: bytes) -> None:
        if not self.exchange.is_begun:
            self.exchange.begin(200, b"text/plain")
        self.exchange.send(data.upper())

    def on_body_end(self) -> None:
        self.events.append("end")
        self.exchange.end()

    def on_gone(self) -> None:
        assert self.exchange.is_gone
        self.events.append("gone")

    def on_writable(self) -> None:
        self.events.append("writable")

    def on_drain(self) -> None:
        self.events.append("drain")
        self.exchange.end()


class World:
    """A connection's exchanges, served by echoes and by what the test answers itself (/later)."""

    def __init__(self) -> None:
        self.transport = Transport()
        self.common_name, self.is_secure, self.is_backed_up = "", False, False
        self.echoes: list[Echo] = []
        self.waiting: list[Exchange] = []
        self.failures: list[Exception] = []
        self.soon: list[Any] = []
        self.held: list[bool] = []
        self.call_later = lambda seconds, do: None
        self.call_soon = self.soon.append
        self.hold_reading = self.held.append
        self.fail = self.failures.append
        self.router = Router(
            [
                Route(b"/echo", lambda exchange: self.echoes.append(Echo(exchange)), methods=(b"POST",), body=PIECES),
                Route(b"/later", self.waiting.append, methods=ANY),
            ]
        )

    @property
    def echo(self) -> Echo:
        return self.echoes[-1]

    def run_soon(self) -> None:
        soon, self.soon[:] = list(self.soon), []
        for do in soon:
            do()


class OverHttp1(World):
    def __init__(self) -> None:
        super().__init__()
        connection: Any = self
        self.unfinished = UnfinishedRequests(1 << 20)
        self.exchanges = Http1Exchanges(connection, self.router, 1_000, self.unfinished)

    def send(self, sent: bytes) -> bytes:
        """return what is written for it, but for the Date"""
        self.exchanges.receive(sent)
        return self.written()

    def written(self) -> bytes:
        written, self.transport.written = self.transport.written, b""
        return b"\r\n".join(line for line in written.split(b"\r\n") if not line.startswith((b"date:", b"access-")))


def chunk(text: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(text), text)


HEAD_200 = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def http1() -> OverHttp1:
    return OverHttp1()


def test_an_answer_is_sent_while_the_request_is_still_read(http1: OverHttp1) -> None:
    assert http1.send(POST) == b""
    assert http1.send(chunk(b"ab")) == HEAD_200 + chunk(b"AB")
    assert http1.send(chunk(b"c")) == chunk(b"C")
    assert http1.send(b"0\r\n\r\n") == b"0\r\n\r\n"
    assert http1.echo.events == ["end"] and not http1.transport.closed and http1.unfinished.total == 0
    assert http1.send(POST + chunk(b"d") + b"0\r\n\r\n") == HEAD_200 + chunk(b"D") + b"0\r\n\r\n"


def test_a_streamed_body_has_no_bound_and_keeps_nothing(http1: OverHttp1) -> None:
    http1.send(POST)
    for _ in range(50):
        http1.send(chunk(b"x" * 100))
    assert http1.unfinished.total == 0 and http1.echo.events == []


def test_over_http_1_0_the_end_of_the_answer_is_that_of_the_connection(http1: OverHttp1) -> None:
    sent = b"POST /echo HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nab"
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n"
    assert http1.send(sent) == head + b"AB" and http1.transport.closed


@pytest.mark.parametrize("end", ["malformed", "half closed", "gone"])
def test_an_answer_that_has_begun_is_cut_where_its_request_is(http1: OverHttp1, end: str) -> None:
    http1.send(POST + chunk(b"ab"))
    if end == "malformed":
        assert http1.send(b"zz\r\n") == b""
    elif end == "half closed":
        http1.exchanges.receive_eof()
        assert http1.written() == b""
    else:
        http1.exchanges.lose()
    assert http1.echo.events == ["gone"]
    assert http1.transport.closed or end == "gone"
    http1.echo.exchange.send(b"late")
    http1.echo.exchange.end()
    http1.exchanges.flush()
    assert http1.written() == b""


def test_a_body_that_breaks_before_the_answer_is_refused(http1: OverHttp1) -> None:
    written = http1.send(POST + b"zz\r\n")
    assert written.startswith(b"HTTP/1.1 400 ") and b"Connection: close" in written
    assert http1.echo.events == ["gone"] and http1.transport.closed


def test_what_comes_of_a_body_after_the_answer_is_dropped_up_to_a_bound(http1: OverHttp1) -> None:
    http1.send(POST)
    http1.echo.exchange.answer(404, b"no", b"text/plain")
    http1.exchanges.flush()
    http1.written()
    assert http1.send(chunk(b"x" * 500)) == b"" and not http1.transport.closed
    http1.send(chunk(b"x" * 501))
    assert http1.transport.closed and http1.written() == b""


def test_one_that_changes_something_waits_for_those_before_it(http1: OverHttp1) -> None:
    get, post = (b"%b /later HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n" % method for method in (b"GET", b"POST"))
    http1.send(get + get + post + get)
    assert len(http1.waiting) == 2
    for exchange in http1.waiting[::-1]:
        exchange.answer(200, b"", b"")
        http1.run_soon()
    assert len(http1.waiting) == 3
    http1.waiting[2].answer(201, b"", b"")
    http1.run_soon()
    http1.waiting[3].answer(202, b"", b"")
    http1.exchanges.flush()
    assert [line.split()[1] for line in http1.written().split(b"\r\n") if line[:5] == b"HTTP/"] == [
        b"200",
        b"200",
        b"201",
        b"202",
    ]


def test_nothing_more_is_read_while_much_waits_to_be_served(http1: OverHttp1) -> None:
    post = b"POST /later HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n" + b"x" * 1000
    for _ in range(63):
        http1.send(post)
    assert http1.held == []
    head = b"POST /later HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nX: " + b"x" * 8000 + b"\r\n\r\n"
    http1.send(head)
    assert http1.held == [True]
    for at in range(64):
        http1.waiting[at].answer(200, b"", b"")
        http1.run_soon()
    assert http1.held == [True, False]


def test_an_answer_waits_for_room_and_is_told_once(http1: OverHttp1) -> None:
    http1.send(POST + chunk(b"ab"))
    exchange = http1.echo.exchange
    assert exchange.has_room
    http1.is_backed_up = True
    assert not exchange.has_room and not exchange.has_room
    http1.exchanges.on_writable()
    assert http1.echo.events == []
    http1.is_backed_up = False
    http1.exchanges.on_writable()
    http1.exchanges.on_writable()
    assert http1.echo.events == ["writable"]


def test_draining_ends_what_has_no_end(http1: OverHttp1) -> None:
    http1.send(POST + chunk(b"ab"))
    http1.exchanges.drain()
    assert http1.echo.events == ["drain"] and http1.written().endswith(b"0\r\n\r\n") and http1.transport.closed


def test_a_request_that_comes_while_draining_is_told_so(http1: OverHttp1) -> None:
    http1.send(b"GET /later HTTP/1.1\r\nHost: h\r\n\r\n")
    http1.exchanges.drain()
    http1.send(POST)
    http1.waiting[0].answer(200, b"", b"")
    http1.run_soon()
    assert http1.echo.events == ["drain"]


def test_an_error_of_one_that_serves_is_the_connections() -> None:
    http1 = OverHttp1()
    http1.exchanges._router = Router([Route(b"/echo", lambda exchange: 1 // 0, body=PIECES)])
    with pytest.raises(ZeroDivisionError):
        http1.exchanges.receive(b"GET /echo HTTP/1.1\r\nHost: h\r\n\r\n")


def test_a_trailer_changes_no_header(http1: OverHttp1) -> None:
    post = POST.replace(b"/echo", b"/later")
    http1.send(post + b"0\r\nAuthorization: x\r\nHost: other\r\n\r\n")
    assert http1.waiting[0].request.headers == {b"host": b"h", b"transfer-encoding": b"chunked"}
    assert http1.unfinished.total == 0


class OverHttp2(World):
    """A connection of exchanges, with what Streams does of it."""

    def __init__(self) -> None:
        super().__init__()
        settings = ServerSettings(serves_http=True, takes_pieces=self.router.takes_pieces_of)
        self.grpc = GrpcServerConnection(METHODS, settings, Clock())
        self.grpc.receive(HELLO)
        self.grpc.take_output()
        self.reader = Reader()
        self.awaits: list[Any] = []
        self.await_writable = self.awaits.append
        connection: Any = self
        self.exchanges = Http2Exchanges(connection, self.router)

    def send(self, sent: bytes) -> list[str]:
        for event in self.grpc.receive(sent):
            if event[0] == 5:
                self.exchanges.cancel(event[1])
            else:
                self.exchanges.take(event)
        return self.lines()

    def lines(self) -> list[str]:
        return self.reader.lines(self.grpc.take_output())


@pytest.fixture
def http2() -> OverHttp2:
    return OverHttp2()


def test_over_http2_an_answer_is_sent_while_the_request_is_still_read(http2: OverHttp2) -> None:
    assert http2.send(headers(1, FIELDS)) == []
    lines = http2.send(data(1, b"ab", 0))
    assert lines[0].startswith("HEADERS 1 :status=200 ") and lines[1:] == ["DATA 1 2"]
    assert http2.send(data(1, b"c", 0)) == ["DATA 1 1"]
    assert http2.send(data(1, b"")) == ["DATA 1 END_STREAM 0"]
    assert http2.grpc.open_streams == 0 and http2.echo.events == ["end"] and not http2.exchanges.under_way


def test_over_http2_the_host_is_the_authority(http2: OverHttp2) -> None:
    fields = [*FIELDS[:2], (b":path", b"/later?a=b"), FIELDS[3], (b"x", b"y"), (b"grpc-timeout", b"1S")]
    http2.send(headers(1, fields, f.END_STREAM | f.END_HEADERS))
    request = http2.waiting[0].request
    assert (request.path, request.query, request.version) == (b"/later", b"a=b", "2")
    assert request.headers == {b"host": b"h", b"x": b"y", b"grpc-timeout": b"1S"}


def test_over_http2_the_names_of_headers_have_no_capitals(http2: OverHttp2) -> None:
    """Clients take the answer for malformed otherwise."""
    fields = [FIELDS[0], FIELDS[1], (b":path", b"/later"), FIELDS[3]]
    for stream_id in (1, 3):
        http2.send(headers(stream_id, fields, f.END_STREAM | f.END_HEADERS))
    http2.waiting[0].answer(200, b"", b"", (b"X-Etcd-Index", b"7"))
    http2.waiting[1].begin(200, b"", (b"X-Etcd-Index", b"8"))
    told = [line for line in http2.lines() if line.startswith("HEADERS")]
    assert ["x-etcd-index=7" in told[0], "x-etcd-index=8" in told[1]] == [True, True]


def test_over_http2_a_client_that_resets_is_gone(http2: OverHttp2) -> None:
    http2.send(headers(1, FIELDS) + data(1, b"ab", 0) + rst_stream(1))
    assert http2.echo.events == ["gone"]
    http2.echo.exchange.send(b"late")
    http2.echo.exchange.end()
    assert http2.lines() == []


def test_over_http2_an_answer_waits_for_the_clients_window(http2: OverHttp2) -> None:
    http2.send(headers(1, FIELDS) + data(1, b"ab", 0))
    exchange = http2.echo.exchange
    exchange.send(bytes(200_000))
    assert not exchange.has_room and http2.awaits == [exchange]
    http2.send(window_update(0, 1 << 20) + window_update(1, 1 << 20))
    assert exchange.has_room


def test_over_http2_an_answer_before_the_end_of_the_body_tells_the_client_to_stop(http2: OverHttp2) -> None:
    http2.send(headers(1, FIELDS))
    http2.echo.exchange.answer(404, b"no", b"text/plain")
    assert http2.lines()[1:] == ["DATA 1 2", "DATA 1 END_STREAM 0", "RST_STREAM 1 NO_ERROR"]
    assert http2.send(data(1, b"more", 0)) == [] and http2.echo.events == []


def test_over_http2_a_header_that_http1_would_not_take_is_refused(http2: OverHttp2) -> None:
    lines = http2.send(encode_headers(1, (*FIELDS, (b"x", b"y" * 70_000)), f.END_STREAM))
    assert lines[0].startswith("HEADERS 1 :status=431") and http2.echoes == []


def test_over_http2_draining_ends_what_has_no_end(http2: OverHttp2) -> None:
    http2.send(headers(1, FIELDS) + data(1, b"ab", 0))
    http2.exchanges.drain()
    assert http2.echo.events == ["drain"] and "DATA 1 END_STREAM 0" in http2.lines()


def test_head_has_no_body() -> None:
    router = Router([Route(b"/a", lambda exchange: exchange.answer(200, b"abc", b"text/plain"), methods=ANY)])
    http1 = OverHttp1()
    http1.exchanges._router = router
    assert http1.send(b"HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n").endswith(b"Content-Length: 3\r\n\r\n")


def test_the_longest_prefix_and_the_exact_path_go_first() -> None:
    found: list[str] = []
    router = Router(
        [
            Route(b"/", lambda exchange: found.append("root"), is_prefix=True),
            Route(b"/v3/", lambda exchange: found.append("v3"), is_prefix=True),
            Route(b"/v3/watch", lambda exchange: found.append("watch")),
        ]
    )
    for path in (b"/v3/watch", b"/v3/watch/", b"/x", b"/v"):
        exchange: Any = SimpleNamespace(request=Request(1, b"GET", Target(path, b""), {}, b""))
        router.dispatch(exchange)
    assert found == ["watch", "v3", "root", "root"]


@pytest.mark.parametrize(
    ("sent", "location"),
    [
        (b"//later?a=b&c", b"/later?a=b&c"),
        (b"/a/../later", b"/later"),
        (b"/%2e%2e/later", b"/later"),
        (b"/x/./y/", b"/x/y/"),
        (b"/x/..", b"/"),
        (b"/v3", b"/v3/"),
        (b"/%3Ca%20b//'", b"/%3Ca%20b/%27"),
        (b"/../%0d%0aX:y", b"/%0D%0AX:y"),
    ],
)
def test_other_names_of_a_path_lead_to_it(http1: OverHttp1, sent: bytes, location: bytes) -> None:
    http1.exchanges._router = Router([Route(b"/v3/", http1.waiting.append, is_prefix=True)])
    written = http1.send(b"GET %b HTTP/1.1\r\nHost: h\r\n\r\n" % sent)
    assert written.startswith(b"HTTP/1.1 301 Moved Permanently\r\nlocation: %b\r\n" % location)
    assert b"<" not in written.partition(b"\r\n\r\n")[2].removeprefix(b"<a ").replace(b"</a>", b"")


def test_what_is_asked_for_by_its_own_name_is_not_sent_on(http1: OverHttp1) -> None:
    http1.exchanges._router = Router([Route(b"/v3/", http1.waiting.append, is_prefix=True)])
    for path in (b"/v3/", b"/v3/.x", b"/v3/a/"):
        http1.send(b"GET %b HTTP/1.1\r\nHost: h\r\n\r\n" % path)
    assert [exchange.request.path for exchange in http1.waiting] == [b"/v3/", b"/v3/.x", b"/v3/a/"]
