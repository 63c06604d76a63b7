"""The writing half of the server's end: replies, errors and streams of messages become frames.

The short way of a reply: once the blocks of HEADERS and trailers have come to rest in the client's dynamic table, the
frames around a message differ only in two numbers, and one pack makes each of them.
"""

import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final
from urllib.parse import quote_from_bytes

from etcdz.api.errors import Code
from etcdz.wire import frames as f
from etcdz.wire.call_tally import CallTally
from etcdz.wire.connection import BUDGET_PER_CALL, Connection
from etcdz.wire.events import ServerEvent
from etcdz.wire.header_block import Field
from etcdz.wire.request_head import Method, Refusal
from etcdz.wire.stream import Stream

RESPONSE_FIELDS: Final[tuple[Field, ...]] = ((b":status", b"200"), (b"content-type", b"application/grpc"))
OK_FIELDS: Final[tuple[Field, ...]] = ((b"grpc-status", b"0"),)
NO_TRAILERS: Final[tuple[Field, ...]] = ((b"", b""),)
"""For what is not gRPC: its last DATA ends the stream. NB: told apart from others by identity."""
_UNAVAILABLE: Final = 503
_TEXT_PLAIN: Final[Field] = (b"content-type", b"text/plain; charset=utf-8")

_FRAME_START: Final = struct.Struct(">IB")  # a frame head but for the stream id
_HEADERS_END: Final = f.END_HEADERS | f.END_STREAM
_TEXT_SAFE: Final = "".join([chr(c) for c in range(0x20, 0x7F) if c != 0x25])


@lru_cache
def _head_struct(block_bytes: int) -> struct.Struct:
    """HEADERS with a block of so many bytes, head of DATA, gRPC prefix."""
    return struct.Struct(f">5sI{block_bytes}sIBIBI")


@lru_cache
def _tail_struct(block_bytes: int) -> struct.Struct:
    """HEADERS with a block of so many bytes."""
    return struct.Struct(f">5sI{block_bytes}s")


def encode_text(text: str) -> bytes:
    """A grpc-message: UTF-8, percent-encoded but for printable ASCII other than %. Source: gRPC over HTTP/2."""
    if text.isascii() and text.isprintable() and "%" not in text:
        return text.encode()
    return quote_from_bytes(text.encode("utf-8", "replace"), _TEXT_SAFE).encode()


