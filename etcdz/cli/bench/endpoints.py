"""Where a load goes: `127.0.0.1:2379`, `http://[::1]:2379`, `unix:/run/etcd.sock`, several of them joined by commas."""

from typing import NamedTuple

from etcdz.config.urls import split_host_port


class Endpoint(NamedTuple):
    """One address. path: of a unix socket, and then host and port are empty. text: as the user wrote it."""

    text: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> bytes:
        """What calls say in `:authority`."""
        if self.path:
            return b"localhost"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}".encode()

    @property
    def target(self) -> str:
        """As `etcdz.net.blocking_channel.Channel` wants it."""
        return f"unix:{self.path}" if self.path else self.authority.decode()


def parse_endpoints(text: str) -> tuple[Endpoint, ...]:
    """A comma-separated list. raises ValueError: why not"""
    return tuple([parse_endpoint(part.strip()) for part in text.split(",")])


def parse_endpoint(text: str) -> Endpoint:
    """One endpoint. raises ValueError: why not"""
    if text.startswith(("https:", "unixs:")):
        raise ValueError(f"{text}: TLS is not supported yet")
    if text.startswith("unix:"):
        path = text.removeprefix("unix:").removeprefix("//")
        if not path:
            raise ValueError(f"{text}: the path of the socket is missing")
        return Endpoint(text, "", 0, path)
    address = text.removeprefix("http://").removesuffix("/")
    if "://" in address:
        raise ValueError(f"{text}: only http:// and unix: work")
    try:
        host, port = split_host_port(address)
    except ValueError:
        raise ValueError(f"{text or '(empty)'}: an endpoint is host:port, http://host:port or unix:path") from None
    if not (host and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"{text}: an endpoint is host:port, http://host:port or unix:path")
    return Endpoint(text, host, int(port), "")
