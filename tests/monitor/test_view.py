"""Samples become rates, history and events; a view fits its terminal."""

import pytest

from etcdz.monitor.sample import read_sample
from etcdz.monitor.screen import texts
from etcdz.monitor.view import HISTORY, History, sparkline
from tests.monitor.samples import row, sample


def test_rates_come_of_two_heartbeats_of_one_incarnation() -> None:
    history = History()
    first = history.feed(sample(10.0, row("raft", 10, {"Propose": 100})))
    assert first.actors[1].in_per_s is None
    second = history.feed(sample(12.0, row("raft", 12, {"Propose": 300, "Applied": 10})))
    assert second.actors[1].in_by_type == {"Propose": 100.0, "Applied": 5.0}
    assert (second.actors[1].in_per_s, second.actors[1].out_per_s) == (105.0, 2.0)
    again = history.feed(sample(12.5, row("raft", 12, {"Propose": 300, "Applied": 10}, heartbeat_age_s=0.75)))
    assert again.actors[1].in_per_s == 105.0, "no new heartbeat, no new rate"
    restarted = history.feed(sample(13.0, row("raft", 13, {"Propose": 5}, incarnation=2)))
    assert restarted.actors[1].in_per_s is None


def test_the_flow_adds_up_all_actors_of_a_kind() -> None:
    history = History()
    for at_s, count in ((1.0, 0), (2.0, 50)):
        listeners = [row(f"listener-{n}", at_s, {"Replies": count}, kind="listener") for n in (1, 2)]
        view = history.feed(sample(at_s, row("raft", at_s, {"Propose": 2 * count}), *listeners))
    flow = {(edge.source, edge.target): edge.per_s for edge in view.flow}
    assert flow["listener", "raft"] == 100.0 and flow["backend", "listener"] == 100.0
    assert flow["raft", "wal"] is None, "no wal was seen yet"


def test_restarts_states_errors_and_silence_are_events() -> None:
    history = History()
    history.feed(sample(1.0, row("wal", 1, {}), row("listener-2", 1, {})))
    exit = {"reason": "was killed by signal 9"}
    history.feed(sample(2.0, row("wal", 2, {}, incarnation=2, state="starting", last_exit=exit)))
    history.lost(3.0, "did not answer")
    view = history.feed(sample(4.0, row("wal", 4, {}, incarnation=2, last_error={"msg": "disk"}, last_exit=exit)))
    assert [event[:3] for event in view.events] == [
        (2.0, "wal", "was started again: was killed by signal 9"),
        (2.0, "wal", "ready -> starting"),
        (2.0, "listener-2", "is gone"),
        (3.0, "member", "did not answer"),
        (4.0, "member", "answers again"),
        (4.0, "wal", "starting -> ready"),
        (4.0, "wal", "error: disk"),
    ]


def test_an_actor_of_which_little_is_known_is_shown_all_the_same() -> None:
    bare = read_sample({"actors": [{"name": "raft"}], "supervisor": {"name": "supervisor", "pid": 1}}, 1.0)
    view = History().feed(bare)
    assert [actor.now.name for actor in view.actors] == ["supervisor", "raft"]
    assert view.actors[1].in_per_s is None
    assert any("raft" in line for line in texts("t", view, 80, 24))


def test_history_is_bounded() -> None:
    history = History()
    for at_s in range(HISTORY + 10):
        view = history.feed(sample(float(at_s), row("raft", at_s, {"Propose": at_s * 10})))
    assert len(view.actors[1].rate) == HISTORY and view.actors[1].rate[-1] == 10.0


@pytest.mark.parametrize(("width", "height"), [(80, 24), (160, 50), (40, 10), (1, 1)])
def test_a_view_fits_its_terminal(width: int, height: int) -> None:
    history = History()
    for at_s in range(1, 30):
        rows = [row(f"listener-{n}", at_s, {"Replies": at_s * 10**7}, incarnation=at_s // 3) for n in range(4)]
        view = history.feed(sample(float(at_s), row("raft", at_s, {"Propose": at_s * 1000}), *rows))
    found = texts("member default", view, width, height)
    if width == 80:
        assert found[1] == "clients ─▶ listener ─▶ wal ─▶ backend ─40.0M─▶ listener ─▶ clients", "rates where known"
    assert len(found) <= height and all(len(line) <= width for line in found)
    if width >= 80:
        (raft,) = [line for line in found if " raft " in line and "ready" in line]
        assert raft.split()[1:9] == ["raft", "ready", "12.5", "36M", "3", "1.2ms", "1000", "2"]


def test_a_sparkline_is_as_wide_as_asked_and_as_high_as_its_greatest() -> None:
    assert sparkline([0, 1, 4, 8], 6) == "   ▁▄█"
    assert sparkline([1, 2, 3], 2) == "▅█"
    assert sparkline([1, 2], 2, most=4) == "▂▄"
    assert sparkline([], 3) == "   " and sparkline([1], 0) == ""


def test_a_new_member_is_one_event() -> None:
    history = History()
    history.feed(sample(1.0, row("raft", 1, {})))
    supervisor = {"name": "supervisor", "pid": 2}
    view = history.feed(read_sample({"supervisor": supervisor, "actors": [row("raft", 2, {}, incarnation=9)]}, 2.0))
    assert [event.name for event in view.events] == ["member"]


def test_silence_is_one_event_and_what_was_stays() -> None:
    history = History()
    history.feed(sample(1.0, row("raft", 1, {})))
    for at_s in (2.0, 3.0):
        view = history.lost(at_s, "did not answer")
    assert [event.text for event in view.events] == ["did not answer"]
    assert view.lost and len(view.actors) == 2 and view.at_s == 3.0
    assert not history.feed(sample(4.0, row("raft", 4, {}))).lost


def test_what_the_supervisor_remembers_comes_first() -> None:
    history = History()
    told = [{"time": 95.0, "level": "warn", "msg": "actor has ended", "child": "wal", "reason": "signal 9"}]
    history.recall(10.0, told, now=100.0)
    assert [event[:4] for event in history.events] == [(5.0, "wal", "signal 9", "warn")]
