"""Actors misbehave only as ordered: dry runs do nothing, and what would end the member needs force."""

import os
import signal
from pathlib import Path

import pytest

from supervisor.control.socket import LATER
from supervisor.restart import Intensity
from tests.supervisor.fakes.member import FakeMember


@pytest.fixture
def member(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeMember:
    def no_kill(pid: int, signum: int) -> None:
        raise AssertionError(f"signal {signum} for {pid}")

    monkeypatch.setattr(os, "kill", no_kill)
    return FakeMember(tmp_path, intensity=Intensity(0, 1.0))


def test_an_action_that_there_is_not_is_refused(member: FakeMember) -> None:
    assert member.refusal("chaos", action="explode", actor="log") == (
        "no chaos 'explode'; there are: kill, pause, delay, fail, exhaust"
    )


@pytest.mark.parametrize("action", ["kill", "pause", "fail", "exhaust"])
def test_a_dry_run_does_nothing(member: FakeMember, action: str) -> None:
    told, _ = member.ask("chaos", action=action, actor="store", dry_run=True)
    assert (told["actor"], told["verb"], told["pid"], told["dry_run"]) == ("store", action, 100, True)
    assert member.queries == []


@pytest.mark.parametrize("action", ["kill", "fail", "exhaust"])
def test_what_would_end_the_member_needs_force(member: FakeMember, action: str) -> None:
    assert "one more restart of log would stop the member" in member.refusal("chaos", action=action, actor="log")
    assert member.refusal("chaos", action=action, actor="log", force=True, dry_run=True) == ""


def test_a_kill_is_a_signal(member: FakeMember, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda *signalled: sent.append(signalled))
    member.ask("chaos", action="kill", actor="store")
    assert sent == [(100, signal.SIGKILL)]


def test_a_pause_is_bounded_and_is_no_sign_of_a_hang(member: FakeMember, monkeypatch: pytest.MonkeyPatch) -> None:
    assert member.refusal("chaos", action="pause", actor="store", for_s=61) == "a pause may last 60 s at most"
    monkeypatch.setattr(os, "kill", lambda *signalled: None)
    member.ask("chaos", action="pause", actor="store")
    assert 100 in member.observations.pauses


def test_an_actor_that_ends_instead_of_answering_has_done_as_ordered(member: FakeMember) -> None:
    returned, asked = member.ask("chaos", action="fail", actor="store")
    assert returned is LATER and member.queries[0][1].verb == "fail"
    member.observations.queries.on_gone(100)
    assert asked.answers == [{"actor": "store", "verb": "fail", "pid": 100}]
    _, asked = member.ask("chaos", action="exhaust", actor="store")
    member.reply(1, False, "it has no memory cap")
    assert (asked.answers, asked.refusals) == ([], ["it has no memory cap"])
