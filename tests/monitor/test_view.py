"""Samples become rates, history and events; a view fits its terminal."""

from typing import Any

import pytest

from etcdz.monitor.sample import Sample, read_sample
from etcdz.monitor.text import lines
from etcdz.monitor.view import HISTORY, History, sparkline


def row(name: str, at_s: float, received: dict[str, int], **changes: Any) -> dict[str, Any]:
    """An actor as ps shows it, whose last heartbeat came 0.25 s before."""
    beat = {"statistics": {"received": received, "sent": {"Append": 2 * at_s}}, "summary": {}}
    whole = {
        "name": name,
        "kind": name.partition("-")[0],
        "pid": 7,
        "incarnation": 1,
        "state": "ready",
        "cpu_percent": 12.5,
        "rss_bytes": 36 << 20,
        "mailbox_depth": 3,
        "oldest_us": 1200,
        "turn_us": {"count": 4, "p50": 50, "p99": 900, "max": 1000},
        "heartbeat_age_s": 0.25,
        "heartbeat": beat,
    }
    return {**whole, **changes}


def sample(at_s: float, *rows: dict[str, Any]) -> Sample:
    return read_sample({"actors": rows}, at_s)


def test_rates_come_of_two_heartbeats_of_one_incarnation() -> None:
    history = History()
    first = history.feed(sample(10.0, row("raft", 10, {"Propose": 100})))
    assert first.actors[0].in_per_s is None
    second = history.feed(sample(12.0, row("raft", 12, {"Propose": 300, "Applied": 10})))
    assert second.actors[0].in_by_type == {"Propose": 100.0, "Applied": 5.0}
    assert (second.actors[0].in_per_s, second.actors[0].out_per_s) == (105.0, 2.0)
    again = history.feed(sample(12.5, row("raft", 12, {"Propose": 300, "Applied": 10}, heartbeat_age_s=0.75)))
    assert again.actors[0].in_per_s == 105.0, "no new heartbeat, no new rate"
    restarted = history.feed(sample(13.0, row("raft", 13, {"Propose": 5}, incarnation=2)))
    assert restarted.actors[0].in_per_s is None


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
    assert [(event.at_s, event.name, event.text) for event in view.events] == [
        (2.0, "wal", "was started again: was killed by signal 9"),
        (2.0, "wal", "ready -> starting"),
        (2.0, "listener-2", "is gone"),
        (3.0, "member", "did not answer"),
        (4.0, "wal", "starting -> ready"),
        (4.0, "wal", "error: disk"),
    ]


def test_an_actor_of_which_little_is_known_is_shown_all_the_same() -> None:
    bare = read_sample({"actors": [{"name": "raft"}], "supervisor": {"name": "supervisor", "pid": 1}}, 1.0)
    view = History().feed(bare)
    assert [actor.now.name for actor in view.actors] == ["supervisor", "raft"]
    assert view.actors[1].in_per_s is None
    assert any(line.startswith("raft") for line in lines(view, "t", 80, 24))


def test_history_is_bounded() -> None:
    history = History()
    for at_s in range(HISTORY + 10):
        view = history.feed(sample(float(at_s), row("raft", at_s, {"Propose": at_s * 10})))
    assert len(view.actors[0].rate) == HISTORY and view.actors[0].rate[-1] == 10.0


@pytest.mark.parametrize(("width", "height"), [(80, 24), (160, 50), (40, 10), (1, 1)])
def test_a_view_fits_its_terminal(width: int, height: int) -> None:
    history = History()
    for at_s in range(1, 30):
        rows = [row(f"listener-{n}", at_s, {"Replies": at_s * 10**7}, incarnation=at_s // 3) for n in range(4)]
        view = history.feed(sample(float(at_s), row("raft", at_s, {"Propose": at_s * 1000}), *rows))
    found = lines(view, "member default", width, height)
    if width == 160:
        assert found[1] == "clients -> listener -> wal -> backend -40.0M-> listener", "rates where known"
    assert len(found) <= height and all(len(line) <= width for line in found)
    if width >= 80:
        (raft,) = [line for line in found if line.startswith("raft  ")]
        assert raft.split()[:8] == ["raft", "ready", "12.5", "36M", "3", "1.2ms", "1000", "2"]


def test_a_sparkline_is_as_wide_as_asked_and_as_high_as_its_greatest() -> None:
    assert sparkline([0, 1, 4, 8], 6) == "   ▁▄█"
    assert sparkline([1, 2, 3], 2) == "▅█"
    assert sparkline([1, 2], 2, most=4) == "▂▄"
    assert sparkline([], 3) == "   " and sparkline([1], 0) == ""
