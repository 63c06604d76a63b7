"""The full-screen monitor: one thread, which polls keys, answers and its interval, and draws when something is new.

It asks for `ps` once per interval, and for one page about one actor if that is open; the rest is etcdz/monitor's.
"""

import json
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import zmq

from etcdz.cli.actors.tables import frame_line
from etcdz.cli.monitor.control_client import ControlClient
from etcdz.cli.monitor.terminal import Terminal
from etcdz.monitor.detail import Page
from etcdz.monitor.keys import Action, State, done, planned, press, refused, settled
from etcdz.monitor.sample import read_sample
from etcdz.monitor.screen import compose
from etcdz.monitor.view import History, View

SILENT_S: Final = 5.0
"""A supervisor that has not answered for so long is shown as silent."""
LOG_LINES: Final = 500
TRACE_LINES: Final = 500
TRACE_RATE: Final = 100
_INSPECTED: Final = ("state", "messages", "links")


class Live:
    """One member on one terminal."""

    def __init__(self, terminal: Terminal, data_dir: str, interval_s: float) -> None:
        self._terminal, self._data_dir, self._interval_s = terminal, data_dir, interval_s
        self._poller = zmq.Poller()
        self._context: zmq.Context[Any] = zmq.Context()
        self._client = ControlClient(self._context, self._poller, data_dir)
        self._history = History()
        self._view = View(time.monotonic())
        self._state = State()
        self._page = Page()
        self._open: tuple[str, str] | None = None
        """(page, actor) that is asked for."""
        self._recalled = False
        self._asked_at: float | None = None
        """When ps was asked for that is not answered yet."""
        self._log: deque[str] = deque(maxlen=LOG_LINES)
        self._trace: deque[str] = deque(maxlen=TRACE_LINES)
        self._rows, self._scroll_max = 1, 0
        self._ended = False

    def run(self) -> None:
        """Shows the member until q or ^C."""
        for file in self._terminal.files:
            self._poller.register(file, zmq.POLLIN)
        next_refresh = 0.0
        try:
            while not self._ended:
                now = time.monotonic()
                if now >= next_refresh:
                    next_refresh = now + self._interval_s
                    self._refresh(now)
                self._draw()
                self._turn(max(0.0, next_refresh - time.monotonic()))
        finally:
            self._client.close()
            self._context.term()

    def _turn(self, seconds: float) -> None:
        """Until something comes, or the time is over."""
        ready = dict(self._poller.poll(int(seconds * 1000) + 1))
        if any(file in ready for file in self._terminal.files):
            for key in self._terminal.read_keys():
                self._press(key)
        self._client.serve(ready)

    # ---- the member ----

    def _refresh(self, now: float) -> None:
        if not self._client.refresh():
            self._asked_at, self._open = None, None
            self._view = self._history.lost(now, f"no member runs in {self._data_dir}")
            return
        if not self._recalled:
            self._recalled = True
            self._client.ask("events", {}, self._recall)
        if self._asked_at is None:
            self._asked_at = now
            self._client.ask("ps", {}, self._take_sample)
        elif now - self._asked_at >= SILENT_S:
            self._view = self._history.lost(now, "the supervisor does not answer")
        self._ask_page(again=True)

    def _take_sample(self, ok: bool, result: Any) -> None:
        self._asked_at = None
        now = time.monotonic()
        if ok:
            self._view = self._history.feed(read_sample(result, now))
            self._state = settled(self._state, self._view)
        else:
            self._open = None
            self._view = self._history.lost(now, result)

    def _recall(self, ok: bool, result: Any) -> None:
        if ok:
            self._history.recall(time.monotonic(), result, time.time())

    # ---- the page about one actor ----

    def _ask_page(self, again: bool = False) -> None:
        """again: also if it is the page that is open already"""
        name = self._state.page_name
        wanted = (name if name != "trace" or self._state.tracing else "", self._state.selected)
        if wanted != self._open:
            self._open = wanted
            self._client.unfollow()
            self._log.clear()
            self._trace.clear()
            if self._page.actor != wanted[1]:
                self._page = Page(wanted[1])
            self._page = self._page._replace(log=self._log, trace=self._trace, trouble="")
            self._follow(*wanted)
            again = True
        if again and wanted[0] in _INSPECTED:
            self._client.ask("inspect", {"actor": wanted[1]}, self._for_page(wanted[1], self._take_inspected))

    def _follow(self, page: str, actor: str) -> None:
        if page == "log":
            take = self._for_page(actor, lambda found: self._log.extend(map(log_line, found["lines"])))
            self._client.follow("logs", {"actor": actor, "follow": True}, take)
        elif page == "trace":
            request = {"actor": actor, "types": None, "rate": TRACE_RATE, "key_prefix": None}
            self._client.follow("trace", request, self._for_page(actor, self._take_frames))

    def _for_page(self, actor: str, take: Callable[[Any], None]) -> Callable[[bool, Any], None]:
        """An answer about an actor that is not shown any more is dropped."""

        def then(ok: bool, result: Any) -> None:
            if self._page.actor == actor and ok:
                self._page = self._page._replace(trouble="")
                take(result)
            elif self._page.actor == actor:
                self._page = self._page._replace(trouble=str(result))

        return then

    def _take_inspected(self, found: Any) -> None:
        frames = [frame_line(frame, f"-{frame['ago_s']:8.3f}s") for frame in found["messages"]]
        self._page = self._page._replace(inspected=found, frames=frames)

    def _take_frames(self, piece: Any) -> None:
        for frame in piece["frames"]:
            at = time.strftime("%H:%M:%S", time.localtime(frame["time"])) + f"{frame['time'] % 1:.4f}"[1:]
            self._trace.append(frame_line(frame, at))
        if piece["held_back"]:
            self._trace.append(f"... {piece['held_back']} more were not shown")

    def _take_stack(self, found: Any) -> None:
        self._page = self._page._replace(stack=found)

    # ---- keys ----

    def _press(self, key: str) -> None:
        self._state, action = press(self._state, key, self._view, self._rows, self._scroll_max)
        self._ask_page()
        if action is not None:
            self._perform(action)

    def _perform(self, action: Action) -> None:
        if action.verb == "quit":
            self._ended = True
        elif action.verb == "stack":
            actor = self._state.selected
            self._client.ask("stack", {"actor": actor}, self._for_page(actor, self._take_stack))
        else:
            self._client.ask(action.order, action.args, lambda ok, result: self._answered(action, ok, result))

    def _answered(self, action: Action, ok: bool, result: Any) -> None:
        if not ok:
            self._state = refused(self._state, action, str(result))
        elif action.verb == "plan":
            self._state = planned(self._state, action, result["plan"])
        else:
            self._state = done(self._state, action)
            self._history.note(time.monotonic(), str(action.args["actor"]), f"{action.order}: done as ordered", "good")

    def _draw(self) -> None:
        title = f"{time.strftime('%H:%M:%S')}  {self._data_dir}"
        screen = compose(title, self._view, self._state, self._page, *self._terminal.size())
        self._rows, self._scroll_max = screen.rows, screen.scroll_max
        self._terminal.draw(screen.lines)


def log_line(text: str) -> str:
    """A JSON line of a log for people: time, level, message, fields; what is none stays as it is."""
    try:
        found = json.loads(text)
        at, level, message = found.pop("ts")[11:23], found.pop("level"), found.pop("msg")
    except (ValueError, KeyError, TypeError, AttributeError):
        return text
    rest = " ".join(f"{name}={value}" for name, value in found.items() if name not in ("actor", "caller"))
    return f"{at} {level:5} {message} {rest}"
