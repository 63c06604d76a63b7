"""HTTP/1.1, the server's end, without I/O: bytes in, requests out; responses in, bytes out. httptools parses.

Requests may be pipelined and answered in any order; responses leave in the order of the requests. A request that breaks
a limit or the grammar is answered here, and the connection ends after it: `should_close`.
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
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_NO_BODY_STATUS: Final = frozenset((204, 304))
_HOST: Final = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Za-z:.%]+\])(?::[0-9]*)?")
_REASONS: Final = {status.value: status.phrase.encode() for status in HTTPStatus}


class Http1Limits(NamedTuple):
    """Bytes of request line and headers together, and of a body."""

    head_bytes_max: int = 65_536
    body_bytes_max: int = 2_097_152


class Request(NamedTuple):
    """id: to name it when it is answered. headers: names in lower case, repeated ones joined by a comma."""

    id: int
    method: bytes
    target: Target
    headers: dict[bytes, bytes]
    body: bytes

    @property
    def path(self) -> bytes:
        return self.target.path

    @property
    def query(self) -> bytes:
        return self.target.query


class _Answer:
    """A response in the making. output: all of its bytes, None while there is no answer yet."""

    __slots__ = ("head_only", "keep_alive", "output")

    def __init__(self, head_only: bool, keep_alive: bool) -> None:
        self.head_only = head_only
        self.keep_alive = keep_alive
        self.output: bytes | None = None


class _Stop(Exception):
    """Ends parsing: the request is answered with this status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class Http1Connection:
    """One client's connection.

    should_close    write what take_output gives, then close
    """

    def __init__(self, limits: Http1Limits, hold: Callable[[int], None] = lambda size: None) -> None:
        """hold: told how many bytes more, or less, an unfinished request keeps here"""
        self.should_close = False
        self._limits = limits
        self._hold = hold
        self._parser = httptools.HttpRequestParser(self)
        self._requests: list[Request] = []
        self._answers: deque[_Answer] = deque()  # in the order of the requests
        self._first_id = 1  # id of _answers[0]
        self._next_id = 1
        self._out: list[bytes] = []
        self._ending = False  # nothing more is read
        self.on_message_begin()
        self._is_partial = False  # a request has begun and is not complete

    def receive(self, data: bytes) -> list[Request]:
        """The requests that data completes. Never raises."""
        self._requests = []
        if self._ending:
            return []
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._ending = True  # no upgrade is offered: what follows the request is in no protocol that we speak
            self._end_if_answered()
        except httptools.HttpParserError as error:
            reason = error.__context__
            stop = reason if isinstance(reason, _Stop) else _Stop(400, "malformed request")
            self._refuse(stop)
        return self._requests

    def receive_eof(self) -> None:
        """The client sends no more, and may still read: requests that are complete are answered."""
        if self._ending:
            return
        self._ending = True
        if self._is_partial:
            self._refuse(_Stop(400, "incomplete request"))
        else:
            self._end_if_answered()

    @property
    def has_asked(self) -> bool:
        """Whether a whole request has come at all."""
        return self._next_id > 1

    def give_up_unfinished(self) -> None:
        """Refuses the request that has not come completely."""
        if self._is_partial and not self._ending:
            self._refuse(_Stop(503, "too many unfinished requests"))

    # ---- httptools' callbacks: what they raise arrives as the context of an HttpParserError ----

    def on_message_begin(self) -> None:
        self._is_partial = True
        self._target = b""
        self._hosts = 0
        self._headers: dict[bytes, bytes] = {}
        self._head_bytes = 0
        self._body: list[bytes] = []
        self._body_bytes = 0

    def on_url(self, part: bytes) -> None:
        self._count_head(len(part))
        self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count_head(len(name) + len(value) + 4)
        name = name.lower()
        self._hosts += name == b"host"
        headers = self._headers
        headers[name] = headers[name] + b"," + value if name in headers else value

    def on_headers_complete(self) -> None:
        version = self._parser.get_http_version()
        if version not in ("1.0", "1.1"):
            raise _Stop(505, "HTTP version not supported")
        if version == "1.1" and b"host" not in self._headers:
            raise _Stop(400, "missing required Host header")
        self._check_headers()
        length = self._headers.get(b"content-length", b"0")
        if length.isdigit() and int(length[:19]) > self._limits.body_bytes_max:
            raise _Stop(413, "request body too large")
        if b"expect" in self._headers and not self._answers:
            self._out.append(_CONTINUE)

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

    def on_body(self, part: bytes) -> None:
        self._body_bytes += len(part)
        if self._body_bytes > self._limits.body_bytes_max:
            raise _Stop(413, "request body too large")
        self._body.append(part)
        self._hold(len(part))

    def on_message_complete(self) -> None:
        if len(self._answers) >= PIPELINED_MAX:
            raise _Stop(503, "too many pipelined requests")
        method = self._parser.get_method()
        target = decode_target(method, self._target)
        if target is None:
            raise _Stop(400, "malformed request target")
        self._is_partial = False
        self._hold(-self._head_bytes - self._body_bytes)
        self._answers.append(_Answer(method == b"HEAD", self._parser.should_keep_alive()))
        self._requests.append(Request(self._next_id, method, target, self._headers, b"".join(self._body)))
        self._next_id += 1

    def _count_head(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > self._limits.head_bytes_max:
            raise _Stop(431, "request header fields too large")
        self._hold(size)

    def _refuse(self, stop: _Stop) -> None:
        self._ending = True
        self._answers.append(_Answer(False, False))
        self._next_id += 1
        self.respond(self._next_id - 1, stop.status, stop.text.encode() + b"\n", b"text/plain; charset=utf-8")

    # ---- answers ----

    def respond(
        self,
        request_id: int,
        status: int,
        body: bytes = b"",
        content_type: bytes = b"application/json",
        headers: Iterable[Header] = (),
    ) -> None:
        """Answers a request as a whole. For a request that is answered already it does nothing."""
        answer = self._find(request_id)
        if answer is None or answer.output is not None:
            return
        fields = list(headers)
        if status not in _NO_BODY_STATUS:
            fields += [(b"Content-Type", content_type), (b"Content-Length", b"%d" % len(body))]
        head = _encode_head(status, fields, answer.keep_alive)
        answer.output = head if answer.head_only or status in _NO_BODY_STATUS else head + body
        self._advance()

    @property
    def is_busy(self) -> bool:
        """Whether a request waits for its answer."""
        return bool(self._answers)

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
            if answer.output is None:
                return
            self._out.append(answer.output)
            self._answers.popleft()
            self._first_id += 1
            self.should_close = not answer.keep_alive
        self._end_if_answered()

    def _end_if_answered(self) -> None:
        if self._ending and not self._answers:
            self.should_close = True


def _encode_head(status: int, headers: list[Header], keep_alive: bool) -> bytes:
    lines = [b"HTTP/1.1 %d %b" % (status, _REASONS.get(status, b"Status"))]
    lines += [name + b": " + value for name, value in headers]
    if not keep_alive:
        lines.append(b"Connection: close")
    return b"\r\n".join(lines) + b"\r\n\r\n"
