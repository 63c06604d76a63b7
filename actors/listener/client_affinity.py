"""Where the client of the moment is: on which CPU its bytes come in.

At small loads all actors share one CPU (supervisor/children/placement.py). A caller on another one has to be woken
across CPUs for each answer, and the actors for each of its calls, which on a virtual machine costs more than all their
work: side by side a lone get took 75 us with the client on the CPU of the actors, and 130-160 us with it on the next
CPU.
"""

import socket
from typing import Any, Protocol

SILENT_TICKS = 10
"""After so many without a word of anybody it is not known any more where the client is."""
_SO_INCOMING_CPU = 49  # Linux: asm-generic/socket.h; the socket module has no name for it in Python 3.11


class Caller(Protocol):
    """A connection."""

    def incoming_cpu(self) -> int: ...


def arrival_cpu(client: Any) -> int:
    """The CPU that the kernel received this socket's latest bytes on; -1 where it does not say (unix sockets)."""
    try:
        return int(client.getsockopt(socket.SOL_SOCKET, _SO_INCOMING_CPU))
    except (AttributeError, OSError):
        return -1


class ClientAffinity:
    """Asked every tick; counts only what two ticks in a row say, since any client may be elsewhere for a moment.

    latest  the connection that was heard of last since the last tick
    cpu     as it was told; -1: not known
    """

    def __init__(self) -> None:
        self.latest: Caller | None = None
        self.cpu = -1
        self._seen = -1
        self._silent = 0

    def look(self) -> bool:
        """Says whether there is news of cpu."""
        latest, self.latest = self.latest, None
        if latest is None:
            self._silent += 1
            if self._silent == SILENT_TICKS:
                self.cpu = self._seen = -1
            return False
        self._silent = 0
        before, self._seen = self._seen, latest.incoming_cpu()
        if self._seen != before or self._seen == self.cpu:
            return False
        self.cpu = self._seen
        return True

    def forget(self, caller: Caller) -> None:
        """It is gone."""
        if self.latest is caller:
            self.latest = None
