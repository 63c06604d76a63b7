"""The graceful end of a client's connection, so that not even a call that is just being made fails.

GOAWAY lets the calls under way finish (RFC 9113, 6.8; `etcdz.wire` does that part). But a call that a client's library
hands to the connection in the very moment in which GOAWAY arrives is failed by the library itself, unless it may retry:
grpcio says "Stream removed (GOAWAY received)". So answers are held back for a moment, because who waits for answers
makes no calls; then GOAWAY goes out alone; and the answers follow a little after the client has confirmed it: what
confirms there is not what chooses the connection for the next call.
"""

from collections.abc import Callable
from typing import Any, Final

from etcdz.wire.server import GrpcServerConnection

GATHER_S: Final = 0.02
"""How long answers are held back before GOAWAY: calls that a client made on its last answers arrive meanwhile."""
CONFIRM_S: Final = 0.2
"""Longest wait for the confirmation, beyond which answers are not held back any more."""
SETTLE_S: Final = 0.02
"""From the confirmation to the answers."""


class Draining:
    """Of one connection: begun by its making, over when it holds nothing back any more."""

    __slots__ = ("_call_later", "_done", "_grpc", "_holds", "_kept", "_settles", "_transport")

    def __init__(
        self, grpc: GrpcServerConnection, transport: Any, call_later: Callable[..., Any], done: Callable[[], None]
    ) -> None:
        """done: called once, when the client knows; what take_output gives then is to be written"""
        self._grpc = grpc
        self._transport = transport
        self._call_later = call_later
        self._done = done
        self._kept = b""
        self._holds = True
        self._settles = False
        call_later(GATHER_S, self._part)

    @property
    def holds(self) -> bool:
        """Nothing may be written now, and the connection not be closed, unless it ends by an error."""
        return self._holds and not self._grpc.closed

    def take_output(self) -> bytes:
        """What waits to be written. Requires: nothing is held back any more"""
        kept, self._kept = self._kept, b""
        return kept + self._grpc.take_output()

    def look(self) -> None:
        """After bytes of the client: one of them may have been the confirmation."""
        if self._grpc.has_parted and not self._settles:
            self._settles = True
            self._call_later(SETTLE_S, self._end)

    def _part(self) -> None:
        if self._transport.is_closing():
            return
        self._kept = self._grpc.take_output()
        self._grpc.go_away()
        self._transport.write(self._grpc.take_output())
        self._call_later(CONFIRM_S, self._end)

    def _end(self) -> None:
        if self._holds and not self._transport.is_closing():
            self._holds = False
            self._done()
