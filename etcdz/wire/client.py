"""The client's end of a gRPC connection: calls in, bytes out; bytes in, results out. Lean enough for a load generator.

The short way: a unary call whose message fits a frame and the windows is HEADERS and DATA at once, from kept header
blocks; its answer is HEADERS, one DATA, HEADERS, of which both header blocks are known by their bytes. Until then
`_streams` holds how far the answer has come: None, True after the response's HEADERS, the message after its DATA.
Everything else has a Stream.
"""

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from etcdz.api.errors import Code
from etcdz.wire import frames as f
from etcdz.wire.connection import (
    BUDGET_PER_CALL,
    KEPT_BLOCK_BYTES_MAX,
    KEPT_BLOCKS_MAX,
    LOST,
    Connection,
    strip_padding,
)
from etcdz.wire.events import DONE, GOAWAY, MESSAGE, ClientEvent
from etcdz.wire.frames import ProtocolError
from etcdz.wire.grpc_message import BadMessage, next_message
from etcdz.wire.header_block import Field, plain_block
from etcdz.wire.request_head import Head, Method
from etcdz.wire.stream import Stream

_TIMEOUT_LITERAL: Final = b"\0\x0cgrpc-timeout"
_UNARY: Final = Head()
_STREAMING: Final = Head()
_STREAMING.method = Method(b"", False)
_TOO_LONG: Final = (f.FRAME_BYTES_DEFAULT + 1) << 8
_END_ALL: Final = f.END_STREAM | f.END_HEADERS
_RESET_CODES: Final = {
    f.REFUSED_STREAM: Code.UNAVAILABLE,
    f.CANCEL: Code.CANCELED,
    f.ENHANCE_YOUR_CALM: Code.RESOURCE_EXHAUSTED,
    LOST: Code.UNAVAILABLE,
}
_HTTP_CODES: Final = {
    400: Code.INTERNAL,
    401: Code.UNAUTHENTICATED,
    403: Code.PERMISSION_DENIED,
    404: Code.UNIMPLEMENTED,
    429: Code.UNAVAILABLE,
    502: Code.UNAVAILABLE,
    503: Code.UNAVAILABLE,
    504: Code.UNAVAILABLE,
}
_TIMEOUT_UNITS: Final = ((b"n", 1e9), (b"u", 1e6), (b"m", 1e3), (b"S", 1.0), (b"M", 1 / 60), (b"H", 1 / 3600))
_TIMEOUT_DIGITS_END: Final = 100_000_000


class ClientSettings(NamedTuple):
    """authority, scheme and metadata go into each call; window, stream_window: bytes a server may send ahead."""

    authority: bytes = b"localhost"
    scheme: bytes = b"http"
    user_agent: bytes = b"etcdz"
    message_bytes_max: int = (1 << 31) - 1
    window: int = 16 << 20
    stream_window: int = 4 << 20
    header_list_bytes_max: int = 1 << 20
    metadata: tuple[Field, ...] = ()


class CannotOpen(Exception):
    """No more calls may be started on this connection now: see `room`."""


class _Answer:
    """What a header list from a server says. code: grpc-status, or -1 if there is none; plain: a response without
    faults."""

    __slots__ = ("http", "code", "text", "plain")

    def __init__(self, fields: Iterable[Field]) -> None:
        known = dict(fields)
        status = known.get(b":status", b"")
        self.http = int(status) if status.isdigit() and len(status) == 3 else 0
        code = known.get(b"grpc-status", b"")
        self.code = int(code) if code.isdigit() and len(code) <= 2 else -1 if not code else Code.UNKNOWN
        self.text = _percent_decoded(known.get(b"grpc-message", b"")).decode("utf-8", "replace")
        self.plain = self.http == 200 and known.get(b"content-type", b"").startswith(b"application/grpc")


def _percent_decoded(text: bytes) -> bytes:
    if b"%" not in text:
        return text
    from urllib.parse import unquote_to_bytes  # it loads ipaddress and more

    return unquote_to_bytes(text)


