"""What both ends of an HTTP/2 connection have in common, without I/O: control frames, windows, header blocks, floods.

Bytes go in by `receive`, bytes to be written come out of `take_output`; nothing here waits, and no input raises. A
wrong byte ends the connection (GOAWAY, `closed`) or its stream (RST_STREAM). The subclasses walk the frames and take
the short ways for HEADERS and DATA of gRPC calls; every frame that is out of the ordinary comes to `_on_frame`.

Floods: frames that cost their sender nothing (PING, SETTINGS, resets, empty DATA, ...) draw on a budget that time and
finished calls fill up again. Who overdraws it gets GOAWAY(ENHANCE_YOUR_CALM). Source: RFC 9113, section 10.5.
"""

import heapq
import sys
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

from etcdz.wire import frames as f
from etcdz.wire.frames import ProtocolError
from etcdz.wire.header_block import BOMB_FACTOR, HeaderDecoder, HeaderEncoder
from etcdz.wire.stream import Stream

Event = TypeVar("Event")

BUDGET_MAX: Final = 10_000
BUDGET_PER_S: Final = 500.0
BUDGET_PER_CALL: Final = 10
COST_ANSWERED: Final = 10  # PING, SETTINGS: we must write for each
COST_RESET: Final = 2
COST_IDLE: Final = 1  # empty DATA, PRIORITY, unknown frames
SMALL_INCREMENT: Final = 64  # WINDOW_UPDATEs below this are taken for an attempt to get the answer in crumbs
CONTINUATIONS_MAX: Final = 64  # beyond what a block of its length needs
LOST: Final = -1
EARLY_CLOSED_MAX: Final = 1_000
KEPT_BLOCKS_MAX: Final = 512
KEPT_BLOCK_BYTES_MAX: Final = 2_048  # longer ones are rare and would make what is kept large
PING_FINAL: Final = b"goodbye!"  # our PING between the two GOAWAYs of a graceful end


