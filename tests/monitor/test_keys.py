"""What keys do: choices, pages, and orders that nothing but y carries out."""

import pytest

from etcdz.monitor.keys import PAGES, Action, State, done, planned, press, refused
from tests.monitor.samples import member

_, VIEW = member(3)


def pressed(state: State, *keys: str) -> tuple[State, Action | None]:
    """return the state, and the action of the last key"""
    action = None
    for key in keys:
        state, action = press(state, key, VIEW, rows=10, scroll_max=25)
    return state, action


def test_the_first_actor_is_chosen_and_the_ends_hold() -> None:
    assert pressed(State(), "x")[0].selected == "backend"
    assert pressed(State(), "end", "down")[0].selected == "listener-2"
    assert pressed(State(), "home", "up")[0].selected == "supervisor"
    assert pressed(State("gone"), "x")[0].selected == "backend"


def test_pages_go_round_and_escape_leads_back() -> None:
    state, _ = pressed(State("wal"), "enter", "left")
    assert state.page_name == PAGES[-1]
    assert pressed(state, "right")[0].page_name == PAGES[0]
    state, action = pressed(state, "5")
    assert state.page_name == "stack" and action == Action("stack")
    assert pressed(state, "escape")[0].page_name == ""
    assert pressed(State("gone", inside=True), "x")[0].selected == "gone", "it may come back"


def test_scrolling_stays_within_the_page_and_a_log_stands_at_its_end() -> None:
    state = State("wal", inside=True)
    assert pressed(state, "pagedown", "pagedown", "pagedown")[0].scroll == 25
    assert pressed(state, "down", "up", "up")[0].scroll == 0
    log = State("wal", inside=True, page=PAGES.index("log"))
    assert pressed(log, "pageup")[0].scroll == 10 and pressed(log, "pageup", "end")[0].scroll == 0


def test_an_order_is_planned_shown_and_given_only_after_y() -> None:
    state, action = pressed(State("wal"), "k")
    assert action == Action("plan", "kill", {"actor": "wal", "force": False, "dry_run": True})
    assert pressed(state, "y")[1] is None, "not before it has said what it would do"
    state = planned(state, action, ["send signal 9"])
    left, nothing = pressed(state, "n")
    assert left.dialog is None and nothing is None
    state, action = pressed(state, "y")
    assert action == Action("order", "kill", {"actor": "wal", "force": False}) and state.dialog is None
    assert done(state, action).notice == ("kill wal: done", "good")
    assert refused(state, action, "no").notice == ("kill wal: no", "bad")


def test_a_restart_may_be_graceful_and_late_answers_are_dropped() -> None:
    state, first = pressed(State("listener-1"), "r")
    state, second = pressed(state, "g")
    assert first is not None and second is not None and second.args["graceful"] is True
    assert planned(state, first, ["at once"]).dialog == state.dialog
    state, action = pressed(planned(state, second, ["start a successor"]), "y")
    assert action == Action("order", "restart", {"actor": "listener-1", "force": False, "graceful": True})


def test_only_what_may_be_forced_can_be() -> None:
    state, action = pressed(State("wal"), "k")
    assert action is not None
    assert pressed(refused(state, action, "it does not run"), "f")[1] is None
    state, forced = pressed(refused(state, action, "the member would end; --force does it"), "f")
    assert forced is not None and forced.args["force"] is True
    assert pressed(state, "escape")[0].dialog is None


def test_scale_takes_a_number_for_the_kind() -> None:
    state, action = pressed(State("listener-2"), "s", "1", "2", "3", "backspace", "enter")
    assert action == Action("plan", "scale", {"actor": "listener", "force": False, "count": 1, "dry_run": True})
    assert pressed(State("listener-2"), "s", "enter")[1] is None
    assert state.dialog is not None and state.dialog.asked


def test_a_trace_begins_after_y_and_ends_with_its_page() -> None:
    state, action = pressed(State("wal"), "t", "y")
    assert (state.page_name, state.tracing, action) == ("trace", True, None)
    assert not pressed(state, "left")[0].tracing


@pytest.mark.parametrize("name", ["supervisor"])
def test_what_is_no_actor_takes_no_orders(name: str) -> None:
    state, action = pressed(State(name), "k")
    assert action is None and state.dialog is None and "cannot" in state.notice[0]


def test_quit() -> None:
    assert pressed(State(), "q")[1] == Action("quit")
    assert pressed(State("wal"), "k", "^C")[1] == Action("quit"), "even out of a dialog"
    assert pressed(State("wal"), "?", "q") == (State("wal"), None), "any key ends the help"
