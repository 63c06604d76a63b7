"""What a request's header fields mean: which method, or how the call is refused.

Three ways out, in this order: malformed (RFC 9113, sections 8.1.1 to 8.3: the stream is reset), not gRPC (an HTTP
status), and what gRPC refuses (a status in trailers, texts as grpc-go's). A head depends on nothing but its fields, so
that it can be kept.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from etcdz.api.errors import Code
from etcdz.wire.header_block import Field

TIMEOUT: Final = b"grpc-timeout"
_CONNECTION_FIELDS: Final = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade")
)
_PSEUDO: Final = frozenset((b":method", b":scheme", b":authority", b":path"))
_NOT_METADATA: Final = frozenset(
    (b"content-type", b"content-length", b"te", b"user-agent", b"host", b"accept", b"accept-encoding")
)
_NAME: Final = re.compile(rb"[!-9;-@\[-~]+")
_TIMEOUT_UNIT_S: Final = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}


Metadata = dict[bytes, bytes]
"""A caller's own fields: lower-case names, repeated ones joined by ",". Shared by many calls, never to be changed."""
NO_METADATA: Final[Metadata] = {}


class Method(NamedTuple):
    """A method that is served.

    unary    handed on as one call, when all of it is there
    tag      whatever the caller wants to find again in the event
    single   of a streaming one: each message has one answer. A client that sends one message and the end at once comes
             as a CALL then, and is answered by `reply`
    streams  what its clients know as a stream: a cut message is grpc-go's internal error there, an unknown one else
    """

    path: bytes
    unary: bool
    tag: int = 0
    single: bool = False
    streams: bool = False


HTTP_REQUEST: Final = Method(b"", True)
"""What is asked by a request that is not gRPC, where such are served. NB: told apart from others by identity."""
HTTP_PIECES: Final = Method(b"", True)
"""The same where the body is handed on as it comes."""


class Refusal(NamedTuple):
    """How a call ends before it starts. http_status is 200 unless the request was not gRPC at all."""

    code: int
    text: str
    http_status: int = 200
    fields: tuple[Field, ...] = ()


class Head:
    """The meaning of a header list.

    length      content-length, or -1
    metadata    the caller's own fields, shared by all calls with this head; NO_METADATA if there are none
    gzip        grpc-encoding is gzip
    malformed   why the stream must be reset, or ""
    plain       Invariant: nothing is refused, unary or single, no compression: the short way may be taken
    long_bytes  how long it is, if it is too long to be kept for other calls: then this is its stream's own; else 0
    lazy        plain, but not unary: the application hears of the stream when it is known that it is no CALL
    """

    __slots__ = ("method", "length", "metadata", "gzip", "refusal", "malformed", "plain", "lazy", "long_bytes")

    @property
    def is_http(self) -> bool:
        """Whether it is not gRPC's."""
        return self.method is HTTP_REQUEST or self.method is HTTP_PIECES

    def with_timeout(self, value: bytes) -> "Head":
        """The head of one request that is not gRPC, whose grpc-timeout is a field like others."""
        head = Head()
        head.method, head.length, head.long_bytes = self.method, self.length, self.long_bytes
        head.metadata = {**self.metadata, TIMEOUT: value}
        return head

    def __init__(self) -> None:
        self.method = Method(b"", True)
        self.length = -1
        self.metadata = NO_METADATA
        self.gzip = False
        self.refusal: Refusal | None = None
        self.malformed = ""
        self.plain = False
        self.lazy = False
        self.long_bytes = 0


def split_timeout(fields: list[Field]) -> tuple[tuple[Field, ...], bytes | None]:
    """fields without grpc-timeout, the one field that differs from call to call, and its value."""
    for at, (name, value) in enumerate(fields):
        if name == TIMEOUT:
            del fields[at]
            return tuple(fields), value
    return tuple(fields), None


def decode_timeout(value: bytes) -> float | None:
    """Seconds, or None if malformed. Source: gRPC over HTTP/2, Timeout."""
    digits, unit_s = value[:-1], _TIMEOUT_UNIT_S.get(value[-1:])
    if unit_s is None or not digits.isdigit() or len(digits) > 8:
        return None
    return int(digits) * unit_s


def refuse_timeout(value: bytes) -> Refusal:
    shown = quoted(value)
    if len(value) < 2:
        reason = f"transport: timeout string is too short: {shown}"
    elif len(value) > 9:
        reason = f"transport: timeout string is too long: {shown}"
    else:
        reason = f"transport: timeout unit is not recognized: {shown}"
    return Refusal(Code.INTERNAL, f"malformed grpc-timeout: {reason}", 400)


def quoted(value: bytes) -> str:
    """A quoted string as Go prints it (%q); other than ASCII is shown as bytes."""
    return '"' + "".join([chr(c) if 32 <= c < 127 and c not in b'"\\' else _escape(c) for c in value]) + '"'


def _escape(c: int) -> str:
    return "\\" + chr(c) if c in b'"\\' else f"\\x{c:02x}"


TakesPieces = Callable[[bytes, bytes], bool]
"""(method, target) -> whether the body of such a request that is not gRPC is handed on as it comes."""


