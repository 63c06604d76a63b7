"""What the client port answers over HTTP/1.1: /version, /health, /livez, /readyz and /metrics.

Source: etcd 3.5 etcdhttp; texts and headers as its answers carry them.
"""

import json
import time
from collections.abc import Callable
from typing import Any, Protocol
from urllib.parse import parse_qs

from actors.listener.calls import NO_LEADER, Calls
from actors.listener.health_checks import HealthChecks, checks_of
from actors.listener.scrapes import Scrapes
from etcdz import ETCD_VERSION
from etcdz.api import errors
from etcdz.wire.http1 import Http1Connection, Http1Limits, Request
from etcdz.wire.unfinished import UnfinishedRequests

_CORS = [
    (b"access-control-allow-headers", b"accept, content-type, authorization"),
    (b"access-control-allow-methods", b"POST, GET, OPTIONS, PUT, DELETE"),
    (b"access-control-allow-origin", b"*"),
]
_DATE = "%a, %d %b %Y %H:%M:%S GMT"
"""Of RFC 9110, 5.6.7. NB: nothing here sets a locale, so that the names are English."""
_PLAIN = b"text/plain; charset=utf-8"
_JSON = b"application/json"
_NO_SNIFF = (b"x-content-type-options", b"nosniff")


class Transport(Protocol):
    """Where answers are written."""

    def write(self, data: bytes) -> None: ...
    def close(self) -> None: ...
    def is_closing(self) -> bool: ...


