"""What a key does: state and key in, state and perhaps an action out. Pure: the shell performs the actions.

    overview    up, down    choose an actor       enter   look inside it
    inside      left, right another page          up, down, pageup, pagedown, home, end   scroll    escape  back
    both        r restart   k kill   s scale   d drain   u start (stopped or draining)   t trace    ? keys    q quit

An order opens a dialog, which shows what the member says it would do (a dry run); only y carries it out.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from etcdz.monitor.view import View

PAGES: Final = ("state", "messages", "links", "log", "stack", "trace")
ORDERS: Final = {"r": "restart", "k": "kill", "s": "scale", "d": "drain", "u": "start", "t": "trace"}
SCALE_DIGITS: Final = 2


class Dialog(NamedTuple):
    """An order before it is given. actor: of scale, the kind

    plan      what it would do; empty: not known yet
    refused   why the member does not want it; it may be forced
    typed     of scale: how many; asked: whether that is entered
    """

    verb: str
    actor: str
    plan: tuple[str, ...] = ()
    refused: str = ""
    typed: str = ""
    asked: bool = False
    graceful: bool = False
    force: bool = False

    @property
    def may_force(self) -> bool:
        """The member says so itself."""
        return "--force" in self.refused and not self.force

    def args(self) -> dict[str, Any]:
        """Of the request."""
        known = {"actor": self.actor, "force": self.force}
        if self.verb == "restart":
            return {**known, "graceful": self.graceful}
        return {**known, "count": int(self.typed or 0)} if self.verb == "scale" else known


class State(NamedTuple):
    """What is shown. inside: the chosen actor fills the screen; tracing: its trace runs

    notice    (text, style) of what became of the last order
    """

    selected: str = ""
    inside: bool = False
    page: int = 0
    scroll: int = 0
    tracing: bool = False
    dialog: Dialog | None = None
    help: bool = False
    notice: tuple[str, str] = ("", "")

    @property
    def page_name(self) -> str:
        """ "" on the overview."""
        return PAGES[self.page] if self.inside else ""


class Action(NamedTuple):
    """What the shell is to do.

    verb          quit; stack: ask for the chosen actor's; plan: a dry run of an order; order: carry it out
    order, args   of a plan or an order: the verb of the member's control socket, and its arguments
    """

    verb: str
    order: str = ""
    args: Mapping[str, Any] = MappingProxyType({})


Pressed = tuple[State, Action | None]


def press(state: State, key: str, view: View, rows: int = 10, scroll_max: int = 0) -> Pressed:
    """What a key does. rows: lines of a page; scroll_max: how far the page can be scrolled"""
    if key == "^C":
        return state, Action("quit")
    state = settled(state, view)._replace(notice=("", ""))
    if state.dialog is not None:
        return _answer(state, state.dialog, key)
    if state.help:
        return state._replace(help=False), None
    if key in ORDERS and state.selected:
        return _open(state, ORDERS[key], view)
    if key in ("?", "h"):
        return state._replace(help=True), None
    return _inside(state, key, rows, scroll_max) if state.inside else _overview(state, key, view)


def settled(state: State, view: View) -> State:
    """The state once an actor that is gone is not chosen any more."""
    names = [actor.now.name for actor in view.actors]
    if state.selected in names or (state.inside and state.selected):
        return state
    return state._replace(selected=_first(names))


def _first(names: Sequence[str]) -> str:
    """The first real actor: supervisor and zygote are at the top of the tree."""
    return next((name for name in names if name not in ("supervisor", "zygote")), names[0] if names else "")


def _overview(state: State, key: str, view: View) -> Pressed:
    names = [actor.now.name for actor in view.actors]
    if key == "q":
        return state, Action("quit")
    if key in ("enter", "right") and state.selected:
        return state._replace(inside=True, scroll=0), _on_page(state.page)
    step = {"up": -1, "down": 1, "home": -len(names), "end": len(names)}.get(key)
    if step is None or state.selected not in names:
        return state, None
    at = max(0, min(len(names) - 1, names.index(state.selected) + step))
    return state._replace(selected=names[at]), None


def _on_page(page: int) -> Action | None:
    return Action("stack") if PAGES[page] == "stack" else None


def _inside(state: State, key: str, rows: int, scroll_max: int) -> Pressed:
    if key in ("escape", "q", "backspace"):
        return state._replace(inside=False, scroll=0, tracing=False), None
    if key in ("left", "right", "tab") or (key.isdigit() and 1 <= int(key) <= len(PAGES)):
        step = -1 if key == "left" else 1
        page = int(key) - 1 if key.isdigit() else (state.page + step) % len(PAGES)
        return state._replace(page=page, scroll=0, tracing=False), _on_page(page)
    if key in ("enter", " "):
        return state, _on_page(state.page)
    down = {"up": -1, "down": 1, "pageup": -rows, "pagedown": rows, "home": -scroll_max, "end": scroll_max}.get(key, 0)
    down = -down if state.page_name in ("log", "trace") else down  # these grow at the end, and stand there
    return state._replace(scroll=max(0, min(scroll_max, state.scroll + down))), None


# ---- orders ----


def _open(state: State, verb: str, view: View) -> Pressed:
    actor = next((actor.now for actor in view.actors if actor.now.name == state.selected), None)
    if actor is None or actor.kind in ("supervisor", "zygote"):
        return state._replace(notice=(f"{state.selected} cannot be told to {verb}", "warn")), None
    if verb == "trace":
        plan = (f"show what {actor.name} takes: types, from, size, age; 100 a second at most",)
        return state._replace(dialog=Dialog(verb, actor.name, plan)), None
    if verb == "scale":
        return state._replace(dialog=Dialog(verb, actor.kind)), None
    dialog = Dialog(verb, actor.name, asked=True)
    return state._replace(dialog=dialog), _plan(dialog)


def _plan(dialog: Dialog) -> Action:
    return Action("plan", dialog.verb, {**dialog.args(), "dry_run": True})


def _answer(state: State, dialog: Dialog, key: str) -> Pressed:
    if key in ("escape", "n", "q"):
        return state._replace(dialog=None, notice=(f"{dialog.verb}: nothing was done", "dim")), None
    if dialog.verb == "scale" and not dialog.asked:
        return _type(state, dialog, key)
    changed = None
    if key == "g" and dialog.verb == "restart":
        changed = dialog._replace(graceful=not dialog.graceful, plan=(), refused="")
    elif key == "f" and dialog.may_force:
        changed = dialog._replace(force=True, plan=(), refused="")
    if changed is not None:
        return state._replace(dialog=changed), _plan(changed)
    if key != "y" or not dialog.plan:
        return state, None
    if dialog.verb == "trace":
        page = PAGES.index("trace")
        return state._replace(dialog=None, inside=True, page=page, scroll=0, tracing=True), None
    notice = (f"{dialog.verb} {dialog.actor}: under way", "warn")
    return state._replace(dialog=None, notice=notice), Action("order", dialog.verb, dialog.args())


def _type(state: State, dialog: Dialog, key: str) -> Pressed:
    if key == "enter" and dialog.typed:
        dialog = dialog._replace(asked=True)
        return state._replace(dialog=dialog), _plan(dialog)
    if key.isdigit() and len(key) == 1:
        dialog = dialog._replace(typed=(dialog.typed + key)[:SCALE_DIGITS])
    elif key == "backspace":
        dialog = dialog._replace(typed=dialog.typed[:-1])
    return state._replace(dialog=dialog), None


def planned(state: State, action: Action, plan: Sequence[str]) -> State:
    """The member has said what it would do. NB: an answer to a dialog that is not open any more changes nothing."""
    if state.dialog is None or _plan(state.dialog) != action:
        return state
    return state._replace(dialog=state.dialog._replace(plan=tuple(plan)))


def refused(state: State, action: Action, why: str) -> State:
    """The member refuses an action. why: for the user"""
    if action.verb == "order":
        return state._replace(notice=(f"{action.order} {action.args.get('actor', '')}: {why}", "bad"))
    if state.dialog is None or _plan(state.dialog) != action:
        return state
    return state._replace(dialog=state.dialog._replace(refused=why))


def done(state: State, action: Action) -> State:
    """The member has carried out an order."""
    return state._replace(notice=(f"{action.order} {action.args.get('actor', '')}: done", "good"))
