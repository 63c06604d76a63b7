"""What clients are answered over HTTP: /version, /health, /livez, /readyz and /metrics.

Source: etcd 3.5 etcdhttp; texts and headers as its answers carry them.
"""

import json
from typing import Any
from urllib.parse import parse_qs

from actors.listener.calls import NO_LEADER, Calls
from actors.listener.exchange import Exchange
from actors.listener.health_checks import HealthChecks, checks_of
from actors.listener.health_tally import HealthTally
from actors.listener.http_router import ANY, NO_SNIFF, PLAIN_TEXT, Route
from actors.listener.scrapes import Scrapes
from etcdz import ETCD_VERSION
from etcdz.api import errors
from etcdz.wire.http1 import Request

_JSON = b"application/json"
_METRICS = b"text/plain; version=0.0.4; charset=utf-8"


class HttpEndpoints:
    """Of one listener. tally: of health checks"""

    def __init__(self, calls: Calls, scrapes: Scrapes) -> None:
        self._calls = calls
        self._scrapes = scrapes
        self.tally = HealthTally()

    def routes(self) -> list[Route]:
        """What is served here."""
        return [
            Route(b"/version", self._version),
            Route(b"/health", self._health, monitors=True),
            Route(b"/livez", self._check, is_prefix=True, monitors=True),
            Route(b"/readyz", self._check, is_prefix=True, monitors=True),
            Route(b"/metrics", self._metrics, methods=ANY, monitors=True),
        ]

    def _version(self, exchange: Exchange) -> None:
        body = {"etcdserver": ETCD_VERSION, "etcdcluster": self._calls.members.known.version or "not_decided"}
        exchange.answer(200, _compact_json(body), _JSON)

    def _health(self, exchange: Exchange) -> None:
        """A member is healthy if it can read what the quorum agrees on, or, with serializable=true, what it has itself,
        and no alarm is raised but those that the query excludes."""
        query = _query_of(exchange.request)
        linearizable = query.get("serializable", [""])[0] != "true"
        self._calls.begin_health(_Health(exchange, frozenset(query.get("exclude", ())), self.tally), 0, linearizable)

    def _check(self, exchange: Exchange) -> None:
        query = _query_of(exchange.request)
        names = checks_of(exchange.request.path.decode("latin-1"), frozenset(query.get("exclude", ())))
        if names is None:
            exchange.answer(404, b"404 page not found\n", PLAIN_TEXT, NO_SNIFF)
            return
        checks = HealthChecks(names, self._calls.members.known.is_learner)
        waiting = _Checks(exchange, checks, "verbose" in query, self.tally)
        waiting.answer_if_done()
        for is_linearizable in checks.reads:
            self._calls.begin_health(waiting, int(is_linearizable), is_linearizable)

    def _metrics(self, exchange: Exchange) -> None:
        def answer(text: bytes | None) -> None:
            try:
                if text is None:
                    exchange.answer(503, b"no answer from the supervisor\n", PLAIN_TEXT)
                else:
                    exchange.answer(200, text, _METRICS)
            except Exception as error:
                exchange.fail(error)
            exchange.flush()

        self._scrapes.begin(answer)


class _Health:
    """The Caller of the read of one /health. excluded: alarms that it ignores"""

    def __init__(self, exchange: Exchange, excluded: frozenset[str], tally: HealthTally) -> None:
        self._exchange = exchange
        self._tally = tally
        self._excluded = excluded

    def reply(self, stream_id: int, code: int, body: bytes) -> None:
        """code, body: 0 and the names of the raised alarms, separated by blanks; or gRPC's code and why it is
        unhealthy"""
        try:
            alarms = [name for name in body.decode().split() if name not in self._excluded] if code == 0 else []
            reason = f"ALARM {alarms[0]}" if alarms else body.decode() if code else ""
            self._tally.note_health(not reason)
            told = {"health": "false" if reason else "true", "reason": reason}
            if reason:
                self._exchange.answer(503, _compact_json(told) + b"\n", PLAIN_TEXT, NO_SNIFF)
            else:
                self._exchange.answer(200, _compact_json(told), PLAIN_TEXT)
        except Exception as error:
            self._exchange.fail(error)

    def flush(self) -> None:
        """As Caller."""
        self._exchange.flush()


class _Checks:
    """The Caller of the reads of one /livez or /readyz; the stream id says whether a read is linearizable."""

    def __init__(self, exchange: Exchange, checks: HealthChecks, is_verbose: bool, tally: HealthTally) -> None:
        self._exchange = exchange
        self._tally = tally
        self._checks = checks
        self._is_verbose = is_verbose

    def reply(self, stream_id: int, code: int, body: bytes) -> None:
        """As Caller."""
        try:
            self._checks.on_read(bool(stream_id), code, errors.NO_LEADER.text.encode() if body == NO_LEADER else body)
            self.answer_if_done()
        except Exception as error:
            self._exchange.fail(error)

    def answer_if_done(self) -> None:
        """Once there is nothing more to read."""
        if self._checks.is_done:
            kind = self._exchange.request.path.decode("latin-1").removeprefix("/").partition("/")[0]
            for name, is_ok in self._checks.results():
                self._tally.note_check(kind, name, is_ok)
            self._exchange.answer(*self._checks.answer(self._is_verbose), PLAIN_TEXT, NO_SNIFF)

    def flush(self) -> None:
        """As Caller."""
        self._exchange.flush()


def _query_of(request: Request) -> dict[str, list[str]]:
    return parse_qs(request.query.decode("latin-1"), keep_blank_values=True)


def _compact_json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