class Connection(Generic[Event]):
    """Base of both ends. Event: what the application is told, see events.py.

    closed          nothing more will be read or sent: write what take_output gives, then close the transport
    error_code      the HTTP/2 error code that closed it, 0 if none
    pending_bytes   DATA that the other side's windows hold back, or the cork, over all streams
    is_corked       so much DATA of outboxes has left that others should have their turn: `uncork` goes on
    """

    _last_data_flags = 0  # of the last DATA of a stream that is local_done

    def __init__(self, window: int, stream_window: int, list_bytes_max: int, now: Callable[[], float]) -> None:
        self.closed = False
        self.error_code = f.NO_ERROR
        self.pending_bytes = 0
        self.is_corked = False
        self._cork_bytes = self._uncorked_bytes = sys.maxsize
        self._now = now
        self._out: list[bytes | memoryview] = []
        self._tail = b""  # an incomplete frame
        self._events: list[Event] = []
        self._streams: dict[int, Any] = {}
        self._last_id = 0  # highest stream id that the client has opened
        # Invariant: True only if no header block is open, the first SETTINGS are in and new streams are welcome.
        self._fast = False
        self._settled = False
        self._decoder = HeaderDecoder(list_bytes_max)
        self._block_bytes_max = BOMB_FACTOR * list_bytes_max
        self._encoder = HeaderEncoder()
        self._block_id = 0  # the stream whose header block is open, 0 if none
        self._block_flags = 0
        self._block: list[bytes] = []
        self._block_bytes = 0
        self._send_window = f.WINDOW_DEFAULT
        self._granted = f.WINDOW_DEFAULT  # in all; what of it is not in _send_window is DATA that was sent
        self._peer_window = f.WINDOW_DEFAULT
        self._peer_frame_max = f.FRAME_BYTES_DEFAULT
        self._short_max = f.FRAME_BYTES_DEFAULT - f.GRPC_PREFIX_BYTES  # a message that surely fits one fresh frame
        self._blocked: dict[int, Stream] = {}
        self._window = window
        self._stream_window = stream_window
        self._recv_used = 0
        self._recv_regranted = 0
        self._budget = BUDGET_MAX
        self._budget_at = now()
        # Streams that we closed while the other side could still send: its frames for them are no error.
        self._early_closed: dict[int, None] = {}
        self._forgotten_id = 0
        self._deadlines: list[tuple[float, int]] = []

    @property
    def open_streams(self) -> int:
        return len(self._streams)

    @property
    def data_received(self) -> int:
        """Bytes of DATA so far, of all streams; `data_sent` likewise."""
        return self._recv_regranted + self._recv_used

    @property
    def data_sent(self) -> int:
        return self._granted - self._send_window

    def pending_stream_bytes(self, stream_id: int) -> int:
        """DATA of one stream that is held back; 0 for a stream that is gone."""
        stream = self._streams.get(stream_id)
        return stream.outbox_bytes if stream.__class__ is Stream else 0

    def take_output(self) -> bytes:
        """All bytes to be written by now, in order. Call it once after each turn."""
        out = self._out
        if not out:
            return b""
        data = b"".join(out)
        out.clear()
        return data

    # -- reading -------------------------------------------------------------------------------------------------

    def _on_frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        """Any frame that took no short way. raises ProtocolError"""
        if self._block_id and (kind != f.CONTINUATION or stream_id != self._block_id):
            raise ProtocolError(f.PROTOCOL_ERROR, "header block interrupted")
        if not self._settled and (kind != f.SETTINGS or flags & f.ACK):
            raise ProtocolError(f.PROTOCOL_ERROR, "SETTINGS expected first")
        handler = _HANDLERS.get(kind)
        if handler is None:
            self._charge(COST_IDLE)
        else:
            handler(self, flags, stream_id, payload)

    def _read_ahead(self, data: bytes, pos: int) -> None:
        """Keeps the incomplete frame at pos; refuses one that may not come at all before it has come."""
        if len(data) - pos >= 3 and int.from_bytes(data[pos : pos + 3], "big") > f.FRAME_BYTES_DEFAULT:
            raise ProtocolError(f.FRAME_SIZE_ERROR, "frame longer than SETTINGS_MAX_FRAME_SIZE")
        self._tail = data[pos:] if pos < len(data) else b""

    def _charge(self, cost: int) -> None:
        budget = min(self._budget, BUDGET_MAX) - cost
        if budget < 0:
            now = self._now()
            budget += int(min(BUDGET_MAX, (now - self._budget_at) * BUDGET_PER_S))
            self._budget_at = now
            if budget < 0:
                raise ProtocolError(f.ENHANCE_YOUR_CALM, "too many frames that cost nothing")
        self._budget = budget

    def _on_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        if flags & f.PADDED:
            payload = strip_padding(payload)
        if flags & f.HAS_PRIORITY:
            if len(payload) < 5:
                raise ProtocolError(f.FRAME_SIZE_ERROR, "HEADERS too short for its priority")
            if int.from_bytes(payload[:4], "big") & f.STREAM_ID_MAX == stream_id:
                raise ProtocolError(f.PROTOCOL_ERROR, "stream depends on itself")
            payload = payload[5:]
        self._check_headers_id(stream_id)
        if flags & f.END_HEADERS:
            self._on_block(stream_id, flags, payload)
            return
        self._block_id, self._block_flags = stream_id, flags
        self._block, self._block_bytes = [payload], len(payload)
        self._on_block_grown(len(payload))
        self._update_fast()

    def _on_continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        if not self._block_id:
            raise ProtocolError(f.PROTOCOL_ERROR, "CONTINUATION without HEADERS")
        self._block.append(payload)
        self._block_bytes += len(payload)
        self._on_block_grown(len(payload))
        needed = self._block_bytes // f.FRAME_BYTES_DEFAULT
        if self._block_bytes > self._block_bytes_max or len(self._block) > CONTINUATIONS_MAX + needed:
            raise ProtocolError(f.ENHANCE_YOUR_CALM, "header block too long")
        if flags & f.END_HEADERS:
            block = b"".join(self._block)
            self._block, self._block_id = [], 0
            self._on_block_grown(-self._block_bytes)
            self._update_fast()
            self._on_block(stream_id, self._block_flags, block)

    def _on_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ProtocolError(f.PROTOCOL_ERROR, "SETTINGS on a stream")
        if flags & f.ACK:
            if payload:
                raise ProtocolError(f.FRAME_SIZE_ERROR, "SETTINGS acknowledgement with a payload")
            self._charge(COST_IDLE)
            return
        if len(payload) % 6:
            raise ProtocolError(f.FRAME_SIZE_ERROR, "SETTINGS length is not a multiple of 6")
        if self._settled:
            self._charge(COST_ANSWERED + len(payload) // 6)
        for key, value in f.SETTING.iter_unpack(payload):
            self._apply_setting(key, value)
        self._settled = True
        self._update_fast()
        self._out.append(f.SETTINGS_ACK)
        self._flush_blocked()

    def _apply_setting(self, key: int, value: int) -> None:
        if key == f.SETTING_INITIAL_WINDOW_SIZE:
            self._set_peer_window(value)
        elif key == f.SETTING_MAX_FRAME_SIZE:
            if not f.FRAME_BYTES_DEFAULT <= value <= f.FRAME_BYTES_MAX:
                raise ProtocolError(f.PROTOCOL_ERROR, "SETTINGS_MAX_FRAME_SIZE out of range")
            self._peer_frame_max = value
        elif key == f.SETTING_HEADER_TABLE_SIZE:
            self._encoder.limit_table(value)
        elif key == f.SETTING_ENABLE_PUSH and value > 1:
            raise ProtocolError(f.PROTOCOL_ERROR, "SETTINGS_ENABLE_PUSH is neither 0 nor 1")
        self._short_max = min(self._peer_frame_max, self._peer_window) - f.GRPC_PREFIX_BYTES

    def _set_peer_window(self, value: int) -> None:
        if value > f.WINDOW_MAX:
            raise ProtocolError(f.FLOW_CONTROL_ERROR, "SETTINGS_INITIAL_WINDOW_SIZE out of range")
        self._peer_window = value
        for stream in self._streams.values():
            if stream.__class__ is Stream and stream.granted + value > f.WINDOW_MAX:
                raise ProtocolError(f.FLOW_CONTROL_ERROR, "SETTINGS_INITIAL_WINDOW_SIZE overflows a window")

    def _on_window_update(self, flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ProtocolError(f.FRAME_SIZE_ERROR, "WINDOW_UPDATE length is not 4")
        increment = int.from_bytes(payload, "big") & f.WINDOW_MAX
        if increment < SMALL_INCREMENT:
            self._charge(COST_IDLE)
        if stream_id:
            self._grant_stream(stream_id, increment)
            return
        if increment == 0:
            raise ProtocolError(f.PROTOCOL_ERROR, "WINDOW_UPDATE of 0")
        self._send_window += increment
        self._granted += increment
        if self._send_window > f.WINDOW_MAX:
            raise ProtocolError(f.FLOW_CONTROL_ERROR, "connection window overflows")
        self._flush_blocked()

    def _grant_stream(self, stream_id: int, increment: int) -> None:
        if stream_id not in self._streams:
            self._check_not_idle(stream_id)
            return
        stream = self._stream_of(stream_id)
        if increment == 0:
            self._reset(stream_id, f.PROTOCOL_ERROR)
        elif stream.granted + increment + self._peer_window > f.WINDOW_MAX:
            self._reset(stream_id, f.FLOW_CONTROL_ERROR)
        else:
            stream.granted += increment
            if stream_id in self._blocked:
                self._flush_stream(stream)

    def _on_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ProtocolError(f.PROTOCOL_ERROR, "PING on a stream")
        if len(payload) != 8:
            raise ProtocolError(f.FRAME_SIZE_ERROR, "PING length is not 8")
        if flags & f.ACK:
            self._on_pong(payload)
            return
        self._charge(COST_ANSWERED)
        self._out.append(f.encode_frame(f.PING, f.ACK, 0, payload))
        self._on_pinged()

    def _on_rst_stream(self, flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ProtocolError(f.FRAME_SIZE_ERROR, "RST_STREAM length is not 4")
        self._check_not_idle(stream_id)
        self._charge(COST_RESET)
        self._early_closed.pop(stream_id, None)
        if stream_id in self._streams:
            self._drop(stream_id, int.from_bytes(payload, "big"))

    def _on_priority(self, flags: int, stream_id: int, payload: bytes) -> None:
        if not stream_id:
            raise ProtocolError(f.PROTOCOL_ERROR, "PRIORITY on stream 0")
        if len(payload) != 5:
            if stream_id not in self._streams:
                raise ProtocolError(f.FRAME_SIZE_ERROR, "PRIORITY length is not 5")
            self._reset(stream_id, f.FRAME_SIZE_ERROR)
            return
        if int.from_bytes(payload[:4], "big") & f.STREAM_ID_MAX == stream_id:
            raise ProtocolError(f.PROTOCOL_ERROR, "stream depends on itself")
        self._charge(COST_IDLE)

    def _on_push_promise(self, flags: int, stream_id: int, payload: bytes) -> None:
        raise ProtocolError(f.PROTOCOL_ERROR, "PUSH_PROMISE")

    def _on_goaway_frame(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ProtocolError(f.PROTOCOL_ERROR, "GOAWAY on a stream")
        if len(payload) < 8:
            raise ProtocolError(f.FRAME_SIZE_ERROR, "GOAWAY shorter than 8")
        self._charge(COST_IDLE)
        last_id = int.from_bytes(payload[:4], "big") & f.STREAM_ID_MAX
        self._on_goaway(last_id, int.from_bytes(payload[4:8], "big"), payload[8:])

    # -- what the two ends do differently --------------------------------------------------------------------------

    def _update_fast(self) -> None:
        self._fast = self._settled and not self._block_id and not self.closed

    def _on_block_grown(self, size: int) -> None:
        """A header block that is not complete has so many bytes more; or it is complete, and has none."""

    def _check_headers_id(self, stream_id: int) -> None:
        """raises ProtocolError unless HEADERS may come on this stream."""
        raise NotImplementedError

    def _on_block(self, stream_id: int, flags: int, block: bytes) -> None:
        """A whole header block. Requires: it is decoded, whatever becomes of its stream."""
        raise NotImplementedError

    def _on_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        raise NotImplementedError

    def _on_goaway(self, last_id: int, code: int, debug: bytes) -> None:
        raise NotImplementedError

    def _on_pinged(self) -> None:
        """A PING has come and its answer is on its way. raises ProtocolError: one too many"""

    def _on_pong(self, payload: bytes) -> None:
        self._charge(COST_IDLE)

    def _last_peer_id(self) -> int:
        """The highest stream that the other side has opened."""
        raise NotImplementedError

    def _stream_of(self, stream_id: int) -> Stream:
        """The stream as a Stream, made one if its head alone was kept. Requires: it is open."""
        raise NotImplementedError

    def _drop(self, stream_id: int, code: int) -> None:
        """An open stream is reset, by either side, with this code; LOST: the connection has ended."""
        raise NotImplementedError

    def _on_outbox_sent(self, stream: Stream) -> None:
        """All DATA of a stream that is local_done has left."""
        raise NotImplementedError

    # -- streams -------------------------------------------------------------------------------------------------

    def _check_not_idle(self, stream_id: int) -> None:
        if stream_id > self._last_id or not stream_id & 1:
            raise ProtocolError(f.PROTOCOL_ERROR, "frame on an idle stream")

    def _check_closed_stream(self, stream_id: int) -> None:
        """A frame came for a stream that is not open: fine if we closed it first. raises ProtocolError"""
        self._check_not_idle(stream_id)
        if stream_id not in self._early_closed and stream_id > self._forgotten_id:
            raise ProtocolError(f.STREAM_CLOSED, "frame on a closed stream")

    def _remember_early_closed(self, stream_id: int) -> None:
        early = self._early_closed
        early[stream_id] = None
        if len(early) > EARLY_CLOSED_MAX:
            oldest = next(iter(early))
            del early[oldest]
            self._forgotten_id = max(self._forgotten_id, oldest)

    def _reset(self, stream_id: int, code: int) -> None:
        """A stream error: RST_STREAM, and the application hears of it as of a cancellation."""
        self._out.append(f.encode_rst_stream(stream_id, code))
        self._charge(COST_RESET)
        self._remember_early_closed(stream_id)
        if stream_id in self._streams:
            self._drop(stream_id, code)

    def _forget(self, stream_id: int) -> Any:
        """Takes a stream out of all books."""
        stream = self._streams.pop(stream_id)
        if stream.__class__ is Stream:
            self.pending_bytes -= stream.outbox_bytes
            self._on_outbox_gone(stream)
            self._blocked.pop(stream_id, None)
        return stream

    def _on_outbox_gone(self, stream: Stream) -> None:
        """A stream is taken out of the books."""

    def next_deadline(self) -> float | None:
        """When expire has something to do next, on the clock of now; None: never."""
        heap, streams = self._deadlines, self._streams
        while heap and heap[0][1] not in streams:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def _watch_deadline(self, deadline: float, stream_id: int) -> None:
        """Entries of streams that are gone stay until they come up, or until most entries are such."""
        heap, streams = self._deadlines, self._streams
        if len(heap) > 64 + 2 * len(streams):
            heap[:] = [entry for entry in heap if entry[1] in streams]
            heapq.heapify(heap)
        heapq.heappush(heap, (deadline, stream_id))

    def _overdue(self, now: float) -> list[int]:
        """The open streams whose deadline has passed; each is told once."""
        heap, found = self._deadlines, []
        while heap and heap[0][0] <= now:
            stream_id = heapq.heappop(heap)[1]
            if stream_id in self._streams:
                found.append(stream_id)
        return found

    # -- windows -------------------------------------------------------------------------------------------------

    def _use_window(self, size: int) -> None:
        """size bytes of DATA came; grants them again when half of the connection's window is used."""
        used = self._recv_used + size
        if used > self._window:
            raise ProtocolError(f.FLOW_CONTROL_ERROR, "more DATA than the connection window allows")
        if used * 2 >= self._window:
            self._out.append(f.encode_window_update(0, used))
            self._recv_regranted += used
            used = 0
        self._recv_used = used

    def _use_stream_window(self, stream: Stream, size: int, last: bool) -> bool:
        """The same for a stream; False if it was reset for it."""
        used = stream.recv_used + size
        if used > self._stream_window:
            self._reset(stream.id, f.FLOW_CONTROL_ERROR)
            return False
        if used * 2 >= self._stream_window and not last and not stream.is_held:
            self._out.append(f.encode_window_update(stream.id, used))
            used = 0
        stream.recv_used = used
        return True

    def _queue(self, stream: Stream, message: bytes, body: bytes = b"") -> None:
        """One gRPC message, uncompressed, into the outbox; its second part, if any, is not copied."""
        size = len(message) + len(body)
        stream.outbox.append(memoryview(size.to_bytes(f.GRPC_PREFIX_BYTES, "big") + message))
        if body:
            stream.outbox.append(memoryview(body))
        size += f.GRPC_PREFIX_BYTES
        stream.outbox_bytes += size
        self.pending_bytes += size

    def _queue_joined(self, stream: Stream, messages: bytes) -> None:
        """The same for what has its gRPC prefixes already."""
        stream.outbox.append(memoryview(messages))
        stream.outbox_bytes += len(messages)
        self.pending_bytes += len(messages)

    def _flush_stream(self, stream: Stream) -> None:
        """Sends what the windows allow."""
        while stream.outbox:
            if not self._send_chunk(stream):
                self._blocked[stream.id] = stream
                return
        self._blocked.pop(stream.id, None)
        if stream.local_done:
            self._on_outbox_sent(stream)

    def _send_chunk(self, stream: Stream) -> bool:
        """One DATA frame out of the outbox; False if a window is shut."""
        room = min(self._send_window, self._peer_window + stream.granted, self._peer_frame_max)
        if room <= 0:
            return False
        if self._uncorked_bytes <= 0:
            self.is_corked = True
            return False
        chunk = stream.outbox[0]
        if len(chunk) > room:
            stream.outbox[0] = chunk[room:]
            chunk = chunk[:room]
        else:
            stream.outbox.popleft()
        size = len(chunk)
        self._send_window -= size
        self._uncorked_bytes -= size
        stream.granted -= size
        stream.outbox_bytes -= size
        self.pending_bytes -= size
        flags = self._last_data_flags if stream.local_done and not stream.outbox else 0
        self._out.append(f.FRAME_HEAD.pack(size << 8 | f.DATA, flags, stream.id))
        self._out.append(chunk)
        return True

    def _flush_blocked(self) -> None:
        """A frame for each stream in turn, so that one long answer does not starve the others."""
        moved = True
        while moved and self._blocked and self._send_window > 0:
            moved = False
            for stream in list(self._blocked.values()):
                if self._send_chunk(stream):
                    moved = True
                    if not stream.outbox:
                        self._flush_stream(stream)

    def uncork(self) -> None:
        """What was taken before is written, and others have had their turn: goes on with what outboxes hold."""
        self.is_corked = False
        self._uncorked_bytes = self._cork_bytes
        self._flush_blocked()

    # -- the end -------------------------------------------------------------------------------------------------

    def _fail(self, error: ProtocolError) -> None:
        """Ends the connection for a fault of the other side."""
        self._out.append(f.encode_goaway(self._last_peer_id(), error.code, error.text))
        self.error_code = error.code
        self._close()

    def _close(self) -> None:
        self.closed = True
        self._fast = False
        self._tail = b""
        self._block = []
        for stream_id in list(self._streams):
            self._drop(stream_id, LOST)

    def connection_lost(self) -> list[Event]:
        """The transport is gone: the events of all open calls. Nothing will be sent any more."""
        self._events = []
        if not self.closed:
            self._close()
        self._out.clear()
        return self._events


def strip_padding(payload: bytes) -> bytes:
    """payload of a PADDED frame without its padding. raises ProtocolError"""
    if not payload:
        raise ProtocolError(f.FRAME_SIZE_ERROR, "PADDED frame without a pad length")
    if payload[0] >= len(payload):
        raise ProtocolError(f.PROTOCOL_ERROR, "padding longer than its frame")
    return payload[1 : len(payload) - payload[0]]


_HANDLERS: Final[dict[int, Callable[[Any, int, int, bytes], None]]] = {
    f.DATA: lambda self, flags, stream_id, payload: self._on_data(flags, stream_id, payload),
    f.HEADERS: Connection._on_headers,
    f.PRIORITY: Connection._on_priority,
    f.RST_STREAM: Connection._on_rst_stream,
    f.SETTINGS: Connection._on_settings,
    f.PUSH_PROMISE: Connection._on_push_promise,
    f.PING: Connection._on_ping,
    f.GOAWAY: Connection._on_goaway_frame,
    f.WINDOW_UPDATE: Connection._on_window_update,
    f.CONTINUATION: Connection._on_continuation,
}