def encode_timeout(seconds: float) -> bytes:
    """A grpc-timeout: at most 8 digits, the finest unit that holds it, rounded up to at least 1."""
    for unit, per_s in _TIMEOUT_UNITS:
        amount = max(1, round(seconds * per_s))
        if amount < _TIMEOUT_DIGITS_END:
            return b"%d%b" % (amount, unit)
    return b"%dH" % (_TIMEOUT_DIGITS_END - 1)


def _own_fields(timeout_s: float | None, metadata: tuple[Field, ...]) -> bytes:
    """What differs from call to call, as the end of a header block; nothing of it enters the dynamic table."""
    if timeout_s is None:
        return plain_block(metadata)
    value = encode_timeout(timeout_s)
    return _TIMEOUT_LITERAL + bytes((len(value),)) + value + plain_block(metadata)


class GrpcClientConnection(Connection[ClientEvent]):
    """One connection to a server."""

    _last_data_flags = f.END_STREAM

    def __init__(self, settings: ClientSettings, now: Callable[[], float]) -> None:
        super().__init__(settings.window, settings.stream_window, settings.header_list_bytes_max, now)
        self._settings = settings
        self._message_max = settings.message_bytes_max
        self._next_id = 1
        self._streams_max = f.UNLIMITED
        self._going = False  # the server takes no new streams
        self._known: dict[bytes, _Answer] = {}  # by their blocks, for the dynamic table as it is
        self._kept_heads: dict[bytes, bytes] = {}  # path -> block that stays the same from call to call
        self._out.append(f.PREFACE)
        offered = ((f.SETTING_ENABLE_PUSH, 0), (f.SETTING_INITIAL_WINDOW_SIZE, settings.stream_window))
        self._out.append(f.encode_settings(offered))
        if settings.window > f.WINDOW_DEFAULT:
            self._out.append(f.encode_window_update(0, settings.window - f.WINDOW_DEFAULT))

    @property
    def room(self) -> int:
        """How many calls may be started now."""
        if self._going or self.closed:
            return 0
        return max(0, min(self._streams_max - len(self._streams), (f.STREAM_ID_MAX - self._next_id) // 2 + 1))

    @property
    def should_close(self) -> bool:
        """Write what take_output gives, then close: an error, or the server is going and all calls are done."""
        return self.closed or (self._going and not self._streams)

    # -- calls -----------------------------------------------------------------------------------------------------

    def call(
        self, path: bytes, message: bytes, timeout_s: float | None = None, metadata: tuple[Field, ...] = ()
    ) -> int:
        """Starts a unary call; its stream id. raises CannotOpen"""
        block = self._kept_heads.get(path)
        if block is not None and (timeout_s is not None or metadata):
            block += _own_fields(timeout_s, metadata)
        size = len(message)
        window = self._send_window - size - f.GRPC_PREFIX_BYTES
        if block is None or len(block) > f.FRAME_BYTES_DEFAULT or size > self._short_max or window < 0:
            stream = self._open(_UNARY, path, timeout_s, metadata)
            self._queue(stream, message)
            stream.local_done = True
            self._flush_stream(stream)
            return stream.id
        stream_id = self._take_id()
        self._streams[stream_id] = None
        if timeout_s is not None:
            self._watch_deadline(self._now() + timeout_s, stream_id)
        self._send_window = window
        out = self._out
        out.append(f.FRAME_HEAD.pack(len(block) << 8 | f.HEADERS, f.END_HEADERS, stream_id))
        out.append(block)
        out.append(f.DATA_HEAD.pack((size + 5) << 8, f.END_STREAM, stream_id, 0, size))
        out.append(message)
        return stream_id

    def open(self, path: bytes, timeout_s: float | None = None, metadata: tuple[Field, ...] = ()) -> int:
        """Starts a streaming call; its stream id. raises CannotOpen"""
        return self._open(_STREAMING, path, timeout_s, metadata).id

    def send_message(self, stream_id: int, message: bytes) -> None:
        """One message of a call that is not half-closed. For a stream that is gone: nothing."""
        stream = self._streams.get(stream_id)
        if stream.__class__ is Stream and not stream.local_done:
            self._queue(stream, message)
            self._flush_stream(stream)

    def half_close(self, stream_id: int) -> None:
        """No more messages will follow."""
        stream = self._streams.get(stream_id)
        if stream.__class__ is Stream and not stream.local_done:
            stream.local_done = True
            if not stream.outbox:
                self._out.append(f.encode_frame(f.DATA, f.END_STREAM, stream_id))

    def cancel(self, stream_id: int) -> None:
        """Gives a call up; no event follows."""
        if stream_id in self._streams:
            self._forget(stream_id)
            self._out.append(f.encode_rst_stream(stream_id, f.CANCEL))
            self._remember_early_closed(stream_id)

    def hold(self, stream_id: int) -> None:
        """The server may send what it has a window for, stream_window at most, and no more until `go_on`. All other
        calls go on: the window of the connection is granted again whatever becomes of the bytes."""
        stream = self._streams.get(stream_id)
        if stream.__class__ is Stream:
            stream.is_held = True

    def go_on(self, stream_id: int) -> None:
        """After `hold`."""
        stream = self._streams.get(stream_id)
        if stream.__class__ is Stream and stream.is_held:
            stream.is_held = False
            if stream.recv_used:
                self._out.append(f.encode_window_update(stream_id, stream.recv_used))
                stream.recv_used = 0

    def ping(self) -> None:
        """Asks the server for a sign of life: any bytes that come are one."""
        if not self.closed:
            self._out.append(f.encode_frame(f.PING, 0, 0, b"\0" * 8))

    def expire(self, now: float) -> list[ClientEvent]:
        """Ends the calls whose timeout has run out: DONE with DEADLINE_EXCEEDED."""
        events = self._events = []
        for stream_id in self._overdue(now):
            self.cancel(stream_id)
            events.append((DONE, stream_id, Code.DEADLINE_EXCEEDED, "context deadline exceeded", b""))
        return events

    def _take_id(self) -> int:
        stream_id = self._next_id
        if self.closed or self._going or len(self._streams) >= self._streams_max or stream_id > f.STREAM_ID_MAX:
            raise CannotOpen
        self._next_id = stream_id + 2
        self._last_id = stream_id
        return stream_id

    def _open(self, head: Head, path: bytes, timeout_s: float | None, metadata: tuple[Field, ...]) -> Stream:
        stream_id = self._take_id()
        if timeout_s is not None:
            self._watch_deadline(self._now() + timeout_s, stream_id)
        self._send_block(stream_id, self._encode_head(path) + _own_fields(timeout_s, metadata))
        stream = self._streams[stream_id] = Stream(stream_id, head)
        return stream

    def _send_block(self, stream_id: int, block: bytes) -> None:
        size = f.FRAME_BYTES_DEFAULT
        kind = f.HEADERS
        for at in range(0, len(block), size):
            flags = f.END_HEADERS if at + size >= len(block) else 0
            self._out.append(f.encode_frame(kind, flags, stream_id, block[at : at + size]))
            kind = f.CONTINUATION

    def _encode_head(self, path: bytes) -> bytes:
        settings = self._settings
        fields = (
            (b":method", b"POST"),
            (b":scheme", settings.scheme),
            (b":path", path),
            (b":authority", settings.authority),
            (b"content-type", b"application/grpc"),
            (b"user-agent", settings.user_agent),
            (b"te", b"trailers"),
            *settings.metadata,
        )
        block = self._encoder.encode(fields)
        kept = self._encoder.kept(fields)
        if kept is None:
            self._kept_heads.clear()  # a field has entered the table and shifted all indexes
        else:
            self._kept_heads[path] = kept
        return block

    # -- reading ---------------------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> list[ClientEvent]:
        """What data, all that the transport had, brings about. Never raises."""
        events = self._events = []
        if self.closed:
            return events
        if self._tail:
            data = self._tail + data
            self._tail = b""
        try:
            self._walk(data)
        except ProtocolError as error:
            self._fail(error)
        return events

    def _walk(self, data: bytes) -> None:
        """All whole frames of data. raises ProtocolError"""
        pos, end = 0, len(data)
        unpack, unpack_data = f.FRAME_HEAD.unpack_from, f.DATA_HEAD.unpack_from
        streams, known, append = self._streams, self._known, self._events.append
        fast = self._fast
        while end - pos >= 9:
            size_kind, flags, stream_id = unpack(data, pos)
            start = pos + 9
            stop = start + (size_kind >> 8)
            if stop > end or size_kind >= _TOO_LONG:
                break
            kind = size_kind & 0xFF
            pos = stop
            if fast:
                held = streams.get(stream_id, 0)
                if kind == f.DATA:
                    if held is True and flags == 0 and stop - start >= 5:
                        _, _, _, packed, size = unpack_data(data, start - 9)
                        if not packed and size == stop - start - 5 and size <= self._message_max:
                            self._use_window(size + 5)
                            streams[stream_id] = data[start + 5 : stop]
                            continue
                    elif held.__class__ is Stream and flags == 0 and self._take_messages(held, data, start, stop):
                        continue
                elif kind == f.HEADERS:
                    answer = known.get(data[start:stop])
                    if answer is not None:
                        if flags == 4 and held is None and answer.plain and answer.code < 0:
                            streams[stream_id] = True
                            continue
                        if flags == 5 and held.__class__ is bytes and answer.code == 0:
                            del streams[stream_id]
                            self._budget += BUDGET_PER_CALL
                            append((DONE, stream_id, 0, "", held))
                            continue
            self._on_frame(kind, flags, stream_id & 0x7FFFFFFF, data[start:stop])
            fast = self._fast
        self._read_ahead(data, pos)

    def _take_messages(self, stream: Stream, data: bytes, start: int, stop: int) -> bool:
        """The short way of a stream: DATA of whole messages. return False if it is more: nothing is done."""
        if stream.inbox or not stream.opened or stream.head.method.unary:
            return False
        unpack, stream_id, maximum = f.GRPC_PREFIX.unpack_from, stream.id, self._message_max
        found: list[ClientEvent] = []
        at = start
        while at < stop:
            if stop - at < f.GRPC_PREFIX_BYTES:
                return False
            packed, size = unpack(data, at)
            begin = at + f.GRPC_PREFIX_BYTES
            at = begin + size
            if packed or at > stop or size > maximum:
                return False
            found.append((MESSAGE, stream_id, 0, "", data[begin:at]))
        if not found:
            return False
        self._use_window(stop - start)
        if self._use_stream_window(stream, stop - start, False):
            self._budget += BUDGET_PER_CALL * len(found)
            self._events += found
        return True

    def _apply_setting(self, key: int, value: int) -> None:
        super()._apply_setting(key, value)
        if key == f.SETTING_MAX_CONCURRENT_STREAMS:
            self._streams_max = value
        elif key == f.SETTING_HEADER_TABLE_SIZE:
            self._kept_heads.clear()
        elif key == f.SETTING_ENABLE_PUSH and value:
            raise ProtocolError(f.PROTOCOL_ERROR, "a server cannot enable push")

    def _check_headers_id(self, stream_id: int) -> None:
        if stream_id not in self._streams:
            self._check_closed_stream(stream_id)

    def _on_block(self, stream_id: int, flags: int, block: bytes) -> None:
        answer = self._known.get(block)
        if answer is None:
            answer = self._read_block(block)
        if stream_id not in self._streams:
            self._charge(1)
            return
        stream = self._stream_of(stream_id)
        if answer.code < 0 and 100 <= answer.http < 200 and not flags & f.END_STREAM:
            return
        if not stream.opened:
            self._on_response(stream, answer, bool(flags & f.END_STREAM))
        elif flags & f.END_STREAM:
            self._end(stream, answer.code, answer.text)
        else:
            self._reset(stream_id, f.PROTOCOL_ERROR)

    def _read_block(self, block: bytes) -> _Answer:
        changes = self._decoder.changes
        answer = _Answer(self._decoder.decode(block))
        if self._decoder.changes != changes:
            self._known.clear()
        elif len(self._known) < KEPT_BLOCKS_MAX and len(block) <= KEPT_BLOCK_BYTES_MAX:
            self._known[block] = answer
        return answer

    def _on_response(self, stream: Stream, answer: _Answer, last: bool) -> None:
        stream.opened = True
        if answer.code >= 0 and last:
            self._end(stream, answer.code, answer.text)
        elif not answer.plain:
            code = _HTTP_CODES.get(answer.http, Code.UNKNOWN)
            text = f"unexpected HTTP status code received from server: {answer.http}"
            if answer.http == 200:
                text = "received a response that is not gRPC"
            self._end(stream, code, text, last)
        elif last:
            self._end(stream, -1, "")

    def _on_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        size = len(payload)
        self._use_window(size)
        if flags & f.PADDED:
            payload = strip_padding(payload)
        if not payload and not flags & f.END_STREAM:
            self._charge(1)
        if stream_id not in self._streams:
            self._check_closed_stream(stream_id)
            return
        stream = self._stream_of(stream_id)
        if not stream.opened:
            self._reset(stream_id, f.PROTOCOL_ERROR)
        elif self._use_stream_window(stream, size, bool(flags & f.END_STREAM)):
            self._take_payload(stream, payload)
            if flags & f.END_STREAM and stream_id in self._streams:
                self._end(stream, -1, "")

    def _take_payload(self, stream: Stream, payload: bytes) -> None:
        stream.inbox += payload
        try:
            while (message := next_message(stream.inbox, self._message_max, False)) is not None:
                if not stream.head.method.unary:
                    self._budget += BUDGET_PER_CALL
                    self._events.append((MESSAGE, stream.id, 0, "", message))
                elif stream.message is None:
                    stream.message = message
                else:
                    raise BadMessage(Code.INTERNAL, "received more than one message for a unary call")
        except BadMessage as error:
            self.cancel(stream.id)
            self._events.append((DONE, stream.id, error.code, error.text, b""))

    def _end(self, stream: Stream, code: int, text: str, ended: bool = True) -> None:
        """The answer is there. code: -1 if the server has sent none. ended: the server has sent END_STREAM."""
        if code < 0:
            code, text = Code.INTERNAL, "server closed the stream without sending trailers"
        elif code == 0 and stream.inbox:
            code, text = Code.INTERNAL, "unexpected EOF"
        elif code == 0 and stream.head.method.unary and stream.message is None:
            code, text = Code.INTERNAL, "received no message for a unary call"
        message = (stream.message or b"") if code == 0 else b""
        self._budget += BUDGET_PER_CALL
        if stream.local_done and not stream.outbox and ended:
            self._forget(stream.id)
        else:
            self.cancel(stream.id)
        self._events.append((DONE, stream.id, code, text, message))

    def _stream_of(self, stream_id: int) -> Stream:
        held = self._streams[stream_id]
        if held.__class__ is Stream:
            return held
        stream = self._streams[stream_id] = Stream(stream_id, _UNARY)
        stream.local_done = True
        stream.opened = held is not None
        if held.__class__ is bytes:
            stream.message = held
        return stream

    def _on_outbox_sent(self, stream: Stream) -> None:
        """Nothing: END_STREAM went with the last DATA."""

    def _last_peer_id(self) -> int:
        return 0

    def _drop(self, stream_id: int, code: int) -> None:
        self._forget(stream_id)
        reset = f"stream terminated by RST_STREAM with error code: {code}"
        text = "transport is closing" if code == LOST else reset
        self._events.append((DONE, stream_id, _RESET_CODES.get(code, Code.INTERNAL), text, b""))

    def _on_goaway(self, last_id: int, code: int, debug: bytes) -> None:
        """Calls above last_id were never begun and may be tried again elsewhere."""
        self._going = True
        for stream_id in [known for known in self._streams if known > last_id]:
            self._drop(stream_id, f.REFUSED_STREAM)
        self._events.append((GOAWAY, last_id, code, debug.decode("utf-8", "replace"), b""))
