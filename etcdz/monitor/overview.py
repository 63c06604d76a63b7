"""The first screen: the flow of requests, the tree of actors, what is to be said of one of them, events.

On 80 columns the actors' rows hold what changes fast, and the rest stands below for the one that is chosen; on wide
screens (WIDE) the rows hold it all, and on tall ones (TALL) the flow is drawn as boxes.
"""

from collections.abc import Sequence
from typing import Final

from etcdz.monitor.measures import count, duration, micros, size
from etcdz.monitor.paint import Line, Span, clean, cut, filled, length, line
from etcdz.monitor.peers import peer_rows
from etcdz.monitor.view import ActorView, Edge, Event, View, sparkline

WIDE: Final = 118
TALL: Final = 36
NAME_WIDTH: Final = 14
ROWS_MIN: Final = 3
EVENTS_MIN: Final = 3
_HEADINGS: Final = ("STATE", "CPU%", "RSS", "DEPTH", "OLDEST", "IN/S", "OUT/S", "P50", "P99")
_WIDTHS: Final = (8, 5, 5, 5, 6, 6, 6, 6, 6)
_MORE: Final = ("PID", "RESTARTS", "FDS", "UPTIME", "FSYNC", "BATCH")
_MORE_WIDTHS: Final = (8, 8, 4, 7, 6, 5)

STATE_STYLES: Final = {"ready": "good", "starting": "warn", "draining": "warn", "stopping": "warn", "backoff": "warn"}
"""Others are bad, and "-" is no state."""
_SHORT_WAY: Final = (("listener", "wal"), ("wal", "backend"), ("backend", "listener"))
"""Of a write while this member is the only voter."""


def overview(view: View, selected: str, width: int, height: int) -> list[Line]:
    """At most height lines of at most width characters. selected: an actor's name, "" for none"""
    head = [*_flow(view, width, height), []]
    about = _about(view, selected, width)
    peers = peer_rows(view.peers, width)
    peers = [[], *peers] if peers else []
    room = height - len(head) - 1 - len(about) - len(peers) - 2
    rows = _rows(view.actors, selected, width, max(ROWS_MIN, room - EVENTS_MIN))
    if view.lost:
        rows, peers = ([filled(row, width, "dim") for row in lines] for lines in (rows, peers))
    found = [*head, _heading(width), *rows, *peers, *about]
    left = height - len(found) - 1
    if left > 0:
        found += [line(Span("EVENTS", "head")), *_events(view, view.events, left)]
    return [cut(one, width) for one in found[:height]]


# ---- flow ----


def _flow(view: View, width: int, height: int) -> list[Line]:
    if width >= WIDE and height >= TALL and length((boxes := _boxes(view))[1]) <= width:
        return boxes
    return _arrows(view)


def _arrows(view: View) -> list[Line]:
    """The fast path of a write in the first line; in the second the other ways that carry something."""
    known = {edge[:2]: edge for edge in view.flow}
    first = line("clients ", Span("─▶", "good"), " listener")
    for way in _SHORT_WAY:
        first += [Span(" "), _arrow(known.get(way)), Span(f" {way[1]}")]
    return [[*first, Span(" ─▶", "good"), Span(" clients")], _beside(view.flow, with_types=False)]


def _beside(flow: Sequence[Edge], with_types: bool) -> Line:
    found: Line = []
    for edge in flow:
        if edge[:2] not in _SHORT_WAY and edge.per_s:
            found += line(f"{edge.source} ", _arrow(edge, with_types), f" {edge.target}   ")
    return [Span("beside: ", "dim"), *found, Span("messages/s" if found else "nothing  (messages/s)", "dim")]


def _arrow(edge: Edge | None, with_type: bool = False) -> Span:
    if edge is None or edge.per_s is None:
        return Span("─▶", "dim")
    name = f"{edge.types[0]} " if with_type else ""
    return Span(f"─{name}{count(edge.per_s)}─▶", "good" if edge.per_s else "dim")


def _boxes(view: View) -> list[Line]:
    """Three lines of boxes for the fast path, and one for what goes beside it."""
    known = {edge[:2]: edge for edge in view.flow}
    lines: list[Line] = [[], line("clients ", Span("─▶", "good"), " "), []]
    for kind, way in (("listener", 0), ("wal", 1), ("backend", 2)):
        _level(lines)
        arrow = line(" ", _arrow(known.get(_SHORT_WAY[way]), with_type=True), " ")
        for target, part in zip(lines, _box(view, kind), strict=True):
            target += part
        lines[1] += arrow
    lines[1] += [Span("clients")]
    return [*lines, _beside(view.flow, with_types=True)]


def _level(lines: list[Line]) -> None:
    """All as long as the longest."""
    longest = max(length(one) for one in lines)
    for one in lines:
        one.append(Span(" " * (longest - length(one))))


