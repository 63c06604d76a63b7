"""The graceful end of a connection: what the client is sent, in which order, and when the connection may close."""

from collections.abc import Callable
from typing import Any

from actors.listener.draining import CONFIRM_S, GATHER_S, GATHER_S_MAX, SETTLE_S, ConnectionDraining
from etcdz.wire.client import ClientSettings, GrpcClientConnection
from etcdz.wire.events import GOAWAY
from etcdz.wire.request_head import Method
from etcdz.wire.server import GrpcServerConnection, ServerSettings

PATH = b"/x.Y/Z"


class World:
    """A server's and a client's end, and what lies between them. Time stands still until `wait`."""

    def __init__(self) -> None:
        self.server = GrpcServerConnection({PATH: Method(PATH, True, 1)}, ServerSettings(), now=lambda: 0.0)
        self.client = GrpcClientConnection(ClientSettings(authority=b"x"), lambda: 0.0)
        self.written = b""
        self.is_closed = False
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.now = 0.0
        self.confirmed = 0
        self.exchange()
        self.draining = ConnectionDraining(
            self.server, self, self.call_later, self.on_goaway_confirmed, lambda: self.now
        )

    # ---- what draining asks of its surroundings ----

    def write(self, data: bytes) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.is_closed

    def call_later(self, seconds: float, do: Callable[[], None]) -> None:
        self.timers.append((self.now + seconds, do))

    def on_goaway_confirmed(self) -> None:
        self.confirmed += 1
        self.write(self.draining.take_output())

    # ---- what happens ----

    def exchange(self) -> list[Any]:
        """Everything that both have written reaches the other. return the server's events"""
        events: list[Any] = []
        for _ in range(4):
            events += self.server.receive(self.client.take_output())
            self.client.receive(self.server.take_output())
        return events

    def call(self) -> int:
        """One that reaches the server. return its number"""
        stream = self.client.call(PATH, b"question")
        self.server.receive(self.client.take_output())
        return stream

    def wait(self, seconds: float) -> None:
        self.now += seconds
        due = [timer for timer in self.timers if timer[0] <= self.now + 1e-9]
        self.timers = [timer for timer in self.timers if timer not in due]
        for _, do in due:
            do()

    def deliver(self) -> list[str]:
        """What was written reaches the client, and its bytes the server. return what the client heard, by kind"""
        events = self.client.receive(self.written)
        self.written = b""
        self.server.receive(self.client.take_output())
        self.draining.on_received()
        return ["goaway" if kind == GOAWAY else "answer" for kind, *_ in events]


def test_answers_wait_until_the_client_knows_that_it_has_to_go() -> None:
    world = World()
    world.server.reply(world.call(), b"answer")
    late = world.call()
    assert world.draining.holds_back and world.written == b""
    world.wait(GATHER_S)
    assert world.deliver() == ["goaway"]
    world.server.reply(late, b"answer")
    assert world.draining.holds_back, "also while no call is open: or the answers would be cut off"
    assert world.confirmed == 0
    world.wait(SETTLE_S)
    assert (world.confirmed, world.draining.holds_back) == (1, False)
    assert sorted(world.deliver()) == ["answer", "answer", "goaway"]


def test_a_client_that_still_makes_calls_is_waited_for_but_not_for_ever() -> None:
    world = World()
    for _ in range(3):
        world.wait(0.75 * GATHER_S)
        world.call()
        world.draining.on_received()
        assert world.written == b""
    world.wait(GATHER_S)
    assert world.deliver() == ["goaway"]
    busy = World()
    for _ in range(20):
        busy.wait(0.5 * GATHER_S)
        busy.call()
        busy.draining.on_received()
    assert busy.now > GATHER_S_MAX and busy.deliver() == ["goaway"]


def test_a_call_that_was_made_before_the_client_knew_is_served() -> None:
    world = World()
    world.wait(GATHER_S)
    stream = world.call()
    world.deliver()
    world.wait(SETTLE_S)
    assert not world.server.should_close
    world.server.reply(stream, b"answer")
    world.write(world.draining.take_output())
    assert "answer" in world.deliver()
    assert world.server.should_close


def test_a_call_for_which_the_client_had_chosen_the_connection_before_it_knew_is_served() -> None:
    world = World()
    early = world.client.call(PATH, b"question")
    question = world.client.take_output()
    world.wait(GATHER_S)
    world.deliver()
    world.server.receive(question)  # the confirmation has overtaken it within the client
    world.draining.on_received()
    world.server.reply(early, b"answer")
    world.wait(SETTLE_S)
    assert "answer" in world.deliver()


def test_a_client_that_does_not_confirm_gets_its_answers_all_the_same() -> None:
    world = World()
    world.server.reply(world.call(), b"answer")
    world.wait(GATHER_S)
    world.wait(CONFIRM_S)
    assert world.confirmed == 1
    assert world.deliver() == ["goaway", "answer"]
    world.wait(SETTLE_S)
    assert world.confirmed == 1, "once"


def test_a_client_that_was_slow_to_confirm_is_given_as_long_again() -> None:
    world = World()
    world.wait(GATHER_S)
    world.wait(10 * SETTLE_S)
    world.deliver()
    world.wait(9 * SETTLE_S)
    assert world.draining.holds_back
    world.wait(SETTLE_S)
    assert not world.draining.holds_back


def test_an_error_of_the_client_ends_the_holding_back() -> None:
    world = World()
    world.server.receive(b"\0" * 100)
    assert world.server.closed and not world.draining.holds_back
    world.wait(GATHER_S)
    assert world.draining.take_output() != b"" or world.written != b""


def test_a_connection_that_is_gone_is_left_alone() -> None:
    world = World()
    world.is_closed = True
    world.wait(GATHER_S)
    assert (world.written, world.timers) == (b"", [])
