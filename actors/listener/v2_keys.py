"""/v2/keys: requests for keys of the v2 API, from HTTP to the log or the backend and back.

    GET, HEAD                      -> Read    -> backend    what this member has applied
    PUT, POST, DELETE, quorum GET  -> Write or Propose -> ... -> backend
    GET with wait                  -> V2Watch -> backend (v2_watches.py)

Source: etcd 3.5 v2http client (keysHandler)
"""

import time
from functools import partial
from typing import Final

from actors.listener.calls import Calls
from actors.listener.exchange import Exchange
from actors.listener.http_router import ANY, NO_SNIFF, PLAIN_TEXT, Route
from actors.listener.v2_auth import V2Auth
from actors.listener.v2_call import V2Call, cluster_id_header, give
from actors.listener.v2_tally import V2Tally
from actors.listener.v2_watches import V2Watches
from etcdz.api.methods import V2_GET
from etcdz.proto import etcdserverpb as pb
from etcdz.v2 import answers, errors
from etcdz.v2.answers import HttpAnswer
from etcdz.v2.errors import V2Error
from etcdz.v2.key_request import METHODS, PREFIX, KeyRequest, parse
from etcdz.wire.http1 import Header

_PATH: Final = PREFIX.encode()
_ALLOW: Final = (b"allow", ",".join(METHODS).encode())


class V2Keys:
    """Of one listener."""

    def __init__(self, calls: Calls, watches: V2Watches, auth: V2Auth, tally: V2Tally) -> None:
        self._tally = tally
        self._calls = calls
        self._watches = watches
        self._auth = auth

    def routes(self) -> list[Route]:
        """What is served here."""
        return [
            Route(_PATH, self._serve, methods=ANY),
            Route(_PATH + b"/", self._serve, methods=ANY, is_prefix=True),
        ]

    def _serve(self, exchange: Exchange) -> None:
        request = exchange.request
        method = request.method.decode("latin-1")
        if method not in METHODS:
            exchange.answer(405, b"Method Not Allowed\n", PLAIN_TEXT, NO_SNIFF, _ALLOW)
            return
        path = request.path.decode("utf-8", "replace")
        content_type = request.headers.get(b"content-type", b"").decode("latin-1")
        now_ns = time.time_ns()
        asked = parse(method, path, request.query, content_type, request.body, now_ns)
        cluster_id = cluster_id_header(self._calls)
        if isinstance(asked, V2Error):
            give(exchange, answers.error_answer(asked), cluster_id)
        else:
            ask = partial(self._ask, exchange, asked, cluster_id, now_ns)
            self._auth.permit_key(exchange, asked.flags["recursive"], ask)

    def _ask(self, exchange: Exchange, asked: KeyRequest, cluster_id: Header, began_ns: int) -> None:
        if asked.is_watch:
            self._watches.begin(exchange, asked, cluster_id)
            return
        method = "QGET" if asked.method == "GET" and asked.flags["quorum"] else asked.method
        self._tally.receive(method)
        encode = partial(self._encode, asked.is_brief, method, began_ns)
        waiting = V2Call(exchange, self._calls, encode, cluster_id)
        if asked.is_read:
            flags = asked.flags
            body = pb.Request(Path=asked.path, Recursive=flags["recursive"], Sorted=flags["sorted"])
            waiting.begin(self._calls.read_v2(waiting, V2_GET, body.SerializeToString()))
        else:
            waiting.begin(self._calls.propose_v2(waiting, asked.entry))

    def _encode(self, is_brief: bool, method: str, began_ns: int, code: int, body: bytes) -> HttpAnswer:
        answer = _answer(is_brief, code, body)
        self._tally.end(method, answer.status, time.time_ns() - began_ns)
        return answer


def _answer(is_brief: bool, code: int, body: bytes) -> HttpAnswer:
    """body: a Result, or the text of an error of this member"""
    if code:
        return answers.error_answer(V2Error(errors.RAFT_INTERNAL, body.decode()))
    return answers.decode_result(body).to_http(is_brief)
