"""The methods of gRPC as metrics name them: (method, service, type) by number."""

from typing import Final

from etcdz.api.errors import Code
from etcdz.api.methods import (
    AUTH_PATHS,
    HEALTH_WATCH,
    LEASE_KEEP_ALIVE,
    OBSERVE,
    PATHS,
    RANGE_STREAM,
    SNAPSHOT,
    STREAM_PATHS,
    WATCH,
)

CODE_NAMES: Final = {
    value: "OK" if value == Code.OK else name.title().replace("_", "")
    for name, value in vars(Code).items()
    if isinstance(value, int)
}
"""gRPC's codes as grpc-go writes them."""
UNARY: Final = "unary"
_TYPES: Final = {
    WATCH: "bidi_stream",
    LEASE_KEEP_ALIVE: "bidi_stream",
    SNAPSHOT: "server_stream",
    HEALTH_WATCH: "server_stream",
    OBSERVE: "server_stream",
    RANGE_STREAM: "server_stream",
}
_LATE_SERVICES: Final = ("v3lockpb.Lock", "v3electionpb.Election")
"""etcd registers these after it has made the series of all others, so that theirs come with the first call."""


def _named(path: bytes, number: int) -> tuple[str, str, str]:
    service, _, method = path.decode().removeprefix("/").partition("/")
    return method, service, _TYPES.get(number, UNARY)


METHODS: Final = {number: _named(path, number) for path, number in (PATHS | AUTH_PATHS | STREAM_PATHS).items()}
PREREGISTERED: Final = tuple(number for number, (_, service, _) in METHODS.items() if service not in _LATE_SERVICES)
"""Those that have series before their first call."""
TIME_BOUNDS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the buckets of how long calls take: Prometheus's usual ones, which etcd has here."""
