"""Where to listen: what a client URL says, as an address that a socket can be bound to."""

import ipaddress
from typing import Final, NamedTuple

from etcdz.config.urls import parse_url

PORT_MAX: Final = 65_535


class AddressError(Exception):
    """An address cannot be listened on; the text is Go's, as etcd shows it."""

    @classmethod
    def of_bind(cls, address: "Address", error: OSError) -> "AddressError":
        """In the words of Go's net package for a bind that failed."""
        network = "unix" if address.path else "tcp"
        return cls(f"listen {network} {address.text}: bind: {(error.strerror or str(error)).lower()}")


class Address(NamedTuple):
    """Where to listen: host and port, or the path of a unix socket."""

    host: str = ""
    port: int = 0
    path: str = ""

    @property
    def text(self) -> str:
        """host:port as Go writes it, an IPv6 host in brackets; the path of a unix socket."""
        return self.path or (f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}")


def address_of(url: str) -> Address:
    """The address of a client URL that the configuration has accepted; port 0 where the URL has none.

    raises AddressError: there is no such port
    """
    parsed = parse_url(url)
    if parsed.is_unix:
        return Address(path=parsed.socket_path)
    host, port = parsed.host_port
    if int(port or 0) > PORT_MAX:
        raise AddressError(f"listen tcp: address {port}: invalid port")
    return Address(_numeric(host), int(port or 0))


def _numeric(host: str) -> str:
    """localhost is 127.0.0.1, which Go prefers to ::1; an IPv4-mapped IPv6 address is an IPv4 address."""
    if host == "localhost":
        return "127.0.0.1"
    address = ipaddress.ip_address(host)
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)
