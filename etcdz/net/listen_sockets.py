"""The sockets that clients and other members connect to: bound, handed to the actors that accept from them, and kept as
long as the member runs.

For clients the supervisor binds SOCKETS_PER_ADDRESS sockets to each address, all with SO_REUSEPORT, and the kernel
spreads connections over them. Every listener is handed all of them, and told which of them to accept from. So no
connection is lost while listeners come and go: what is in a socket's queue when its listener dies or leaves is accepted
by the next one. The alternative, a socket of its own for each listener, resets what is in its queue when it closes, and
refuses connections while no listener runs.

The peer actor accepts alone: one socket for each of its addresses, which outlives each of its incarnations.

That no other program listens on the address is the business of `etcdz.net.claim`.
"""

import socket
from typing import Final, NamedTuple

from etcdz.net.address import Address, AddressError

SOCKETS_PER_ADDRESS: Final = 16
"""Sockets of one address. The kernel spreads connections over these, the supervisor these over the listeners."""
KEEPALIVE_S: Final = 30
"""The system asks a client that is silent for so long whether it is there: a watch over HTTP/1.1 asks nothing itself.
Source: etcd 3.5 pkg/transport"""
_WILDCARDS: Final = ("0.0.0.0", "::")


class ListenSockets(NamedTuple):
    """The sockets of one address, bound and not yet listening.

    text     the address, for log lines
    sockets  as many as were asked for; one for a unix socket, whose path can be bound only once
    """

    text: str
    sockets: tuple[socket.socket, ...]


def open_listen_sockets(address: Address, count: int = SOCKETS_PER_ADDRESS) -> ListenSockets:
    """Binds count sockets to an address; the caller closes them, and removes the path of a unix socket.

    raises AddressError: with the text of Go's error
    """
    try:
        if address.path:
            sock = socket.socket(socket.AF_UNIX)
            sock.bind(address.path)
            return ListenSockets(address.text, (sock,))
        sockets = tuple(bind_tcp(address) for _ in range(count))
    except OSError as error:
        raise AddressError.of_bind(address, error) from error
    for sock in sockets:  # what is set here accepted sockets inherit, on Linux
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_S)
    return ListenSockets(address.text, sockets)


def bind_tcp(address: Address, *, reuse_address: bool = True, reuse_port: bool = True) -> socket.socket:
    """A bound TCP socket that does not listen yet. 0.0.0.0 stands for all of IPv6 too, as in Go.

    reuse_address, reuse_port  SO_REUSEADDR and SO_REUSEPORT
    raises  OSError
    """
    sock = _open(address.host)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse_address)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, reuse_port)
        wildcard = sock.family == socket.AF_INET6 and address.host in _WILDCARDS
        sock.bind(("::" if wildcard else address.host, address.port))
    except OSError:
        sock.close()
        raise
    return sock


def _open(host: str) -> socket.socket:
    if host not in _WILDCARDS:
        return socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        sock = socket.socket(socket.AF_INET6)
    except OSError:  # a kernel without IPv6
        return socket.socket(socket.AF_INET)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    return sock
