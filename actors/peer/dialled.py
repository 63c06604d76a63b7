"""Connections that this member makes to others: where a peer URL leads, and how a socket gets there."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, NamedTuple, TypeVar

from actors.peer.peer_tls import PeerTls
from actors.peer.tls_connection import Refused
from etcdz.config.urls import parse_url
from etcdz.tls.contexts import TlsError
from etcdz.tls.handshake_errors import handshake_error

DIAL_S: Final = 1.0
"""What a dial may take on top of an election timeout, as in etcd."""
PARTS: Final = 16
"""Of the time that a dial may take."""
KEEPALIVE_S: Final = 30

ProtocolT = TypeVar("ProtocolT", bound=asyncio.Protocol)


class Place(NamedTuple):
    """Where a peer URL leads: host and port, or the path of a unix socket. authority: for the field Host"""

    host: str
    port: int
    path: str
    authority: str
    is_secure: bool = False


class CannotDial(OSError):
    """The URL leads nowhere from here."""


def place_of(url: str) -> Place:
    """raises CannotDial: no URL that is dialled here"""
    try:
        parsed = parse_url(url)
        if parsed.is_unix:
            return Place("", 0, parsed.socket_path, "localhost", parsed.is_secure)
        host, port = parsed.host_port
        return Place(host, int(port or (443 if parsed.is_secure else 80)), "", parsed.host, parsed.is_secure)
    except ValueError as error:
        raise CannotDial(f"not a peer URL: {url!r}") from error


@asynccontextmanager
async def within(event_loop: asyncio.AbstractEventLoop, timeout_s: float) -> AsyncIterator[None]:
    """Like asyncio.timeout, in time in which this process has run: of a turn of the event loop that takes long, because
    others have the CPUs or all was paused, only a part counts. What has come meanwhile is looked at first. raises
    TimeoutError"""
    limit = asyncio.timeout(None)
    handle: asyncio.TimerHandle

    def wait_on(parts: int) -> None:
        nonlocal handle
        if parts:
            handle = event_loop.call_later(timeout_s / PARTS, wait_on, parts - 1)
        else:
            limit.reschedule(event_loop.time())

    async with limit:
        handle = event_loop.call_later(timeout_s / PARTS, wait_on, PARTS - 1)
        try:
            yield
        finally:
            handle.cancel()


async def dial(
    event_loop: asyncio.AbstractEventLoop, place: Place, make: Callable[[], ProtocolT], timeout_s: float, tls: PeerTls
) -> ProtocolT:
    """The protocol of a new connection, made by make(). raises OSError, TimeoutError"""
    async with within(event_loop, timeout_s):
        if place.is_secure:
            return await _dial_tls(event_loop, place, make, tls)
        _, protocol = await _connect(event_loop, place, make)
        return protocol


async def _dial_tls(
    event_loop: asyncio.AbstractEventLoop, place: Place, make: Callable[[], ProtocolT], tls: PeerTls
) -> ProtocolT:
    """raises OSError"""
    try:
        _, connection = await _connect(event_loop, place, lambda: tls.dialled(place.host or place.authority, make))
    except TlsError as error:
        raise CannotDial(str(error)) from error
    is_open = False
    try:
        protocol = await connection.open()
        is_open = True
        return protocol
    except Refused as error:
        raise CannotDial(str(error)) from error
    except (ssl.SSLError, EOFError) as error:
        raise CannotDial(handshake_error(error).text) from error
    finally:
        if not is_open:
            connection.refuse()


async def _connect(
    event_loop: asyncio.AbstractEventLoop, place: Place, make: Callable[[], ProtocolT]
) -> tuple[asyncio.Transport, ProtocolT]:
    """To the first of its addresses that is there.

    NB: names are looked up here rather than by create_connection: of uvloop, that leaves a look-up behind when it is
    given up, whose failure then reaches the loop's exception handler and ends the actor.
    """
    if place.path:
        return await event_loop.create_unix_connection(make, place.path)
    found = await event_loop.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
    problem: OSError = CannotDial(f"no address of {place.host}")
    for *_, address in found:
        try:
            transport, protocol = await event_loop.create_connection(make, str(address[0]), int(address[1]))
        except OSError as error:
            problem = error
            continue
        _keep_alive(transport.get_extra_info("socket"))
        return transport, protocol
    raise problem


def _keep_alive(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_S)
