"""WebSocket clients: the handshake, messages as pieces of a body, lines as messages, close codes, limits and abuse."""

import os
import struct
from typing import Any

import pytest
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, Pong, TextMessage

from actors.listener import websocket
from actors.listener.exchange import Exchange, Handler
from actors.listener.http1_exchanges import Http1Exchanges
from actors.listener.http_access import HttpAccess
from actors.listener.http_router import ANY, PIECES, Route, Router
from actors.listener.websocket import CLOSE_S, FRAGMENTS_MAX
from etcdz.wire.unfinished import UnfinishedRequests
from tests.actors.listener.test_http1_endpoints import Transport

LIMIT = 1_000
ASK = {
    "Host": "h",
    "Connection": "keep-alive, Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
SWITCHED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
)


class Stream(Handler):
    """One that answers in pieces, as the test says."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.events: list[Any] = []
        exchange.handler = self

    def on_body(self, data: bytes) -> None:
        self.events.append(data)

    def on_gone(self) -> None:
        self.events.append("gone")

    def on_writable(self) -> None:
        self.events.append("writable")

    def on_drain(self) -> None:
        self.exchange.end()


class World:
    """A listener's connection and its client."""

    def __init__(self, **headers: str) -> None:
        self.transport = Transport()
        self.common_name, self.is_secure, self.is_backed_up = "", False, False
        self.streams: list[Stream] = []
        self.calls: list[Exchange] = []
        self.failures: list[Exception] = []
        self.held: list[bool] = []
        self.hold_reading = self.held.append
        self.soon: list[Any] = []
        self.call_soon = self.soon.append
        self.timers: list[tuple[float, Any]] = []
        self.fail = self.failures.append
        self.unfinished = UnfinishedRequests(1 << 20)
        routes = [
            Route(b"/v3/watch", lambda exchange: self.streams.append(Stream(exchange)), (b"POST",), PIECES),
            Route(b"/v3/put", self.calls.append, (b"POST",)),
            Route(b"/v3/", lambda exchange: exchange.answer(404, b"Not Found\n", b""), ANY, is_prefix=True),
            Route(b"/version", self.calls.append),
        ]
        router = Router(routes, HttpAccess(), (b"/v3/",), LIMIT)
        connection: Any = self
        self.exchanges = Http1Exchanges(connection, router, LIMIT, self.unfinished)
        self.frames = Connection(ConnectionType.CLIENT)

    def call_later(self, seconds: float, do: Any) -> None:
        self.timers.append((seconds, do))

    def ask(self, path: str = "/v3/watch", method: str = "GET", behind: bytes = b"", **headers: str) -> bytes:
        """return the answer's bytes"""
        given = ASK | {name.replace("_", "-"): value for name, value in headers.items()}
        lines = [f"{method} {path} HTTP/1.1", *[f"{name}: {value}" for name, value in given.items() if value]]
        self.exchanges.receive("\r\n".join([*lines, "", ""]).encode() + behind)
        return self.written()

    def written(self) -> bytes:
        written, self.transport.written = self.transport.written, b""
        return written

    def send(self, *events: Event) -> list[Event]:
        """return what the client receives of it"""
        self.exchanges.receive(b"".join(self.frames.send(event) for event in events))
        return self.received()

    def received(self) -> list[Event]:
        if written := self.written():
            self.frames.receive_data(written)
        return list(self.frames.events())

    @property
    def stream(self) -> Stream:
        [stream] = self.streams
        return stream


def texts(events: list[Event]) -> list[str]:
    assert all(isinstance(event, TextMessage) for event in events), events
    return [event.data for event in events]  # type: ignore[attr-defined]


def closed(events: list[Event]) -> int:
    """The code, of what ends in a close."""
    assert isinstance(events[-1], CloseConnection), events
    return int(events[-1].code)


