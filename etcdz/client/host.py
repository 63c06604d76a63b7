"""What the parts of the core need of it: the token, watches, leases."""

from collections.abc import Callable
from typing import Protocol

from etcdz.client.endpoints import Endpoint
from etcdz.client.methods import Method
from etcdz.client.options import Options
from etcdz.client.pending import Call
from etcdz.client.streams import StreamCall


class Host(Protocol):
    """closed: why it is, empty: it is not."""

    options: Options
    closed: str

    @property
    def can_renew_token(self) -> bool: ...

    def now(self) -> float: ...

    def after(self, seconds: float, do: Callable[[], object]) -> None:
        """Once."""

    def call(self, method: Method, body: bytes, timeout_s: float | None = None) -> Call:
        """raises ClientClosed"""

    def stream(self, stream: StreamCall) -> None:
        """raises ClientClosed"""

    def send(self, stream: StreamCall, message: bytes) -> None: ...

    def hold(self, stream: StreamCall) -> None:
        """Who reads it is behind."""

    def go_on(self, stream: StreamCall) -> None:
        """After `hold`."""

    def end_stream(self, stream: StreamCall) -> None: ...

    def again(self, call: Call | StreamCall) -> None:
        """Of a call that waited."""

    def set_endpoints(self, endpoints: tuple[Endpoint, ...]) -> None: ...

    def renew_token(self, generation: int) -> bool:
        """That of this generation is not taken. return False: no other is to be had"""
