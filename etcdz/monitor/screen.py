"""The whole screen, of exactly the terminal's size: title, overview or one actor, dialog, keys."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from etcdz.monitor.detail import Page, content, headline
from etcdz.monitor.keys import Dialog, State
from etcdz.monitor.overview import overview
from etcdz.monitor.paint import Line, Span, clean, cut, filled, line, plain
from etcdz.monitor.view import View

OVERVIEW_KEYS: Final = (
    ("↑↓", "choose"),
    ("enter", "inside"),
    ("r", "restart"),
    ("k", "kill"),
    ("s", "scale"),
    ("d", "drain"),
    ("t", "trace"),
    ("?", "keys"),
    ("q", "quit"),
)
INSIDE_KEYS: Final = (
    ("←→", "page"),
    ("↑↓", "scroll"),
    ("esc", "back"),
    ("r", "restart"),
    ("k", "kill"),
    ("d", "drain"),
    ("t", "trace"),
    ("?", "keys"),
)
HELP: Final = """\
up, down      choose an actor                  enter   look inside it
inside        left, right, 1-6: page           escape  back
r             restart it; then g: gracefully, the new one serves first
k             kill it (SIGKILL); the supervisor starts it again
s             scale: how many of its kind there are
d             drain: a listener sends its clients to the others
u             start what is stopped, or let what drains take clients again
t             trace: each frame that it takes, as a line
q, ^C         end the monitor; the member goes on

Each of r k s d u t says first what it would do, and does it only after y.

STATE         starting, ready, draining, stopping, stopped, or backoff
DEPTH OLDEST  most frames that waited for a turn, greatest age of one; last 2 s
P50 P99       how long turns with messages took; last 5-10 s
FSYNC         p99 of the log
BATCH         entries or proposals of one turn, p50
CPU%          of one CPU""".splitlines()


class Screen(NamedTuple):
    """rows: of a page that scrolls; scroll_max: how far it can be scrolled."""

    lines: list[Line]
    rows: int
    scroll_max: int


def compose(title: str, view: View, state: State, page: Page, width: int, height: int) -> Screen:
    """Exactly height lines of at most width characters. title: what may be cut off, such as a path"""
    room = max(0, height - 2)
    rows, scroll_max = room, 0
    if state.help:
        body = [line(text) for text in HELP]
    elif state.inside:
        head, whole = headline(view, state), content(view, state, page, width)
        rows = max(1, room - len(head))
        scroll_max = max(0, len(whole) - rows)
        body = head + _window(whole, min(state.scroll, scroll_max), rows, state.page_name in ("log", "trace"))
    else:
        body = overview(view, state.selected, width, room)
    body = [*body[:room], *([] for _ in range(room - len(body)))]
    if over := _dialog(state.dialog, width):
        body[max(0, room - len(over)) :] = over[:room]
    lines = [_title(title, view, width), *body, _footer(state)][:height]
    return Screen([cut(one, width) for one in lines], rows, scroll_max)


def texts(title: str, view: View, width: int, height: int) -> list[str]:
    """The overview for a page of text, without what only a person at keys needs."""
    found = [title + (f"  {view.lost}" if view.lost else "")]
    found += [plain(one) for one in overview(view, "", width, height - 1)]
    return [text[:width].rstrip() for text in found[:height]]


def _window(whole: Sequence[Line], scroll: int, rows: int, from_end: bool) -> list[Line]:
    if from_end:
        end = len(whole) - scroll
        return list(whole[max(0, end - rows) : end])
    return list(whole[scroll : scroll + rows])


def _title(title: str, view: View, width: int) -> Line:
    if view.lost:
        return filled(line(f" etcdz monitor  NO ANSWER  {title}"), width, "alarm")
    running = [actor.now for actor in view.actors if actor.now.state != "-"]
    ready = sum(now.state == "ready" for now in running)
    return filled(line(f" etcdz monitor  {ready} of {len(running)} ready  {title}"), width, "title")


def _footer(state: State) -> Line:
    if state.notice[0] and state.dialog is None:
        return line(Span(" " + clean(state.notice[0]), state.notice[1]))
    found: Line = []
    for key, does in INSIDE_KEYS if state.inside else OVERVIEW_KEYS:
        found += [Span(f" {key}", "key"), Span(f" {does}", "dim")]
    return found


def _dialog(dialog: Dialog | None, width: int) -> list[Line]:
    if dialog is None:
        return []
    rule = line(Span("─" * width, "warn"))
    name = f"{dialog.verb} {clean(dialog.actor)}"
    if dialog.verb == "scale" and not dialog.asked:
        return [
            rule,
            line(Span(f"{name} to how many? ", "head"), Span(f"{dialog.typed} ", "select"), "  enter, escape"),
        ]
    if dialog.refused:
        force = [("f", "all the same")] if dialog.may_force else []
        return [rule, line(Span(f"{name}: {clean(dialog.refused)}", "bad")), _choices(*force)]
    if not dialog.plan:
        return [rule, line(Span(f"{name}: asking what it would do", "dim")), _choices()]
    way = " gracefully" if dialog.graceful else ""
    more = [("g", "at once" if dialog.graceful else "gracefully")] if dialog.verb == "restart" else []
    plan = [line("  " + clean(step)) for step in dialog.plan]
    return [rule, line(Span(f"{name}{way}?", "head")), *plan, _choices(("y", "yes"), *more)]


def _choices(*choices: tuple[str, str]) -> Line:
    found: Line = []
    for key, does in (*choices, ("n", "no")):
        found += [Span(f"  {key}", "key"), Span(f" {does}")]
    return found