class Http1Endpoints:
    """One client's HTTP/1.1 connection. A caller of Calls: the stream id is the request's number."""

    def __init__(
        self,
        transport: Transport,
        calls: Calls,
        scrapes: Scrapes,
        body_bytes_max: int,
        unfinished: UnfinishedRequests,
        fail: Callable[[Exception], None],
    ) -> None:
        """unfinished    shared by all connections of a listener
        fail          called with what an answer to this client has raised: it ends this connection alone
        """
        self._unfinished = unfinished
        self._transport = transport
        self._calls = calls
        self._scrapes = scrapes
        self._fail = fail
        self._excluded: dict[int, frozenset[str]] = {}
        """Alarms that a health check under way is to ignore, by the request's id."""
        self._checks: dict[int, tuple[int, bool, HealthChecks, bool]] = {}
        """Reads under way for /livez and /readyz, by stream ids below 0: (request's id, is linearizable, whose, is
        verbose)."""
        self._check_reads = 0
        self._leaving = False
        limits = Http1Limits(body_bytes_max=body_bytes_max)
        self._http = Http1Connection(limits, lambda size: unfinished.change(self, size))

    @property
    def has_asked(self) -> bool:
        """Whether a whole request has come at all."""
        return self._http.has_asked

    def give_up_unfinished(self) -> None:
        """Refuses the request that has not come completely."""
        self._http.give_up_unfinished()
        self.forget_unfinished()
        self.flush()

    def forget_unfinished(self) -> None:
        """The transport is gone."""
        self._unfinished.forget(self)

    def receive(self, data: bytes) -> None:
        """Bytes of the client: dispatches the requests that they complete, and writes the answers that are ready."""
        for request in self._http.receive(data):
            self._dispatch(request)
        self.flush()

    def receive_eof(self) -> None:
        """The client has closed its half; it still gets the answers to what it asked."""
        self._http.receive_eof()
        self.flush()

    def drain(self) -> None:
        """Closes the connection once every request has its answer."""
        self._leaving = True
        self.flush()

    def flush(self) -> None:
        """Writes the answers that are ready, and closes the connection if it is over."""
        try:
            output = self._http.take_output()
            if output:
                self._transport.write(output)
            if self._http.should_close or (self._leaving and not self._http.is_busy):
                self._transport.close()
        except Exception as error:
            self._fail(error)

    def _dispatch(self, request: Request) -> None:
        if request.method == b"OPTIONS":  # of a browser, before it asks: the answer's CORS headers are what it wants
            self._respond(request.id, 200, b"", _PLAIN)
            return
        known = {b"/version": self._version, b"/health": self._health, b"/metrics": self._metrics}.get(request.path)
        if known is None and request.path.startswith((b"/livez", b"/readyz")):
            known = self._begin_checks
        if known is None:
            self._respond(request.id, 404, b"404 page not found\n", _PLAIN, _NO_SNIFF)
        elif request.method != b"GET" and request.path != b"/metrics":
            self._respond(request.id, 405, b"Method Not Allowed\n", _PLAIN, _NO_SNIFF, (b"allow", b"GET"))
        else:
            known(request)

    def _version(self, request: Request) -> None:
        body = {"etcdserver": ETCD_VERSION, "etcdcluster": self._calls.members.known.version or "not_decided"}
        self._respond(request.id, 200, _compact_json(body), _JSON)

    def _health(self, request: Request) -> None:
        """A member is healthy if it can read what the quorum agrees on, or, with serializable=true, what it has itself,
        and no alarm is raised but those that the query excludes."""
        query = parse_qs(request.query.decode("latin-1"), keep_blank_values=True)
        self._excluded[request.id] = frozenset(query.get("exclude", ()))
        linearizable = query.get("serializable", [""])[0] != "true"
        self._calls.begin_health(self, request.id, linearizable)

    def _begin_checks(self, request: Request) -> None:
        query = parse_qs(request.query.decode("latin-1"), keep_blank_values=True)
        names = checks_of(request.path.decode("latin-1"), frozenset(query.get("exclude", ())))
        if names is None:
            self._respond(request.id, 404, b"404 page not found\n", _PLAIN, _NO_SNIFF)
            return
        checks, is_verbose = HealthChecks(names, self._calls.members.known.is_learner), "verbose" in query
        if checks.is_done:
            self._respond(request.id, *checks.answer(is_verbose), _PLAIN, _NO_SNIFF)
        for is_linearizable in checks.reads:
            self._check_reads -= 1
            self._checks[self._check_reads] = (request.id, is_linearizable, checks, is_verbose)
            self._calls.begin_health(self, self._check_reads, is_linearizable)

    def _answer_check(self, stream_id: int, code: int, body: bytes) -> None:
        request_id, is_linearizable, checks, is_verbose = self._checks.pop(stream_id)
        checks.on_read(is_linearizable, code, errors.NO_LEADER.text.encode() if body == NO_LEADER else body)
        if checks.is_done:
            self._respond(request_id, *checks.answer(is_verbose), _PLAIN, _NO_SNIFF)

    def _metrics(self, request: Request) -> None:
        def answer(text: bytes | None) -> None:
            if self._transport.is_closing():
                return
            try:
                if text is None:
                    self._respond(request.id, 503, b"no answer from the supervisor\n", _PLAIN)
                else:
                    self._respond(request.id, 200, text, b"text/plain; version=0.0.4; charset=utf-8")
            except Exception as error:
                self._fail(error)
            self.flush()

        self._scrapes.begin(answer)

    def reply(self, stream_id: int, code: int, body: bytes) -> None:
        """The answer to a health check.

        code, body   0 and the names of the raised alarms, separated by blanks; or gRPC's code and why it is unhealthy
        """
        try:
            (self._answer_health if stream_id >= 0 else self._answer_check)(stream_id, code, body)
        except Exception as error:
            self._fail(error)

    def _answer_health(self, stream_id: int, code: int, body: bytes) -> None:
        excluded = self._excluded.pop(stream_id, frozenset())
        alarms = [name for name in body.decode().split() if name not in excluded] if code == 0 else []
        if alarms:
            code, body = 1, f"ALARM {alarms[0]}".encode()
        if code == 0:
            self._respond(stream_id, 200, _compact_json({"health": "true", "reason": ""}), _PLAIN)
        else:
            reason = {"health": "false", "reason": body.decode()}
            self._respond(stream_id, 503, _compact_json(reason), _PLAIN)

    def _respond(self, request_id: int, status: int, body: bytes, kind: bytes, *headers: tuple[bytes, bytes]) -> None:
        date = (b"date", time.strftime(_DATE, time.gmtime()).encode())
        self._http.respond(request_id, status, body, kind, [*_CORS, *headers, date])


def _compact_json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
