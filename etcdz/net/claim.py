"""How a member makes sure that no other program listens on its addresses.

The sockets that listen (`etcdz.net.listen_sockets`) are bound with SO_REUSEPORT, which would let another member of the
same user bind the same port and take half of the connections. So before anything starts each port is bound once without
SO_REUSEPORT, which fails if any other socket has it. After that the member holds the port with a socket that has
SO_REUSEPORT but not SO_REUSEADDR and never listens: now it is the others that fail, also while no listener runs.
"""

import errno
import os
import socket
import stat
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

from etcdz.config.urls import parse_url
from etcdz.net.address import Address, AddressError, address_of
from etcdz.net.listen_sockets import SOCKETS_PER_ADDRESS, ListenSockets, bind_tcp, open_listen_sockets


class Claim:
    """The addresses of one member, from before its start to its end; a context manager.

    urls            as given, but with the port that the kernel chose where port 0 was given
    listen_sockets  for the actors that accept from them, one entry for each address; closed with the claim
    """

    def __init__(self, urls: Sequence[str], shared: bool, sockets: int = SOCKETS_PER_ADDRESS) -> None:
        """Requires: the configuration has accepted the URLs.

        shared   other programs may listen there too (--socket-reuse-port)
        sockets  for each address
        raises   AddressError: an address is in use or cannot be bound; nothing is held then
        """
        self._held: list[socket.socket] = []
        self._paths: list[str] = []
        self.listen_sockets: list[ListenSockets] = []
        self._ports: dict[str, int] = {}
        """By host and port as a URL says them: etcd listens once for each of these."""
        try:
            self.urls = tuple([self._claim(url, shared) for url in urls])
            for address in dict.fromkeys(map(address_of, self.urls)):
                self.listen_sockets.append(open_listen_sockets(address, sockets))
                if address.path:
                    self._paths.append(address.path)
        except AddressError:
            self.close()
            raise

    def _claim(self, url: str, shared: bool) -> str:
        address = address_of(url)
        place = address.path or parse_url(url).host
        try:
            if place not in self._ports:
                self._ports[place] = self._claim_path(address) if address.path else self._claim_port(address, shared)
        except OSError as error:
            raise AddressError.of_bind(address, error) from error
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
        """A socket that no process serves is removed; anything else that is there stays, and raises OSError."""
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
        """Closes all sockets and removes the unix sockets' paths. Requires: no listener runs."""
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
