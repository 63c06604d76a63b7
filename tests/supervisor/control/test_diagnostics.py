"""Verbs that look into one actor: what is known outside, what it says itself, and what happens if it does not."""

from pathlib import Path

import pytest

from etcdz.telemetry.flight import Recorder
from supervisor.control import diagnostics
from supervisor.control.socket import LATER
from supervisor.telemetry.queries import ANSWER_S
from tests.supervisor.fakes.member import FakeMember


@pytest.fixture
def member(tmp_path: Path) -> FakeMember:
    return FakeMember(tmp_path)


@pytest.mark.parametrize("verb", ["inspect", "logs", "stack"])
def test_an_actor_that_is_not_there_or_does_not_run_is_named(member: FakeMember, verb: str) -> None:
    assert "no actor 'nobody'; there are: store, log" in member.refusal(verb, actor="nobody")
    member.lifecycle.stop_actor("log", 1.0)
    member.lifecycle.on_exit(101, 0, 1.0)
    assert member.refusal(verb, actor="log") == "log does not run: it is stopped"


def test_inspect_tells_what_the_actor_says_or_why_it_says_nothing(member: FakeMember) -> None:
    returned, asked = member.ask("inspect", actor="log")
    assert returned is LATER and member.queries[0][0] == 101
    member.reply(0, True, {"term": 3})
    assert (asked.answers[0]["answered"], asked.answers[0]["inside"]) == (True, {"term": 3})
    assert asked.answers[0]["actor"]["name"] == "log"
    _, asked = member.ask("inspect", actor="log")
    member.observations.queries.expire(1e12)
    assert asked.answers[0]["answered"] is False
    assert asked.answers[0]["why_not"] == f"log did not answer within {ANSWER_S:g} s"


def test_logs_are_followed_over_a_restart_until_the_client_is_gone(member: FakeMember) -> None:
    def speak(incarnation: int, line: bytes) -> None:
        Recorder(member.observations.on_spawn("log", incarnation)).log(line)

    speak(101, b"one\n")
    returned, asked = member.ask("logs", actor="log", follow=True)
    assert returned is LATER and asked.pieces == [{"lines": ["one"]}]
    member.lifecycle.on_exit(101, -9, 1.0)
    speak(member.lifecycle.children["log"].incarnation, b"two\n")
    member.observations.look(10.0)
    assert asked.pieces[1:] == [{"lines": ["two"]}]
    member.observations.look(20.0)
    assert len(asked.pieces) == 2, "nothing new is no piece"
    asked.is_gone = True
    speak(member.lifecycle.children["log"].incarnation, b"three\n")
    member.observations.look(30.0)
    assert member.observations.next_deadline() is None


def test_a_log_level_is_checked_and_told_to_the_actor(member: FakeMember) -> None:
    assert "no level 'loud'" in member.refusal("loglevel", actor="log", level="loud")
    assert member.refusal("loglevel", actor="log", level="debug", for_s=-1) == "a time must not be negative"
    told, _ = member.ask("loglevel", actor="log", level="debug", dry_run=True)
    assert told == {"actor": "log", "verb": "loglevel", "level": "debug", "for_s": 0.0, "dry_run": True}
    assert member.queries == []
    _, asked = member.ask("loglevel", actor="log", level="debug", for_s=5)
    assert member.queries[0][1].args == {"level": "debug", "for_s": 5.0}
    member.reply(0, False, "no")
    assert asked.refusals == ["no"]


def test_what_the_kernel_says_of_a_process_is_read(tmp_path: Path) -> None:
    assert diagnostics.kernel_state(1 << 22) == "gone"
    assert diagnostics.kernel_state(1).partition(" ")[0] in "SRDI"
    assert not diagnostics.catches(1 << 22, 12)
