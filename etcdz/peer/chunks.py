"""The chunked transfer coding.

    body     = *chunk last-chunk
    chunk    = size [extensions] CRLF data CRLF       size: in hex, > 0
    last     = "0" [extensions] CRLF *(trailer CRLF) CRLF

Extensions and trailers are skipped. A frame of a stream may span chunks, and a chunk may hold many frames.
Source: RFC 9112, section 7.1.
"""

import re
from collections.abc import Sequence
from typing import Final

from etcdz.peer.protocol_error import ProtocolError

LAST_CHUNK: Final = b"0\r\n\r\n"
LINE_BYTES_MAX: Final = 4096
TRAILER_BYTES_MAX: Final = 16_384

_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?")
_PLAIN: Final = re.compile(rb"([0-9A-Fa-f]{1,15})\r\n")
_IN_SIZE, _IN_DATA, _AFTER_DATA, _IN_TRAILER, _ENDED = range(5)


def encode_chunk(parts: Sequence[bytes]) -> bytes:
    """One chunk of all parts. Requires: they are not empty together, which would end the body"""
    size = sum(map(len, parts))
    return b"".join([b"%x\r\n" % size, *parts, b"\r\n"])


def _take_whole(data: bytes, at: int, parts: list[bytes]) -> int:
    """Takes the chunks from offset `at` on that are whole and have no extensions, as most are; offset behind them."""
    while (match := _PLAIN.match(data, at)) is not None:
        begin = match.end()
        stop = begin + int(match[1], 16)
        if stop == begin or not data.startswith(b"\r\n", stop):
            break
        parts.append(data[begin:stop])
        at = stop + 2
    return at


class ChunkedDecoder:
    """Invariant: _left is what is still to come of the data of a chunk, while in it."""

    def __init__(self) -> None:
        self._state = _IN_SIZE
        self._left = 0
        self._line = b""  # the beginning of a line whose end has not come
        self._trailer_bytes = 0

    @property
    def has_ended(self) -> bool:
        return self._state == _ENDED

    def receive(self, data: bytes, at: int) -> tuple[list[bytes], int]:
        """(data of the body, offset behind what was used of data from `at` on). raises ProtocolError"""
        parts: list[bytes] = []
        end = len(data)
        while at < end and self._state != _ENDED:
            if self._state == _IN_SIZE and not self._line:
                at = _take_whole(data, at, parts)
                if at == end:
                    break
            if self._state == _IN_DATA:
                taken = min(self._left, end - at)
                parts.append(data[at : at + taken])
                at += taken
                self._left -= taken
                if not self._left:
                    self._state = _AFTER_DATA
            else:
                at = self._take_line(data, at)
        return parts, at

    def _take_line(self, data: bytes, at: int) -> int:
        stop = data.find(b"\n", at) + 1
        used = stop or len(data)
        self._line += data[at:used]
        if len(self._line) > LINE_BYTES_MAX:
            raise ProtocolError("line too long between chunks")
        if stop:
            line, self._line = self._line, b""
            if not line.endswith(b"\r\n"):
                raise ProtocolError("malformed line between chunks")
            self._on_line(line[:-2])
        return used

    def _on_line(self, line: bytes) -> None:
        if self._state == _IN_SIZE:
            match = _SIZE.fullmatch(line)
            if match is None:
                raise ProtocolError("malformed chunk size")
            self._left = int(match[1], 16)
            self._state = _IN_DATA if self._left else _IN_TRAILER
        elif self._state == _AFTER_DATA:
            if line:
                raise ProtocolError("chunk longer than its size")
            self._state = _IN_SIZE
        elif not line:
            self._state = _ENDED
        else:
            self._trailer_bytes += len(line)
            if self._trailer_bytes > TRAILER_BYTES_MAX:
                raise ProtocolError("trailer too long")
