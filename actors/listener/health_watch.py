"""grpc.health.v1.Health/Watch: one answer at once, then silence, since nothing here stops serving before it drains.

Clients of gRPC that check health by themselves, and some load balancers, keep such a stream open.
Source: grpc-go's health server as etcd registers it: it knows the service "" alone.
"""

from typing import Final

from google.protobuf.message import DecodeError
from google.protobuf.wrappers_pb2 import StringValue

from actors.listener.streams import StreamCall, end_for_resumption, unreadable
from etcdz.api.errors import Code

SERVING: Final = b"\x08\x01"
"""HealthCheckResponse: status 1."""
_SERVICE_UNKNOWN: Final = b"\x08\x03"


class HealthWatch:
    """A StreamHandler of actors/listener/streams.py."""

    def __init__(self, call: StreamCall) -> None:
        self._call = call
        self._is_asked = False

    def on_message(self, body: bytes) -> None:
        if self._is_asked:
            return
        self._is_asked = True
        try:
            service = StringValue.FromString(body).value  # NB: HealthCheckRequest has the same one field
        except DecodeError as problem:
            self._call.finish(Code.INTERNAL, unreadable(problem))
            return
        self._call.send(_SERVICE_UNKNOWN if service else SERVING)

    def on_end(self) -> None:
        if not self._is_asked:
            self._call.finish(Code.UNKNOWN, "EOF")

    def on_gone(self) -> None:
        pass

    def on_writable(self) -> None:
        pass

    def on_drain(self) -> None:
        end_for_resumption(self._call)
