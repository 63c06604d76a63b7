"""How the running member carries out what the lifecycle decides. A real zygote, no actors."""

import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from etcdz.ipc.boot import Boot, stack_path
from etcdz.ipc.messages import Roster, Stop
from etcdz.net.listen_sockets import ListenSockets
from supervisor.children.child import (
    AskToStop,
    DumpStacks,
    Forget,
    LogLine,
    PublishRoster,
    ReplaceZygote,
    Signal,
    Spawn,
)
from supervisor.processes.zygote import Caps
from supervisor.runtime import context
from supervisor.runtime.context import ACTIONS, Member
from supervisor.runtime.data_dir import DataDir
from supervisor.runtime.run_dir import RunDir
from supervisor.tree import ChildSpec

pytestmark = pytest.mark.process

GONE_PID = 1 << 22


class Watched:
    """A member whose spawns and messages are written down."""

    def __init__(
        self,
        data_dir: Path,
        run_dir: Path,
        monkeypatch: pytest.MonkeyPatch,
        tree: tuple[ChildSpec, ...] = (ChildSpec(name="wal", kind="json", stage=1, nice=3, options={"a": 1}),),
        **sockets: Any,
    ) -> None:
        self.run_dir = run_dir
        data = DataDir(data_dir, 0, 10, RunDir(run_dir))
        self.member = Member({"data_dir": str(data_dir)}, tree, data, **sockets)
        self.spawned: list[tuple[Any, ...]] = []
        self.sent: list[tuple[int, Any]] = []
        monkeypatch.setattr(self.member.spawner, "spawn", lambda *args: self.spawned.append(args))
        monkeypatch.setattr(self.member.links, "send", lambda *sent: self.sent.append(sent))


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    with tempfile.TemporaryDirectory(prefix="run-") as path:
        made = Watched(tmp_path, Path(path), monkeypatch)
        yield made
        made.member.close()


def test_every_action_is_carried_out_by_something() -> None:
    kinds = {Spawn, ReplaceZygote, AskToStop, DumpStacks, Signal, PublishRoster, Forget, LogLine}
    assert set(ACTIONS) == kinds


def test_a_new_process_is_told_what_its_child_spec_says(watched: Watched) -> None:
    watched.member.do(watched.member.lifecycle.begin(0.0))
    ((boot, module, caps, fds),) = watched.spawned
    assert isinstance(boot, Boot) and (boot.name, boot.incarnation, boot.options) == ("wal", 11, {"a": 1})
    assert boot.endpoint == f"ipc://{watched.run_dir}/wal.11" and boot.roster == []
    assert (module, caps, fds) == ("json", Caps(3, None), [])
    assert Path(boot.flight).exists(), "its flight recorder"


def test_sockets_for_clients_and_for_other_members_go_to_different_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = (
        ChildSpec(name="server", kind="json", stage=1, listen_sockets=True),
        ChildSpec(name="peer", kind="json", stage=1, peer_sockets=True),
        ChildSpec(name="wal", kind="json", stage=1),
    )
    with (
        tempfile.TemporaryDirectory(prefix="run-") as path,
        socket.socket() as clients,
        socket.socket() as members,
    ):
        sockets = {"listen_sockets": [ListenSockets("c", (clients,))], "peer_sockets": [ListenSockets("m", (members,))]}
        watched = Watched(tmp_path, Path(path), monkeypatch, tree, **sockets)
        watched.member.do(watched.member.lifecycle.begin(0.0))
        handed = {boot.name: (boot.listen_sockets, fds) for boot, _, _, fds in watched.spawned}
        assert handed["server"] == ([("c", 1)], [clients.fileno()])
        assert handed["peer"] == ([("m", 1)], [members.fileno()])
        assert handed["wal"] == ([], [])
        watched.member.close()


def test_a_spawn_that_was_overtaken_is_none(watched: Watched) -> None:
    watched.member.do([Spawn("wal", 99)])
    assert watched.spawned == []


def test_a_ready_actor_stands_in_the_roster_that_it_is_sent(watched: Watched) -> None:
    member = watched.member
    member.do(member.lifecycle.begin(0.0))
    member.do(member.lifecycle.on_spawned("wal", 11, GONE_PID, 0.0))
    member.do(member.lifecycle.on_ready("wal", 11, {}, 0.0))
    assert watched.sent == [(11, Roster(1, [("wal", "json", 0, 11, f"ipc://{watched.run_dir}/wal.11")]))]
    member.do([AskToStop("wal", 11, 5.0)])
    assert watched.sent[1:] == [(11, Stop(5.0))]


def test_signals_for_processes_that_are_gone_are_no_error(watched: Watched) -> None:
    watched.member.do([Signal(GONE_PID, 9), DumpStacks("wal", 11, GONE_PID)])


def test_the_files_of_a_dead_process_go_after_its_stacks_were_logged(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[dict[str, Any]] = []
    monkeypatch.setattr(context, "log", SimpleNamespace(error=lambda msg, **fields: logged.append(fields)))
    stack = Path(stack_path(watched.member.links.endpoint_of("wal", 11)))
    stack.write_text("where it was")
    watched.member.do([Forget("wal", 11)])
    assert watched.member.worker.finish(60.0)
    assert not stack.exists() and [fields["stack"] for fields in logged] == ["where it was"]


def test_what_is_logged_of_actors_is_an_event(watched: Watched) -> None:
    watched.member.do([LogLine("info", "actor is ready", {"child": "wal"})])
    assert [(event["msg"], event["child"]) for event in watched.member.events.kept] == [("actor is ready", "wal")]
