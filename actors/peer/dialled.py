"""Connections that this member makes to others: where a peer URL leads, and how a socket gets there."""

import asyncio
import socket
from collections.abc import Callable
from typing import Final, NamedTuple, TypeVar

from etcdz.config.urls import parse_url

DIAL_S: Final = 1.0
"""What a dial may take on top of an election timeout, as in etcd."""
KEEPALIVE_S: Final = 30

ProtocolT = TypeVar("ProtocolT", bound=asyncio.Protocol)


class Place(NamedTuple):
    """Where a peer URL leads: host and port, or the path of a unix socket. authority: for the field Host"""

    host: str
    port: int
    path: str
    authority: str


class CannotDial(OSError):
    """The URL leads nowhere from here."""


def place_of(url: str) -> Place:
    """raises CannotDial: no URL that is dialled here"""
    try:
        parsed = parse_url(url)
        if parsed.is_secure:
            raise CannotDial(f"TLS is not supported: {url}")
        if parsed.is_unix:
            return Place("", 0, parsed.socket_path, "localhost")
        host, port = parsed.host_port
        return Place(host, int(port or 80), "", parsed.host)
    except ValueError as error:
        raise CannotDial(f"not a peer URL: {url!r}") from error


async def dial(
    event_loop: asyncio.AbstractEventLoop, place: Place, make: Callable[[], ProtocolT], timeout_s: float
) -> ProtocolT:
    """The protocol of a new connection, made by make(). raises OSError, TimeoutError"""
    async with asyncio.timeout(timeout_s):
        if place.path:
            _, protocol = await event_loop.create_unix_connection(make, place.path)
            return protocol
        transport, protocol = await _connect(event_loop, place, make)
    _keep_alive(transport.get_extra_info("socket"))
    return protocol


async def _connect(
    event_loop: asyncio.AbstractEventLoop, place: Place, make: Callable[[], ProtocolT]
) -> tuple[asyncio.Transport, ProtocolT]:
    """To the first of its addresses that is there.

    NB: names are looked up here rather than by create_connection: of uvloop, that leaves a look-up behind when it is
    given up, whose failure then reaches the loop's exception handler and ends the actor.
    """
    found = await event_loop.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
    problem: OSError = CannotDial(f"no address of {place.host}")
    for *_, address in found:
        try:
            return await event_loop.create_connection(make, str(address[0]), int(address[1]))
        except OSError as error:
            problem = error
    raise problem


def _keep_alive(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_S)
