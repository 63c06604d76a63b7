"""A round of stacks is over when all have written and are quiet; halted ones are not waited for without end."""

from pathlib import Path

import pytest

from etcdz.ipc.boot import STACK_SIGNAL, stack_path
from supervisor.children.child import Child, State
from supervisor.processes.disk_worker import DiskWorker
from supervisor.telemetry import stack_round
from supervisor.telemetry.observations import Observations
from supervisor.telemetry.stack_round import QUIET_S, WAIT_S, StackRound
from supervisor.tree import ChildSpec

NAMES = ("wal", "raft")


class Asked:
    """A round of two; signals: (pid, signal)"""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.signals: list[tuple[int, int]] = []
        monkeypatch.setattr(stack_round.os, "kill", lambda pid, signum: self.signals.append((pid, signum)))
        self._directory = directory
        children = [self._child(name, incarnation) for incarnation, name in enumerate(NAMES)]
        observations = Observations(
            str(directory), lambda: children, self._endpoint, lambda incarnation, query: None, DiskWorker()
        )
        self.write("wal", "of an earlier round\n")
        self.round = StackRound(observations, children, 10.0)

    def _child(self, name: str, incarnation: int) -> Child:
        child = Child(ChildSpec(name=name, kind=f"actors.{name}.actor", stage=1), name, 0)
        child.state, child.incarnation, child.pid = State.READY, incarnation, 100 + incarnation
        return child

    def _endpoint(self, name: str, incarnation: int) -> str:
        return f"ipc://{self._directory}/{name}.{incarnation}"

    def write(self, name: str, text: str) -> None:
        with Path(stack_path(self._endpoint(name, NAMES.index(name)))).open("a") as file:
            file.write(text)


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Asked:
    return Asked(tmp_path, monkeypatch)


def test_all_are_asked_and_waited_for_until_they_are_quiet(asked: Asked) -> None:
    assert asked.signals == [(100, STACK_SIGNAL), (101, STACK_SIGNAL)]
    asked.write("wal", "one\n")
    assert not asked.round.is_over(10.1)
    assert not asked.round.is_over(10.1 + 2 * QUIET_S), "raft has written nothing"
    asked.write("raft", "a\n")
    assert not asked.round.is_over(11.0)
    asked.write("raft", "b\n")
    assert not asked.round.is_over(11.0 + QUIET_S), "it goes on"
    assert asked.round.is_over(11.0 + 2 * QUIET_S)
    assert asked.round.texts() == {"wal": "one\n", "raft": "a\nb\n"}
    asked.round.forget()
    assert asked.round.texts() == {"wal": "", "raft": ""}


def test_one_that_writes_nothing_is_not_waited_for_without_end(asked: Asked) -> None:
    asked.write("wal", "one\n")
    assert not asked.round.is_over(10.0 + WAIT_S - 0.1)
    assert asked.round.is_over(10.0 + WAIT_S)
