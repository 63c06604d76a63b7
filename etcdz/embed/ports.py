"""Ports of 127.0.0.1 that nobody else gets while they are held.

A held socket is bound and does not listen: who looks for a free port is kept off, and a server that sets SO_REUSEADDR,
as every etcd does, can listen there all the same.
"""

import socket
from random import SystemRandom
from typing import Final

_RANGE: Final = (10_000, 20_000)
"""Below the kernel's ephemeral ports: a client that connects again and again to one of those, while its member is down,
can come to be connected to itself."""
_ATTEMPTS: Final = 1_000


def hold() -> socket.socket:
    """A socket that is bound to a free port. raises OSError: none was found"""
    random = SystemRandom()
    for _ in range(_ATTEMPTS):
        held = socket.socket()
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        port = random.randrange(*_RANGE)
        try:
            with socket.socket() as probe:  # without SO_REUSEADDR: another that is held is no free one
                probe.bind(("127.0.0.1", port))
            held.bind(("127.0.0.1", port))
        except OSError:
            held.close()
            continue
        return held
    raise OSError("no free port was found")


def port_of(held: socket.socket) -> int:
    return int(held.getsockname()[1])
