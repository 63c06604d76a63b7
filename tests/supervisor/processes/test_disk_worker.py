"""Work that touches a disk is done elsewhere: the loop hands it out, never waits, and hears what came of it."""

import select
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from supervisor.processes import disk_worker
from supervisor.processes.disk_worker import STALL_S, WAITING_MAX, DiskWorker


class Frozen:
    """A worker with a disk that takes nothing until it is thawed."""

    def __init__(self) -> None:
        self.worker = DiskWorker()
        self.found: list[Any] = []
        self._thawed, self._begun = threading.Event(), threading.Event()
        self.worker.submit(self._wait, self.found.append)
        self._begun.wait(60)

    def _wait(self) -> str:
        self._begun.set()
        assert self._thawed.wait(60)
        return "thawed"

    def thaw(self) -> None:
        self._thawed.set()


@pytest.fixture
def frozen() -> Iterator[Frozen]:
    made = Frozen()
    yield made
    made.thaw()


def test_work_is_done_in_order_and_handed_out_by_a_look(frozen: Frozen) -> None:
    def fail() -> None:
        raise OSError("no")

    worker, found = frozen.worker, frozen.found
    worker.submit(lambda: 2, found.append)
    worker.submit(fail, lambda error: found.append(str(error)))
    worker.look(0.0)
    assert found == []
    frozen.thaw()
    select.select([worker.fileno()], [], [], 60)
    assert worker.finish(60.0)
    assert found == ["thawed", 2, "no"]
    assert select.select([worker.fileno()], [], [], 0) == ([], [], [])


def test_what_there_is_no_room_for_is_dropped_and_counted(frozen: Frozen) -> None:
    worker = frozen.worker
    taken = [worker.submit(lambda: None) for _ in range(WAITING_MAX + 3)]
    assert taken == [True] * WAITING_MAX + [False] * 3
    assert worker.dropped == 3


def test_a_disk_that_does_not_answer_is_told_of_once(frozen: Frozen, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(disk_worker, "log", type("Log", (), {"warn": lambda self, msg, **fields: told.append(msg)})())
    due = frozen.worker.next_deadline()
    assert due is not None
    frozen.worker.look(due - STALL_S)
    assert told == []
    for now in (due + 1, due + 2):
        frozen.worker.look(now)
    assert len(told) == 1 and frozen.worker.next_deadline() is None


def test_the_end_waits_for_a_frozen_disk_only_so_long(frozen: Frozen) -> None:
    frozen.worker.submit(lambda: frozen.found.append("never"))
    frozen.worker.close(0.01)
    frozen.thaw()
    assert frozen.found == []
