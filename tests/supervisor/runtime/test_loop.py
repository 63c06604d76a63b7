"""What the loop makes of frames: garbage and messages of newer code do not end the member, and are logged."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgpack
import pytest
import zmq

from etcdz.ipc.messages import Applied, Fault, Heartbeat, Ready, Removed, encode_frame
from supervisor.children.child import AskToStop
from supervisor.runtime import loop as loop_module
from supervisor.runtime.host_process import NO_HOST, HostProcess
from supervisor.runtime.links import Links
from supervisor.runtime.loop import Loop
from tests.supervisor.fakes.member import FakeMember


class Heard:
    """A loop around a member without processes, and an actor that talks to it."""

    def __init__(self, data_dir: Path, run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.context: zmq.Context[Any] = zmq.Context()
        self.errors: list[tuple[str, dict[str, Any]]] = []
        log = SimpleNamespace(error=lambda msg, **fields: self.errors.append((msg, fields)), debug=lambda *a, **f: None)
        monkeypatch.setattr(loop_module, "log", log)
        self.member = FakeMember(data_dir)
        self.links = Links(self.context, run_dir, 1)
        self.server = self.context.socket(zmq.ROUTER)
        member: Any = self.member
        member.links = self.links
        signals: Any = SimpleNamespace(fileno=self.server.fileno)
        server: Any = SimpleNamespace(socket=self.server)
        self.loop = Loop(member, signals, server, HostProcess(NO_HOST))
        self.actor = self.context.socket(zmq.PUSH)
        self.actor.connect(self.links.endpoint)

    def hear(self, frame: bytes) -> None:
        self.actor.send(frame)
        assert self.links.mailbox.poll(60_000)
        for message in self.loop._messages():
            self.loop._on_message(message, 1.0)

    def close(self) -> None:
        self.links.close()
        self.actor.close(linger=0)
        self.server.close(linger=0)
        self.context.term()


@pytest.fixture
def heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Heard]:
    with tempfile.TemporaryDirectory(prefix="run-") as path:
        made = Heard(tmp_path, Path(path), monkeypatch)
        yield made
        made.close()


def test_a_frame_that_is_none_is_dropped_and_seen(heard: Heard) -> None:
    heard.hear(b"\xc1 garbage")
    assert [msg for msg, _ in heard.errors] == ["dropped a frame that no actor of any version sends"]


def test_a_message_of_newer_code_is_skipped_and_said_once_for_each_tag(heard: Heard) -> None:
    for tag in (99, 99, 100):
        heard.hear(msgpack.packb([[tag, ["new"]]]))
    assert [fields["tag"] for _, fields in heard.errors] == [99, 100]


def test_a_message_that_is_not_for_the_supervisor_is_seen(heard: Heard) -> None:
    heard.hear(encode_frame([Applied(1, 1)]))
    assert heard.errors == [("dropped a message that is not for the supervisor", {"type": "Applied"})]


def test_a_heartbeat_that_says_more_than_this_version_knows_counts(heard: Heard) -> None:
    beat = [*Heartbeat("log", 101, 5, 0, 0, 0, {"calls": 1}, {}), "new"]
    heard.hear(msgpack.packb([[4, beat]]))
    found = heard.member.observations.heartbeats.last(101)
    assert found is not None and found.handled == 5 and heard.errors == []
    assert heard.member.lifecycle.children["log"].heard_at == 1.0


def test_a_ready_of_a_dead_incarnation_makes_no_link(heard: Heard) -> None:
    heard.hear(encode_frame([Ready("log", 7, {})]))
    assert heard.links._sockets == {} and heard.member.done == []


def test_a_fatal_fault_stops_the_member(heard: Heard) -> None:
    heard.hear(encode_frame([Fault("log", 101, True, "corrupt")]))
    assert heard.member.lifecycle.failure == "log: corrupt"
    assert [type(action) for action in heard.member.done] == [AskToStop, AskToStop]


def test_a_member_that_was_removed_stops_and_has_not_failed(heard: Heard) -> None:
    for _ in range(2):
        heard.hear(encode_frame([Removed("log", 101, "removed")]))
    assert heard.member.lifecycle.stopping and heard.member.lifecycle.failure == ""
    assert [type(action) for action in heard.member.done] == [AskToStop, AskToStop]