def frame(opcode: int, payload: bytes, final: bool = True, masked: bool = True, size: int | None = None) -> bytes:
    size = len(payload) if size is None else size
    head = bytes([opcode | (0x80 if final else 0)])
    bit = 0x80 if masked else 0
    if size < 126:
        head += bytes([bit | size])
    elif size < 1 << 16:
        head += bytes([bit | 126]) + struct.pack(">H", size)
    else:
        head += bytes([bit | 127]) + struct.pack(">Q", size)
    return head + (bytes(4) if masked else b"") + payload


def test_a_client_that_asks_is_answered_with_the_proof() -> None:
    world = World()
    assert world.ask() == SWITCHED + b"\r\n" and not world.transport.closed
    request = world.stream.exchange.request
    assert (request.method, request.path, request.is_open) == (b"POST", b"/v3/watch", True)
    assert request.headers == {b"host": b"h"}


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("POST", {}, b"405 Method Not Allowed"),
        ("GET", {"Sec_WebSocket_Version": "12"}, b"400 Bad Request"),
        ("GET", {"Sec_WebSocket_Version": ""}, b"400 Bad Request"),
        ("GET", {"Sec_WebSocket_Key": ""}, b"400 Bad Request"),
    ],
)
def test_a_handshake_that_is_none_is_refused_in_words_of_http(method: str, headers: Any, status: bytes) -> None:
    world = World()
    answer = world.ask(method=method, **headers)
    assert answer.startswith(b"HTTP/1.1 " + status) and b"\r\nsec-websocket-version: 13\r\n" in answer
    assert answer.endswith(b"\r\n\r\n" + status[4:] + b"\n") and not world.streams


def test_elsewhere_nothing_is_upgraded() -> None:
    world = World()
    world.ask("/version")
    [exchange] = world.calls
    exchange.answer(200, b"{}", b"application/json")
    exchange.flush()
    assert b" 200 " in world.written() and world.transport.closed


def test_another_protocol_is_not_taken_up() -> None:
    world = World()
    world.ask("/v3/watch", Upgrade="h2c")
    assert b"HTTP/1.1 405 " in world.written() or world.transport.closed


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ({"Sec_WebSocket_Protocol": "Bearer, abc.1"}, b"abc.1"),
        ({"Sec_WebSocket_Protocol": "Bearer,abc"}, b"abc"),
        ({"Cookie": "a=b; token=xyz"}, b"xyz"),
        ({"Cookie": "token=xyz", "Sec_WebSocket_Protocol": "Bearer, abc"}, b"xyz"),
        ({"Sec_WebSocket_Protocol": "chat, abc"}, None),
        ({"Authorization": "abc"}, None),
    ],
)
def test_the_token_is_a_subprotocol_or_a_cookie(headers: dict[str, str], token: bytes | None) -> None:
    world = World()
    answer = world.ask(Origin="http://o", Referer="http://r", X_Other="x", **headers)
    given = headers.get("Sec_WebSocket_Protocol", "").startswith("Bearer")
    assert (b"Sec-WebSocket-Protocol: Bearer\r\n" in answer) is given
    found = dict(world.stream.exchange.request.headers)
    assert found.pop(b"authorization", None) == token
    assert found == {b"host": b"h", b"origin": b"http://o", b"referer": b"http://r"}


def test_each_message_is_a_piece_of_the_body_and_each_line_a_message() -> None:
    world = World()
    world.ask()
    world.send(TextMessage('{"a":"é"}'), BytesMessage(b"{}"))
    assert world.stream.events == ['{"a":"é"}\n'.encode(), b"{}\n"]
    exchange = world.stream.exchange
    exchange.begin(200, b"application/json")
    exchange.send(b'{"result":1}\n{"res')
    exchange.send(b'ult":2}\n\n')
    exchange.flush()
    assert texts(world.received()) == ['{"result":1}', '{"result":2}']


