"""A stream over the gateway: JSON objects of the request's body become messages, and messages become lines.

    client                        GatewayStream                      Streams
    the head of a request                                            STREAM_OPEN, where many messages may follow
    a JSON object                 encoded                            STREAM_OPEN if it is the only one, STREAM_MESSAGE
    the end of the body                                              STREAM_END
    gone                                                             lose()
    {"result":...}\\n              a line                             send_message, send_parts, send_joined
    {"error":...} and the end     an error                           finish, fail

The answer begins with the first line; an error before it has a status of its own. A call that waits as long as its
client does (Lock, Campaign) is a stream as well, and is answered as a whole.
"""

import time
from typing import Final

from actors.listener.exchange import Exchange
from actors.listener.gateway_exchange import JSON, OF_GRPC, STREAM_ID, GatewayExchange, Settings, refuse
from etcdz.api.errors import Code
from etcdz.gateway.requests import BadJson, decode_request
from etcdz.gateway.responses import encode_response, encode_result
from etcdz.gateway.routes import CLIENT_STREAM, WAITING, GatewayMethod
from etcdz.gateway.statuses import error_line, http_status
from etcdz.gateway.values import JsonValues
from etcdz.wire.call_tally import CallTally
from etcdz.wire.events import STREAM_END, STREAM_MESSAGE, STREAM_OPEN, ServerEvent
from etcdz.wire.frames import GRPC_PREFIX_BYTES
from etcdz.wire.request_head import Metadata, Method

_BODY_FACTOR: Final = 2
"""Bytes are a third longer as base64, and there are names and blanks."""


class GatewayStream(GatewayExchange):
    """A connection of Streams that has one call.

    grpc            where the call's messages go
    http2           no request but this one
    common_name     none that counts
    """

    __slots__ = ("_ended", "_is_asked", "_is_open", "_metadata", "_values", "common_name", "grpc", "http2")

    def __init__(self, settings: Settings, method: GatewayMethod, exchange: Exchange) -> None:
        super().__init__(settings, method, exchange)
        self.grpc = _Lines(self, method, exchange, settings.tally)
        self.http2 = None
        self.common_name = ""
        self._metadata: Metadata = {}
        self._values = JsonValues(_BODY_FACTOR * self._message_bytes_max)
        self._is_open = self._is_asked = False
        self._ended = False

    # ---- from the client ----

    def _begin(self, metadata: Metadata) -> None:
        self.exchange.is_endless = True
        self._metadata = metadata
        if self._method.kind == CLIENT_STREAM:
            self._open()
        elif self._method.kind == WAITING:
            self._take(self.exchange.request.body)
            self._end()

    def on_body(self, data: bytes) -> None:
        if self._ended:
            return  # a call with one message has had it
        try:
            for value in self._values.feed(data):
                self._take(value)
        except BadJson as problem:
            self._refuse(str(problem))

    def on_body_end(self) -> None:
        if self._ended:
            return
        if self._values.is_partial:
            self._refuse("unexpected EOF")
            return
        if not self._is_open:
            self._take(b"")  # nothing is {}
        self._end()

    def _refuse(self, text: str) -> None:
        """NB: as in etcd, whose code is another one where many messages may come, and where a broken one behind others
        is the end of the requests, and no error."""
        if self._is_asked:
            self._end()
            return
        refuse(self.exchange, Code.UNKNOWN if self._method.kind == CLIENT_STREAM else Code.INVALID_ARGUMENT, text)
        self.on_over()
        self._give_up(Code.CANCELED)

    def _take(self, value: bytes) -> None:
        if self._ended:
            return
        try:
            message = decode_request(value, self._method.request)
        except BadJson as problem:
            self._refuse(str(problem))
            return
        if len(message) > self._message_bytes_max:
            text = f"grpc: received message larger than max ({len(message)} vs. {self._message_bytes_max})"
            self._fail(Code.RESOURCE_EXHAUSTED, text)
            self._give_up(Code.RESOURCE_EXHAUSTED)
            return
        if not self._is_open:
            self._open()
        self._is_asked = True
        self._tally.count_received(self._method.method, len(message))
        self._tell(STREAM_MESSAGE, message)
        if self._method.kind != CLIENT_STREAM:
            self._end()

    def _open(self) -> None:
        self._is_open = True
        self.grpc.count_begin()
        self.begin_span(self._metadata)
        self._tell(STREAM_OPEN, b"")
        self._metadata = {}

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            self._tell(STREAM_END, b"")

    def _tell(self, kind: int, message: bytes) -> None:
        method = Method(self.exchange.request.path, False, self._method.method)
        event: ServerEvent = (kind, STREAM_ID, method, message, None, self._metadata)
        self._host.streams.take(self, event)

    def on_writable(self) -> None:
        self._host.streams.check_writable(self)

    def on_drain(self) -> None:
        self._host.streams.drain_connection(self)

    def _give_up(self, code: int) -> None:
        self.grpc.count_end(code)
        self._host.streams.lose(self)

    # ---- as Connection ----

    def _fail(self, code: int, text: str) -> None:
        self.grpc.finish(STREAM_ID, code, text)

    @property
    def is_backed_up(self) -> bool:
        return not self.exchange.has_room

    def reply(self, stream_id: int, code: int, body: bytes) -> None:
        try:
            if code:
                self.grpc.finish(stream_id, code, body.decode())
            else:
                self.grpc.finish_with(body)
        except Exception as error:
            self.fail(error)

    def take_request(self, event: ServerEvent) -> None:
        """None comes this way."""

    def fail(self, error: Exception) -> None:
        self.exchange.fail(error)

    def on_over(self) -> None:
        """The answer is complete."""
        self._ended = True
        self._stop_timer()


