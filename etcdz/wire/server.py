"""The server's end of a gRPC connection: bytes in, calls out; replies in, bytes out.

The short way, which nearly every call takes: HEADERS whose block is known by its bytes, then one DATA frame that is the
whole message and ends the stream. Such a call has no Stream: `_streams` holds its Head until the message is there, and
its Method from then until the reply, which is three pieces of bytes. Everything else goes the long way through
`connection.py`.
"""

import sys
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from etcdz.api.errors import DEADLINE_EXCEEDED, REQUEST_TOO_MANY_REQUESTS, Code
from etcdz.wire import frames as f
from etcdz.wire.answers import AnsweringConnection
from etcdz.wire.call_tally import CallTally
from etcdz.wire.connection import (
    COST_IDLE,
    KEPT_BLOCK_BYTES_MAX,
    KEPT_BLOCKS_MAX,
    PING_FINAL,
    strip_padding,
)
from etcdz.wire.events import (
    CALL,
    CANCEL,
    NO_METHOD,
    REQUEST,
    REQUEST_BODY,
    REQUEST_END,
    REQUEST_OPEN,
    STREAM_END,
    STREAM_MESSAGE,
    STREAM_OPEN,
    ServerEvent,
)
from etcdz.wire.frames import ProtocolError
from etcdz.wire.grpc_message import BadMessage, next_message
from etcdz.wire.header_block import Field, ListTooLong, list_bytes
from etcdz.wire.keepalive import ASK, GIVE_UP, PING_ALIVE, WAIT, KeepaliveRules, Pulse, Strikes
from etcdz.wire.request_head import (
    HTTP_PIECES,
    HTTP_REQUEST,
    NO_METADATA,
    Head,
    Method,
    Refusal,
    TakesPieces,
    check_trailers,
    decode_timeout,
    interpret,
    refuse_timeout,
    split_timeout,
)
from etcdz.wire.stream import Stream
from etcdz.wire.unfinished import UnfinishedRequests

STREAMS_MAX: Final = 262_144

_TOO_LONG: Final = (f.FRAME_BYTES_DEFAULT + 1) << 8
_BUSY: Final = Refusal(REQUEST_TOO_MANY_REQUESTS.code, REQUEST_TOO_MANY_REQUESTS.text)
LEAST_TIMEOUT_S: Final = 1e-6  # a shorter one is over before the call could be read
_TOO_LARGE: Final = Refusal(Code.RESOURCE_EXHAUSTED, "request body too large", 413)
_TOO_LATE: Final = Refusal(Code.DEADLINE_EXCEEDED, "context deadline exceeded")
_MANY_MESSAGES: Final = "cardinality violation: received multiple request messages for non-client-streaming RPC"


class ServerSettings(NamedTuple):
    """message_bytes_max     of one request message, decompressed as well
    max_concurrent_streams  further ones are refused (REFUSED_STREAM); f.UNLIMITED is not advertised, and STREAMS_MAX is
                            the bound then
    window, stream_window   bytes a client may send ahead, per connection and per stream
    inbox_bytes_max         incomplete messages and long heads of all streams of a connection together
    outbox_bytes_max        answers that the client's windows hold back; while there are more, new calls are refused
    header_list_bytes_max   of one header list, as RFC 9113 counts it; a longer one is refused, and a bomb ends the
                            connection (header_block.BOMB_FACTOR)
    cork_bytes              after so many bytes of DATA of long answers no more leave until `uncork`
    keepalive               None: the client may PING as it likes, within the budget, and is never sent one
    serves_http             requests that are not gRPC are handed on (REQUEST, REQUEST_OPEN), and answered by `respond`
                            or `begin_response`
    serves_grpc             otherwise all requests are such
    body_bytes_max          of a request that is not gRPC and is handed on whole
    takes_pieces            which of them are not
    """

    message_bytes_max: int = 1_572_864 + 524_288
    max_concurrent_streams: int = 100_000
    window: int = 16 << 20
    stream_window: int = 4 << 20
    inbox_bytes_max: int = 64 << 20
    outbox_bytes_max: int = 64 << 20
    header_list_bytes_max: int = 2 << 20
    cork_bytes: int = sys.maxsize
    keepalive: KeepaliveRules | None = None
    serves_http: bool = False
    serves_grpc: bool = True
    body_bytes_max: int = 1_572_864 + 524_288
    takes_pieces: TakesPieces = lambda method, target: False


