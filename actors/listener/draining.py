"""The graceful end of a client's connection, so that not even a call that is just being made fails.

GOAWAY lets the calls under way finish (RFC 9113, 6.8; `etcdz.wire` does that part). But a call that a client's library
hands to the connection in the very moment in which GOAWAY arrives is failed by the library itself, unless it may retry:
grpcio says "Stream removed (GOAWAY received)". So answers are held back for a moment, because a client that waits for
answers makes no calls; then GOAWAY goes out alone; and the answers follow a little after the client has confirmed it:
in a client's library the part that confirms is not the part that chooses the connection for the next call, and calls
for which it has chosen this one still come: they are served. The slower it is with the one, for want of a CPU, the
longer the other may take.

    GATHER_S or longer   until          then
    answers kept back    GOAWAY sent    confirmed, or CONFIRM_S over; SETTLE_S or as long again later: answers, end of
                                        streams
"""

import time
from collections.abc import Callable
from typing import Any, Final, Protocol

GATHER_S: Final = 0.04
"""How long answers are held back before GOAWAY: calls that a client made on its last answers arrive meanwhile. With
each that does it begins anew: a busy client takes its time."""
GATHER_S_MAX: Final = 0.25
TIMER_S: Final = 0.001
"""A timer may be so early."""
CONFIRM_S: Final = 1.0
"""Longest wait for the confirmation, beyond which answers are not held back any more."""
SETTLE_S: Final = 0.02
"""From the confirmation to the answers, at least."""


class Wire(Protocol):
    """The server's end of the HTTP/2 connection: GrpcServerConnection."""

    closed: bool

    @property
    def goaway_confirmed(self) -> bool: ...
    def go_away(self, takes_late: bool = False) -> None: ...
    def refuse_late(self) -> None: ...
    def take_output(self) -> bytes: ...


class Transport(Protocol):
    """Where bytes are written."""

    def write(self, data: bytes) -> None: ...
    def is_closing(self) -> bool: ...


class ConnectionDraining:
    """The draining of one connection: it begins when this is made, and is over when `holds_back` is False."""

    __slots__ = (
        "_began_s", "_call_later", "_confirmed", "_grpc", "_heard_s", "_holds_back", "_kept", "_now", "_sent_s",
        "_settling", "_transport",
    )  # fmt: skip

    def __init__(
        self,
        grpc: Wire,
        transport: Transport,
        call_later: Callable[..., Any],
        confirmed: Callable[[], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """call_later    (seconds, do)
        confirmed     called once, when the client knows that it has to go on elsewhere, or has not said so for
                      CONFIRM_S; what take_output gives then is to be written
        """
        self._grpc = grpc
        self._transport = transport
        self._call_later = call_later
        self._confirmed = confirmed
        self._now = now
        self._kept = b""
        self._began_s = self._heard_s = now()
        """When this began, and when the client was heard of last."""
        self._sent_s = 0.0
        """When GOAWAY was sent; 0: it was not yet."""
        self._holds_back = True
        self._settling = False
        call_later(GATHER_S, self._send_goaway)

    @property
    def holds_back(self) -> bool:
        """Whether nothing may be written now, and the connection not be closed. An error of it ends that."""
        return self._holds_back and not self._grpc.closed

    def take_output(self) -> bytes:
        """The bytes that wait to be written. Requires: nothing is held back any more"""
        kept, self._kept = self._kept, b""
        return kept + bytes(self._grpc.take_output())

    def on_received(self) -> None:
        """The client has sent something, which may have been the confirmation."""
        self._heard_s = self._now()
        if self._grpc.goaway_confirmed and not self._settling:
            self._settling = True
            self._call_later(max(SETTLE_S, self._now() - self._sent_s), self._release)

    def _send_goaway(self) -> None:
        if self._transport.is_closing():
            return
        now = self._now()
        wait_s = min(self._heard_s + GATHER_S, self._began_s + GATHER_S_MAX) - now
        if wait_s > TIMER_S:
            self._call_later(wait_s, self._send_goaway)
            return
        self._kept = self._grpc.take_output()
        self._grpc.go_away(takes_late=True)
        self._transport.write(self._grpc.take_output())
        self._sent_s = now
        self._call_later(CONFIRM_S, self._release)

    def _release(self) -> None:
        if not self._holds_back or self._transport.is_closing():
            return
        now = self._now()
        wait_s = min(self._heard_s + SETTLE_S, self._sent_s + CONFIRM_S) - now
        if wait_s > TIMER_S:  # calls still come for which the client had chosen this connection
            self._call_later(wait_s, self._release)
            return
        self._holds_back = False
        self._grpc.refuse_late()
        self._confirmed()
