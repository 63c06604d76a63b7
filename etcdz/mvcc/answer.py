"""An encoded answer in pieces, which are never copied into one another: an answer may be larger than what is free.

A message within a message needs its size before its content. `open` leaves a place for that, and `close` fills it.
"""

from collections.abc import Iterable
from typing import Final, final

from etcdz.api.errors import Code, EtcdError
from etcdz.proto.fields import encode_varint

MESSAGE_BYTES_MAX: Final = (1 << 31) - 1
"""etcd's server sends no longer message."""

Place = tuple[int, int]
"""Where a message within the answer begins: (number of pieces, size of what is before it)."""


def too_large(size: int, size_max: int) -> EtcdError:
    """etcd's error for an answer that cannot be sent. What the request has changed stays."""
    text = f"grpc: trying to send message larger than max ({size} vs. {size_max})"
    return EtcdError("MessageTooLarge", Code.RESOURCE_EXHAUSTED, text)


@final
class Answer:
    """See the module.

    parts      the pieces; who sends the answer while it is made takes them out
    size       of all pieces, those that were taken out or dropped included
    size_max   beyond it the pieces are dropped, and only their size is counted
    error      what is answered instead; None: nothing speaks against it
    """

    __slots__ = ("_failure", "_kept_max", "parts", "size", "size_max")

    def __init__(self, size_max: int = MESSAGE_BYTES_MAX) -> None:
        self.parts: list[bytes] = []
        self.size = 0
        self.size_max = size_max
        self._kept_max = size_max  # Invariant: below 0 once it has failed
        self._failure: EtcdError | None = None

    @property
    def error(self) -> EtcdError | None:
        if self._failure is None and self.size > self.size_max:
            return too_large(self.size, self.size_max)
        return self._failure

    @property
    def is_lost(self) -> bool:
        """Whether it will be an error, so that what is added to it need not be made."""
        return self._failure is not None

    def fail(self, error: EtcdError) -> None:
        """Answer this instead."""
        self._failure = self._failure or error
        self._kept_max = -1
        self.parts.clear()

    def add(self, piece: bytes) -> None:
        self.size = size = self.size + len(piece)
        self.parts.append(piece)
        if size > self._kept_max:
            self.parts.clear()

    def add_messages(self, tag: bytes, messages: Iterable[bytes]) -> None:
        """Each as a field of its own."""
        parts, size = self.parts, self.size
        for message in messages:
            head = tag + encode_varint(len(message))
            parts.append(head)
            parts.append(message)
            size += len(head) + len(message)
        self.size = size
        if size > self._kept_max:
            parts.clear()

    def open(self) -> Place:
        """Begins a message within the answer."""
        place = len(self.parts), self.size
        self.parts.append(b"")
        return place

    def close(self, place: Place, *tags: bytes) -> None:
        """Ends it. tags: of the fields around its content, the innermost first"""
        size = self.size - place[1]
        head = b""
        for tag in tags:
            head = tag + encode_varint(size + len(head)) + head
        self.fill(place, head)

    def fill(self, place: Place, head: bytes) -> None:
        """Puts what was not known before into a place that was left open."""
        self.size += len(head)
        if self.size > self._kept_max:
            self.parts.clear()
        else:
            self.parts[place[0]] = head

    def join(self) -> bytes:
        return b"".join(self.parts)
