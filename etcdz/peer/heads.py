"""Heads of HTTP/1.1 messages: request line or status line, and header fields.

    head    = start-line CRLF *( name ":" OWS value OWS CRLF ) CRLF

What follows the head is the same for both kinds: `Framing` says how long the body is. Names are compared without
case, so they are kept in lower case; the values of repeated fields are joined by a comma.
Source: RFC 9112, sections 2 to 6 and 9.3.
"""

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Final, NamedTuple

from etcdz.peer.protocol_error import ProtocolError

Headers = dict[bytes, bytes]
Field = tuple[bytes, bytes]

CHUNKED: Final = -1
UNTIL_EOF: Final = -2

_NO_BODY_STATUS: Final = frozenset((204, 304))
_REQUEST_LINE: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\x7e]+) HTTP/1\.([01])")
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: [\t \x21-\x7e\x80-\xff]*)?")
_FIELD: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t \x21-\x7e\x80-\xff]*?)[ \t]*")
_LENGTH: Final = re.compile(rb"[0-9]{1,18}")
_REASONS: Final = {status.value: status.phrase.encode() for status in HTTPStatus}


class RequestHead(NamedTuple):
    """length: of the body in bytes, or CHUNKED. target: as it was sent, mostly a path with a query"""

    method: bytes
    target: bytes
    headers: Headers
    length: int
    keeps_alive: bool

    @property
    def path(self) -> bytes:
        return self.target.partition(b"?")[0]

    @property
    def expects_continue(self) -> bool:
        """Whether the body comes only when CONTINUE was sent."""
        return self.headers.get(b"expect", b"").lower() == b"100-continue"


class ResponseHead(NamedTuple):
    """length: of the body in bytes, or CHUNKED, or UNTIL_EOF"""

    status: int
    headers: Headers
    length: int
    keeps_alive: bool


def decode_request(head: bytes) -> RequestHead:
    """head: all lines, without the empty one. raises ProtocolError"""
    line, _, rest = head.partition(b"\r\n")
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise ProtocolError("malformed request line")
    method, target, minor = match.groups()
    headers = _decode_fields(rest)
    if minor == b"1" and b"host" not in headers:
        raise ProtocolError("missing required Host header")
    length = _body_length(headers)
    return RequestHead(method, target, headers, max(length, 0) if length != CHUNKED else length, _lives(minor, headers))


def decode_response(head: bytes) -> ResponseHead:
    """As decode_request, of the answer to a request that was not HEAD."""
    line, _, rest = head.partition(b"\r\n")
    match = _STATUS_LINE.fullmatch(line)
    if match is None:
        raise ProtocolError("malformed status line")
    minor, digits = match.groups()
    headers, status = _decode_fields(rest), int(digits)
    length = 0 if status in _NO_BODY_STATUS or status < 200 else _body_length(headers)
    return ResponseHead(status, headers, length, length != UNTIL_EOF and _lives(minor, headers))


def _decode_fields(lines: bytes) -> Headers:
    headers: Headers = {}
    for line in lines.split(b"\r\n") if lines else ():
        match = _FIELD.fullmatch(line)
        if match is None:
            raise ProtocolError("malformed header field")
        name, value = match[1].lower(), match[2]
        headers[name] = headers[name] + b"," + value if name in headers else value
    return headers


def _body_length(headers: Headers) -> int:
    """NB: nothing is guessed: bytes that one end takes for a body and the other for a request let strangers in."""
    coding, length = headers.get(b"transfer-encoding"), headers.get(b"content-length")
    if coding is not None:
        if coding.lower() != b"chunked":
            raise ProtocolError("unsupported transfer encoding", 501)
        if length is not None:
            raise ProtocolError("both Content-Length and Transfer-Encoding")
        return CHUNKED
    if length is None:
        return UNTIL_EOF
    if _LENGTH.fullmatch(length) is None:
        raise ProtocolError("malformed Content-Length")
    return int(length)


def _lives(minor: bytes, headers: Headers) -> bool:
    options = [option.strip() for option in headers.get(b"connection", b"").lower().split(b",")]
    return b"close" not in options if minor == b"1" else b"keep-alive" in options


def encode_request(method: bytes, target: bytes, headers: Iterable[Field]) -> bytes:
    return _encode(b"%b %b HTTP/1.1" % (method, target), headers)


def encode_response(status: int, headers: Iterable[Field]) -> bytes:
    return _encode(b"HTTP/1.1 %d %b" % (status, _REASONS.get(status, b"Status")), headers)


def _encode(line: bytes, headers: Iterable[Field]) -> bytes:
    return b"\r\n".join([line, *(name + b": " + value for name, value in headers), b"", b""])
