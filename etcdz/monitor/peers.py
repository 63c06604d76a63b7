"""The other members, as the member that is looked at sees them: connections, bytes, round trips, how far behind.

The peer actor tells what it carries (`peers` in the summary of its heartbeats), and the raft of a leader how far each
member has followed (`followers`).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from etcdz.monitor.measures import byte_rate, count, micros, size
from etcdz.monitor.paint import Line, Span, clean, cut, line
from etcdz.monitor.sample import ActorSample, Sample

NAME_WIDTH: Final = 16
_HEADINGS: Final = ("HEARD", "FOLLOWS", "BEHIND", "TO/S", "FROM/S", "RTT", "WAITING", "LOST")
_WIDTHS: Final = (5, 12, 6, 6, 6, 6, 7, 6)
_STYLES: Final = {"replicate": "good", "probe": "warn", "snapshot": "warn"}


class PeerView(NamedTuple):
    """One other member. What is None is not known: rates before a second look, the log where this member does not lead.

    is_heard        whether a connection with it is up; why: what ended it, or kept it from coming up
    follows         replicate, probe or snapshot, in the words of raft; "" if this member does not lead
    snapshot        that is under way: "to 45%" of it sent, "from" it, or nothing
    behind          entries of the log that it is not known to have
    to_per_s        bytes sent a second, from_per_s: received
    waiting_bytes   not sent yet; lost: messages that were not sent at all, since the peer actor's start
    """

    id: str
    name: str
    is_heard: bool
    why: str
    follows: str
    snapshot: str
    behind: int | None
    to_per_s: float | None
    from_per_s: float | None
    round_trip_us: float | None
    waiting_bytes: int
    lost: int


class Peers:
    """Rates need two looks: remembers the last one whose counters were new."""

    def __init__(self) -> None:
        self._counted: ActorSample | None = None
        self._rates: dict[str, tuple[float, float]] = {}

    def feed(self, sample: Sample) -> tuple[PeerView, ...]:
        """return one for each other member, by id"""
        actor = next((one for one in sample.actors if one.kind == "peer"), None)
        if actor is None:
            return ()
        self._measure(actor)
        raft = next((one for one in sample.actors if one.kind == "raft"), None)
        followers = {row.get("id"): row for row in _rows(raft, "followers")}
        views = [self._view(row, followers.get(row.get("id"), {})) for row in _rows(actor, "peers")]
        return tuple(sorted(views))

    def _measure(self, now: ActorSample) -> None:
        before = self._counted
        if before is None or before.incarnation != now.incarnation or now.counted_at_s is None:
            self._counted, self._rates = now, {}
            return
        seconds = now.counted_at_s - (before.counted_at_s or 0.0)
        if seconds < MIN_INTERVAL_S:
            return  # the same heartbeat again
        old = {row.get("id"): row for row in _rows(before, "peers")}
        self._rates = {
            str(row["id"]): (
                _gain(old[row["id"]], row, "sent_bytes") / seconds,
                _gain(old[row["id"]], row, "received_bytes") / seconds,
            )
            for row in _rows(now, "peers")
            if row.get("id") in old
        }
        self._counted = now

    def _view(self, row: Mapping[str, Any], follower: Mapping[str, Any]) -> PeerView:
        id_ = str(row.get("id", ""))
        to_per_s, from_per_s = self._rates.get(id_, (None, None))
        return PeerView(
            id=id_,
            name=str(row.get("name") or ""),
            is_heard=row.get("active_s") is not None,
            why=str(row.get("inactive_because") or ""),
            follows=str(follower.get("follows", "")),
            snapshot=str(row.get("snapshot") or ""),
            behind=follower.get("behind"),
            to_per_s=to_per_s,
            from_per_s=from_per_s,
            round_trip_us=row.get("round_trip_us"),
            waiting_bytes=int(row.get("waiting_bytes", 0)),
            lost=int(row.get("dropped", 0)),
        )


MIN_INTERVAL_S: Final = 0.1
"""Heartbeats come twice a second; their times are known to some milliseconds."""


def _rows(actor: ActorSample | None, name: str) -> list[Mapping[str, Any]]:
    """Of its summary; one of another version may have something else there."""
    found = actor.summary.get(name) if actor is not None else None
    return [row for row in found if isinstance(row, Mapping)] if isinstance(found, list) else []


def _gain(before: Mapping[str, Any], now: Mapping[str, Any], name: str) -> int:
    return max(0, int(now.get(name, 0)) - int(before.get(name, 0)))


def changes(before: Sequence[PeerView], now: Sequence[PeerView]) -> list[tuple[str, str, str]]:
    """(name, text, weight) of what is worth an event."""
    known = {peer.id: peer for peer in before}
    found = []
    for peer in now:
        was = known.get(peer.id)
        if was is not None and was.is_heard != peer.is_heard:
            why = f": {peer.why}" if peer.why else ""
            text, weight = ("is heard of again", "good") if peer.is_heard else (f"is not heard of{why}", "bad")
            found.append((peer.name or peer.id, text, weight))
    return found


# ---- lines ----


def peer_rows(peers: Sequence[PeerView], width: int) -> list[Line]:
    """A heading and a row for each; nothing if there are none."""
    if not peers:
        return []
    heading = "MEMBER".ljust(NAME_WIDTH) + _cells(_HEADINGS, _WIDTHS)
    return [cut(one, width) for one in (line(Span(heading, "head")), *map(_row, peers))]


def _row(peer: PeerView) -> Line:
    name = clean(peer.name or peer.id)[:NAME_WIDTH].ljust(NAME_WIDTH)
    heard, follows, *numbers = (text.rjust(width) for text, width in zip(_texts(peer), _WIDTHS, strict=True))
    return line(
        name,
        Span(" " + heard, "good" if peer.is_heard else "bad"),
        Span(" " + follows, _STYLES.get(peer.follows, "dim")),
        *(" " + number for number in numbers),
    )


def _texts(peer: PeerView) -> list[str]:
    return [
        "yes" if peer.is_heard else "no",
        (f"snap {peer.snapshot}" if peer.snapshot else peer.follows) or "-",
        count(peer.behind),
        byte_rate(peer.to_per_s),
        byte_rate(peer.from_per_s),
        micros(peer.round_trip_us),
        size(peer.waiting_bytes),
        count(peer.lost),
    ]


def _cells(texts: Sequence[str], widths: Sequence[int]) -> str:
    return "".join(" " + text.rjust(width) for text, width in zip(texts, widths, strict=True))
