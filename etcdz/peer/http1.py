"""HTTP/1.1 messages out of the bytes of a connection, from either end.

A message comes as its head, then bytes of its body as they arrive, then END. What follows END waits for `proceed`, so
that one request after the other is worked off, and a pipelining client gets no more memory than one read takes.

A request whose body has no bound is for a process of its own: its head comes alone, and its connection goes there.
"""

from collections.abc import Callable
from enum import Enum
from typing import Final, Generic, TypeVar

from etcdz.peer.chunks import ChunkedDecoder
from etcdz.peer.heads import CHUNKED, UNTIL_EOF, RequestHead, ResponseHead, decode_request, decode_response
from etcdz.peer.protocol_error import ProtocolError

HEAD_BYTES_MAX: Final = 65_536
BODY_BYTES_MAX: Final = 1 << 20
"""Of an answer that is not a stream."""
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class End(Enum):
    END = 0


END: Final = End.END

Head = TypeVar("Head", RequestHead, ResponseHead)


class _Reader(Generic[Head]):
    def __init__(self, decode: Callable[[bytes], Head], body_bytes_max: Callable[[Head], int | None]) -> None:
        self._decode: Callable[[bytes], Head] = decode
        self._body_bytes_max: Callable[[Head], int | None] = body_bytes_max
        self._waiting = b""  # from _at on: bytes of a head that is not whole, or behind END
        self._at = 0
        self._searched = 0  # of the head, which hold no end of it
        self._chunks: ChunkedDecoder | None = None
        self._left = 0  # bytes of the body to come, or UNTIL_EOF; unused with _chunks
        self._room: int | None = None  # what the body may still take
        self._in_body = False
        self._is_held = False

    def receive(self, data: bytes) -> list[Head | bytes | End]:
        """What data adds. raises ProtocolError"""
        events: list[Head | bytes | End] = []
        if self._in_body:
            at = self._take_body(data, 0, events)
            self._waiting, self._at = data[at:], 0
        else:
            self._waiting, self._at = self._waiting[self._at :] + data, 0
        self._take_messages(events)
        return events

    def proceed(self) -> list[Head | bytes | End]:
        """The last message is dealt with: what has come behind it. raises ProtocolError"""
        self._is_held = False
        events: list[Head | bytes | End] = []
        self._take_messages(events)
        return events

    def receive_eof(self) -> list[Head | bytes | End]:
        """Nothing more will come. raises ProtocolError: it ends inside a message"""
        if self._in_body and self._chunks is None and self._left == UNTIL_EOF:
            self._in_body = False
            return [END]
        if self._in_body or (self.waiting_bytes and not self._is_held):
            raise ProtocolError("connection closed inside a message")
        return []

    def hand_over(self) -> bytes:
        """What has come behind the head, in its coding: whoever takes over the connection begins with it."""
        data, self._waiting, self._at = self._waiting[self._at :], b"", 0
        return data

    @property
    def is_idle(self) -> bool:
        """Whether no message has begun."""
        return not self._in_body and not self._is_held and not self.waiting_bytes

    @property
    def waiting_bytes(self) -> int:
        """What is kept here of messages that are not handed out yet: stop reading while it is much."""
        return len(self._waiting) - self._at

    def _take_messages(self, events: list[Head | bytes | End]) -> None:
        while not self._is_held and not self._in_body and self._at < len(self._waiting):
            head = self._take_head()
            if head is None:
                return
            self._begin_body(head)
            events.append(head)
            if self._is_held:
                return
            self._at = self._take_body(self._waiting, self._at, events)
        if self._at == len(self._waiting):
            self._waiting, self._at = b"", 0

    def _take_head(self) -> Head | None:
        """NB: of many small messages that have come at once, each takes its own bytes, and none moves all others'."""
        stop = self._waiting.find(b"\r\n\r\n", self._at + max(0, self._searched - 3))
        self._searched = self.waiting_bytes
        if (stop - self._at if stop >= 0 else self._searched) > HEAD_BYTES_MAX:
            raise ProtocolError("request header fields too large", 431)
        if stop < 0:
            return None
        head: Head = self._decode(self._waiting[self._at : stop])
        self._at = stop + 4
        self._searched = 0
        return head

    def _begin_body(self, head: Head) -> None:
        self._room = self._body_bytes_max(head)
        self._chunks = ChunkedDecoder() if head.length == CHUNKED else None
        self._left = head.length
        self._in_body = True
        if self._room is not None and head.length > self._room:
            raise ProtocolError("request body too large", 413)

    def _take_body(self, data: bytes, at: int, events: list[Head | bytes | End]) -> int:
        """Offset behind what belongs to the body."""
        if self._chunks is not None:
            parts, at = self._chunks.receive(data, at)
            has_ended = self._chunks.has_ended
        else:
            stop = len(data) if self._left == UNTIL_EOF else min(len(data), at + self._left)
            parts = [data[at:stop]] if stop > at else []
            if self._left != UNTIL_EOF:
                self._left -= stop - at
            at, has_ended = stop, self._left == 0
        self._count(parts)
        events += parts
        if has_ended:
            events.append(END)
            self._in_body, self._is_held = False, True
        return at

    def _count(self, parts: list[bytes]) -> None:
        if self._room is not None:
            self._room -= sum(map(len, parts))
            if self._room < 0:
                raise ProtocolError("request body too large", 413)


class RequestReader(_Reader[RequestHead]):
    """What comes in on an accepted connection."""

    def __init__(self, body_bytes_max: Callable[[RequestHead], int | None]) -> None:
        """body_bytes_max: of this request's body; None: it has no bound, so the connection is to be handed over"""
        super().__init__(decode_request, body_bytes_max)

    def _begin_body(self, head: RequestHead) -> None:
        super()._begin_body(head)
        if self._room is None:
            self._in_body, self._is_held = False, True


class ResponseReader(_Reader[ResponseHead]):
    """What comes in on a connection that this member has dialled. Interim answers (1xx) are passed over."""

    def __init__(self, body_bytes_max: int = BODY_BYTES_MAX, is_stream: bool = False) -> None:
        """is_stream: the body of a 200 has no end and no bound"""
        super().__init__(decode_response, lambda head: None if is_stream and head.status == 200 else body_bytes_max)

    def _take_body(self, data: bytes, at: int, events: list[ResponseHead | bytes | End]) -> int:
        head = events[-1] if events else None
        if isinstance(head, ResponseHead) and head.status < 200:
            events.pop()
            self._in_body = False
            return at
        return super()._take_body(data, at, events)
