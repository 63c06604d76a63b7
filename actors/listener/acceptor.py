"""The sockets from which a listener accepts. They are shared by all listeners, and outlive each of them."""

import asyncio
import socket
from collections.abc import Callable, Iterable, Sequence
from typing import Final

BACKLOG: Final = 4096
"""Connections that one socket queues for a listener."""


class Acceptor:
    """Accepts from some of the sockets, and changes over to others while it runs."""

    def __init__(
        self,
        event_loop: asyncio.AbstractEventLoop,
        listen_sockets: Iterable[tuple[str, int]],
        fds: Sequence[int],
        new_connections: Sequence[Callable[[], asyncio.Protocol]],
        on_error: Callable[[Exception], None],
        on_accepting: Callable[[], None],
    ) -> None:
        """listen_sockets, fds    as in Boot
        new_connections        by address: makes the protocol of a connection
        on_error               told when a socket cannot be listened on
        on_accepting           called whenever is_accepting has become true
        """
        self._event_loop = event_loop
        self._on_error = on_error
        self._on_accepting = on_accepting
        self._sockets: list[list[socket.socket]] = []
        """By address, in the order of listen_sockets."""
        self._new_connection: dict[int, Callable[[], asyncio.Protocol]] = {}
        """By file descriptor."""
        left = list(fds)
        for (_, count), new_connection in zip(listen_sockets, new_connections, strict=True):
            self._sockets.append([socket.socket(fileno=fd) for fd in left[:count]])
            self._new_connection |= dict.fromkeys(left[:count], new_connection)
            del left[:count]
        self._servers: dict[int, asyncio.AbstractServer] = {}
        """By file descriptor: what accepts from it."""
        self._wanted: set[int] = set()
        """File descriptors of the sockets that accept_from has named last."""
        self._chosen: set[int] = set()
        self._held: dict[str, frozenset[int]] = {}
        """Addresses that nothing is accepted from for now, by why."""

    @property
    def is_accepting(self) -> bool:
        """Whether clients can connect: all sockets that it should accept from are listened on, and there are some."""
        return bool(self._wanted) and self._wanted <= self._servers.keys()

    def accept_from(self, numbers: Iterable[int]) -> None:
        """Accept from these sockets of each address and no others; from none if there are no numbers.

        An address that has a single socket is accepted from by every listener that accepts at all.
        """
        self._chosen = set(numbers)
        self._update()

    def hold(self, why: str, addresses: Iterable[int]) -> None:
        """Accept nothing from these addresses for now: clients wait in the sockets' queues.

        why         a word of the caller's: what others hold stays held
        addresses   their places in listen_sockets; none: for this reason none is held any more
        """
        self._held[why] = frozenset(addresses)
        self._update()

    def _update(self) -> None:
        chosen = self._chosen
        held = frozenset().union(*self._held.values())
        wanted: dict[int, socket.socket] = {}
        for address, sockets in enumerate(self._sockets):
            for number, sock in enumerate(sockets):
                if number not in chosen and not (chosen and len(sockets) == 1):
                    continue
                if address in held:
                    self._queue(sock)
                else:
                    wanted[sock.fileno()] = sock
        was_accepting = self.is_accepting
        self._wanted = set(wanted)
        for fd in [fd for fd in self._servers if fd not in wanted]:
            self._servers.pop(fd).close()
        for fd, sock in wanted.items():
            if fd not in self._servers:
                self._event_loop.create_task(self._listen(fd, sock))
        if self.is_accepting and not was_accepting:  # what was still missing is not wanted any more
            self._on_accepting()

    def _queue(self, sock: socket.socket) -> None:
        """Clients can connect, and wait."""
        try:
            sock.listen(BACKLOG)
        except OSError as error:
            self._on_error(error)

    async def _listen(self, fd: int, sock: socket.socket) -> None:
        try:
            server = await self._new_server(sock.dup(), self._new_connection[fd])
        except OSError as error:
            self._on_error(error)
            return
        if fd in self._wanted and fd not in self._servers:
            self._servers[fd] = server
            if self.is_accepting:
                self._on_accepting()
        else:  # changed meanwhile
            server.close()

    async def _new_server(
        self, sock: socket.socket, new_connection: Callable[[], asyncio.Protocol]
    ) -> asyncio.AbstractServer:
        """NB: a server closes its socket when it ends, which is why it gets a duplicate."""
        if sock.family == socket.AF_UNIX:
            return await self._event_loop.create_unix_server(new_connection, sock=sock, backlog=BACKLOG)
        return await self._event_loop.create_server(new_connection, sock=sock, backlog=BACKLOG)
