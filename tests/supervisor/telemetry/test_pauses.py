"""A process that was paused on order goes on when its time is over, and only the very process that was paused."""

import os
import signal
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from supervisor.children.child import Child
from supervisor.telemetry.pauses import Pauses
from supervisor.tree import ChildSpec

pytestmark = pytest.mark.process


@pytest.fixture
def sleeper() -> Iterator[int]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process.pid
        process.kill()


def child(pid: int, incarnation: int) -> Child:
    found = Child(ChildSpec(name="wal", kind="actors.wal", stage=1), "wal", 0)
    found.pid, found.incarnation = pid, incarnation
    return found


def change(pid: int, options: int) -> Any:
    """What a wait for such a change of the process finds."""
    return os.waitid(os.P_PID, pid, options | os.WNOWAIT)


def test_a_paused_process_goes_on_when_its_time_is_over(sleeper: int) -> None:
    pauses = Pauses()
    pauses.begin(sleeper, 7, until=10.0)
    assert change(sleeper, os.WSTOPPED).si_status == signal.SIGSTOP
    pauses.end_due([child(sleeper, 7)], 9.9)
    assert sleeper in pauses and pauses.next_deadline() == 10.0
    pauses.end_due([child(sleeper, 7)], 10.0)
    assert change(sleeper, os.WCONTINUED) is not None
    assert sleeper not in pauses and pauses.next_deadline() is None


def test_a_pid_that_is_another_process_by_now_is_left_alone(sleeper: int) -> None:
    pauses = Pauses()
    pauses.begin(sleeper, 7, until=10.0)
    change(sleeper, os.WSTOPPED)
    pauses.end_due([child(sleeper, 8)], 10.0)
    assert sleeper not in pauses
    assert os.waitid(os.P_PID, sleeper, os.WCONTINUED | os.WNOHANG | os.WNOWAIT) is None, "nothing has continued it"