class AnsweringConnection(Connection[ServerEvent]):
    """What a server's connection sends. Requires: the half that reads gives `_stream_of`."""

    def __init__(
        self,
        window: int,
        stream_window: int,
        list_bytes_max: int,
        outbox_bytes_max: int,
        now: Callable[[], float],
        tally: CallTally,
    ) -> None:
        super().__init__(window, stream_window, list_bytes_max, now)
        self._tally = tally
        self._answered, self._sent = tally.answered, tally.sent
        self._outbox_max = outbox_bytes_max
        self._long: dict[int, Stream] = {}  # streams of reply_parts whose answers have not left completely
        self._blocks_sent = 0  # HEADERS that went the long way; those of the short way come with DATA
        # The short way of replies, once both blocks of a reply have come to rest: see _prepare_short_way.
        self._ready = False
        self._ok_head = self._ok_head_block = self._ok_tail = self._ok_tail_block = b""
        self._pack_head = _head_struct(0).pack
        self._pack_tail = _tail_struct(0).pack

    def reply(self, stream_id: int, message: bytes) -> None:
        """A unary call's answer. For a stream that is gone: nothing."""
        held = self._streams.pop(stream_id, None)
        size = len(message)
        window = self._send_window - size - 5
        if held.__class__ is Method and self._ready and size <= self._short_max and window >= 0:
            self._answered[held.tag] += 1
            self._send_window = window
            self._budget += BUDGET_PER_CALL
            out = self._out
            block = self._ok_head_block
            out.append(self._pack_head(self._ok_head, stream_id, block, (size + 5) << 8, 0, stream_id, 0, size))
            out.append(message)
            out.append(self._pack_tail(self._ok_tail, stream_id, self._ok_tail_block))
        elif held is not None:
            self._streams[stream_id] = held
            stream = self._stream_of(stream_id)
            self._count_answer(stream)
            self._open_answer(stream)
            self._queue(stream, message)
            self._finish(stream, OK_FIELDS)

    def reply_parts(self, stream_id: int, parts: list[bytes]) -> None:
        """A unary call's answer in pieces, which are not copied. It may be long: while it leaves, the client's
        other calls are not refused."""
        if stream_id not in self._streams:
            return
        stream = self._stream_of(stream_id)
        size = sum([len(part) for part in parts])
        stream.long_bytes = size
        self._long[stream_id] = stream
        self._outbox_max += size
        self._count_answer(stream)
        self._open_answer(stream)
        stream.outbox.append(memoryview(size.to_bytes(f.GRPC_PREFIX_BYTES, "big")))
        stream.outbox.extend([memoryview(part) for part in parts if part])
        stream.outbox_bytes += size + f.GRPC_PREFIX_BYTES
        self.pending_bytes += size + f.GRPC_PREFIX_BYTES
        self._finish(stream, OK_FIELDS)

    @property
    def pending_long_bytes(self) -> int:
        """What is held back of answers of reply_parts. NB: a client may leave its streams unread while it waits for a
        call, so these do not count."""
        return sum([stream.outbox_bytes for stream in self._long.values()])

    def give_up_unsent(self) -> None:
        """Resets the calls whose answers the client does not take."""
        for stream in list(self._blocked.values()):
            if stream.long_bytes:
                self._out.append(f.encode_rst_stream(stream.id, f.ENHANCE_YOUR_CALM))
                self._remember_early_closed(stream.id)
                self._forget(stream.id)

    def give_up(self, stream_id: int) -> None:
        """Resets a stream whose client does not read: to be begun again, for REFUSED_STREAM says that it may be."""
        if stream_id in self._streams:
            stream = self._stream_of(stream_id)
            self._count_end(stream, Code.UNAVAILABLE)
            self._out.append(f.encode_rst_stream(stream_id, f.REFUSED_STREAM))
            self._remember_early_closed(stream_id)
            self._forget(stream_id)

    def _on_outbox_gone(self, stream: Stream) -> None:
        if stream.long_bytes:
            self._outbox_max -= stream.long_bytes
            del self._long[stream.id]

    def fail(self, stream_id: int, code: int, text: str) -> None:
        """Ends a call, unary or streaming, with an error. For a stream that is gone: nothing."""
        if stream_id in self._streams:
            self._refuse(self._stream_of(stream_id), Refusal(code, text))

    def refuse(self, stream_id: int, code: int, text: str) -> None:
        """The same for one that has not begun: it is not counted among those that have ended."""
        if stream_id in self._streams:
            stream = self._stream_of(stream_id)
            stream.tag = -1
            self._refuse(stream, Refusal(code, text))

    def _count_end(self, stream: Stream, code: int) -> None:
        """A call that was begun is over, as far as its client is concerned."""
        if stream.tag >= 0:
            self._tally.ended[stream.tag, code] += 1
            stream.tag = -1

    def _count_answer(self, stream: Stream) -> None:
        """The same for one that ends well with this message."""
        if stream.tag >= 0:
            self._answered[stream.tag] += 1
            stream.tag = -1

    def send_message(self, stream_id: int, message: bytes) -> None:
        """One message of a streaming answer. See pending_stream_bytes for a client that does not read."""
        if stream_id in self._streams:
            stream = self._stream_of(stream_id)
            if not stream.local_done:
                self._sent[stream.tag] += 1
                self._open_answer(stream)
                self._queue(stream, message)
                self._budget += BUDGET_PER_CALL
                self._flush_stream(stream)

    def send_parts(self, stream_id: int, head: bytes, body: bytes) -> None:
        """One message of a streaming answer, in two parts; the second is kept as it is, so many streams may share it.

        The short way, for a stream that is open and whose window is as well: one frame.
        """
        stream = self._streams.get(stream_id)
        if stream.__class__ is not Stream:
            if stream_id in self._streams:
                self.send_message(stream_id, head + body)
            return
        size = len(head) + len(body) + f.GRPC_PREFIX_BYTES
        room = min(self._send_window, self._peer_window + stream.granted, self._peer_frame_max)
        if size <= room and stream.opened and not stream.outbox and not stream.local_done:
            self._send_window -= size
            stream.granted -= size
            self._sent[stream.tag] += 1
            self._budget += BUDGET_PER_CALL
            prefixed = f.DATA_HEAD.pack(size << 8 | f.DATA, 0, stream_id, 0, size - f.GRPC_PREFIX_BYTES)
            self._out.append(prefixed + head)
            self._out.append(body)
        elif not stream.local_done:
            self._sent[stream.tag] += 1
            self._open_answer(stream)
            self._queue(stream, head, body)
            self._budget += BUDGET_PER_CALL
            self._flush_stream(stream)

    def send_joined(self, stream_id: int, messages: bytes, count: int) -> None:
        """count messages of a streaming answer, each behind its gRPC prefix: one frame, if the windows let it."""
        if stream_id not in self._streams:
            return
        stream = self._stream_of(stream_id)
        if stream.local_done:
            return
        size = len(messages)
        self._sent[stream.tag] += count
        self._budget += BUDGET_PER_CALL
        self._open_answer(stream)
        if (
            size <= min(self._send_window, self._peer_window + stream.granted, self._peer_frame_max)
            and not stream.outbox
        ):
            self._send_window -= size
            stream.granted -= size
            self._out.append(f.FRAME_HEAD.pack(size << 8 | f.DATA, 0, stream_id))
            self._out.append(messages)
        else:
            self._queue_joined(stream, messages)
            self._flush_stream(stream)

    def finish(self, stream_id: int, code: int = 0, text: str = "") -> None:
        """Ends a streaming answer after its last message."""
        if code:
            self.fail(stream_id, code, text)
        elif stream_id in self._streams:
            stream = self._stream_of(stream_id)
            self._open_answer(stream)
            self._finish(stream, OK_FIELDS)

    def respond(self, stream_id: int, status: int, fields: Sequence[Field], body: bytes) -> None:
        """Answers a request that is not gRPC. fields: the others of the header. For a stream that is gone: nothing."""
        if stream_id not in self._streams:
            return
        stream = self._stream_of(stream_id)
        if stream.local_done or stream.opened:
            return
        head = self._encoder.encode_plain(((b":status", b"%d" % status), *fields))
        if not body:
            self._end_stream(stream, head)
            return
        stream.opened = True
        self._send_block(stream_id, f.END_HEADERS, head)
        self._queue_joined(stream, body)
        self._finish(stream, NO_TRAILERS)

    def begin_response(self, stream_id: int, status: int, fields: Sequence[Field]) -> None:
        """The head of an answer in pieces to a request that is not gRPC. As respond."""
        if stream_id not in self._streams:
            return
        stream = self._stream_of(stream_id)
        if not (stream.local_done or stream.opened):
            stream.opened = True
            head = self._encoder.encode_plain(((b":status", b"%d" % status), *fields))
            self._send_block(stream_id, f.END_HEADERS, head)

    def send_data(self, stream_id: int, data: bytes) -> None:
        """A piece of such an answer, not empty. See pending_stream_bytes for a client that does not read."""
        if stream_id not in self._streams:
            return
        stream = self._stream_of(stream_id)
        if stream.opened and not stream.local_done:
            self._budget += BUDGET_PER_CALL
            self._queue_joined(stream, data)
            self._flush_stream(stream)

    def end_response(self, stream_id: int) -> None:
        """The end of such an answer."""
        if stream_id in self._streams:
            stream = self._stream_of(stream_id)
            if stream.opened:
                self._finish(stream, NO_TRAILERS)

    def _refuse_http(self, stream: Stream, refusal: Refusal) -> None:
        """A request that is not gRPC ends without the application."""
        text = refusal.text.encode() + b"\n"
        length = (b"content-length", b"%d" % len(text))
        status = _UNAVAILABLE if refusal.http_status == 200 else refusal.http_status
        self.respond(stream.id, status, (_TEXT_PLAIN, length), text)

    def _prepare_short_way(self) -> None:
        head, tail = self._encoder.kept(RESPONSE_FIELDS), self._encoder.kept(OK_FIELDS)
        self._ready = head is not None and tail is not None
        if head is not None and tail is not None:
            self._ok_head_block, self._ok_tail_block = head, tail
            self._ok_head = _FRAME_START.pack(len(head) << 8 | f.HEADERS, f.END_HEADERS)
            self._ok_tail = _FRAME_START.pack(len(tail) << 8 | f.HEADERS, _HEADERS_END)
            self._pack_head = _head_struct(len(head)).pack
            self._pack_tail = _tail_struct(len(tail)).pack

    def _open_answer(self, stream: Stream) -> None:
        if stream.opened:
            return
        stream.opened = True
        self._send_block(stream.id, f.END_HEADERS, self._encoder.encode(RESPONSE_FIELDS))

    def _send_block(self, stream_id: int, flags: int, block: bytes) -> None:
        """Requires: block fits a frame; ours do."""
        self._blocks_sent += 1
        self._out.append(f.encode_frame(f.HEADERS, flags, stream_id, block))

    def _queue(self, stream: Stream, message: bytes, body: bytes = b"") -> None:
        super()._queue(stream, message, body)
        if self.pending_bytes > self._outbox_max:
            self._fast = False  # the long way looks at it, and comes back to the short way when there is room again

    def _queue_joined(self, stream: Stream, messages: bytes) -> None:
        super()._queue_joined(stream, messages)
        if self.pending_bytes > self._outbox_max:
            self._fast = False

    def _finish(self, stream: Stream, trailers: tuple[Field, ...]) -> None:
        """Sends the outbox, then the trailers."""
        if not stream.local_done:
            stream.local_done = True
            stream.trailers = trailers
            if trailers is OK_FIELDS:
                self._count_end(stream, Code.OK)
            self._budget += BUDGET_PER_CALL
            self._flush_stream(stream)

    def _on_outbox_sent(self, stream: Stream) -> None:
        trailers = stream.trailers
        if trailers is NO_TRAILERS:
            self._out.append(f.encode_frame(f.DATA, f.END_STREAM, stream.id, b""))
            self._let_go(stream)
            return
        encode = self._encoder.encode if trailers is OK_FIELDS else self._encoder.encode_plain
        self._end_stream(stream, encode(trailers))
        if not self._ready:
            self._prepare_short_way()

    def _end_stream(self, stream: Stream, block: bytes) -> None:
        """The last HEADERS. A client that is still sending is told to stop. Source: RFC 9113, section 8.1."""
        self._send_block(stream.id, _HEADERS_END, block)
        self._let_go(stream)

    def _let_go(self, stream: Stream) -> None:
        self._forget(stream.id)
        if not stream.remote_done:
            self._out.append(f.encode_rst_stream(stream.id, f.NO_ERROR))
            self._remember_early_closed(stream.id)

    def _refuse(self, stream: Stream, refusal: Refusal) -> None:
        """Ends a call with an error: trailers only, or trailers after what was already sent."""
        if stream.local_done:
            return
        self._count_end(stream, refusal.code)
        fields = ((b"grpc-status", b"%d" % refusal.code), (b"grpc-message", encode_text(refusal.text)), *refusal.fields)
        if stream.opened:
            self._finish(stream, fields)
            return
        status = (b":status", b"%d" % refusal.http_status)
        self._end_stream(stream, self._encoder.encode_plain((status, RESPONSE_FIELDS[1], *fields)))
