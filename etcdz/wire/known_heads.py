"""Heads of HTTP/1.1 requests that were parsed before, known by their bytes: a client says nearly the same each time.

    request = line CRLF *( field CRLF ) CRLF body
              ~~~~ ~~~~~~~~~~~~~~~~~~~~~~~~~
              read here, or known         known: what the parser has made of the same bytes

What fields mean does not depend on the line, for the methods and the version that are taken here. So a request that
comes in one piece, whose fields are known and whose body has the length that they say, needs no parser. Anything else
is None, and the parser's: fields that close or change the connection, bodies in chunks or with an expectation, other
methods, and whatever was never accepted. Nothing is let in here that the parser would refuse.
"""

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from etcdz.wire.http1 import Request
from etcdz.wire.request_target import Target, decode_target

KNOWN_MAX: Final = 1024
"""Lines, and blocks of fields, that are kept; then all of them are forgotten."""
BYTES_MAX: Final = 2048
"""Of a line, or a block, that is kept."""
_LINE: Final = re.compile(rb"(GET|POST|PUT|DELETE) (/[A-Za-z0-9/._~%?&=+,:;@!$'()*-]*) HTTP/1\.1")
_END: Final = b"\r\n\r\n"
_CHANGING: Final = frozenset((b"transfer-encoding", b"expect", b"upgrade", b"http2-settings", b"trailer"))
"""Fields with which a request is the parser's."""


class _Block(NamedTuple):
    """Fields. body_bytes: what they say of the body"""

    headers: dict[bytes, bytes]
    body_bytes: int


class KnownHeads:
    """Those of one kind of address. len(): how many lines and blocks of fields are kept"""

    __slots__ = ("_blocks", "_lines", "_takes_pieces")

    def __init__(self, takes_pieces: Callable[[bytes, Target], bool]) -> None:
        """takes_pieces: (method, target) -> whether the body is handed on as it comes: such are the parser's"""
        self._takes_pieces = takes_pieces
        self._lines: dict[bytes, tuple[bytes, Target]] = {}
        self._blocks: dict[bytes, _Block] = {}

    def __len__(self) -> int:
        return len(self._lines) + len(self._blocks)

    def read(self, data: bytes, request_id: int) -> Request | None:
        """The request that data is, from its first byte to its last. NB: its headers are shared"""
        line_end = data.find(b"\r\n")
        body_at = data.find(_END, line_end) + len(_END)
        block = self._blocks.get(data[line_end:body_at])
        if block is None or len(data) - body_at != block.body_bytes:
            return None
        line = self._lines.get(data[:line_end])
        if line is None and (line := self._read_line(data[:line_end])) is None:
            return None
        return Request(request_id, line[0], line[1], block.headers, data[body_at:])

    def _read_line(self, line: bytes) -> tuple[bytes, Target] | None:
        found = _LINE.fullmatch(line) if len(line) <= BYTES_MAX else None
        if found is None:
            return None
        method, written = found.groups()
        target = decode_target(method, written)
        if target is None or self._takes_pieces(method, target):
            return None
        if len(self._lines) >= KNOWN_MAX:
            self._lines.clear()
        self._lines[line] = method, target
        return method, target

    def learn(self, data: bytes, request: Request) -> None:
        """Requires: request is what the parser has made of data, on a connection that had said nothing of it before"""
        line_end = data.find(b"\r\n")
        body_at = data.find(_END, line_end) + len(_END)
        headers, size = request.headers, len(request.body)
        if (
            request.is_open
            or request.is_upgrade
            or _LINE.fullmatch(data[:line_end]) is None
            or body_at - line_end > BYTES_MAX
            or len(data) - body_at != size
            or headers.get(b"content-length", b"0") != b"%d" % size
            or headers.get(b"connection", b"keep-alive").lower() != b"keep-alive"
            or not _CHANGING.isdisjoint(headers)
        ):
            return
        if len(self._blocks) >= KNOWN_MAX:
            self._blocks.clear()
        self._blocks[data[line_end:body_at]] = _Block(headers, size)
