"""An order is answered when it is done, or cannot be any more. No processes."""

from pathlib import Path

import pytest

from etcdz.ipc.messages import Heartbeat
from supervisor.children.child import AskToStop, Spawn
from supervisor.control.order_verbs import DRAINED_S
from supervisor.control.socket import LATER
from tests.supervisor.children.samples import start_incarnation
from tests.supervisor.fakes.member import Asked, FakeMember


@pytest.fixture
def member(tmp_path: Path) -> FakeMember:
    return FakeMember(tmp_path)


def look(member: FakeMember, asked: Asked, now: float = 2.0) -> list[str]:
    """What it was answered or refused with: ["done"], or the reason; [] for nothing yet."""
    member.operator.look(now)
    return ["done" for answer in asked.answers if answer["done"]] + asked.refusals


def test_a_graceful_restart_is_done_when_the_one_before_has_left(member: FakeMember) -> None:
    returned, asked = member.ask("restart", actor="server-1", graceful=True)
    assert returned is LATER and member.done == [Spawn("server-1", 104)]
    start_incarnation(member.lifecycle, "server-1", 104, 1.0)
    assert look(member, asked) == []
    member.lifecycle.on_exit(102, 0, 1.5)
    assert look(member, asked) == ["done"]
    assert [actor["incarnation"] for actor in asked.answers[0]["actors"]] == [104]
    assert look(member, asked) == ["done"], "it is answered once"


def test_a_successor_that_fails_is_the_reason_of_the_refusal(member: FakeMember) -> None:
    _, asked = member.ask("restart", actor="server-1", graceful=True)
    member.lifecycle.on_spawned("server-1", 104, 104, 1.0)
    member.lifecycle.on_exit(104, 1, 1.1)
    assert look(member, asked) == ["its successor did not become ready, server-1 goes on as before"]


def test_a_drain_is_done_when_the_last_client_has_gone(member: FakeMember) -> None:
    _, asked = member.ask("drain", actor="server-1")
    assert look(member, asked) == []
    for drained in (False, True):
        beat = Heartbeat("server-1", 102, 0, 0, 0, 0, {"drained": drained}, {})
        member.observations.on_heartbeat(beat, 2.0)
        assert look(member, asked) == (["done"] if drained else [])


def test_an_order_that_takes_too_long_and_one_that_a_stop_overtakes_are_refused(member: FakeMember) -> None:
    _, slow = member.ask("drain", actor="server-1")
    assert "not done within" in look(member, slow, 1e9 + DRAINED_S)[0]
    _, overtaken = member.ask("restart", actor="log")
    member.lifecycle.stop(3.0)
    assert look(member, overtaken) == ["the member stops"]


def test_an_upgrade_waits_for_the_code_and_changes_nothing_if_that_is_refused(member: FakeMember) -> None:
    _, asked = member.ask("restart", actor="log", upgrade=True)
    assert member.done == []
    assert member.refusal("restart", actor="log", upgrade=True) == "an upgrade is under way already"
    (renewed, _) = member.renewals
    renewed("Stop: the field x was removed")
    assert asked.refusals == ["the code on disk cannot be run, nothing was changed: Stop: the field x was removed"]
    assert member.done == []
    renewed("")
    assert member.done == [AskToStop("log", 101, 5.0)]


def test_an_upgrade_of_what_cannot_be_restarted_is_refused_before_code_is_read(member: FakeMember) -> None:
    assert "no actor nobody" in member.refusal("restart", actor="nobody", upgrade=True)
    assert member.renewals == []


def test_what_was_ordered_is_an_event(member: FakeMember) -> None:
    member.ask("restart", actor="log")
    (event,), _ = member.ask("events")
    assert (event["msg"], event["child"], event["order"]) == ("order", "log", "restart")
