"""One connection to one endpoint, from its dialling to its end, and the endpoint with the pace of its redialling."""

from collections.abc import Callable
from typing import Any, Final

from etcdz.client.endpoints import Endpoint
from etcdz.client.options import Options
from etcdz.wire.client import ClientSettings, GrpcClientConnection

REDIAL_FIRST_S: Final = 0.05
REDIAL_FACTOR: Final = 1.6
REDIAL_MAX_S: Final = 1.0
SUSPECT_S: Final = 1.0
PING_GAP_S: Final = 6.0
"""etcd takes more than two PINGs within 5 s of each other, without data of its own between, for an attack."""


class Line:
    """A connection.

    is_up       the server has greeted: calls may go
    is_ended    by either side; its shell has closed it, or will
    calls       stream id -> Call or StreamCall
    heard_at    bytes have come last
    pinged      a sign of life was asked for since, at pinged_at
    is_suspect  it did not come in SUSPECT_S
    transport   the shell's
    """

    __slots__ = (
        "calls", "grpc", "heard_at", "is_ended", "is_suspect", "is_up", "pinged", "pinged_at", "remote", "transport",
    )  # fmt: skip

    def __init__(self, remote: "Remote", options: Options, now: Callable[[], float]) -> None:
        endpoint = remote.endpoint
        scheme = b"https" if endpoint.is_secure else b"http"
        settings = ClientSettings(
            authority=endpoint.authority,
            scheme=scheme,
            user_agent=options.user_agent.encode(),
            message_bytes_max=options.receive_bytes_max,
            metadata=options.metadata,
        )
        self.remote = remote
        self.grpc = GrpcClientConnection(settings, now)
        self.calls: dict[int, Any] = {}
        self.is_up = False
        self.is_ended = False
        self.heard_at = 0.0
        self.pinged = False
        self.pinged_at = float("-inf")
        self.is_suspect = False
        self.transport: Any = None

    def ping(self, now: float) -> None:
        self.grpc.ping()
        self.pinged = True
        self.pinged_at = now

    def on_bytes(self, now: float) -> None:
        """A sign of life."""
        self.heard_at = now
        self.pinged = self.is_suspect = False

    def looked_at_next(self, options: Options) -> float:
        """When its silence has been long enough for the next step."""
        if not self.pinged:
            return max(self.heard_at + options.ping_after_s, self.pinged_at + PING_GAP_S)
        given_up_at = self.pinged_at + options.ping_timeout_s
        return given_up_at if self.is_suspect else min(given_up_at, self.pinged_at + SUSPECT_S)


class Remote:
    """An endpoint. line: None between two; failures: dials in a row that came to nothing; error: of the last one."""

    __slots__ = ("endpoint", "error", "failures", "line", "redial_at")

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.line: Line | None = None
        self.failures = 0
        self.redial_at = 0.0
        self.error = ""

    def on_failure(self, text: str, now: float, random: float) -> None:
        pause = min(REDIAL_MAX_S, REDIAL_FIRST_S * REDIAL_FACTOR**self.failures)
        self.failures += 1
        self.redial_at = now + pause * (0.8 + 0.4 * random)
        self.error = text
        self.line = None
