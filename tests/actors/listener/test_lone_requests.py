"""Requests that pass by the parser are answered as those that do not, byte for byte, whatever comes between."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.listener.exchange import Handler
from etcdz.wire.http1 import Request
from etcdz.wire.known_heads import KnownHeads
from tests.actors.listener.test_exchange import OverHttp1

LATER = b"POST /later HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi"
SAFE = b"GET /later?x HTTP/1.1\r\nHost: h\r\n\r\n"
NOT_FOUND = b"GET /no HTTP/1.1\r\nHost: h\r\n\r\n"
ECHO = b"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab"
REQUESTS = [
    LATER, SAFE, NOT_FOUND, ECHO, NOT_FOUND.replace(b"no", b"a//b"), LATER.replace(b"POST", b"HEAD"),
    SAFE.replace(b"/1.1", b"/1.0"), LATER + SAFE, LATER[:-1], b"x",
    SAFE.replace(b"h\r\n", b"h\r\nConnection: close\r\n"),
]  # fmt: skip


class KnowsNothing(KnownHeads):
    """All requests are parsed."""

    def learn(self, data: bytes, request: Request) -> None:
        pass


class Waits(Handler):
    """Notes what the client does."""

    def __init__(self, said: list[str]) -> None:
        self.said = said

    def on_gone(self) -> None:
        self.said.append("gone")

    def on_drain(self) -> None:
        self.said.append("drain")


class World(OverHttp1):
    """Does the steps of a conversation; what is written, and what handlers are told, is its `record`."""

    def __init__(self, heads: type[KnownHeads]) -> None:
        super().__init__()
        self.exchanges._heads = heads(self.router.takes_pieces)
        self.record: list[Any] = []
        for data in (LATER, SAFE, NOT_FOUND):
            self.do(("send", data))
            self.do(("answer", 200))

    def do(self, step: tuple[str, Any]) -> None:
        what, given_ = step
        if self.transport.closed:
            return
        if what == "send":
            before = len(self.waiting)
            self.exchanges.receive(given_)
            for exchange in self.waiting[before:]:
                exchange.handler = Waits(self.record)
                self.record.append((exchange.request.method, exchange.request.target, exchange.request.body))
        elif what == "eof":
            self.exchanges.receive_eof()
        elif what == "drain":
            self.exchanges.drain()
        elif self.waiting:
            self.answer(what, given_)
        self.run_soon()
        self.record.append((self.written(), self.transport.closed))

    def answer(self, what: str, status: int) -> None:
        exchange = self.waiting.pop(0)
        if what == "answer":
            exchange.answer(status, b"" if status == 204 else b"whole", b"text/plain", (b"x-more", b"%d" % status))
        else:
            exchange.begin(200, b"text/plain")
            exchange.send(b"piece")
            exchange.end()
        exchange.flush()


STEPS = st.one_of(
    st.tuples(st.just("send"), st.sampled_from(REQUESTS)),
    st.tuples(st.just("answer"), st.sampled_from([200, 204, 404])),
    st.tuples(st.just("stream"), st.just(200)),
    st.tuples(st.sampled_from(["eof", "drain"]), st.just(0)),
)


@given(st.lists(STEPS, max_size=8))
def test_a_conversation_is_the_same_with_known_heads_and_without(steps: list[tuple[str, Any]]) -> None:
    worlds = [World(KnownHeads), World(KnowsNothing)]
    for step in steps:
        for world in worlds:
            world.do(step)
        assert worlds[0].record == worlds[1].record and worlds[0].failures == worlds[1].failures


@pytest.mark.parametrize("at", range(len(LATER)))
def test_a_known_request_that_comes_in_two_pieces_is_parsed(at: int) -> None:
    world = World(KnownHeads)
    world.do(("send", LATER[:at]))
    world.do(("send", LATER[at:]))
    assert (world.exchanges.lone is None) == (at > 0)
    world.do(("answer", 200))
    assert world.record[-1][0].endswith(b"\r\n\r\nwhole")


def test_a_client_that_goes_is_told_of_once() -> None:
    world = World(KnownHeads)
    world.do(("send", LATER))
    assert world.exchanges.lone is not None
    world.exchanges.lose()
    assert world.record.count("gone") == 1
    world.waiting.pop().answer(200, b"", b"")
    assert not world.written()
