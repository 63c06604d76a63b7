"""HTTP/1.1, the server's end, without I/O: bytes in, requests out; responses in, bytes out. httptools parses.

Requests may be pipelined and answered in any order; responses leave in the order of the requests. A request that breaks
a limit or the grammar is answered here, and the connection ends after it: `should_close`.

A request comes whole, or, if its target is one of those (`takes_pieces`), when its head is there; then its body follows
in pieces, which have no bound together. A response is whole (`respond`) or streamed (`begin`, `send`, `end`), and may
be there before the body of its request: what of that comes later is dropped.
"""

import re
from collections import deque
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Final, NamedTuple

import httptools

from etcdz.wire.request_target import Target, decode_target

Header = tuple[bytes, bytes]

PIPELINED_MAX: Final = 64
OVERHEAD_RATIO: Final = 16
"""Bytes of chunk sizes and extensions for each byte of a body, beyond as many as a head may have."""
_BLANKS: Final = b" \t"
"""Around a value, and not of it."""
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_LAST_CHUNK: Final = b"0\r\n\r\n"
_UNREAD: Final = frozenset((413, 431, 503))
"""Refusals of requests that are well-formed so far: their clients have more to say before they listen."""
_NO_BODY_STATUS: Final = frozenset((204, 304))
_HOST: Final = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Za-z:.%]+\])(?::[0-9]*)?")
_REASONS: Final = {status.value: status.phrase.encode() for status in HTTPStatus}


class Http1Limits(NamedTuple):
    """Bytes of request line and headers together, and of a body that is handed on whole."""

    head_bytes_max: int = 65_536
    body_bytes_max: int = 2_097_152


class Request(NamedTuple):
    """id          to name it when it is answered
    headers     names in lower case, repeated ones joined by a comma
    version     "1.0", "1.1", "2"
    is_open     its body follows: BodyPart, ..., BodyEnd
    is_upgrade  the client asks for another protocol, and has sent all that it says in this one
    """

    id: int
    method: bytes
    target: Target
    headers: dict[bytes, bytes]
    body: bytes
    version: str = "1.1"
    is_open: bool = False
    is_upgrade: bool = False

    @property
    def path(self) -> bytes:
        return self.target.path

    @property
    def query(self) -> bytes:
        return self.target.query


class BodyPart(NamedTuple):
    """A piece of the body of an open request."""

    id: int
    data: bytes


class BodyEnd(NamedTuple):
    """The end of the body of an open request. is_whole: otherwise it is cut, or malformed, and the connection ends."""

    id: int
    is_whole: bool


Event = Request | BodyPart | BodyEnd


class _Answer:
    """A response in the making.

    parts       bytes that wait for the answers before
    is_begun    the head is there
    is_done     all is there
    is_chunked  the body of a streamed one is sent in chunks
    is_cut      its connection ends where it is
    """

    __slots__ = ("head_only", "is_begun", "is_chunked", "is_cut", "is_done", "keep_alive", "parts", "version")

    def __init__(self, head_only: bool, keep_alive: bool, version: str = "1.1") -> None:
        self.head_only = head_only
        self.keep_alive = keep_alive
        self.version = version
        self.parts: list[bytes] = []
        self.is_begun = self.is_done = self.is_chunked = self.is_cut = False


