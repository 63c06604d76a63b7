"""Where a command goes: `127.0.0.1:2379`, `https://[::1]:2379`, `unix:/run/etcd.sock`, several of them joined by
commas."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from etcdz.config.urls import split_host_port
from etcdz.net.blocking_channel import CONNECT_TIMEOUT_S, Channel, connect
from etcdz.net.tls_socket import TlsDialler
from etcdz.tls.handshake_errors import handshake_error
from etcdz.wire.client import ClientSettings

_SCHEMES: Final = {"http://": False, "https://": True}
_UNIX: Final = {"unix:": None, "unixs:": True}
_USAGE: Final = "an endpoint is host:port, http://host:port, https://host:port or unix:path"


class Endpoint(NamedTuple):
    """One address. path: of a unix socket, and then host and port are empty. text: as the user wrote it.

    is_secure       whether by TLS; None: the text does not say
    tls, http_tls   for gRPC, and for HTTP/1.1
    token           of a login; empty: of none
    """

    text: str
    host: str
    port: int
    path: str
    is_secure: bool | None = None
    tls: TlsDialler | None = None
    http_tls: TlsDialler | None = None
    token: str = ""

    @property
    def authority(self) -> bytes:
        """What calls say in `:authority`."""
        if self.path:
            return b"localhost"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}".encode()

    @property
    def target(self) -> str:
        """As `etcdz.net.blocking_channel` wants it."""
        return f"unix:{self.path}" if self.path else self.authority.decode()

    def client_settings(self, user_agent: bytes = b"etcdz") -> ClientSettings:
        """Of its gRPC connections."""
        metadata = ((b"token", self.token.encode()),) if self.token else ()
        scheme = b"https" if self.is_secure else b"http"
        return ClientSettings(authority=self.authority, scheme=scheme, user_agent=user_agent, metadata=metadata)

    def open_channel(self, dial_s: float = CONNECT_TIMEOUT_S) -> Channel:
        """Connects when first used. dial_s: for that"""
        return Channel(self.target, lambda _, __: self.open_socket(self.tls, dial_s), self.client_settings())

    def open_socket(self, tls: TlsDialler | None, dial_s: float) -> socket.socket:
        """A connected socket. tls: one of its own two, used if it is secure. raises OSError"""
        connection = connect(self.target, dial_s)
        return tls.wrap(connection, self._host_name) if self.is_secure and tls is not None else connection

    async def connect(self, loop: asyncio.AbstractEventLoop, make: Callable[[], asyncio.Protocol]) -> None:
        """A gRPC connection in an event loop. raises OSError"""
        secure: dict[str, Any] = {}
        if self.is_secure and self.tls is not None:
            secure = {"ssl": self.tls.context(), "server_hostname": self._host_name}
        try:
            if self.path:
                await loop.create_unix_connection(make, self.path, **secure)
            else:
                await loop.create_connection(make, self.host, self.port, **secure)
        except ssl.SSLError as error:
            raise ConnectionError(handshake_error(error).text) from error

    @property
    def _host_name(self) -> str:
        """Whose certificate it must be."""
        return self.host or "localhost"


def parse_endpoints(text: str) -> tuple[Endpoint, ...]:
    """A comma-separated list. raises ValueError: why not"""
    return tuple([parse_endpoint(part.strip()) for part in text.split(",")])


def parse_endpoint(text: str) -> Endpoint:
    """One endpoint. raises ValueError: why not"""
    for scheme, is_secure in _UNIX.items():
        if text.startswith(scheme):
            path = text.removeprefix(scheme).removeprefix("//")
            if not path:
                raise ValueError(f"{text}: the path of the socket is missing")
            return Endpoint(text, "", 0, path, is_secure)
    scheme = next((scheme for scheme in _SCHEMES if text.startswith(scheme)), "")
    address = text.removeprefix(scheme).removesuffix("/")
    if "://" in address:
        raise ValueError(f"{text}: only http://, https://, unix: and unixs: work")
    try:
        host, port = split_host_port(address)
    except ValueError:
        raise ValueError(f"{text or '(empty)'}: {_USAGE}") from None
    if not (host and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"{text}: {_USAGE}")
    return Endpoint(text, host, int(port), "", _SCHEMES.get(scheme))
