"""From samples to what is shown: rates between two samples, history for sparklines, events, the flow of requests."""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from etcdz.monitor.peers import MIN_INTERVAL_S, Peers, PeerView, changes
from etcdz.monitor.sample import ActorSample, Sample

HISTORY: Final = 120
"""Samples that are kept: two minutes at one a second."""
EVENTS: Final = 200
RECALLED: Final = 50
"""Of what happened before the first look."""
SPARKS: Final = " ▁▂▃▄▅▆▇█"

FLOW: Final = (
    ("listener", "wal", ("Write",)),
    ("wal", "backend", ("Durable",)),
    ("backend", "listener", ("Replies",)),
    ("listener", "backend", ("Read",)),
    ("wal", "raft", ("DelegatedAppends", "Appended")),
    ("listener", "raft", ("Propose", "ReadIndex")),
    ("raft", "wal", ("Append",)),
    ("raft", "backend", ("Apply",)),
    ("listener", "lessor", ("LeaseCalls",)),
    ("raft", "peer", ("Send",)),
    ("peer", "raft", ("Received",)),
)
"""The ways of a request: from kind, to kind, the messages that carry it."""


class Event(NamedTuple):
    """Something has changed between two samples. weight: "good", "warn", "bad", or "" """

    at_s: float
    name: str
    text: str
    weight: str = ""


class ActorView(NamedTuple):
    """One process. in_per_s and out_per_s: messages, None until two heartbeats of this incarnation are known.

    cpu, depth, rate    history, the newest last
    """

    now: ActorSample
    in_per_s: float | None
    out_per_s: float | None
    in_by_type: Mapping[str, float]
    out_by_type: Mapping[str, float]
    cpu: Sequence[float]
    depth: Sequence[float]
    rate: Sequence[float]


class Edge(NamedTuple):
    """Messages a second from one kind of actor to another; None: not known yet. types: of FLOW, the usual one first"""

    source: str
    target: str
    per_s: float | None
    types: tuple[str, ...] = ()


class View(NamedTuple):
    """All that a screen needs of one member. peers: the others. lost: why it does not answer, "" if it does"""

    at_s: float
    actors: tuple[ActorView, ...] = ()
    flow: tuple[Edge, ...] = ()
    events: tuple[Event, ...] = ()
    lost: str = ""
    peers: tuple[PeerView, ...] = ()