def interpret(
    fields: Sequence[Field],
    methods: Mapping[bytes, Method],
    serves_http: bool = False,
    serves_grpc: bool = True,
    takes_pieces: TakesPieces = lambda method, target: False,
) -> Head:
    """The head that fields, without grpc-timeout, make.

    serves_http     a request that is not gRPC is an HTTP_REQUEST or HTTP_PIECES, and not refused
    serves_grpc     otherwise all requests are such
    """
    head = Head()
    regular: dict[bytes, bytes] = {}
    pseudo: dict[bytes, bytes] = {}
    head.malformed = _sort_fields(fields, pseudo, regular) or _check_pseudo(pseudo) or _read_length(head, regular)
    if head.malformed:
        return head
    if serves_http and not (serves_grpc and regular.get(b"content-type", b"").startswith(b"application/grpc")):
        in_pieces = takes_pieces(pseudo[b":method"], pseudo.get(b":path", b""))
        head.method = HTTP_PIECES if in_pieces else HTTP_REQUEST
        head.metadata = pseudo | regular
        return head
    head.refusal = _refuse_http(pseudo, regular) or _find_method(head, pseudo[b":path"], methods)
    if head.refusal is None:
        head.refusal = _read_encoding(head, regular.get(b"grpc-encoding", b"identity"))
    head.metadata = {
        name: value for name, value in regular.items() if name not in _NOT_METADATA and not name.startswith(b"grpc-")
    } or NO_METADATA
    head.plain = head.refusal is None and (head.method.unary or head.method.single) and not head.gzip
    head.lazy = head.plain and not head.method.unary
    return head


def check_trailers(fields: Sequence[Field]) -> str:
    """Why a client's trailers are malformed, or ""."""
    pseudo: dict[bytes, bytes] = {}
    return _sort_fields(fields, pseudo, {}) or ("pseudo-header in trailers" if pseudo else "")


def _sort_fields(fields: Sequence[Field], pseudo: dict[bytes, bytes], regular: dict[bytes, bytes]) -> str:
    """Fills pseudo and regular; says what is wrong with a field, or ""."""
    repeated: dict[bytes, list[bytes]] = {}
    for name, value in fields:
        # NB: not one regular expression: that takes 44 ms for a megabyte, these searches 0.2.
        if b"\0" in value or b"\n" in value or b"\r" in value or value.strip(b" \t") != value:
            return "forbidden character in a field value"
        if name[:1] == b":":
            if regular or name in pseudo or name not in _PSEUDO:
                return "pseudo-header unknown, repeated or after a field"
            pseudo[name] = value
            continue
        if _NAME.fullmatch(name) is None:
            return "forbidden character in a field name"
        if name in _CONNECTION_FIELDS or (name == b"te" and value != b"trailers"):
            return "connection-specific field"
        if name in regular:
            repeated.setdefault(name, [regular[name]]).append(value)
        else:
            regular[name] = value
    for name, values in repeated.items():
        regular[name] = b",".join(values)
    return ""


def _check_pseudo(pseudo: dict[bytes, bytes]) -> str:
    if pseudo.get(b":method") == b"CONNECT":
        return "" if b":authority" in pseudo and len(pseudo) == 2 else "CONNECT with :scheme or :path"
    if b":method" not in pseudo or b":scheme" not in pseudo or not pseudo.get(b":path"):
        return "pseudo-header missing"
    return ""


def _read_length(head: Head, regular: dict[bytes, bytes]) -> str:
    text = regular.get(b"content-length")
    if text is None:
        return ""
    if not text.isdigit() or len(text) > 18:
        return "content-length is not a number"
    head.length = int(text)
    return ""


def _refuse_http(pseudo: dict[bytes, bytes], regular: dict[bytes, bytes]) -> Refusal | None:
    kind = regular.get(b"content-type", b"")
    if not (kind == b"application/grpc" or kind.startswith((b"application/grpc+", b"application/grpc;"))):
        return Refusal(Code.INVALID_ARGUMENT, f"invalid gRPC request content-type {quoted(kind)}", 415)
    verb = pseudo[b":method"]
    if verb != b"POST":
        text = f"Received a HEADERS frame with :method {quoted(verb)} which should be POST"
        return Refusal(Code.INTERNAL, text, 405)
    return None


def _find_method(head: Head, path: bytes, methods: Mapping[bytes, Method]) -> Refusal | None:
    method = methods.get(path)
    if method is not None:
        head.method = method
        return None
    service, slash, name = path.removeprefix(b"/").rpartition(b"/")
    if not slash:
        return Refusal(Code.RESOURCE_EXHAUSTED, f"malformed method name: {quoted(path)}")
    prefix = b"/" + service + b"/"
    shown = service.decode("utf-8", "replace")
    if any(known.startswith(prefix) for known in methods):
        return Refusal(Code.UNIMPLEMENTED, f"unknown method {name.decode('utf-8', 'replace')} for service {shown}")
    return Refusal(Code.UNIMPLEMENTED, f"unknown service {shown}")


def _read_encoding(head: Head, encoding: bytes) -> Refusal | None:
    if encoding == b"gzip":
        head.gzip = True
    elif encoding != b"identity":
        text = f"grpc: Decompressor is not installed for grpc-encoding {quoted(encoding)}"
        return Refusal(Code.UNIMPLEMENTED, text, 200, ((b"grpc-accept-encoding", b"gzip"),))
    return None
