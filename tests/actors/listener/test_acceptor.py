"""The sockets from which a listener accepts: it is accepting when clients can connect, and not before."""

import asyncio
import os
import socket
from collections.abc import Iterator

import pytest

from actors.listener.acceptor import Acceptor


class World:
    """Two sockets of one address, and what was seen of them."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        first = _bound(0)
        self.port = int(first.getsockname()[1])
        self.sockets = [first, _bound(self.port)]
        fds = [os.dup(sock.fileno()) for sock in self.sockets]
        self.failures: list[Exception] = []
        self.accepting: list[bool] = []
        """For each call of on_accepting: whether a client could connect then."""
        self.acceptor = Acceptor(
            self.loop,
            [("address", 2)],
            fds,
            [asyncio.Protocol],
            self.failures.append,
            lambda: self.accepting.append(self.connects()),
        )

    def connects(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0

    def run(self) -> None:
        """Until nothing is to be done any more."""
        while asyncio.all_tasks(self.loop):
            self.loop.run_until_complete(asyncio.gather(*asyncio.all_tasks(self.loop)))


def _bound(port: int) -> socket.socket:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind(("127.0.0.1", port))
    return sock


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.acceptor.accept_from([])
    made.loop.run_until_complete(asyncio.sleep(0))
    made.loop.close()
    for sock in made.sockets:
        sock.close()


def test_no_client_can_connect_before_it_is_accepting(world: World) -> None:
    world.acceptor.accept_from([0, 1])
    assert (world.acceptor.is_accepting, world.connects(), world.accepting) == (False, False, [])
    world.run()
    assert (world.acceptor.is_accepting, world.accepting, world.failures) == (True, [True], [])


def test_one_that_accepts_from_none_is_not_accepting(world: World) -> None:
    world.acceptor.accept_from([0, 1])
    world.run()
    world.acceptor.accept_from([])
    assert not world.acceptor.is_accepting
    world.acceptor.accept_from([1])
    world.run()
    assert world.acceptor.is_accepting and world.accepting == [True, True]


def test_a_change_while_sockets_open_leaves_what_was_wanted_last(world: World) -> None:
    world.acceptor.accept_from([0, 1])
    world.acceptor.accept_from([1])
    world.run()
    assert world.acceptor.is_accepting and world.failures == []


def test_it_is_accepting_when_what_was_missing_is_not_wanted_any_more(world: World) -> None:
    world.acceptor.accept_from([0])
    world.run()
    world.acceptor.accept_from([0, 1])
    assert not world.acceptor.is_accepting
    world.acceptor.accept_from([0])
    assert world.acceptor.is_accepting and world.accepting == [True, True]
