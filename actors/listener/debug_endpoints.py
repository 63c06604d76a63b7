"""What developers are answered over HTTP: /debug/vars, and with --enable-pprof (or --log-level=debug) /debug/pprof/.

    /debug/vars                                 cmdline, file_descriptor_limit, memstats, raft.status, as JSON
    /debug/pprof/                               which profiles there are
    /debug/pprof/profile?seconds=30&actor=raft  CPU time of one actor, or of all, in the format of pprof; &hz=100
    /debug/pprof/goroutine?actor=raft           the stacks of all threads, as text
    /debug/pprof/cmdline

What Go's runtime alone has (heap, allocs, block, mutex, trace) is 404. Source: etcd 3.5 pkg/debugutil, Go's expvar and
net/http/pprof.
"""

import json
import time
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qs

from actors.listener.calls import Calls
from actors.listener.exchange import Exchange
from actors.listener.http_router import NO_SNIFF, PLAIN_TEXT, Route
from actors.listener.member_looks import MemberLooks

_JSON: Final = b"application/json; charset=utf-8"
_HTML: Final = b"text/html; charset=utf-8"
_BINARY: Final = b"application/octet-stream"
_PPROF: Final = b"/debug/pprof/"
SECONDS_DEFAULT: Final = 30.0
SECONDS_MAX: Final = 300.0
_PROFILES: Final = {
    "profile?seconds=30": "where the actors spend CPU time, for go tool pprof; ?actor=raft for one of them",
    "goroutine?debug=2": "the stacks of all threads of all actors; ?actor=raft for one of them",
    "cmdline": "how the member was started",
}


class DebugEndpoints:
    """Of one listener."""

    def __init__(self, calls: Calls, looks: MemberLooks, serves_pprof: bool) -> None:
        self._calls = calls
        self._looks = looks
        self._serves_pprof = serves_pprof

    def routes(self) -> list[Route]:
        """What is served here."""
        found = [Route(b"/debug/vars", self._variables)]
        if self._serves_pprof:
            found += [
                Route(_PPROF, self._pprof, is_prefix=True),
                Route(_PPROF + b"profile", self._profile),
                Route(_PPROF + b"goroutine", self._stacks),
                Route(_PPROF + b"cmdline", self._command_line),
            ]
        return found

    def _ask(self, exchange: Exchange, verb: str, args: dict[str, Any], answer: Any, takes_s: float = 0.0) -> None:
        """Has the supervisor asked, and answer(exchange, its result) called."""

        def then(ok: bool, result: Any) -> None:
            try:
                if ok:
                    answer(exchange, result)
                else:
                    exchange.answer(503, f"{result}\n".encode(), PLAIN_TEXT, NO_SNIFF)
            except Exception as error:
                exchange.fail(error)
            exchange.flush()

        self._looks.begin(verb, args, then, takes_s)

    # ---- /debug/vars ----

    def _variables(self, exchange: Exchange) -> None:
        self._ask(exchange, "vars", {}, self._tell_variables)

    def _tell_variables(self, exchange: Exchange, found: Any) -> None:
        """NB: of Go's memstats there is what the processes hold; all its names for that say the same."""
        held = found["resident_bytes"]
        shown = {
            "cmdline": found["cmdline"],
            "file_descriptor_limit": found["open_files_max"],
            "memstats": dict.fromkeys(("Alloc", "HeapAlloc", "HeapInuse", "HeapSys", "Sys"), held),
            "raft.status": self._raft_status(found),
        }
        lines = ",\n".join(f'"{name}": {json.dumps(value, separators=(",", ":"))}' for name, value in shown.items())
        exchange.answer(200, f"{{\n{lines}\n}}\n".encode(), _JSON)

    def _raft_status(self, found: Any) -> dict[str, Any]:
        raft, own = found["raft"], f"{self._calls.members.known.member_id:x}"
        leader = str(raft.get("leader", "0"))
        return {
            "id": own,
            "term": raft.get("term", 0),
            "commit": raft.get("handed_index", 0),
            "lead": leader,
            "raftState": "StateLeader" if leader == own else "StateFollower",
            "applied": found["applied_index"],
        }

    # ---- /debug/pprof/ ----

    def _pprof(self, exchange: Exchange) -> None:
        if exchange.request.path != _PPROF:
            exchange.answer(404, b"Unknown profile\n", PLAIN_TEXT, NO_SNIFF)
            return
        exchange.answer(200, _index().encode(), _HTML, NO_SNIFF)

    def _profile(self, exchange: Exchange) -> None:
        query = parse_qs(exchange.request.query.decode("latin-1"))
        try:
            seconds = float(query.get("seconds", [SECONDS_DEFAULT])[0])
            hz = int(query.get("hz", [0])[0])
        except ValueError:
            seconds = hz = -1
        if not (0 < seconds <= SECONDS_MAX and hz >= 0):
            text = b"seconds must be more than 0 and at most 300, and hz a number\n"
            exchange.answer(400, text, PLAIN_TEXT, NO_SNIFF)
            return
        args = {"actor": query.get("actor", [""])[0], "seconds": seconds, "hz": hz}
        self._ask(exchange, "profile", args, partial(_tell_profile, time.time_ns(), seconds), seconds)

    def _stacks(self, exchange: Exchange) -> None:
        query = parse_qs(exchange.request.query.decode("latin-1"))
        self._ask(exchange, "stacks", {"actor": query.get("actor", [""])[0]}, _tell_stacks)

    def _command_line(self, exchange: Exchange) -> None:
        self._ask(exchange, "vars", {}, _tell_command_line)


def _index() -> str:
    rows = "".join(f"<p><a href='{path}'>{path.partition('?')[0]}</a>: {text}\n" for path, text in _PROFILES.items())
    return f"<!doctype html>\n<html lang=en><title>/debug/pprof/</title>\n<h1>/debug/pprof/</h1>\n{rows}</html>\n"


def _tell_profile(began_ns: int, seconds: float, exchange: Exchange, found: Any) -> None:
    from etcdz.telemetry import pprof  # few members are asked for a profile

    if all("why_not" in samples for samples in found.values()):
        why = "".join(f"{name}: {samples['why_not']}\n" for name, samples in found.items())
        exchange.answer(503, why.encode(), PLAIN_TEXT, NO_SNIFF)
        return
    attachment = (b"content-disposition", b'attachment; filename="profile"')
    exchange.answer(200, pprof.encode(found, began_ns, seconds), _BINARY, NO_SNIFF, attachment)


def _tell_stacks(exchange: Exchange, found: Any) -> None:
    parts = [
        f"{name} pid {of['pid']} [{of['kernel']}]:\n{of['stack'] or 'it wrote nothing in time'}\n"
        for name, of in found.items()
    ]
    exchange.answer(200, "\n".join(parts).encode(), PLAIN_TEXT, NO_SNIFF)


def _tell_command_line(exchange: Exchange, found: Any) -> None:
    exchange.answer(200, "\0".join(found["cmdline"]).encode(), PLAIN_TEXT, NO_SNIFF)