class GrpcServerConnection(AnsweringConnection):
    """One client's connection.

    unfinished      shared by all connections of a listener; it may ask this one to give up what is unfinished
    tally           shared as well
    """

    def __init__(
        self,
        methods: Mapping[bytes, Method],
        settings: ServerSettings,
        now: Callable[[], float],
        unfinished: UnfinishedRequests | None = None,
        tally: CallTally | None = None,
    ) -> None:
        list_bytes_max = settings.header_list_bytes_max
        super().__init__(
            settings.window,
            settings.stream_window,
            list_bytes_max,
            settings.outbox_bytes_max,
            now,
            CallTally() if tally is None else tally,
        )
        self._cork_bytes = self._uncorked_bytes = settings.cork_bytes
        self._methods = methods
        self._message_max = settings.message_bytes_max
        self._serves_http, self._serves_grpc = settings.serves_http, settings.serves_grpc
        self._takes_pieces, self._body_max = settings.takes_pieces, settings.body_bytes_max
        self._streams_max = min(settings.max_concurrent_streams, STREAMS_MAX)
        self._inbox_max = settings.inbox_bytes_max
        self._inbox_bytes = 0
        self._unfinished = unfinished or UnfinishedRequests(settings.inbox_bytes_max)
        self._holding: dict[int, Stream] = {}  # streams that have something in _inbox_bytes
        self._preface = f.PREFACE  # what of it is still to come
        self._known: dict[bytes, Head] = {}  # plain heads by their blocks, for the dynamic table as it is
        self._heads: dict[tuple[Field, ...], Head] = {}
        # Deadlines of streams that are a Head by now, for the event to come; `_deadlines` has those of all streams.
        self._due: dict[int, float] = {}
        self._fresh: dict[int, None] = {}  # lazy streams whose first message may be in the bytes that are being read
        self._draining = False
        self._final_id = f.STREAM_ID_MAX  # streams above it came after our last GOAWAY
        self._goaway_confirmed = self._takes_late = False
        self._short_message_max = min(settings.message_bytes_max, settings.stream_window - f.GRPC_PREFIX_BYTES)
        rules = settings.keepalive
        self._strikes = None if rules is None else Strikes(rules.min_time_s)
        self._pulse = None if rules is None else Pulse(rules, now())
        self._heard = False  # anything since the last keep_alive
        self._greet(settings)

    def _greet(self, settings: ServerSettings) -> None:
        offered = [
            (f.SETTING_INITIAL_WINDOW_SIZE, settings.stream_window),
            (f.SETTING_MAX_HEADER_LIST_SIZE, settings.header_list_bytes_max),
        ]
        if settings.max_concurrent_streams < f.UNLIMITED:
            offered.append((f.SETTING_MAX_CONCURRENT_STREAMS, settings.max_concurrent_streams))
        self._out.append(f.encode_settings(offered))
        if settings.window > f.WINDOW_DEFAULT:
            self._out.append(f.encode_window_update(0, settings.window - f.WINDOW_DEFAULT))

    @property
    def should_close(self) -> bool:
        """Write what take_output gives, then close: an error ended the connection, or draining is through."""
        return self.closed or (self._final_id < f.STREAM_ID_MAX and not self._streams)

    @property
    def has_greeted(self) -> bool:
        """Whether the client's preface and its first SETTINGS have come."""
        return self._settled

    @property
    def goaway_confirmed(self) -> bool:
        """The client has confirmed the first GOAWAY: it opens no more streams here, but for those that its library has
        chosen this connection for already."""
        return self._goaway_confirmed

    # -- reading ---------------------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> list[ServerEvent]:
        """What data, all that the transport had, brings about. Never raises."""
        if self.closed:
            return []
        self._heard = True
        if self._tail:
            data = self._tail + data
            self._tail = b""
        events = self._events = []
        try:
            pos = 0
            if self._preface:
                pos = self._match_preface(data)
            if not self._preface:
                self._walk(data, pos)
        except ProtocolError as error:
            self._fail(error)
        return events

    def _match_preface(self, data: bytes) -> int:
        size = min(len(data), len(self._preface))
        if data[:size] != self._preface[:size]:
            raise ProtocolError(f.PROTOCOL_ERROR, "not an HTTP/2 client")
        self._preface = self._preface[size:]
        return size

    def _walk(self, data: bytes, pos: int) -> None:
        """All whole frames of data from pos on. raises ProtocolError"""
        end = len(data)
        unpack = f.FRAME_HEAD.unpack_from
        unpack_data = f.DATA_HEAD.unpack_from
        streams, known, due, append = self._streams, self._known, self._due, self._events.append
        streams_max, message_max = self._streams_max, self._short_message_max
        fast, received = self._fast, self._tally.received
        while end - pos >= 9:
            size_kind, flags, stream_id = unpack(data, pos)
            start = pos + 9
            stop = start + (size_kind >> 8)
            if stop > end or size_kind >= _TOO_LONG:
                break
            kind = size_kind & 0xFF
            pos = stop
            if fast:
                if kind == 0:
                    head = streams.get(stream_id)
                    if head.__class__ is Head and flags == 1 and stop - start >= 5:
                        _, _, _, packed, size = unpack_data(data, start - 9)
                        if (
                            not packed
                            and size == stop - start - 5
                            and size <= message_max
                            and (head.length < 0 or head.length == size + 5)
                        ):
                            self._use_window(size + 5)
                            streams[stream_id] = method = head.method
                            deadline = due.pop(stream_id, None) if due else None
                            append((CALL, stream_id, method, data[start + 5 : stop], deadline, head.metadata))
                            continue
                    elif head.__class__ is Stream and flags == 0 and stop - start >= 5 and head.takes_messages:
                        _, _, _, packed, size = unpack_data(data, start - 9)
                        if not packed and size == stop - start - 5 and size <= message_max:
                            self._use_window(size + 5)
                            if self._use_stream_window(head, size + 5, False):
                                message = data[start + 5 : stop]
                                received[head.tag] += 1
                                append((STREAM_MESSAGE, stream_id, NO_METHOD, message, None, NO_METADATA))
                            continue
                elif kind == 1 and flags == 4 and stream_id > self._last_id and stream_id & 0x80000001 == 1:
                    block = data[start:stop]
                    head = known.get(block)
                    if head is None:
                        self._on_block(stream_id, flags, block)
                    elif len(streams) < streams_max:
                        self._last_id = stream_id
                        streams[stream_id] = head
                        if head.lazy:
                            self._fresh[stream_id] = None
                    else:
                        self._on_frame(kind, flags, stream_id, block)
                    continue
            self._on_frame(kind, flags, stream_id & 0x7FFFFFFF, data[start:stop])
            fast = self._fast
        if self._fresh:
            self._announce_fresh()
        self._read_ahead(data, pos)

    def _announce_fresh(self) -> None:
        """Lazy streams that have not become calls with what has come are streams like others."""
        for stream_id in list(self._fresh):
            if self._streams.get(stream_id).__class__ is Head:
                self._stream_of(stream_id)
        self._fresh.clear()

    def _update_fast(self) -> None:
        welcome = not self._draining and not self.closed and self.pending_bytes <= self._outbox_max
        self._fast = self._settled and not self._block_id and welcome
        self._prepare_short_way()

    def _check_headers_id(self, stream_id: int) -> None:
        if not stream_id & 1:
            raise ProtocolError(f.PROTOCOL_ERROR, "HEADERS on a stream that a client cannot open")
        if stream_id <= self._last_id and stream_id not in self._streams:
            self._check_closed_stream(stream_id)

    def _on_block(self, stream_id: int, flags: int, block: bytes) -> None:
        decoder = self._decoder
        head = self._known.get(block)
        timeout = None
        if head is None:
            changes = decoder.changes
            try:
                fields = decoder.decode(block)
            except ListTooLong as error:
                self._on_long_list(stream_id, flags, error)
                return
            if decoder.changes != changes:
                self._known.clear()
            if stream_id <= self._last_id:
                self._on_trailers(stream_id, flags, fields)
                return
            key, timeout = split_timeout(fields)
            head = self._heads.get(key) or self._keep_head(key)
            if head.plain and timeout is None and decoder.changes == changes:
                self._keep_block(block, head)
        elif stream_id <= self._last_id:
            self._on_trailers(stream_id, flags, [(b":path", b"")])
            return
        self._last_id = stream_id
        self._open(stream_id, flags, head, timeout)

    def _on_long_list(self, stream_id: int, flags: int, error: ListTooLong) -> None:
        """Refuses the stream: what else the connection carries may be of other clients, behind a proxy."""
        self._known.clear()  # the table may have changed
        if stream_id <= self._last_id:
            if stream_id in self._streams:
                self._reset(stream_id, f.ENHANCE_YOUR_CALM)
            return
        head = Head()
        head.refusal = Refusal(Code.RESOURCE_EXHAUSTED, error.text)
        self._last_id = stream_id
        self._open(stream_id, flags, head, None)

    def _keep_block(self, block: bytes, head: Head) -> None:
        if len(block) <= KEPT_BLOCK_BYTES_MAX and len(self._known) < KEPT_BLOCKS_MAX:
            self._known[block] = head

    def _keep_head(self, key: tuple[Field, ...]) -> Head:
        head = interpret(key, self._methods, self._serves_http, self._serves_grpc, self._takes_pieces)
        if (size := list_bytes(key)) > KEPT_BLOCK_BYTES_MAX:
            head.long_bytes = size
            head.plain = head.lazy = False
            return head
        if len(self._heads) >= KEPT_BLOCKS_MAX:
            self._heads.clear()
        self._heads[key] = head
        return head

    def _open(self, stream_id: int, flags: int, head: Head, timeout: bytes | None) -> None:
        """A new stream. flags: of its HEADERS."""
        if stream_id > self._final_id or len(self._streams) >= self._streams_max:
            self._reset(stream_id, f.REFUSED_STREAM)
            return
        if head.malformed or (flags & f.END_STREAM and head.length > 0):
            self._reset(stream_id, f.PROTOCOL_ERROR)
            return
        self._streams[stream_id] = head
        refusal = head.refusal
        if self.pending_bytes > self._outbox_max or (head.long_bytes and self._unfinished.is_hopeless):
            refusal = _BUSY
        elif not self._fast:
            self._update_fast()
        if timeout is not None and refusal is None:
            if head.is_http:
                self._streams[stream_id] = head = head.with_timeout(timeout)
            else:
                refusal = self._start_clock(stream_id, timeout)
        if head.plain and refusal is None and not flags & f.END_STREAM:
            if head.lazy:
                self._fresh[stream_id] = None
            return
        stream = self._stream_of(stream_id)
        stream.remote_done = bool(flags & f.END_STREAM)
        if refusal is not None:
            self._refuse_request(stream, refusal)
        else:
            self._announce_open(stream)

    def _start_clock(self, stream_id: int, timeout: bytes) -> Refusal | None:
        seconds = decode_timeout(timeout)
        if seconds is None:
            return refuse_timeout(timeout)
        if seconds < LEAST_TIMEOUT_S:
            return _TOO_LATE
        deadline = self._due[stream_id] = self._now() + seconds
        self._watch_deadline(deadline, stream_id)
        return None

    def _announce_open(self, stream: Stream) -> None:
        head = stream.head
        if not head.method.unary:
            stream.announced = True
            stream.tag = head.method.tag
            self._events.append((STREAM_OPEN, stream.id, head.method, b"", stream.deadline, head.metadata))
            if head.long_bytes:
                head.metadata = NO_METADATA
        elif head.method is HTTP_PIECES:
            stream.announced = True
            self._events.append((REQUEST_OPEN, stream.id, HTTP_PIECES, b"", None, head.metadata))
        elif head.long_bytes:
            self._hold(stream, head.long_bytes)
        if stream.remote_done:
            self._on_remote_done(stream)

    def _on_trailers(self, stream_id: int, flags: int, fields: list[Field]) -> None:
        """A second header list on a stream, or one on a stream that is closed."""
        if stream_id not in self._streams:
            self._charge(COST_IDLE)
            if flags & f.END_STREAM:
                self._early_closed.pop(stream_id, None)
            return
        stream = self._stream_of(stream_id)
        if stream.remote_done:
            self._reset(stream_id, f.STREAM_CLOSED)
        elif not flags & f.END_STREAM or check_trailers(fields):
            self._reset(stream_id, f.PROTOCOL_ERROR)
        else:
            self._end_remote(stream)

    def _on_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        self._use_window(len(payload))
        size = len(payload)
        if flags & f.PADDED:
            payload = strip_padding(payload)
        if not payload and not flags & f.END_STREAM:
            self._charge(COST_IDLE)
        if stream_id not in self._streams:
            self._check_closed_stream(stream_id)
            if flags & f.END_STREAM:
                self._early_closed.pop(stream_id, None)
            return
        stream = self._stream_of(stream_id)
        if stream.remote_done:
            self._reset(stream_id, f.STREAM_CLOSED)
            return
        if stream.local_done:  # answered already, but the answer waits for a window
            stream.remote_done = bool(flags & f.END_STREAM)
            return
        stream.received += len(payload)
        if stream.received > stream.head.length >= 0:
            self._reset(stream_id, f.PROTOCOL_ERROR)
            return
        if not self._use_stream_window(stream, size, bool(flags & f.END_STREAM)):
            return
        stream.remote_done = bool(flags & f.END_STREAM)
        self._take_payload(stream, payload)
        if flags & f.END_STREAM and stream_id in self._streams:
            self._end_remote(stream)

    def _stream_of(self, stream_id: int) -> Stream:
        held = self._streams[stream_id]
        if held.__class__ is Stream:
            return held
        is_delivered = held.__class__ is Method
        stream = self._streams[stream_id] = Stream(stream_id, _DELIVERED if is_delivered else held)
        stream.remote_done = stream.announced = is_delivered
        stream.deadline = self._due.pop(stream_id, None)
        if is_delivered:
            stream.tag = held.tag
        if stream_id in self._fresh and not is_delivered:
            del self._fresh[stream_id]
            self._announce_open(stream)
        return stream

    def _end_remote(self, stream: Stream) -> None:
        stream.remote_done = True
        if stream.local_done:
            return
        if stream.received < stream.head.length:
            self._reset(stream.id, f.PROTOCOL_ERROR)
        elif stream.inbox and not stream.head.is_http:
            code = Code.INTERNAL if stream.head.method.streams else Code.UNKNOWN
            self._refuse_request(stream, Refusal(code, "unexpected EOF"))
        else:
            self._on_remote_done(stream)

    def _on_remote_done(self, stream: Stream) -> None:
        """The client has said all, and no message is left incomplete."""
        method = stream.head.method
        if not method.unary:
            self._events.append((STREAM_END, stream.id, NO_METHOD, b"", None, NO_METADATA))
        elif method is HTTP_REQUEST:
            self._hand_on_request(stream)
        elif method is HTTP_PIECES:
            self._events.append((REQUEST_END, stream.id, NO_METHOD, b"", None, NO_METADATA))
        elif stream.message is None:
            self._refuse_request(stream, Refusal(Code.UNKNOWN, "EOF"))
        else:
            message, stream.message = stream.message, None
            self._hold(stream, -stream.held)
            stream.announced = True
            stream.tag = method.tag
            metadata = stream.head.metadata
            if stream.head.long_bytes:
                stream.head.metadata = NO_METADATA
            self._events.append((CALL, stream.id, method, message, stream.deadline, metadata))

    def _hand_on_request(self, stream: Stream) -> None:
        body = bytes(stream.inbox)
        self._empty_inbox(stream)
        stream.announced = True
        self._events.append((REQUEST, stream.id, HTTP_REQUEST, body, stream.deadline, stream.head.metadata))

    def _hold(self, stream: Stream, size: int) -> None:
        """An unfinished request keeps so many bytes more here, or less (a negative number)."""
        stream.held += size
        self._inbox_bytes += size
        self._unfinished.change(self, size)
        if stream.held:
            self._holding[stream.id] = stream
        else:
            self._holding.pop(stream.id, None)

    def _on_block_grown(self, size: int) -> None:
        self._unfinished.change(self, size)
        if size > 0 and self._unfinished.is_hopeless:
            raise ProtocolError(f.ENHANCE_YOUR_CALM, "too many unfinished requests")

    def give_up_unfinished(self) -> list[ServerEvent]:
        """Refuses the requests whose bytes have not come completely; of a header block, that ends the connection."""
        events = self._events = []
        if self._block_id:
            self._fail(ProtocolError(f.ENHANCE_YOUR_CALM, "too many unfinished requests"))
        for stream in list(self._holding.values()):
            self._refuse_request(stream, _BUSY)
            self._empty_inbox(stream)
        return events

    def forget_unfinished(self) -> None:
        """The transport is gone."""
        self._unfinished.forget(self)

    def count_lost(self) -> None:
        """The transport is gone: what was under way counts as given up by the client, and what was read and sent."""
        tally = self._tally
        for held in self._streams.values():
            if held.__class__ is Method or (held.__class__ is Stream and held.tag >= 0):
                tally.ended[held.tag, Code.CANCELED] += 1
        tally.data_received += self.data_received
        tally.data_sent += self.data_sent

    def _empty_inbox(self, stream: Stream) -> None:
        stream.inbox = bytearray()
        stream.message = None
        self._hold(stream, -stream.held)

    def _take_payload(self, stream: Stream, payload: bytes) -> None:
        """Hands on the gRPC messages that payload completes, or a piece of a body."""
        if stream.head.method is HTTP_PIECES:
            if payload:
                self._events.append((REQUEST_BODY, stream.id, NO_METHOD, payload, None, NO_METADATA))
            return
        inbox = stream.inbox
        before = len(inbox)
        inbox += payload
        try:
            if stream.head.method is not HTTP_REQUEST:
                self._cut_messages(stream, inbox)
        except BadMessage as error:
            self._hold(stream, len(inbox) - before)
            self._refuse_request(stream, Refusal(error.code, error.text))
            return
        if len(inbox) != before:
            self._hold(stream, len(inbox) - before)
            if stream.head.method is HTTP_REQUEST and len(inbox) > self._body_max:
                self._refuse_request(stream, _TOO_LARGE)
                return
            is_full = self._inbox_bytes > self._inbox_max or self._unfinished.is_hopeless
            if len(inbox) > before and is_full:
                self._refuse_request(stream, _BUSY)

    def _cut_messages(self, stream: Stream, inbox: bytearray) -> None:
        while inbox:
            if stream.message is not None:
                raise BadMessage(Code.INTERNAL, _MANY_MESSAGES)
            message = next_message(inbox, self._message_max, stream.head.gzip)
            if message is None:
                return
            if stream.head.method.unary:
                stream.message = message
                self._hold(stream, len(message))
            else:
                self._tally.received[stream.tag] += 1
                self._events.append((STREAM_MESSAGE, stream.id, NO_METHOD, message, None, NO_METADATA))

    # -- writing ---------------------------------------------------------------------------------------------------

    def expire(self, now: float) -> list[ServerEvent]:
        """Answers the calls whose deadline has passed, and tells the application to give them up."""
        events = self._events = []
        for stream_id in self._overdue(now):
            stream = self._stream_of(stream_id)
            if not stream.local_done:
                self._refuse_request(stream, Refusal(DEADLINE_EXCEEDED.code, DEADLINE_EXCEEDED.text))
        return events

    def go_away(self, takes_late: bool = False) -> None:
        """Begins a graceful end: the client is asked to open no more streams; those open are served.

        Two GOAWAYs with a PING between them, so that calls on their way to us are not lost: only what comes after the
        client has answered the PING is refused. should_close says when all is done. Source: RFC 9113, section 6.8.

        takes_late  what comes after that answer is served as well, until `refuse_late`
        """
        if not self._draining and not self.closed:
            self._draining = True
            self._takes_late = takes_late
            self._update_fast()
            self._out.append(f.encode_goaway(f.STREAM_ID_MAX, f.NO_ERROR, "graceful_stop"))
            self._out.append(f.encode_frame(f.PING, 0, 0, PING_FINAL))

    def refuse_late(self) -> None:
        """From now on, or from the client's answer to the PING on, streams that come are refused."""
        self._takes_late = False
        if self._goaway_confirmed and self._final_id == f.STREAM_ID_MAX and not self.closed:
            self._final_id = self._last_id
            self._out.append(f.encode_goaway(self._final_id, f.NO_ERROR))

    def keep_alive(self, now: float) -> bool:
        """Looks after a silent client, now and then; False: it is dead, give up the transport and what waits in it."""
        heard, self._heard = self._heard, False
        found = WAIT if self._pulse is None or self.closed else self._pulse.look(now, heard)
        if found == ASK:
            self._out.append(f.encode_frame(f.PING, 0, 0, PING_ALIVE))
        return found != GIVE_UP

    def _on_pinged(self) -> None:
        sent = self._granted - self._send_window + self._blocks_sent
        if self._strikes is not None and self._strikes.is_over(self._now(), sent, bool(self._streams)):
            raise ProtocolError(f.ENHANCE_YOUR_CALM, "too_many_pings")

    def _on_pong(self, payload: bytes) -> None:
        if self._draining and payload == PING_FINAL and not self._goaway_confirmed:
            self._goaway_confirmed = True
            if not self._takes_late:
                self.refuse_late()
        else:
            self._charge(COST_IDLE)

    def _last_peer_id(self) -> int:
        return self._last_id

    def _on_goaway(self, last_id: int, code: int, debug: bytes) -> None:
        """The client will open no more streams; it closes when it has its answers."""

    def _refuse_request(self, stream: Stream, refusal: Refusal) -> None:
        """Ends a call, whose answer is still to come, for the client's fault."""
        self._tell_cancelled(stream)
        if stream.head.is_http:
            self._refuse_http(stream, refusal)
        else:
            self._refuse(stream, refusal)

    def _tell_cancelled(self, stream: Stream) -> None:
        if stream.announced and not stream.local_done:
            stream.announced = False
            self._events.append((CANCEL, stream.id, NO_METHOD, b"", None, NO_METADATA))

    def _drop(self, stream_id: int, code: int) -> None:
        stream = self._forget(stream_id)
        if stream.__class__ is Method:
            self._tally.ended[stream.tag, Code.CANCELED] += 1
            self._events.append((CANCEL, stream_id, NO_METHOD, b"", None, NO_METADATA))
        elif stream.__class__ is Stream:
            self._count_end(stream, Code.CANCELED)
            self._tell_cancelled(stream)

    def _forget(self, stream_id: int) -> Any:
        stream = super()._forget(stream_id)
        self._due.pop(stream_id, None)
        if stream.__class__ is Stream and stream.held:
            self._empty_inbox(stream)
        return stream

    def _close(self) -> None:
        super()._close()
        self._unfinished.forget(self)


# What a Stream has for its head when the head is no longer needed: the call is delivered.
_DELIVERED: Final = Head()
