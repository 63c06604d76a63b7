"""What clients are answered over HTTP: /version, /health, /livez, /readyz and /metrics.

Source: etcd 3.5 etcdhttp; texts and headers as its answers carry them.
"""

import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from actors.listener.calls import NO_LEADER, Calls
from actors.listener.health_checks import HealthChecks, checks_of
from actors.listener.scrapes import Scrapes
from etcdz import ETCD_VERSION
from etcdz.api import errors
from etcdz.wire.http1 import Header, Request

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


class HttpEndpoints:
    """What one client asks over HTTP. A caller of Calls: the stream id is the request's number.

    Base of what writes the answers in one version of HTTP.
    """

    def __init__(
        self, calls: Calls, scrapes: Scrapes, fail: Callable[[Exception], None], metrics_only: bool = False
    ) -> None:
        """fail          called with what an answer to this client has raised: it ends this connection alone
        metrics_only  whether /version is not among what can be asked
        """
        self._calls = calls
        self._scrapes = scrapes
        self._fail = fail
        self._metrics_only = metrics_only
        self._excluded: dict[int, frozenset[str]] = {}
        """Alarms that a health check under way is to ignore, by the request's id."""
        self._checks: dict[int, tuple[int, bool, HealthChecks, bool]] = {}
        """Reads under way for /livez and /readyz, by stream ids below 0: (request's id, is linearizable, whose, is
        verbose)."""
        self._check_reads = 0

    @property
    def is_gone(self) -> bool:
        """Whether nothing can be written to the client any more."""
        raise NotImplementedError

    def answer(self, request_id: int, status: int, body: bytes, kind: bytes, headers: list[Header]) -> None:
        """The answer to a request, whole; it leaves with the next flush. kind: its Content-Type"""
        raise NotImplementedError

    def flush(self) -> None:
        """As Caller."""
        raise NotImplementedError

    def dispatch(self, request: Request) -> None:
        """Answers a request, or begins what its answer waits for."""
        if request.method == b"OPTIONS":  # of a browser, before it asks: the answer's CORS headers are what it wants
            self._respond(request.id, 200, b"", _PLAIN)
            return
        known = {b"/version": self._version, b"/health": self._health, b"/metrics": self._metrics}.get(request.path)
        if self._metrics_only and request.path == b"/version":
            known = None
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
            if self.is_gone:
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
            self._respond(stream_id, 503, _compact_json(reason) + b"\n", _PLAIN, _NO_SNIFF)

    def _respond(self, request_id: int, status: int, body: bytes, kind: bytes, *headers: tuple[bytes, bytes]) -> None:
        date = (b"date", time.strftime(_DATE, time.gmtime()).encode())
        self.answer(request_id, status, body, kind, [*_CORS, *headers, date])


def _compact_json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