class _Stop(Exception):
    """Ends parsing: the request is answered with this status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


def _never(method: bytes, target: Target) -> bool:
    return False


class Http1Connection:
    """One client's connection.

    should_close    write what take_output gives, then close
    is_unread       the client was refused in the midst of a request, and may still be sending it
    dropped_bytes   what has come since then
    rest            what came behind a request that is_upgrade
    """

    def __init__(
        self,
        limits: Http1Limits,
        hold: Callable[[int], None] = lambda size: None,
        takes_pieces: Callable[[bytes, Target], bool] = _never,
    ) -> None:
        """hold          told how many bytes more, or less, an unfinished request keeps here
        takes_pieces  (method, target) -> whether the body is handed on as it comes
        """
        self.should_close = self.is_unread = False
        self.dropped_bytes = 0
        self.rest = b""
        self._limits = limits
        self._hold = hold
        self._kept = 0  # bytes of the unfinished request, and how many of them hold was told
        self._told = 0
        self._takes_pieces = takes_pieces
        self._parser = httptools.HttpRequestParser(self)
        self._events: list[Event] = []
        self._answers: deque[_Answer] = deque()  # in the order of the requests
        self._first_id = 1  # id of _answers[0]
        self._next_id = 1
        self._out: list[bytes] = []
        self._ending = False  # nothing more is read
        self._is_upgrading = False  # what follows is in the protocol that the last request asks for
        self.on_message_begin()
        self._is_partial = False  # a request has begun and is not complete

    def receive(self, data: bytes) -> list[Event]:
        """The requests that data completes, and the pieces of an open one. Never raises."""
        events = self._events = []
        if self._ending:
            self.dropped_bytes += len(data)
            self._keep_rest(data)
            return events
        self._overhead += len(data)
        try:
            self._parser.feed_data(data)
            if self._in_body and self._overhead > self._limits.head_bytes_max + OVERHEAD_RATIO * self._seen_bytes:
                self._refuse(_Stop(400, "chunks with too little in them"))
        except httptools.HttpParserUpgrade as upgrade:
            self._ending = self._is_upgrading = True
            self._keep_rest(data[upgrade.args[0] :])
            self._end_if_answered()
        except httptools.HttpParserError as error:
            reason = error.__context__
            stop = reason if isinstance(reason, _Stop) else _Stop(400, "malformed request")
            self._refuse(stop)
        if self._kept != self._told:
            self._hold(self._kept - self._told)
            self._told = self._kept
        return events

    def _keep_rest(self, data: bytes) -> None:
        """NB: a client may say little before it is told that the protocol has changed, and mostly says nothing."""
        if self._is_upgrading:
            self.rest += data
            if len(self.rest) > self._limits.head_bytes_max:
                self.should_close = True

    def receive_eof(self) -> list[Event]:
        """The client sends no more, and may still read: requests that are complete are answered."""
        events = self._events = []
        self.is_unread = False
        if self._ending:
            return events
        self._ending = True
        if self._is_partial:
            self._refuse(_Stop(400, "incomplete request"))
        else:
            self._end_if_answered()
        return events

    @property
    def has_asked(self) -> bool:
        """Whether a whole request has come at all, or the head of an open one."""
        return self._next_id > 1

    def give_up_unfinished(self) -> None:
        """Refuses the request that has not come completely, unless it is an open one, which keeps nothing here."""
        if self._is_partial and not self._open_id and not self._ending:
            self._refuse(_Stop(503, "too many unfinished requests"))

    # ---- httptools' callbacks: what they raise arrives as the context of an HttpParserError ----

    def on_message_begin(self) -> None:
        self._is_partial = True
        self._overhead = self._seen_bytes = 0  # of the body: what has come since this was set, and data among it
        self._target = b""
        self._decoded: Target | None = None
        self._hosts = 0
        self._headers: dict[bytes, bytes] = {}
        self._head_bytes = 0
        self._in_body = False
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._open_id = 0  # of the request whose body is handed on as it comes

    def on_url(self, part: bytes) -> None:
        self._count_head(len(part))
        self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count_head(len(name) + len(value) + 4)
        if self._in_body:
            return  # of a trailer: nothing here asks for any, and headers that are checked are not to be changed
        name = name.lower()
        self._hosts += name == b"host"
        headers, value = self._headers, value.strip(_BLANKS)
        headers[name] = headers[name] + b"," + value if name in headers else value

    def on_headers_complete(self) -> None:
        self._in_body = True
        self._overhead = 0
        version = self._parser.get_http_version()
        if version not in ("1.0", "1.1"):
            raise _Stop(505, "HTTP version not supported")
        if version == "1.1" and b"host" not in self._headers:
            raise _Stop(400, "missing required Host header")
        self._check_headers()
        target = self._target_if_open()
        length = self._headers.get(b"content-length", b"0")
        if target is None and length.isdigit() and int(length[:19]) > self._limits.body_bytes_max:
            raise _Stop(413, "request body too large")
        if b"expect" in self._headers and not self._answers:
            self._out.append(_CONTINUE)
        if target is not None:
            self._open_id = self._hand_on(target, True)

    def _check_headers(self) -> None:
        """Source: RFC 9112, sections 3.2 (Host) and 6.1 (Transfer-Encoding); RFC 9110, section 10.1.1 (Expect)."""
        headers = self._headers
        if self._hosts > 1:
            raise _Stop(400, "too many Host headers")
        if self._hosts and _HOST.fullmatch(headers[b"host"].strip()) is None:
            raise _Stop(400, "malformed Host header")
        if headers.get(b"transfer-encoding", b"chunked").strip().lower() != b"chunked":
            raise _Stop(501, "unsupported transfer encoding")
        if headers.get(b"expect", b"100-continue").lower() != b"100-continue":
            raise _Stop(417, "unknown expectation")

    def _target_if_open(self) -> Target | None:
        """The target, if the request is to be handed on before its body."""
        method = self._parser.get_method()
        target = self._decoded = decode_target(method, self._target)
        if target is None or self._parser.should_upgrade() or not self._takes_pieces(method, target):
            return None
        return target

    def on_body(self, part: bytes) -> None:
        self._body_bytes += len(part)
        self._seen_bytes += len(part)
        if self._open_id:
            self._take_part(part)
            return
        if self._body_bytes > self._limits.body_bytes_max:
            raise _Stop(413, "request body too large")
        self._body.append(part)
        self._kept += len(part)

    def _take_part(self, part: bytes) -> None:
        """A piece of an open body; of one that is answered already so much is dropped, and not more."""
        answer = self._find(self._open_id)
        if answer is not None and not answer.is_done:
            self._body_bytes = 0
            self._events.append(BodyPart(self._open_id, part))
        elif self._body_bytes > self._limits.body_bytes_max:
            raise _Stop(413, "request body too large")

    def on_message_complete(self) -> None:
        self._is_partial = self._in_body = False
        if self._open_id:
            self._kept = 0  # what has come since the head: of a trailer
            self._events.append(BodyEnd(self._open_id, True))
            self._open_id = 0
            return
        if self._decoded is None:
            raise _Stop(400, "malformed request target")
        self._hand_on(self._decoded, False)

    def _hand_on(self, target: Target, is_open: bool) -> int:
        """The request is for the application. return its id"""
        if len(self._answers) >= PIPELINED_MAX:
            raise _Stop(503, "too many pipelined requests")
        parser = self._parser
        method, version = parser.get_method(), parser.get_http_version()
        self._kept = self._head_bytes = 0
        self._answers.append(_Answer(method == b"HEAD", parser.should_keep_alive(), version))
        body = b"".join(self._body)
        is_upgrade = parser.should_upgrade()
        self._events.append(Request(self._next_id, method, target, self._headers, body, version, is_open, is_upgrade))
        self._next_id += 1
        return self._next_id - 1

    def _count_head(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > self._limits.head_bytes_max:
            raise _Stop(431, "request header fields too large")
        self._kept += size

    def _refuse(self, stop: _Stop) -> None:
        """Ends the connection for the fault of a request: behind its answer, where that is to come."""
        self._ending = True
        refused = self._open_id
        if refused:
            self._events.append(BodyEnd(refused, False))
            answer = self._find(refused)
            if answer is None or answer.is_begun:
                self.cut(refused)
                return
            answer.keep_alive = False
        else:
            refused = self._next_id
            self._answers.append(_Answer(False, False))
            self._next_id += 1
        self.is_unread = stop.status in _UNREAD
        self.respond(refused, stop.status, stop.text.encode() + b"\n", b"text/plain; charset=utf-8")

    # ---- answers ----

    def respond(
        self,
        request_id: int,
        status: int,
        body: bytes = b"",
        content_type: bytes = b"application/json",
        headers: Iterable[Header] = (),
    ) -> None:
        """Answers a request as a whole. For a request that is answered already it does nothing.

        content_type    b"": none
        """
        answer = self._find(request_id)
        if answer is None or answer.is_begun:
            return
        fields = list(headers)
        if has_body(status):
            if content_type:
                fields.append((b"Content-Type", content_type))
            fields.append((b"Content-Length", b"%d" % len(body)))
        answer.is_begun = answer.is_done = True
        head = _encode_head(status, fields, answer.keep_alive)
        answer.parts.append(head + body if has_body(status) and not answer.head_only else head)
        self._advance()

    def begin(self, request_id: int, status: int, content_type: bytes, headers: Iterable[Header] = ()) -> None:
        """The head of a streamed answer. As respond. Requires: a status with a body"""
        answer = self._find(request_id)
        if answer is None or answer.is_begun:
            return
        fields = list(headers)
        if content_type:
            fields.append((b"Content-Type", content_type))
        answer.is_begun = True
        answer.is_chunked = answer.version != "1.0"
        if answer.is_chunked:
            fields.append((b"Transfer-Encoding", b"chunked"))
        else:
            answer.keep_alive = False  # its end is that of the connection
        answer.parts.append(_encode_head(status, fields, answer.keep_alive))
        self._advance()

    def send(self, request_id: int, data: bytes) -> None:
        """A piece of a streamed answer, not empty. For one that is complete: nothing."""
        answer = self._find(request_id)
        if answer is None or answer.is_done or not answer.is_begun or answer.head_only:
            return
        answer.parts.append(b"%x\r\n%b\r\n" % (len(data), data) if answer.is_chunked else data)
        self._advance()

    def end(self, request_id: int) -> None:
        """A streamed answer is complete."""
        answer = self._find(request_id)
        if answer is None or answer.is_done or not answer.is_begun:
            return
        answer.is_done = True
        if answer.is_chunked and not answer.head_only:
            answer.parts.append(_LAST_CHUNK)
        self._advance()

    def cut(self, request_id: int) -> None:
        """Ends the connection where this answer is, or behind it if it is complete."""
        self._ending = True
        answer = self._find(request_id)
        if answer is not None and not answer.is_done:
            answer.is_begun = answer.is_done = answer.is_cut = True
            answer.keep_alive = False
        self._advance()

    def switch(self, request_id: int, headers: Iterable[Header]) -> bytes:
        """From now on the connection speaks the protocol that the request has asked for.

        Requires: the request is_upgrade, and the only one that waits for its answer
        return  what the client has said in it already
        """
        self._out.append(b"HTTP/1.1 101 Switching Protocols\r\n" + encode_fields(headers) + b"\r\n")
        self._answers.clear()
        self._first_id = self._next_id
        rest, self.rest = self.rest, b""
        self._is_upgrading = False
        return rest

    # ---- beside the parser: KnownHeads ----

    @property
    def is_idle(self) -> bool:
        """Whether nothing of a request has come that is not answered, and more may come."""
        return not (self._answers or self._is_partial or self._ending or self._out)

    @property
    def next_id(self) -> int:
        """Id of the next request."""
        return self._next_id

    def pass_by(self) -> None:
        """The next request is neither parsed nor answered here. Requires: is_idle"""
        self._first_id += 1
        self._next_id += 1

    def take_up(self) -> None:
        """The request that was passed by last is answered here after all. Requires: is_idle, and it is not answered"""
        self._first_id -= 1
        self._answers.append(_Answer(head_only=False, keep_alive=True))

    @property
    def is_busy(self) -> bool:
        """Whether a request waits for its answer."""
        return bool(self._answers)

    def waiting_bytes(self, request_id: int) -> int:
        """Of a streamed answer: those that wait for the answers before it."""
        answer = self._find(request_id)
        return 0 if answer is None else sum(map(len, answer.parts))

    def take_output(self) -> bytes:
        """The bytes to be written by now, each once."""
        data = b"".join(self._out)
        self._out.clear()
        return data

    def _find(self, request_id: int) -> _Answer | None:
        at = request_id - self._first_id
        return self._answers[at] if 0 <= at < len(self._answers) else None

    def _advance(self) -> None:
        """Moves answers to the output, in the order of their requests."""
        while self._answers and not self.should_close:
            answer = self._answers[0]
            self._out += answer.parts
            answer.parts.clear()
            if not answer.is_done:
                return
            self._answers.popleft()
            self._first_id += 1
            self.should_close = not answer.keep_alive
        self._end_if_answered()

    def _end_if_answered(self) -> None:
        if self._ending and not self._answers:
            self.should_close = True


def status_line(status: int) -> bytes:
    """The line that an answer begins with."""
    return b"HTTP/1.1 %d %b\r\n" % (status, _REASONS.get(status, b"Status"))


def encode_fields(headers: Iterable[Header]) -> bytes:
    """Their lines."""
    return b"".join([b"%b: %b\r\n" % field for field in headers])


def has_body(status: int) -> bool:
    """Whether answers with this status have one."""
    return status not in _NO_BODY_STATUS


def _encode_head(status: int, headers: Iterable[Header], keep_alive: bool) -> bytes:
    return status_line(status) + encode_fields(headers) + (b"\r\n" if keep_alive else b"Connection: close\r\n\r\n")
