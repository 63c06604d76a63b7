"""Client CPU affinity: on which CPU the bytes of the client of the moment come in.

At small loads all actors share one CPU (supervisor/children/placement.py). A caller on another one has to be woken
across CPUs for each answer, and the actors for each of its calls, which on a virtual machine costs more than all their
work: side by side a lone get took 75 us with the client on the CPU of the actors, and 130-160 us with it on the next
CPU.
"""

import socket
from typing import Any, Final, Protocol

SILENT_TICKS: Final = 10
"""After so many ticks in which no client has sent anything, the CPU counts as unknown."""
_SO_INCOMING_CPU: Final = 49  # Linux: asm-generic/socket.h; the socket module has no name for it in Python 3.11


class Client(Protocol):
    """A client's connection."""

    def incoming_cpu(self) -> int: ...


def arrival_cpu(client: Any) -> int:
    """The CPU on which the kernel received the latest bytes of this socket; -1 where it does not say (unix sockets)."""
    try:
        return int(client.getsockopt(socket.SOL_SOCKET, _SO_INCOMING_CPU))
    except (AttributeError, OSError):
        return -1


class ClientAffinity:
    """Updated every tick; believes only what two ticks in a row say, since any client may be elsewhere for a moment.

    latest  the connection that has sent something last since the last tick; None: none has
    cpu     on which CPU clients are; -1: unknown
    """

    def __init__(self) -> None:
        self.latest: Client | None = None
        self.cpu = -1
        self._seen = -1
        self._silent_ticks = 0

    def on_tick(self) -> bool:
        """return whether cpu has changed in a way that the supervisor should know at once"""
        latest, self.latest = self.latest, None
        if latest is None:
            self._silent_ticks += 1
            if self._silent_ticks == SILENT_TICKS:
                self.cpu = self._seen = -1
            return False
        self._silent_ticks = 0
        before, self._seen = self._seen, latest.incoming_cpu()
        if self._seen != before or self._seen == self.cpu:
            return False
        self.cpu = self._seen
        return True

    def forget(self, client: Client) -> None:
        """This connection is gone, and is not asked any more."""
        if self.latest is client:
            self.latest = None