def test_a_message_may_come_in_fragments_with_pings_between_them_and_byte_by_byte() -> None:
    world = World()
    world.ask()
    sent = b"".join(
        world.frames.send(event)
        for event in (TextMessage("ab", message_finished=False), Ping(b"p"), TextMessage("é", message_finished=True))
    )
    for at in range(len(sent)):
        world.exchanges.receive(sent[at : at + 1])
    assert world.stream.events == ["abé\n".encode()]
    assert world.received() == [Pong(b"p")] and world.unfinished.total == 0


def test_what_is_sent_with_the_request_is_heard() -> None:
    world = World()
    world.ask(behind=frame(1, b"early"))
    assert world.stream.events == [b"early\n"]


def test_a_call_is_answered_after_its_first_message_and_closed() -> None:
    world = World()
    world.ask("/v3/put")
    assert not world.calls
    assert world.send(TextMessage('{"key":"YQ=="}'), TextMessage("more")) == []
    [exchange] = world.calls
    assert (exchange.request.method, exchange.request.body) == (b"POST", b'{"key":"YQ=="}')
    exchange.answer(200, b'{"header":{}}', b"application/json")
    exchange.flush()
    answer, close = world.received()
    assert texts([answer]) == ['{"header":{}}'] and closed([close]) == 1000


@pytest.mark.parametrize(("status", "code"), [(200, 1000), (400, 1008), (401, 1008), (500, 1011), (503, 1011)])
@pytest.mark.parametrize("when", ["at once", "at the head", "at the end"])
def test_the_close_code_says_how_it_ended(status: int, code: int, when: str) -> None:
    world = World()
    world.ask()
    exchange = world.stream.exchange
    if when == "at once":
        exchange.answer(status, b'{"x":1}', b"")
    else:
        exchange.begin(status if when == "at the head" else 200, b"")
        exchange.send(b'{"x":1}')
        exchange.end(status if when == "at the end" else 200)
    exchange.flush()
    text, close = world.received()
    assert texts([text]) == ['{"x":1}'] and closed([close]) == code
    assert not world.transport.closed and world.timers[0][0] == CLOSE_S
    world.send(close.response())  # type: ignore[attr-defined]
    assert world.transport.closed and world.stream.events == []


def test_a_client_that_does_not_confirm_the_close_is_closed() -> None:
    world = World()
    world.frames.receive_data(world.ask("/v3/nothing").removeprefix(SWITCHED + b"\r\n"))
    text, close = world.frames.events()
    assert texts([text]) == ["Not Found"] and closed([close]) == 1008
    world.exchanges.receive(frame(1, b"more") + frame(9, b"ping"))
    assert world.written() == b""
    world.timers[0][1]()
    assert world.transport.closed


@pytest.mark.parametrize("how", ["closes", "half closed", "gone"])
def test_a_client_that_leaves_is_gone(how: str) -> None:
    world = World()
    world.ask()
    if how == "closes":
        assert closed(world.send(CloseConnection(1000, "bye"))) == 1000
    elif how == "half closed":
        world.exchanges.receive_eof()
    else:
        world.exchanges.lose()
    assert world.stream.events == ["gone"] and (world.transport.closed or how == "gone")
    world.stream.exchange.send(b"late\n")
    world.stream.exchange.end()
    world.stream.exchange.flush()
    assert world.written() == b""