class History:
    """Of one member. Feed it samples in the order of their times."""

    def __init__(self) -> None:
        self._counted: dict[str, ActorSample] = {}
        """By name: the last sample whose counters were new."""
        self._rates: dict[str, tuple[dict[str, float], dict[str, float]]] = {}
        """By name: (received, sent) a second, by type."""
        self._lines: dict[str, tuple[deque[float], deque[float], deque[float]]] = {}
        self._last: dict[str, ActorSample] | None = None
        self._peers = Peers()
        self._events: deque[Event] = deque(maxlen=EVENTS)
        self._view = View(0.0)

    def feed(self, sample: Sample) -> View:
        """return what is to be shown now"""
        if self._view.lost:
            self.note(sample.at_s, "member", "answers again", "good")
        self._note_events(sample)
        actors = tuple(self._look(actor) for actor in sample.actors)
        gone = self._lines.keys() - {actor.name for actor in sample.actors}
        for name in gone:
            for known in (self._lines, self._rates, self._counted):
                known.pop(name, None)
        peers = self._peers.feed(sample)
        for change in changes(self._view.peers, peers):
            self.note(sample.at_s, *change)
        self._view = View(sample.at_s, actors, self._flow(sample), self.events, "", peers)
        return self._view

    def lost(self, at_s: float, why: str) -> View:
        """The member did not answer. What it was stays on the screen until it does."""
        if why != self._view.lost:
            self.note(at_s, "member", why, "bad")
        self._view = self._view._replace(at_s=at_s, lost=why, events=self.events)
        return self._view

    def note(self, at_s: float, name: str, text: str, weight: str = "") -> None:
        """An event that no sample shows."""
        self._events.append(Event(at_s, name, text, weight))

    def recall(self, at_s: float, told: Sequence[Mapping[str, Any]], now: float) -> None:
        """What the supervisor remembers from before the first look. told: the answer to `events`; now: its clock"""
        for event in told[-RECALLED:]:
            text = str(event.get("reason") or event.get("msg", ""))
            text = f"{event['order']}: ordered" if "order" in event else text
            weight = {"warn": "warn", "error": "bad"}.get(str(event.get("level")), "")
            ago_s = max(0.0, now - float(event.get("time", now)))
            self.note(at_s - ago_s, str(event.get("child", "member")), text, weight)

    @property
    def events(self) -> tuple[Event, ...]:
        """Oldest first."""
        return tuple(self._events)

    # ---- rates ----

    def _look(self, actor: ActorSample) -> ActorView:
        self._measure(actor)
        rates = self._rates.get(actor.name)
        in_per_s = sum(rates[0].values()) if rates else None
        cpu, depth, rate = self._lines.setdefault(actor.name, (_line(), _line(), _line()))
        cpu.append(actor.cpu_percent)
        depth.append(float(actor.mailbox_depth or 0))
        rate.append(in_per_s or 0.0)
        out_per_s = sum(rates[1].values()) if rates else None
        received, sent = rates if rates else ({}, {})
        return ActorView(actor, in_per_s, out_per_s, received, sent, tuple(cpu), tuple(depth), tuple(rate))

    def _measure(self, actor: ActorSample) -> None:
        """Counters of another incarnation begin anew: its first heartbeat gives no rate."""
        before = self._counted.get(actor.name)
        if actor.counted_at_s is None or before is None or before.incarnation != actor.incarnation:
            self._rates.pop(actor.name, None)
            self._counted.pop(actor.name, None)
            if actor.counted_at_s is not None:
                self._counted[actor.name] = actor
            return
        seconds = actor.counted_at_s - (before.counted_at_s or 0.0)
        if seconds < MIN_INTERVAL_S:
            return  # the same heartbeat again
        received = _per_s(before.received, actor.received, seconds)
        self._rates[actor.name] = (received, _per_s(before.sent, actor.sent, seconds))
        self._counted[actor.name] = actor

    def _flow(self, sample: Sample) -> tuple[Edge, ...]:
        """Counted where they arrive, over all actors of a kind."""
        edges = []
        for source, target, types in FLOW:
            known = [self._rates[a.name][0] for a in sample.actors if a.kind == target and a.name in self._rates]
            per_s = sum(rates.get(kind, 0.0) for rates in known for kind in types) if known else None
            edges.append(Edge(source, target, per_s, types))
        return tuple(edges)

    # ---- events ----

    def _note_events(self, sample: Sample) -> None:
        now = {actor.name: actor for actor in sample.actors}
        before, supervisor = (self._last or {}).get("supervisor"), now.get("supervisor")
        if before is not None and supervisor is not None and before.pid != supervisor.pid:
            self.note(sample.at_s, "member", "was started again, and all of its actors with it", "bad")
        elif self._last is not None:
            for name in [*self._last, *(name for name in now if name not in self._last)]:
                for text, weight in _changes(self._last.get(name), now.get(name)):
                    self.note(sample.at_s, name, text, weight)
        self._last = now


ORDERLY: Final = "exited with status 0"


def _line() -> deque[float]:
    return deque(maxlen=HISTORY)


def _per_s(before: Mapping[str, int], now: Mapping[str, int], seconds: float) -> dict[str, float]:
    return {kind: max(0, count - before.get(kind, 0)) / seconds for kind, count in now.items()}


def _changes(before: ActorSample | None, now: ActorSample | None) -> list[tuple[str, str]]:
    """(text, weight) of each."""
    if now is None:
        return [("is gone", "warn")]
    if before is None:
        return [("has come", "good")]
    found = []
    if now.incarnation != before.incarnation or (now.pid != before.pid and None not in (now.pid, before.pid)):
        weight = "warn" if now.last_exit in ("", ORDERLY) else "bad"
        found.append((f"was started again: {now.last_exit}" if now.last_exit else "was started again", weight))
    elif now.pid is None and before.pid is not None and now.last_exit:
        found.append((now.last_exit, "bad"))
    if now.state != before.state:
        found.append((f"{before.state} -> {now.state}", "good" if now.state == "ready" else "warn"))
    if now.last_error and now.last_error != before.last_error:
        found.append((f"error: {now.last_error}", "bad"))
    return found


def sparkline(values: Sequence[float], width: int, most: float | None = None) -> str:
    """The last width values as blocks, the highest for `most`, or for the greatest of them; blank for 0."""
    shown = values[-width:] if width > 0 else ()
    top = most if most is not None else max(shown, default=0.0)
    steps = len(SPARKS) - 1
    blocks = [SPARKS[min(steps, max(1, round(value / top * steps)))] if value > 0 < top else " " for value in shown]
    return "".join(blocks).rjust(max(0, width))
