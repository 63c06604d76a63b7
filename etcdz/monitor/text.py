"""A view as lines of text that fit a terminal. No colour: what a line means stands in words, for whoever adds some."""

from collections.abc import Sequence
from typing import Final

from etcdz.monitor.view import ActorView, Edge, View, sparkline

NAME_WIDTH: Final = 12
EVENTS_SHOWN: Final = 6
_HEADINGS: Final = ("STATE", "CPU%", "RSS", "DEPTH", "OLDEST", "IN/S", "OUT/S", "P50", "P99")
_WIDTHS: Final = (8, 5, 6, 5, 6, 6, 6, 6, 6)
_WIDE_AT: Final = 110
"""From this width on there is room for more columns."""


def lines(view: View, title: str, width: int, height: int) -> list[str]:
    """At most height lines of at most width characters: title, flow, actors, last errors and events."""
    found = [title, *_flow(view.flow, width), "", _heading(width)]
    found += [_actor(actor, width) for actor in view.actors]
    found += [""] + [_error(actor) for actor in view.actors if actor.now.last_error or actor.now.last_exit]
    room = height - len(found)
    events = view.events[-min(room, max(EVENTS_SHOWN, room)) :] if room > 0 else ()
    found += [f"{view.at_s - event.at_s:6.0f}s ago  {event.name}  {event.text}" for event in events]
    return [line[:width].rstrip() for line in found[:height]]


def _flow(flow: Sequence[Edge], width: int) -> list[str]:
    """The short way of a write in the first line; in the second the others that are used, or known to be not."""
    known = {edge[:2]: edge for edge in flow}
    write = "clients -> listener"
    for way in _WRITE:
        write += f" {_arrow(known[way]) if way in known else '->'} {way[1]}"
    rest = [f"{edge.source} {_arrow(edge)} {edge.target}" for edge in flow if edge[:2] not in _WRITE and edge.per_s]
    return [write[:width], "   ".join([*rest, "(messages/s)"])[:width]]


def _arrow(edge: Edge) -> str:
    return "->" if edge.per_s is None else f"-{_count(edge.per_s)}->"


_WRITE: Final = (("listener", "wal"), ("wal", "backend"), ("backend", "listener"))


def _heading(width: int) -> str:
    cells = "".join(text.rjust(size + 1) for text, size in zip(_HEADINGS, _WIDTHS, strict=True))
    more = "     PID  RESTARTS   FDS    UPTIME   FSYNC  BATCH" if width >= _WIDE_AT else ""
    return "ACTOR".ljust(NAME_WIDTH) + cells + more


def _actor(actor: ActorView, width: int) -> str:
    now = actor.now
    cells = (
        now.state,
        f"{now.cpu_percent:.1f}",
        size_text(now.rss_bytes),
        _count(now.mailbox_depth),
        time_text(now.oldest_us),
        _count(actor.in_per_s),
        _count(actor.out_per_s),
        time_text(now.turn_p50_us),
        time_text(now.turn_p99_us),
    )
    line = now.name[:NAME_WIDTH].ljust(NAME_WIDTH)
    line += "".join(text.rjust(size + 1) for text, size in zip(cells, _WIDTHS, strict=True))
    if width < _WIDE_AT:
        return line
    line += f"{now.pid or '-':>8}  {now.restarts:>8}  {now.fds:>4}  {now.uptime_s:>7.0f}s"
    line += f"  {time_text(now.fsync_p99_us):>6}  {_count(now.batch_p50):>5}"
    return line + "  " + sparkline(actor.rate, min(30, width - len(line) - 3))


def _error(actor: ActorView) -> str:
    now = actor.now
    parts = [f"last exit: {now.last_exit}"] if now.last_exit else []
    parts += [f"last error: {now.last_error}"] if now.last_error else []
    return f"{now.name}  " + "; ".join(parts)


def _count(value: float | None) -> str:
    """Six characters at most: -, 0, 999, 12.3k, 4.5M."""
    if value is None:
        return "-"
    if value < 9_999.5:
        return f"{value:.0f}"
    return f"{value / 1e3:.1f}k" if value < 999_950 else f"{value / 1e6:.1f}M"


def size_text(count: int) -> str:
    """Bytes in six characters at most: 0K, 512K, 36M, 1.2G."""
    if count < 1 << 20:
        return f"{count >> 10}K"
    return f"{count / (1 << 20):.0f}M" if count < 1000 << 20 else f"{count / (1 << 30):.1f}G"


def time_text(us: int | None) -> str:
    """Microseconds in six characters at most: -, 85us, 3.2ms, 840ms, 4.1s."""
    if us is None:
        return "-"
    if us < 1000:
        return f"{us}us"
    if us < 10_000:
        return f"{us / 1000:.1f}ms"
    return f"{us / 1000:.0f}ms" if us < 999_500 else f"{us / 1e6:.1f}s"
