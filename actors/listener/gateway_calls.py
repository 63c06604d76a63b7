"""A call over the gateway: one request, one answer.

A large range, deletion or transaction is no long string that others wait for: its answer is written piece by piece, as
the client takes it, and stays encoded until then.
"""

import time
from collections.abc import Iterator
from typing import Final

from actors.listener.exchange import Exchange
from actors.listener.gateway_exchange import JSON, OF_GRPC, STREAM_ID, GatewayExchange, Settings, refuse
from etcdz.api.errors import NO_LEADER, Code
from etcdz.gateway.large_responses import encode_large, may_be_large
from etcdz.gateway.requests import BadJson, decode_request
from etcdz.gateway.responses import encode_response
from etcdz.gateway.routes import GatewayMethod
from etcdz.wire.request_head import Metadata

LARGE_BYTES: Final = 64 << 10
"""Answers beyond it are written piece by piece."""
TURN_S: Final = 0.002
"""What is written of one before others have their turn."""


class GatewayCall(GatewayExchange):
    """A caller of Calls. _pieces: what is still to be written of a large answer; None: it is none, or all is"""

    __slots__ = ("_begun_s", "_is_waiting", "_pieces", "_unsent_bytes")

    def __init__(self, settings: Settings, method: GatewayMethod, exchange: Exchange) -> None:
        super().__init__(settings, method, exchange)
        self._is_waiting = False
        self._begun_s = 0.0
        self._pieces: Iterator[bytes] | None = None
        self._unsent_bytes = 0

    def _begin(self, metadata: Metadata) -> None:
        host, method = self._host, self._method
        try:
            body = decode_request(self.exchange.request.body, method.request)
        except BadJson as problem:
            self._fail(Code.INVALID_ARGUMENT, str(problem))
            return
        if len(body) > self._message_bytes_max:
            text = f"grpc: received message larger than max ({len(body)} vs. {self._message_bytes_max})"
            self._fail(Code.RESOURCE_EXHAUSTED, text)
            return
        if b"hasleader" in metadata and host.streams.lacks_leader(metadata):
            self._fail(NO_LEADER.code, NO_LEADER.text)
            return
        auth = host.identities.of_call(metadata, "") if host.identities.enabled else None
        self._is_waiting = True
        self._begun_s = time.monotonic()
        self._tally.count_call(method.method, metadata, len(body))
        self.begin_span(metadata)
        host.calls.begin(self, STREAM_ID, method.method, body, auth)

    def _fail(self, code: int, text: str) -> None:
        self._stop_timer()
        if self.exchange.is_begun:
            self.give_up_unsent()
        else:
            refuse(self.exchange, code, text)

    def _give_up(self, code: int) -> None:
        if self._is_waiting:
            self._end_call(code)
            self._tally.ended[self._method.method, code] += 1
            self._host.streams.cancelled.setdefault(self, set()).add(STREAM_ID)
        self._pieces = None
        self._unsent_bytes = 0

    def _end_call(self, code: int, text: str = "") -> None:
        """It is over, as far as its client is concerned."""
        self._is_waiting = False
        self.end_span(code, text)
        self._tally.count_time(self._method.method, time.monotonic() - self._begun_s)

    # ---- the answer ----

    def reply(self, stream_id: int, code: int, body: bytes) -> None:
        try:
            self._answer(code, body)
        except Exception as error:
            self.exchange.fail(error)

    def reply_parts(self, stream_id: int, parts: list[bytes]) -> None:
        try:
            if may_be_large(self._method.response):
                self._answer_in_pieces(parts)
            else:
                self._answer(Code.OK, b"".join(parts))
        except Exception as error:
            self.exchange.fail(error)

    def _answer(self, code: int, body: bytes) -> None:
        if not self._is_waiting:
            return
        if code:
            self._end_call(code, body.decode())
            self._tally.ended[self._method.method, code] += 1
            self._fail(code, body.decode())
        elif len(body) > LARGE_BYTES and may_be_large(self._method.response):
            self._answer_in_pieces([body])
        else:
            self._end_call(Code.OK)
            self._tally.count_answer(self._method.method, len(body))
            self._stop_timer()
            self.exchange.answer(200, encode_response(self._method.response.FromString(body)), JSON, OF_GRPC)

    def _answer_in_pieces(self, parts: list[bytes]) -> None:
        if not self._is_waiting:
            return
        self._end_call(Code.OK)
        self._unsent_bytes = sum(map(len, parts))
        self._tally.count_answer(self._method.method, self._unsent_bytes)
        self._pieces = encode_large(self._method.response, self._take_parts(parts))
        self.exchange.begin(200, JSON, OF_GRPC)
        self.call_later(0, self._go_on)

    def _take_parts(self, parts: list[bytes]) -> Iterator[bytes]:
        """Each once, and let go of then."""
        for at, part in enumerate(parts):
            parts[at] = b""
            yield part
            self._unsent_bytes -= len(part)

    def _go_on(self) -> None:
        until = time.monotonic() + TURN_S
        while self._pieces is not None and self.exchange.has_room:
            piece = next(self._pieces, None)
            if piece is None:
                self._pieces = None
                self._unsent_bytes = 0
                self._stop_timer()
                self.exchange.end()
                return
            self.exchange.send(piece)
            if time.monotonic() >= until:
                self.call_later(0, self._go_on)
                return

    def on_writable(self) -> None:
        if self._pieces is not None:
            self.call_later(0, self._go_on)

    @property
    def has_room(self) -> bool:
        return self._pieces is None

    @property
    def unsent_bytes(self) -> int:
        return self._unsent_bytes
