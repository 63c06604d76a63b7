"""One actor on the whole screen, a page at a time; see keys.PAGES."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from etcdz.monitor.keys import PAGES, State
from etcdz.monitor.measures import count, duration, micros, size
from etcdz.monitor.overview import spark, state_style
from etcdz.monitor.paint import Line, Span, clean, line
from etcdz.monitor.view import HISTORY, ActorView, View

VALUE_CHARS_MAX: Final = 300


class Page(NamedTuple):
    """What was asked for the page that is open, about `actor`; whatever has come so far.

    inspected   the answer to `inspect`
    frames      the last messages as text, trace the same of a trace
    stack       the answer to `stack`
    trouble     why there is no more
    """

    actor: str = ""
    inspected: Mapping[str, Any] | None = None
    frames: Sequence[str] = ()
    log: Sequence[str] = ()
    stack: Mapping[str, Any] | None = None
    trace: Sequence[str] = ()
    trouble: str = ""


def headline(view: View, state: State) -> list[Line]:
    """The actor, and the pages about it."""
    actor = _find(view, state.selected)
    title = line(Span(clean(state.selected), "head"), "  ")
    if actor is None:
        title.append(Span("is gone", "bad"))
    else:
        now = actor.now
        numbers = f"  pid {now.pid or '-'}  incarnation {now.incarnation}  restarts {now.restarts}"
        title += [Span(now.state, state_style(now.state)), Span(f"{numbers}  up {duration(now.uptime_s)}")]
    tabs: Line = []
    for number, name in enumerate(PAGES):
        tabs.append(Span(f" {number + 1} {name} ", "select" if number == state.page else "dim"))
    return [title, tabs, []]


def content(view: View, state: State, page: Page, width: int) -> list[Line]:
    """All lines of the open page."""
    if page.actor != state.selected:
        page = Page()
    if state.page_name == "log":
        return [line(clean(text)) for text in page.log] or [_waits(page, "no lines yet")]
    if state.page_name == "stack":
        return _stack(page)
    if state.page_name == "trace":
        return _trace(state, page)
    actor = _find(view, state.selected)
    if actor is None:
        return [_waits(page, "it is gone")]
    return {"state": _state, "messages": _messages, "links": _links}[state.page_name](actor, page, width)


def _find(view: View, name: str) -> ActorView | None:
    return next((actor for actor in view.actors if actor.now.name == name), None)


def _waits(page: Page, text: str) -> Line:
    return line(Span(clean(page.trouble), "bad")) if page.trouble else line(Span(text, "dim"))


# ---- state ----


def _state(actor: ActorView, page: Page, width: int) -> list[Line]:
    now = actor.now
    known = page.inspected or {}
    raw = known.get("actor") or {}
    facts = {
        "cpu": f"{now.cpu_percent:.1f}%",
        "rss, fds": f"{size(now.rss_bytes)}, {now.fds}",
        "mailbox": f"depth {count(now.mailbox_depth)}, oldest {micros(now.oldest_us)}",
        "turns": f"{count(raw.get('turns_per_s'))}/s, " + _percentiles(raw.get("turn_us"), micros),
        "batch": _percentiles(raw.get("batch"), count),
        **({"fsync": _percentiles(raw["fsync_us"], micros)} if raw.get("fsync_us") else {}),
        "log level": str(raw.get("log_level") or "-"),
        "last exit": now.last_exit or "-",
        "last error": now.last_error or "-",
    }
    found = _fields(facts)
    wide = max(10, width - 24)
    for name, values in (("messages/s", actor.rate), ("cpu %", actor.cpu), ("depth", actor.depth)):
        found.append(line(f"{name:<12}", *spark(values, min(HISTORY, wide))))
    inside: Mapping[str, Any] = known.get("inside") or {}
    state = {**(inside.get("summary") or now.summary), **(inside.get("details") or {})}
    switched = {f"{name} for": f"{left:.0f}s more" for name, left in (inside.get("switched") or {}).items()}
    heading = "STATE" if inside else "STATE AT THE LAST HEARTBEAT"
    found += [[], line(Span(heading, "head")), *_fields({**state, **switched})]
    if page.inspected is not None and not inside:
        found.append(line(Span(clean(f"no answer from inside: {known.get('why_not', '')}"), "bad")))
    return found + ([_waits(page, "")] if page.trouble else [])


def _fields(fields: Mapping[str, Any]) -> list[Line]:
    wide = max([12, *(len(name) + 2 for name in fields)])
    return [line(Span(f"{name:<{wide}}", "dim"), clean(str(value)[:VALUE_CHARS_MAX])) for name, value in fields.items()]


def _percentiles(measured: Mapping[str, int] | None, text: Any) -> str:
    if not measured or not measured.get("count"):
        return "-"
    return f"p50 {text(measured['p50'])}, p99 {text(measured['p99'])}, most {text(measured['max'])}"


# ---- messages, links ----


def _messages(actor: ActorView, page: Page, width: int) -> list[Line]:
    found = [line(Span(f"{'TYPE':<20}{'IN/S':>8}{'TAKEN':>12}   {'OUT/S':>8}{'SENT':>12}", "head"))]
    now = actor.now
    total = {name: (now.received.get(name, 0), now.sent.get(name, 0)) for name in {**now.received, **now.sent}}
    for name, (taken, sent) in sorted(total.items(), key=lambda item: -sum(item[1])):
        into = f"{count(actor.in_by_type.get(name)):>8}{taken:>12}" if taken else " " * 20
        out = f"{count(actor.out_by_type.get(name)):>8}{sent:>12}" if sent else ""
        found.append(line(f"{clean(name):<20}{into}   {out}"))
    found += [[], line(Span("LAST MESSAGES", "head"))]
    return found + ([line(clean(text)) for text in reversed(page.frames)] or [_waits(page, "none")])


def _links(actor: ActorView, page: Page, width: int) -> list[Line]:
    inside = (page.inspected or {}).get("inside")
    if inside is None:
        return [_waits(page, "its links are its own to tell: no answer yet")]
    found = [line(Span(f"{'LINK':<16}{'FRAMES SENT':>13}{'FRAMES TAKEN':>14}  INCARNATION", "head"))]
    for link in inside["links"]:
        numbers = f"{link['frames_sent']:>13}{link['frames_taken']:>14}  {link['incarnation']}"
        found.append(line(f"{clean(str(link['name'])):<16}{numbers}"))
    return found


# ---- stack, trace ----


def _stack(page: Page) -> list[Line]:
    if page.stack is None:
        return [_waits(page, "asking where it is")]
    found = [line(Span(clean(str(page.stack.get("kernel", ""))), "head"), Span("   enter: look again", "dim")), []]
    text = str(page.stack.get("stack") or page.stack.get("why_not", ""))
    return found + [line(clean(one)) for one in text.splitlines()]


def _trace(state: State, page: Page) -> list[Line]:
    if not state.tracing:
        return [line(Span("t", "key"), " starts a trace of what it takes")]
    return [line(clean(text)) for text in page.trace] or [_waits(page, "nothing was taken yet")]
