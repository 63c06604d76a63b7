"""Connections through the gateway, between sockets of this process."""

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from random import Random
from typing import Any

import pytest

from etcdz.cli.gateway.relay import KEEP_ALIVE_S, Relay, keep_alive
from etcdz.cli.gateway.remotes import Record, Remotes
from etcdz.embed import ports

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
LIMIT_S = 240


async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers in capitals when the client has said all."""
    writer.write((await reader.read()).upper())
    writer.close()


@asynccontextmanager
async def server(serve: Serve, port: int = 0) -> AsyncIterator[Record]:
    made = await asyncio.start_server(serve, "127.0.0.1", port)
    async with made:
        yield Record("127.0.0.1", made.sockets[0].getsockname()[1])


@contextmanager
def nobody() -> Iterator[Record]:
    """Where nobody listens but who is told to."""
    with ports.hold() as held:
        yield Record("127.0.0.1", ports.port_of(held))


@asynccontextmanager
async def gateway(*records: Record, retry_s: float = 60.0) -> AsyncIterator[tuple[Remotes, int]]:
    """(its remotes, its port)"""
    listening = socket.create_server(("127.0.0.1", 0))
    remotes = Remotes(records, Random(1).randrange)
    running = asyncio.ensure_future(Relay(remotes, retry_s).run(listening))
    try:
        yield remotes, listening.getsockname()[1]
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def talk(port: int, said: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(said)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer


def run(story: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(LIMIT_S):
            await story()

    asyncio.run(limited())


def test_a_client_that_has_said_all_still_gets_its_answer() -> None:
    async def story() -> None:
        async with server(shout) as record, gateway(record) as (_, port):
            large = b"a" * 3_000_000
            assert await talk(port, large) == large.upper()

    run(story)


def test_a_dead_member_is_left_out_until_it_is_back() -> None:
    async def story() -> None:
        with nobody() as dead:
            async with server(shout) as alive, gateway(dead, alive, retry_s=0.01) as (remotes, port):
                assert [await talk(port, b"a") for _ in range(3)] == [b"A"] * 3
                assert remotes.inactive == [dead]
                async with server(shout, dead.port):
                    while remotes.inactive:
                        await asyncio.sleep(0.01)

    run(story)


def test_with_no_member_left_the_connection_ends() -> None:
    async def story() -> None:
        with nobody() as dead:
            async with gateway(dead) as (_, port):
                with suppress(ConnectionError):
                    assert await talk(port, b"a") == b""

    run(story)


def test_what_ends_badly_on_one_side_ends_on_the_other() -> None:
    async def abort(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.transport.abort()

    async def story() -> None:
        async with server(abort) as record, gateway(record) as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"a")
            with suppress(ConnectionError):
                assert await reader.read() == b""
            writer.close()

    run(story)


def test_ends_that_are_gone_without_a_word_are_noticed() -> None:
    async def story() -> None:
        async with server(shout) as record:
            _, writer = await asyncio.open_connection(record.host, record.port)
            keep_alive(writer)
            sock = writer.get_extra_info("socket")
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == KEEP_ALIVE_S
            writer.close()

    run(story)


def test_a_want_of_descriptors_is_not_laid_at_a_members_door(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        dial = asyncio.open_connection
        async with server(shout) as record, gateway(record) as (remotes, port):

            async def dial_others(host: str, to: int, **options: Any) -> Any:
                if to == record.port:
                    raise OSError(errno.EMFILE, "Too many open files")
                return await dial(host, to, **options)

            with monkeypatch.context() as patched, suppress(ConnectionError):
                patched.setattr(asyncio, "open_connection", dial_others)
                assert await talk(port, b"a") == b""
            assert not remotes.inactive
            assert await talk(port, b"a") == b"A"

    run(story)
