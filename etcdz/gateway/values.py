"""A body of many JSON objects, one after the other, with blanks between them or none: each as soon as it is there.

Brackets are counted, outside of strings alone, and each byte is looked at once, however the body is cut: a large object
that comes byte by byte costs what it costs in one piece. Whether an object is JSON its reader says.
"""

import re
from collections.abc import Iterator
from typing import Final

from etcdz.gateway.requests import BadJson

_OUTSIDE: Final = re.compile(rb'[{}\[\]"]')
_INSIDE: Final = re.compile(rb'["\\]')
_BLANKS: Final = re.compile(rb"[ \t\r\n]*")
_OPENING: Final = b"{["


class JsonValues:
    """The objects of one body.

    bytes_max   of an object, and of what is held of one
    """

    __slots__ = ("_buffer", "_bytes_max", "_depth", "_is_string", "_scanned")

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._buffer = bytearray()
        """From the beginning of an object that is not complete."""
        self._scanned = 0
        self._depth = 0
        self._is_string = False

    @property
    def is_partial(self) -> bool:
        """Whether an object has begun and is not complete."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The objects that data completes, to be taken before more is fed.

        raises  BadJson: what comes next is no object, or is too large
        """
        buffer = self._buffer
        buffer += data
        while True:
            if not self._scanned:
                del buffer[: _end_of(_BLANKS.match(buffer))]
            end = self._find_end(buffer)
            if end is None:
                return
            value = bytes(buffer[:end])
            del buffer[:end]
            self._scanned = 0
            yield value

    def _find_end(self, buffer: bytearray) -> int | None:
        """Offset behind the object that buffer begins with; None: it ends in it."""
        if buffer and buffer[:1] != b"{":
            raise BadJson(f"invalid character {chr(buffer[0])!r} looking for beginning of value")
        at = self._scanned
        while True:
            found = (_INSIDE if self._is_string else _OUTSIDE).search(buffer, at)
            if found is None:
                self._scanned = len(buffer)
                break
            at = found.end()
            mark = found[0]
            if mark == b"\\":
                if at == len(buffer):
                    self._scanned = at - 1
                    break
                at += 1
            elif mark == b'"':
                self._is_string = not self._is_string
            else:
                self._depth += 1 if mark in _OPENING else -1
                if not self._depth:
                    return at
        if len(buffer) > self._bytes_max:
            raise BadJson("the message is too large")
        return None


def _end_of(found: "re.Match[bytes] | None") -> int:
    """NB: a bytearray cannot be cut while a match on it is kept."""
    return 0 if found is None else found.end()