class _Lines:
    """The answer of one stream: what its call sends, as JSON."""

    __slots__ = ("_exchange", "_is_waiting", "_owner", "_response", "_tag", "_tally", "_counts", "_begun_s")

    def __init__(self, owner: GatewayStream, method: GatewayMethod, exchange: Exchange, tally: CallTally) -> None:
        self._counts = False
        self._begun_s = 0.0
        self._tag = method.method
        self._tally = tally
        self._owner = owner
        self._exchange = exchange
        self._response = method.response
        self._is_waiting = method.kind == WAITING

    def send_message(self, stream_id: int, message: bytes) -> None:
        self._begin()
        self._tally.count_sent(self._tag, len(message))
        self._exchange.send(encode_result(self._response.FromString(message)))

    def send_parts(self, stream_id: int, head: bytes, body: bytes) -> None:
        self.send_message(stream_id, head + body)

    def send_joined(self, stream_id: int, messages: bytes, count: int) -> None:
        """So many messages, each behind its gRPC prefix: a byte without meaning here, and its size in four."""
        at = 0
        while at < len(messages):
            begin = at + GRPC_PREFIX_BYTES
            at = begin + int.from_bytes(messages[at + 1 : begin], "big")
            self.send_message(stream_id, messages[begin:at])

    def finish_with(self, message: bytes) -> None:
        """The last message and the end."""
        if self._is_waiting:
            self._tally.count_sent(self._tag, len(message))
            self.count_end(Code.OK)
            self._exchange.answer(200, encode_response(self._response.FromString(message)), JSON, OF_GRPC)
            self._owner.on_over()
        else:
            self.send_message(STREAM_ID, message)
            self.finish(STREAM_ID, Code.OK, "")

    def count_begin(self) -> None:
        """The call has begun."""
        self._counts = True
        self._begun_s = time.monotonic()

    def count_end(self, code: int, text: str = "") -> None:
        """The call is over, as far as its client is concerned. One that has not begun, or is over, is not counted."""
        if self._counts:
            self._counts = False
            self._owner.end_span(code, text)
            self._tally.ended[self._tag, code] += 1
            self._tally.count_time(self._tag, time.monotonic() - self._begun_s)

    def finish(self, stream_id: int, code: int, text: str) -> None:
        self.count_end(code, text)
        exchange = self._exchange
        if self._is_waiting and code:
            refuse(exchange, code, text)
        elif code and exchange.is_begun:
            exchange.send(error_line(code, text))
            exchange.end(http_status(code))
        elif code:
            exchange.answer(http_status(code), error_line(code, text), JSON)
        else:
            self._begin()
            exchange.end()
        self._owner.on_over()

    def refuse(self, stream_id: int, code: int, text: str) -> None:
        """The call is refused before it has begun."""
        self._counts = False
        self._owner.drop_span()
        self.finish(stream_id, code, text)

    def pending_stream_bytes(self, stream_id: int) -> int:
        """What waits is the exchange's, which says whether it has room."""
        return 0

    def _begin(self) -> None:
        if not self._exchange.is_begun:
            self._exchange.begin(200, JSON, OF_GRPC)