def _box(view: View, kind: str) -> tuple[Line, Line, Line]:
    actors = [actor for actor in view.actors if actor.now.kind == kind]
    cpu = sum(actor.now.cpu_percent for actor in actors)
    fsync = next((actor.now.fsync_p99_us for actor in actors if actor.now.fsync_p99_us is not None), None)
    text = f" {kind}{f' x{len(actors)}' if len(actors) != 1 else ''}  cpu {cpu:.0f}%"
    text += f"  fsync {micros(fsync)} " if fsync is not None else " "
    style = "good" if actors and all(actor.now.state == "ready" for actor in actors) and not view.lost else "warn"
    edge = "─" * len(text)
    return (
        line(Span(f"┌{edge}┐", style)),
        line(Span("│", style), text, Span("│", style)),
        line(Span(f"└{edge}┘", style)),
    )


# ---- actors ----


def _heading(width: int) -> Line:
    text = "ACTOR".ljust(NAME_WIDTH) + _cells(_HEADINGS, _WIDTHS)
    if width >= WIDE:
        text += _cells(_MORE, _MORE_WIDTHS) + "  IN/S"
    return line(Span(text, "head"))


def _cells(texts: Sequence[str], widths: Sequence[int]) -> str:
    return "".join(" " + text.rjust(size_) for text, size_ in zip(texts, widths, strict=True))


def _rows(actors: Sequence[ActorView], selected: str, width: int, room: int) -> list[Line]:
    """All, or those around the chosen one."""
    at = next((i for i, actor in enumerate(actors) if actor.now.name == selected), 0)
    first = max(0, min(at - room // 2, len(actors) - room))
    shown = actors[first : first + room]
    last = actors[-1].now.name if actors else ""
    return [_row(actor, actor.now.name == selected, actor.now.name == last, width) for actor in shown]


def _row(actor: ActorView, is_selected: bool, is_last: bool, width: int) -> Line:
    now = actor.now
    branch = "" if now.kind == "supervisor" else ("└ " if is_last else "├ ")
    name = (branch + clean(now.name))[:NAME_WIDTH].ljust(NAME_WIDTH)
    fast = _cells(_numbers(actor), _WIDTHS[1:])
    found = line(name, Span(" " + now.state[:8].rjust(_WIDTHS[0]), state_style(now.state)), fast)
    if width >= WIDE:
        more = _cells(_rest(actor), _MORE_WIDTHS)
        used = length(found) + len(more) + 2
        found += line(more, "  ", Span(sparkline(actor.rate, min(40, width - used)), "spark"))
    return filled(found, width, "select") if is_selected else found


def state_style(state: str) -> str:
    """Style of an actor's state, as in `ps`."""
    return "dim" if state == "-" else STATE_STYLES.get(state, "bad")


def _numbers(actor: ActorView) -> list[str]:
    now = actor.now
    return [
        f"{now.cpu_percent:.1f}",
        size(now.rss_bytes),
        count(now.mailbox_depth),
        micros(now.oldest_us),
        count(actor.in_per_s),
        count(actor.out_per_s),
        micros(now.turn_p50_us),
        micros(now.turn_p99_us),
    ]


def _rest(actor: ActorView) -> list[str]:
    now = actor.now
    up = duration(now.uptime_s) if now.pid else "-"
    batch = micros(now.fsync_p99_us), count(now.batch_p50)
    return [str(now.pid or "-"), str(now.restarts), str(now.fds), up, *batch]


# ---- the chosen actor, events ----


def _about(view: View, selected: str, width: int) -> list[Line]:
    """Four lines about the chosen actor, one empty line if none is chosen."""
    actor = next((actor for actor in view.actors if actor.now.name == selected), None)
    if actor is None:
        return [[]]
    names = [name.lower() for name in _MORE]
    facts = "  ".join(f"{name} {value}" for name, value in zip(names, _rest(actor), strict=True))
    return [[], line(Span(clean(selected), "head"), "  " + facts), sparks(actor, width), _trouble(actor)]


def sparks(actor: ActorView, width: int) -> Line:
    """Its last minutes."""
    each = max(4, (width - 33) // 3)
    found: Line = []
    for name, values in (("msg/s", actor.rate), ("  cpu%", actor.cpu), ("  depth", actor.depth)):
        found += [Span(f"{name} "), *spark(values, each)]
    return found


def spark(values: Sequence[float], width: int) -> Line:
    """The last width values, and the greatest of them."""
    return [Span(sparkline(values, width), "spark"), Span(f"▏{count(max(values[-width:], default=0.0))}", "dim")]


def _trouble(actor: ActorView) -> Line:
    now = actor.now
    parts = [f"last exit: {now.last_exit}"] if now.last_exit else []
    parts += [f"last error: {now.last_error}"] if now.last_error else []
    return line(Span(clean("; ".join(parts)), "bad") if parts else Span("no exit, no error", "dim"))


def _events(view: View, events: Sequence[Event], room: int) -> list[Line]:
    """The newest first."""
    found = []
    for event in reversed(events[-room:]):
        style = {"bad": "bad", "good": "good", "warn": "warn"}.get(event.weight, "")
        ago = f"{duration(view.at_s - event.at_s):>7} ago  "
        found.append(line(Span(ago, "dim"), f"{clean(event.name):<12} ", Span(clean(event.text), style)))
    return found
