"""The sockets that clients connect to: how a URL is bound, and how a member makes sure that an address is its alone.

All listeners of a member bind the same addresses with SO_REUSEPORT, and the kernel spreads the connections over them.
It would just as well spread them over two members of one user. So the supervisor claims each address before anything
starts: it binds it without SO_REUSEPORT once, which fails if anybody has it, and then holds it with SO_REUSEPORT but
without SO_REUSEADDR, never listening: now it is the others who fail, also while no listener happens to live.

The supervisor also makes the sockets that listen, SOCKETS_PER_ADDRESS for each address, and keeps them as long as the
member runs. Every listener is handed all of them, and told which of them to accept from. So no connection is lost while
listeners come and go: who is in a socket's queue when its listener dies or leaves is accepted by the next one. The
alternative, a socket of its own for each listener, resets what is in its queue when it closes, and refuses while none
is there.
"""

import errno
import ipaddress
import os
import socket
import stat
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Final, NamedTuple, Self

from etcdz.config.urls import parse_url

PORT_MAX: Final = 65_535
SOCKETS_PER_ADDRESS: Final = 16
"""Sockets of one address. The kernel spreads connections over these, the supervisor these over the listeners."""
_WILDCARDS: Final = ("0.0.0.0", "::")


class AddressError(Exception):
    """An address cannot be listened on; the text is Go's, as etcd shows it."""


class Address(NamedTuple):
    """Where to listen: host and port, or the path of a unix socket."""

    host: str = ""
    port: int = 0
    path: str = ""

    @property
    def text(self) -> str:
        return self.path or (f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}")


def address_of(url: str) -> Address:
    """Of a client URL that the configuration has accepted. raises AddressError: no such port"""
    parsed = parse_url(url)
    if parsed.is_unix:
        return Address(path=parsed.socket_path)
    host, port = parsed.host_port
    if int(port or 0) > PORT_MAX:
        raise AddressError(f"listen tcp: address {port}: invalid port")
    return Address(_numeric(host), int(port or 0))


def _numeric(host: str) -> str:
    """localhost is IPv4's, which Go prefers; an IPv4 address in IPv6 clothes is an IPv4 address."""
    if host == "localhost":
        return "127.0.0.1"
    address = ipaddress.ip_address(host)
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def bind_tcp(address: Address, *, reuse_address: bool = True, reuse_port: bool = True) -> socket.socket:
    """A bound socket that does not listen yet. 0.0.0.0 stands for all of IPv6 too, as in Go. raises OSError"""
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


class ListenSockets(NamedTuple):
    """One address with its sockets, bound and not yet listening; a unix socket's path has but one."""

    text: str
    sockets: tuple[socket.socket, ...]


class Claim:
    """The addresses of one member, from before its start to its end; a context manager.

    urls    as given, but with the port that the kernel chose where port 0 was given
    listen_sockets   for the listeners
    """

    def __init__(self, urls: Sequence[str], shared: bool) -> None:
        """shared: others may listen there too (--socket-reuse-port). raises AddressError"""
        self._held: list[socket.socket] = []
        self._paths: list[str] = []
        self.listen_sockets: list[ListenSockets] = []
        self._ports: dict[str, int] = {}  # by what the URLs say: etcd listens once for each of these
        try:
            self.urls = tuple([self._claim(url, shared) for url in urls])
            for address in dict.fromkeys(map(address_of, self.urls)):
                self.listen_sockets.append(self._open_sockets(address))
        except AddressError:
            self.close()
            raise

    def _open_sockets(self, address: Address) -> ListenSockets:
        try:
            if address.path:
                sock = socket.socket(socket.AF_UNIX)
                sock.bind(address.path)
                self._paths.append(address.path)
                return ListenSockets(address.text, (sock,))
            sockets = tuple(bind_tcp(address) for _ in range(SOCKETS_PER_ADDRESS))
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise AddressError(f"listen {address.text}: bind: {why}") from error
        for sock in sockets:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # inherited by accepted sockets on Linux
        return ListenSockets(address.text, sockets)

    def _claim(self, url: str, shared: bool) -> str:
        address = address_of(url)
        place = address.path or parse_url(url).host
        try:
            if place not in self._ports:
                self._ports[place] = self._claim_path(address) if address.path else self._claim_port(address, shared)
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            network = "unix" if address.path else "tcp"
            raise AddressError(f"listen {network} {address.text}: bind: {why}") from error
        if address.path or address.port:
            return url
        return url.replace(place, f"{place.rpartition(':')[0]}:{self._ports[place]}", 1)

    def _claim_port(self, address: Address, shared: bool) -> int:
        """return the port"""
        with bind_tcp(address, reuse_port=shared) as probe:
            port = int(probe.getsockname()[1])
        with suppress(OSError):  # a connection of a program without SO_REUSEPORT may linger there for a minute
            self._held.append(bind_tcp(address._replace(port=port), reuse_address=False))
        return port

    def _claim_path(self, address: Address) -> int:
        """A socket that nobody serves goes; anything else that is there stays, and is in the way."""
        path = address.path
        if _is_socket(path):
            if _is_served(path):
                raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
            os.unlink(path)
        with socket.socket(socket.AF_UNIX) as probe:
            probe.bind(path)
        os.unlink(path)
        return 0

    def close(self) -> None:
        """Let go. Requires: no listener lives."""
        for sockets in self.listen_sockets:
            for sock in sockets.sockets:
                sock.close()
        for held in self._held:
            held.close()
        for path in self._paths:
            if _is_socket(path):
                with suppress(OSError):
                    os.unlink(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()


def _is_served(path: str) -> bool:
    """Whether a process listens on a unix socket; it may be too busy to answer."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        return probe.connect_ex(path) in (0, errno.EAGAIN)


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.lstat(path).st_mode)
    except OSError:
        return False
