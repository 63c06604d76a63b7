"""What goes wrong around the core, in the shell of threads and in that of asyncio: nobody waits for ever."""

import asyncio
import threading

import pytest

from etcdz.client import aio, connect
from etcdz.client.connecting import make_options
from etcdz.client.errors import ClientClosed, DeadlineExceeded
from etcdz.client.methods import RANGE
from etcdz.client.pending import Request
from etcdz.client.reactor import Reactor

NO_NAME = "a..b:2379"
"""No name that could be looked up: the library says so by an error that is not the system's."""


def test_an_endpoint_whose_name_is_none_is_named() -> None:
    with connect(NO_NAME) as db, pytest.raises(DeadlineExceeded, match=r"a\.\.b"):
        db.get("k", timeout=0.3)


def test_an_endpoint_whose_name_is_none_is_named_in_asyncio() -> None:
    async def ask() -> None:
        async with aio.connect(NO_NAME) as db:
            with pytest.raises(DeadlineExceeded, match=r"a\.\.b"):
                await db.get("k", timeout=0.3)

    asyncio.run(ask())


def test_a_deadline_years_away_is_slept_for_in_pieces() -> None:
    reactor = Reactor(make_options("unix:/nowhere"))
    reactor.core.after(9e9, lambda: None)
    slept_s = reactor._plan(reactor.core, None)
    assert slept_s is not None and 0 < slept_s * 1000 < 1 << 31
    reactor.close()


def test_a_mistake_in_the_clients_thread_leaves_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(core: object) -> None:
        raise AssertionError("a mistake")

    reactor = Reactor(make_options("unix:/nowhere"))
    told: list[object] = []
    monkeypatch.setattr(threading, "excepthook", lambda arguments: told.append(arguments.exc_value))
    reactor.enter(lambda core: core.after(0, lambda: fail(core)))
    for _ in range(2):
        with pytest.raises(ClientClosed):
            reactor.do(Request(RANGE, b"", bytes))
    assert isinstance(told[0], AssertionError)
