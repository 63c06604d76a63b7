"""What the dashboard says of a member: troubles, the worst first, and who is who."""

import json
from typing import Any

import pytest

from etcdz.monitor.page_state import EVENTS_SHOWN, LINE_POINTS, Identity, page_state
from etcdz.monitor.verdict import BAD, GOOD, WARN, Trouble, troubles_of, weight_of
from etcdz.monitor.view import History, View
from tests.monitor.samples import cluster_member, member, row, sample

IDENTITY = Identity(
    "a",
    "a1",
    "c1",
    "3.5.33",
    "3.5.0",
    [("a1", "a", ["http://a:1"], False), ("b2", "b", [], False), ("c3", "c", [], True)],
)


def view_of(**changes: Any) -> View:
    """Of a wal, after one sample."""
    return History().feed(sample(1.0, row("wal", 1.0, {}, **{"uptime_s": 9.0, **changes})))


def test_a_member_that_works_has_no_troubles() -> None:
    assert troubles_of(member()[1], []) == ()
    assert weight_of(()) == GOOD


@pytest.mark.parametrize(
    ("changes", "weight", "said"),
    [
        ({"state": "backoff", "last_exit": {"reason": "killed by signal 9"}}, BAD, "does not run (backoff): killed by"),
        ({"state": "starting"}, WARN, "is starting"),
        ({"restarts": 1, "last_exit": {"reason": "killed by signal 9"}}, WARN, "started again 9s ago: killed by"),
        ({"restarts": 1, "uptime_s": 601.0}, GOOD, ""),
        ({"fsync_us": {"count": 1, "p50": 1, "p99": 100_000}}, WARN, "the disk is slow: a sync takes 100ms"),
        ({"fsync_us": {"count": 1, "p50": 1, "p99": 99_999}}, GOOD, ""),
        ({"oldest_us": 1_500_000}, WARN, "messages have waited for 1.5s"),
    ],
)
def test_what_an_actor_lacks_is_said_of_it(changes: dict[str, Any], weight: str, said: str) -> None:
    troubles = troubles_of(view_of(**changes), [])
    assert weight_of(troubles) == weight
    assert all(trouble.about == "wal" and said in trouble.text for trouble in troubles)


def test_without_a_leader_or_with_an_alarm_it_is_not_well_and_that_comes_first() -> None:
    raft = {"statistics": {}, "summary": {"leader": "0", "term": 4}}
    view = History().feed(sample(1.0, row("raft", 1.0, {}, heartbeat=raft, state="starting")))
    assert troubles_of(view, ["NOSPACE"]) == (
        Trouble(BAD, "", "alarm NOSPACE is raised"),
        Trouble(BAD, "", "no leader: writes and linearizable reads wait"),
        Trouble(WARN, "raft", "is starting"),
    )
    assert page_state(view, IDENTITY, [])["member"]["role"] == "no leader"


def test_other_members_that_are_silent_or_far_behind_are_told_of() -> None:
    troubles = troubles_of(cluster_member(heard=False)[1], [])
    assert troubles == (Trouble(WARN, "b", "is not heard of: EOF"), Trouble(WARN, "c3", "is 70.0k entries behind"))


def test_the_loss_of_a_majority_is_worse_than_that_of_one() -> None:
    peers = {"statistics": {}, "summary": {"peers": [{"id": "b2", "name": "b"}, {"id": "c3", "name": "c"}]}}
    view = History().feed(sample(1.0, row("peer", 1.0, {}, heartbeat=peers)))
    assert [trouble.weight for trouble in troubles_of(view, [])] == [BAD, BAD]


def test_a_member_that_does_not_answer_is_lost() -> None:
    history, _ = member()
    view = history.lost(20.0, "the supervisor does not answer")
    assert troubles_of(view, [])[0] == Trouble(BAD, "", "the supervisor does not answer")


def test_the_page_is_told_all_of_it_as_json() -> None:
    history, view = cluster_member(LINE_POINTS + 40)
    for number in range(EVENTS_SHOWN + 5):
        history.note(view.at_s, "b", f"<b>{number}</b>", "warn")
    view = view._replace(events=history.events)
    state = json.loads(json.dumps(page_state(view, IDENTITY, [])))
    assert [one["role"] for one in state["members"]] == ["follower", "follower", "learner"]
    assert state["members"][0]["is_self"] and state["members"][0]["link"] is None
    assert state["members"][1]["link"]["to_per_s"] == 50_000
    assert state["events"][0] == {"ago_s": 0, "name": "b", "text": f"<b>{EVENTS_SHOWN + 4}</b>", "weight": "warn"}
    assert len(state["events"]) == EVENTS_SHOWN
    wal = next(actor for actor in state["actors"] if actor["name"] == "wal")
    assert (wal["in_per_s"], wal["fsync_p99_us"], wal["slow"], len(wal["rate"])) == (40, 2100, [], LINE_POINTS)
    assert {"from": "raft", "to": "wal", "per_s": 40, "types": ["Append"]} in state["flow"]
