"""A trace shows headers of frames as they are taken, no more of them than asked for, and counts the rest."""

from pathlib import Path
from typing import Any

import pytest

from etcdz.ipc.messages import Append, Query, Stop, Unknown
from etcdz.telemetry.flight import Recorder
from tests.supervisor.fakes.member import Asked, FakeMember


class Traced:
    """The log's flight recorder, and a trace of it."""

    def __init__(self, directory: Path) -> None:
        self.member = FakeMember(directory)
        self.recorder = Recorder(self.member.observations.on_spawn("log", 101))
        self.now = 0.0

    def trace(self, **args: Any) -> Asked:
        _, asked = self.member.ask("trace", **args)
        assert asked.pieces.pop(0) == {"frames": [], "held_back": 0}
        return asked

    def take(self, *messages: Any) -> None:
        """A frame that the log takes."""
        self.recorder.note(b"frame", list(messages), 5)

    def look(self) -> None:
        self.now += 1.0
        self.member.observations.look(self.now)


@pytest.fixture
def traced(tmp_path: Path) -> Traced:
    return Traced(tmp_path)


STOP, APPEND = Stop(1.0), Append(1, 1, 1, [], b"", True)


def types(asked: Asked) -> list[list[str]]:
    return [frame["types"] for piece in asked.pieces for frame in piece["frames"]]


def test_frames_from_now_on_are_shown_in_order(traced: Traced) -> None:
    traced.take(APPEND)
    asked = traced.trace()
    traced.take(STOP)
    traced.take(APPEND, STOP)
    traced.look()
    assert types(asked) == [["Stop"], ["Append", "Stop"]]
    assert {frame["to"] for frame in asked.pieces[0]["frames"]} == {"log"}


def test_queries_which_a_trace_causes_itself_are_shown_only_if_asked_for(traced: Traced) -> None:
    all_types, queries = traced.trace(), traced.trace(types=["Query"])
    traced.take(Query(1, "watched", {}))
    traced.take(Unknown(99))
    traced.look()
    assert (types(all_types), types(queries)) == ([["Unknown"]], [["Query"]])


def test_what_exceeds_the_rate_or_was_overwritten_is_counted(traced: Traced) -> None:
    asked = traced.trace(rate=3)
    for _ in range(600):
        traced.take(STOP)
    traced.look()
    assert len(types(asked)) == 3 and asked.pieces[0]["held_back"] == 597


def test_bad_arguments_are_refused(traced: Traced) -> None:
    assert "no actor 'nobody'" in traced.member.refusal("trace", actor="nobody")
    assert "no message Nonsense" in traced.member.refusal("trace", types=["Nonsense"])
    assert "rate must be between" in traced.member.refusal("trace", rate=10**6)


def test_a_trace_of_keys_asks_the_actors_and_begins_again_after_a_restart(traced: Traced) -> None:
    asked, member = traced.trace(actor="log", key_prefix="a"), traced.member
    traced.look()
    assert member.queries[0][1].verb == "watch"
    member.reply(0, True, {})
    traced.look()
    assert member.queries[1][1] == Query(member.queries[1][1].id, "watched", {"after": 0})
    note = {"seq": 4, "type": "Append", "at_ns": 5, "keys": ["ab"], "more": 0}
    member.reply(1, True, {"notes": [note]})
    traced.look()
    assert asked.pieces[-1]["frames"][0]["keys"] == ["ab"]
    assert member.queries[2][1].args == {"after": 4}
    member.reply(2, False, "no watch")
    traced.look()
    assert member.queries[3][1].verb == "watch"


def test_a_trace_ends_when_its_client_is_gone(traced: Traced) -> None:
    asked = traced.trace()
    asked.is_gone = True
    traced.take(STOP)
    traced.look()
    traced.take(STOP)
    traced.look()
    assert len(asked.pieces) == 1
