"""Where a client connects: `127.0.0.1:2379`, `https://[::1]:2379`, `unix:/run/etcd.sock`, several joined by commas."""

from collections.abc import Iterable
from typing import Final, NamedTuple

_SCHEMES: Final = {"http": False, "https": True, "unix": False, "unixs": True}
_PORT_DEFAULT: Final = 2379


class Endpoint(NamedTuple):
    """path: of a unix socket, and then host and port are empty. text: as it was written."""

    text: str
    host: str
    port: int
    path: str
    is_secure: bool

    @property
    def authority(self) -> bytes:
        if self.path:
            return b"localhost"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}".encode()


def parse_endpoints(given: str | Iterable[str], is_secure: bool) -> tuple[Endpoint, ...]:
    """is_secure: what an endpoint without a scheme means. raises ValueError: there is none, or one is not good"""
    texts = given.split(",") if isinstance(given, str) else list(given)
    found = tuple([parse_endpoint(text.strip(), is_secure) for text in texts if text.strip()])
    if not found:
        raise ValueError("no endpoint is given")
    return found


def parse_endpoint(text: str, is_secure: bool = False) -> Endpoint:
    """raises ValueError: why not"""
    scheme, colon, rest = text.partition(":")
    if not colon or (scheme not in _SCHEMES and not rest.startswith("//")):
        scheme, rest = "", text
    elif scheme not in _SCHEMES:
        raise ValueError(f"endpoint {text}: only http, https, unix and unixs work")
    secure = _SCHEMES.get(scheme, is_secure)
    rest = rest.removeprefix("//")
    if scheme.startswith("unix"):
        if not rest:
            raise ValueError(f"endpoint {text}: the path of the socket is missing")
        return Endpoint(text, "", 0, rest, secure)
    host, port = _split(rest.rstrip("/"))
    if not host or not 0 < port < 65536:
        raise ValueError(f"endpoint {text or '(empty)'}: host:port, http(s)://host:port or unix:path is wanted")
    return Endpoint(text, host, port, "", secure)


def _split(address: str) -> tuple[str, int]:
    """(host, port); port -1 if it is not good"""
    if address.startswith("["):
        host, _, rest = address[1:].partition("]")
        port = rest.removeprefix(":")
    else:
        host, _, port = address.rpartition(":") if address.count(":") == 1 else (address, "", "")
    if not port:
        return host, _PORT_DEFAULT if ":" not in host or address.startswith("[") else -1
    return host, int(port) if port.isascii() and port.isdigit() else -1