ABUSE = {
    "not masked": (frame(1, b"{}", masked=False), 1002),
    "reserved bit": (frame(0x41, b"{}"), 1002),
    "unknown opcode": (frame(3, b"{}"), 1002),
    "unknown control": (frame(11, b"{}"), 1002),
    "control in fragments": (frame(9, b"", final=False), 1002),
    "long ping": (frame(9, b"x" * 126), 1002),
    "continues nothing": (frame(0, b"x"), 1002),
    "two messages at once": (frame(1, b"x", final=False) + frame(1, b"y"), 1002),
    "length in too many bytes": (b"\x81\xfe\0\x05" + bytes(4) + b"hello", 1002),
    "length of a long": (b"\x81\xff" + b"\xff" * 8 + bytes(4), 1002),
    "no UTF-8": (frame(1, b"\xff\xfe"), 1007),
    "UTF-8 cut": (frame(1, b"\xc3", final=False) + frame(0, b"x"), 1007),
    "close with a byte": (frame(8, b"x"), 1002),
    "close with a code that is none": (frame(8, b"\x00\x01"), 1002),
    "message too big": (frame(1, b"x" * (LIMIT + 1)), 1009),
    "huge frame that has begun": (frame(2, b"x" * (LIMIT + 1), size=1 << 62), 1009),
    "too big in fragments": (frame(1, b"x" * LIMIT, final=False) + frame(0, b"y"), 1009),
    "countless fragments": (frame(1, b"", final=False) + frame(0, b"", final=False) * FRAGMENTS_MAX, 1009),
}


@pytest.mark.parametrize("name", ABUSE)
@pytest.mark.parametrize("size", [None, 7])
def test_abuse_ends_the_socket_with_its_reason_and_nothing_is_kept(name: str, size: int | None) -> None:
    sent, code = ABUSE[name]
    world = World()
    world.ask()
    sent += frame(1, b"more") + frame(9, b"ping")
    for at in range(0, len(sent), size or len(sent)):
        world.exchanges.receive(sent[at : at + (size or len(sent))])
    [close] = world.received()
    assert closed([close]) == code
    assert world.stream.events == ["gone"] and world.unfinished.total == 0
    for _ in range(100):
        world.exchanges.receive(os.urandom(100))
    assert world.written() == b"" and world.failures == []
    world.timers[0][1]()
    assert world.transport.closed


def test_an_unfinished_message_counts_until_it_is_given_up() -> None:
    world = World()
    world.ask()
    world.exchanges.receive(frame(1, b"x" * 100, final=False))
    assert world.unfinished.total == 100
    world.exchanges.give_up_unfinished()
    assert closed(world.received()) == 1013 and world.unfinished.total == 0


def test_many_frames_are_worked_off_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    world.ask()
    monkeypatch.setattr(websocket, "TURN_S", 0.0)
    world.exchanges.receive(frame(1, b"a") + frame(1, b"b"))
    world.exchanges.receive(frame(1, b"c"))
    assert (world.stream.events, world.held) == ([b"a\n"], [True])
    while world.soon:
        world.soon.pop(0)()
    assert world.stream.events == [b"a\n", b"b\n", b"c\n"]
    assert world.held == [True, False] * 3


def test_one_that_leaves_between_turns_is_not_heard_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    world.ask()
    monkeypatch.setattr(websocket, "TURN_S", 0.0)
    world.exchanges.receive(frame(1, b"a") + frame(1, b"b"))
    world.exchanges.lose()
    world.soon.pop(0)()
    assert world.stream.events == [b"a\n", "gone"]


def test_one_that_does_not_read_has_no_room() -> None:
    world = World()
    world.ask()
    assert world.stream.exchange.has_room
    world.is_backed_up = True
    assert not world.stream.exchange.has_room
    world.is_backed_up = False
    world.exchanges.on_writable()
    world.exchanges.on_writable()
    assert world.stream.events == ["writable"]


@pytest.mark.parametrize("path", ["/v3/watch", "/v3/put"])
def test_a_listener_that_leaves_closes_with_its_reason(path: str) -> None:
    world = World()
    world.ask(path)
    world.exchanges.drain()
    assert closed(world.received()) == 1001


def test_an_error_of_one_that_serves_is_the_connections() -> None:
    world = World()
    world.ask()
    world.stream.on_body = lambda data: 1 // 0  # type: ignore[assignment, return-value, method-assign]
    with pytest.raises(ZeroDivisionError):
        world.exchanges.receive(frame(1, b"{}"))
