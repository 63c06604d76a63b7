"""/v2/keys: requests for keys of the v2 API, from HTTP to the log or the backend and back.

    GET, HEAD                      -> Read    -> backend    what this member has applied
    PUT, POST, DELETE, quorum GET  -> Write or Propose -> ... -> backend
    GET with wait                  -> V2Watch -> backend (v2_watches.py)

Source: etcd 3.5 v2http client (keysHandler)
"""

import posixpath
import time
from typing import Final
from urllib.parse import quote_from_bytes

from actors.listener.calls import Calls
from actors.listener.exchange import Exchange, Handler
from actors.listener.http_router import ANY, NO_SNIFF, PLAIN_TEXT, Route
from actors.listener.v2_watches import V2Watches
from etcdz.api.methods import V2_GET
from etcdz.ipc.messages import V2Guard
from etcdz.v2 import answers, errors
from etcdz.v2.answers import HttpAnswer
from etcdz.v2.errors import V2Error
from etcdz.v2.key_request import METHODS, PREFIX, KeyRequest, entry_of, parse
from etcdz.wire.http1 import Header

_PATH: Final = PREFIX.encode()
_ALLOW: Final = (b"allow", ",".join(METHODS).encode())
_SAFE: Final = "/:@!$&'()*+,;=~"


class V2Keys:
    """Of one listener."""

    def __init__(self, calls: Calls, watches: V2Watches) -> None:
        self._calls = calls
        self._watches = watches
        self._is_guarded = True

    def on_guard(self, message: V2Guard) -> None:
        """Users of the v2 API are not known here: while they are in force, nobody is let in."""
        self._is_guarded = message.is_on

    def routes(self) -> list[Route]:
        """What is served here."""
        return [
            Route(_PATH, self._serve, methods=ANY),
            Route(_PATH + b"/", self._serve, methods=ANY, is_prefix=True),
        ]

    def _serve(self, exchange: Exchange) -> None:
        request = exchange.request
        if _redirect(exchange):
            return
        method = request.method.decode("latin-1")
        if method not in METHODS:
            exchange.answer(405, b"Method Not Allowed\n", PLAIN_TEXT, NO_SNIFF, _ALLOW)
            return
        path = request.path.decode("utf-8", "replace")
        content_type = request.headers.get(b"content-type", b"").decode("latin-1")
        asked = parse(method, path, request.query, content_type, request.body, time.time_ns())
        cluster_id = cluster_id_header(self._calls)
        if isinstance(asked, V2Error):
            give(exchange, answers.error_answer(asked), cluster_id)
        elif self._is_guarded:
            refusal = V2Error(errors.UNAUTHORIZED, "Insufficient credentials")
            give(exchange, answers.error_answer(refusal), cluster_id)
        elif asked.is_watch:
            self._watches.begin(exchange, asked, cluster_id)
        else:
            self._ask(exchange, asked, cluster_id)

    def _ask(self, exchange: Exchange, asked: KeyRequest, cluster_id: Header) -> None:
        waiting = _Waiting(exchange, self._calls, asked.is_brief, cluster_id)
        if asked.is_read:
            body = entry_of(0, "GET", asked.path)
            body.Recursive, body.Sorted = asked.flags["recursive"], asked.flags["sorted"]
            error = self._calls.read_v2(waiting, V2_GET, body.SerializeToString())
        else:
            error = self._calls.propose_v2(waiting, asked.entry)
        if error is not None:
            waiting.reply(0, error.code, error.text.encode())
        else:
            exchange.handler = waiting


class _Waiting(Handler):
    """The Caller of one request."""

    __slots__ = ("_calls", "_cluster_id", "_exchange", "_is_brief")

    def __init__(self, exchange: Exchange, calls: Calls, is_brief: bool, cluster_id: Header) -> None:
        self._exchange = exchange
        self._calls = calls
        self._is_brief = is_brief
        self._cluster_id = cluster_id

    def reply(self, stream_id: int, code: int, body: bytes) -> None:
        """As Caller. body: a Result, or the text of an error of this member"""
        try:
            if code:
                answer = answers.error_answer(V2Error(errors.RAFT_INTERNAL, body.decode()))
            else:
                answer = answers.decode_result(body).to_http(self._is_brief)
            give(self._exchange, answer, self._cluster_id)
        except Exception as error:
            self._exchange.fail(error)

    def flush(self) -> None:
        """As Caller."""
        self._exchange.flush()

    def on_gone(self) -> None:
        """Nobody waits any more."""
        self._calls.lose(self)


def cluster_id_header(calls: Calls) -> Header:
    return b"x-etcd-cluster-id", b"%x" % calls.members.known.cluster_id


def give(exchange: Exchange, answer: HttpAnswer, *more: Header) -> None:
    """A whole answer."""
    (_, kind), *headers = answer.headers
    encoded = [(name.encode(), value.encode()) for name, value in headers]
    exchange.answer(answer.status, answer.body, kind.encode(), *encoded, *more)


def _redirect(exchange: Exchange) -> bool:
    """A path with empty parts or dots is answered with the one that it should be. Source: Go's ServeMux"""
    path = exchange.request.path
    clean = posixpath.normpath(b"/" + path.lstrip(b"/"))
    if path.endswith(b"/") and clean != b"/":
        clean += b"/"
    if path == clean:
        return False
    location = quote_from_bytes(clean, _SAFE)
    if exchange.request.query:
        location += "?" + exchange.request.query.decode("latin-1")
    is_read = exchange.request.method in (b"GET", b"HEAD")
    body = f'<a href="{location}">Moved Permanently</a>.\n\n'.encode() if is_read else b""
    exchange.answer(301, body, b"text/html; charset=utf-8" if is_read else b"", (b"location", location.encode()))
    return True
