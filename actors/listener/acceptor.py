"""The sockets from which a listener accepts. They are shared by all listeners, and outlive each of them."""

import asyncio
import socket
from collections.abc import Callable, Iterable, Sequence
from typing import Any

BACKLOG = 4096


class Acceptor:
    """Accepts from some of the sockets, and changes over to others while it runs."""

    def __init__(
        self,
        loop: Any,
        listen_sockets: Iterable[tuple[str, int]],
        fds: Sequence[int],
        make: Callable[[], asyncio.Protocol],
        fail: Callable[[Exception], None],
        opened: Callable[[], None],
    ) -> None:
        """listen_sockets, fds: as in Boot. make: the protocol of a new connection. fail: told when a socket cannot be
        used

        opened      called whenever is_accepting has become true
        """
        self._loop = loop
        self._make = make
        self._fail = fail
        self._opened = opened
        self._sockets: list[list[socket.socket]] = []
        left = list(fds)
        for _, count in listen_sockets:
            self._sockets.append([socket.socket(fileno=fd) for fd in left[:count]])
            del left[:count]
        self._servers: dict[int, Any] = {}
        """By file descriptor: what accepts from it."""
        self._wanted: set[int] = set()

    @property
    def is_accepting(self) -> bool:
        """Whether clients can connect: all sockets that it should accept from are listened on, and there are some."""
        return bool(self._wanted) and self._wanted <= self._servers.keys()

    def accept_from(self, numbers: Iterable[int]) -> None:
        """Accept from these sockets of each address and no others. An address with a single one is accepted from by
        everybody who accepts at all."""
        chosen = set(numbers)
        wanted = {
            sock.fileno(): sock
            for sockets in self._sockets
            for number, sock in enumerate(sockets)
            if number in chosen or (chosen and len(sockets) == 1)
        }
        was_open = self.is_accepting
        self._wanted = set(wanted)
        for fd in [fd for fd in self._servers if fd not in wanted]:
            self._servers.pop(fd).close()
        for fd, sock in wanted.items():
            if fd not in self._servers:
                self._loop.create_task(self._open(fd, sock))
        if self.is_accepting and not was_open:  # what was still missing is not wanted any more
            self._opened()

    async def _open(self, fd: int, sock: socket.socket) -> None:
        """NB: the server closes its socket when it ends; its own is a duplicate, ours stays what it was."""
        try:
            is_unix = sock.family == socket.AF_UNIX
            create = self._loop.create_unix_server if is_unix else self._loop.create_server
            server = await create(self._make, sock=sock.dup(), backlog=BACKLOG)
        except OSError as error:
            self._fail(error)
            return
        if fd in self._wanted and fd not in self._servers:
            self._servers[fd] = server
            if self.is_accepting:
                self._opened()
        else:  # changed meanwhile
            server.close()
