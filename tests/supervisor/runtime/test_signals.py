"""Signals can be polled and none is missed; children are seen to end, halt and continue."""

import os
import select
import signal
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from supervisor.runtime.signals import Changed, Signals, changed_children

pytestmark = pytest.mark.process


@pytest.fixture
def signals() -> Iterator[Signals]:
    made = Signals()
    yield made
    made.restore()


def test_a_signal_makes_the_socket_readable_and_is_received_once(signals: Signals) -> None:
    def received() -> list[int]:
        """Without what is said of children that other tests have left."""
        return [signum for signum in signals.received() if signum != signal.SIGCHLD]

    assert received() == []
    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGINT)
    assert select.select([signals.fileno()], [], [], 60)[0]
    assert received() == [signal.SIGTERM, signal.SIGINT]
    assert received() == []


def test_restore_gives_the_handlers_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    made = Signals()
    assert signal.getsignal(signal.SIGTERM) is not before
    made.restore()
    assert signal.getsignal(signal.SIGTERM) is before


NOTHING = ([], [], [])


def about(pid: int, changed: Changed) -> tuple[list[tuple[int, int]], list[int], list[int]]:
    """Without what becomes of other children of the test process."""
    ended = [(found, status) for found, status in changed.ended if found == pid]
    return ended, [found for found in changed.halted if found == pid], [f for f in changed.continued if f == pid]


def test_children_that_halt_continue_and_end_are_seen(signals: Signals) -> None:
    child = subprocess.Popen(["sleep", "60"])
    for signum, expected in (
        (signal.SIGSTOP, ([], [child.pid], [])),
        (signal.SIGCONT, ([], [], [child.pid])),
        (signal.SIGKILL, ([(child.pid, -9)], [], [])),
    ):
        os.kill(child.pid, signum)
        found: Any = NOTHING
        while found == NOTHING:  # it may be another child of the test process that something is said of first
            assert select.select([signals.fileno()], [], [], 60)[0]
            assert signal.SIGCHLD in signals.received()
            found = about(child.pid, changed_children())
        assert found == expected
    assert about(child.pid, changed_children()) == NOTHING, "it is said once"
    child.returncode = -9
