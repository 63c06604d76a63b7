"""The verb `trace`: headers of frames as the actors take them, live.

It reads the flight recorders, which run anyway: a trace costs the actors nothing, and a slow reader of it neither. What
a recorder has overwritten before it was read is counted as lost. Only a trace of keys asks the actors to look closer.
"""

import time
from collections.abc import Mapping
from typing import Any, Final

from etcdz.ipc.messages import TAGS, Query, Unknown
from etcdz.telemetry.flight import Header
from supervisor.children.child import Child
from supervisor.control.socket import LATER, ControlError, Request, Verb
from supervisor.runtime.context import Member
from supervisor.telemetry import crash_reports

RATE_DEFAULT: Final = 100
RATE_MAX: Final = 10_000
ASK_S: Final = 0.2
"""How often an actor is asked for the keys that it has noted."""
KNOWN_TYPES: Final = frozenset(kind.__name__ for kind in (*TAGS, Unknown))
ALL_BUT_QUERIES: Final = KNOWN_TYPES - {Query.__name__}


class Trace:
    """One trace. rate: frames a second that are shown at most, the others are counted."""

    def __init__(self, member: Member, request: Request) -> None:
        """raises ControlError"""
        args = request.args
        self._member = member
        self._request = request
        self._actor = str(args.get("actor") or "")
        self._types = frozenset(args.get("types") or ())
        self._rate = int(args.get("rate") or RATE_DEFAULT)
        self._prefix = args.get("key_prefix")
        self._check()
        self._seen: dict[int, int] = {}
        """By incarnation: the number of the last frame, or note, that was read."""
        self._watched: set[int] = set()
        self._asked: set[int] = set()
        self._next_asking = 0.0
        self._second = 0
        self._in_second = 0
        self._held_back = 0
        """Frames that were not shown, because of the rate or because the recorder has overwritten them."""
        self._gone = False
        self._found: list[dict[str, Any]] = []
        """Notes of keys that have come and are not shown yet."""
        for child in self._living():
            box = member.observations.recorders.box(child.incarnation)
            headers = box.headers() if box is not None else []
            self._seen[child.incarnation] = headers[-1].seq if headers and self._prefix is None else 0

    def _check(self) -> None:
        if self._actor and self._actor not in self._member.lifecycle.children:
            raise ControlError(f"no actor {self._actor!r}; there are: {', '.join(self._member.lifecycle.children)}")
        if unknown := self._types - KNOWN_TYPES:
            raise ControlError(f"no message {', '.join(unknown)}; there are: {', '.join(sorted(KNOWN_TYPES))}")
        if not 1 <= self._rate <= RATE_MAX:
            raise ControlError(f"rate must be between 1 and {RATE_MAX}")

    def look(self, now: float) -> bool:
        """Show what is new. return False once the client is gone"""
        lines = self._new_keys(now) if self._prefix is not None else self._new_headers()
        shown = self._admit(lines, now)
        if shown or self._held_back:
            held_back, self._held_back = self._held_back, 0
            self._gone = self._gone or not self._request.piece({"frames": shown, "held_back": held_back})
        return not self._gone

    def _living(self) -> list[Child]:
        return [
            child
            for child in self._member.lifecycle.everyone()
            if self._actor in ("", child.name) and child.pid is not None
        ]

    def _admit(self, lines: list[dict[str, Any]], now: float) -> list[dict[str, Any]]:
        if int(now) != self._second:
            self._second, self._in_second = int(now), 0
        shown = lines[: max(0, self._rate - self._in_second)]
        self._in_second += len(shown)
        self._held_back += len(lines) - len(shown)
        return shown

    # ---- headers ----

    def _new_headers(self) -> list[dict[str, Any]]:
        found: list[tuple[int, dict[str, Any]]] = []
        for child in self._living():
            box = self._member.observations.recorders.box(child.incarnation)
            after = self._seen.get(child.incarnation, 0)
            headers = box.headers(after) if box is not None else []
            if headers:
                self._held_back += headers[0].seq - after - 1
                self._seen[child.incarnation] = headers[-1].seq
            found += [(header.handled_ns, self._line(child, header)) for header in headers if self._wants(header)]
        return [line for _, line in sorted(found, key=lambda pair: pair[0])]

    def _wants(self, header: Header) -> bool:
        """NB: queries are left out unless asked for: a trace of keys causes some itself."""
        wanted = self._types or ALL_BUT_QUERIES
        return not wanted.isdisjoint(header.types)

    def _line(self, child: Child, header: Header) -> dict[str, Any]:
        at = time.time() - (time.monotonic_ns() - header.handled_ns) / 1e9
        return {"time": at, "to": child.name, **crash_reports.show_header(header, self._member.observations.name_of)}

    # ---- keys ----

    def _new_keys(self, now: float) -> list[dict[str, Any]]:
        """Ask each actor for what it has noted; what the last round has brought is handed out meanwhile."""
        lines, self._found = self._found, []
        if now < self._next_asking:
            return lines
        self._next_asking = now + ASK_S
        for child in self._living():
            incarnation = child.incarnation
            if incarnation in self._asked:
                continue
            self._asked.add(incarnation)
            if incarnation in self._watched:
                self._ask(child, "watched", {"after": self._seen.get(incarnation, 0)}, now)
            else:
                self._ask(child, "watch", {"key_prefix": self._prefix, "rate": self._rate}, now)
        return lines

    def _ask(self, child: Child, verb: str, args: Mapping[str, Any], now: float) -> None:
        name, incarnation = child.name, child.incarnation

        def then(ok: bool, result: Any) -> None:
            self._asked.discard(incarnation)
            if not ok:
                self._watched.discard(incarnation)  # it was restarted, or its watch has run out: begin again
            elif verb == "watch":
                self._watched.add(incarnation)
                self._seen[incarnation] = 0
            else:
                self._take_notes(name, incarnation, result)

        self._member.observations.queries.ask(name, incarnation, verb, args, now, then)

    def _take_notes(self, name: str, incarnation: int, result: Mapping[str, Any]) -> None:
        offset_s = time.time() - time.monotonic()
        for note in result["notes"]:
            self._seen[incarnation] = note["seq"]
            if not self._types or note["type"] in self._types:
                line = {"time": note["at_ns"] / 1e9 + offset_s, "to": name, "types": [note["type"]]}
                self._found.append({**line, "keys": note["keys"], "more": note["more"]})


def trace(member: Member, request: Request) -> Any:
    """Send frames until the client is gone."""
    tracer = Trace(member, request)
    if request.piece({"frames": [], "held_back": 0}):  # so that the client knows from when on
        member.observations.follow(tracer.look)
    return LATER


VERBS: Final[dict[str, Verb]] = {"trace": trace}
