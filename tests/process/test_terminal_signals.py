"""What a terminal's keys send to the whole group of a member: ^\\ asks where it is and ends it, ^Z halts it."""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.etcd_process import RealEtcd
from tests.process.trial import Trial, wait_gone

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("needs_actors"), pytest.mark.timeout(60)]


def test_sigquit_writes_the_stacks_of_all_and_ends_the_member_with_gos_status(make_trial: Callable[..., Trial]) -> None:
    trial = make_trial()
    member = trial.member
    trial.put(b"k", b"1")
    actors, family = set(trial.actors()), {process.pid for process in member.processes()}
    os.killpg(member.pid, signal.SIGQUIT)
    assert member.wait() == 2
    lines = [json.loads(line) for line in member.log_path.read_text().splitlines() if line.startswith("{")]
    assert any(line["msg"] == "SIGQUIT: quit" and "runtime/loop.py" in line["stack"] for line in lines)
    stacks = {line["child"]: line["stack"] for line in lines if line["msg"] == "stacks of an actor"}
    assert set(stacks) == actors
    assert all("most recent call first" in stack and "run_actor" in stack for stack in stacks.values())
    assert wait_gone(family, timeout_s=5) == set()
    member.kill9()
    member.start()
    assert trial.get(b"k").count == 1


def test_a_member_that_is_stopped_by_the_terminal_goes_on_with_the_same_processes(
    make_trial: Callable[..., Trial],
) -> None:
    trial = make_trial()
    member = trial.member
    trial.put(b"k", b"1")
    before = {name: actor["pid"] for name, actor in trial.actors().items()}
    family = member.processes()
    os.killpg(member.pid, signal.SIGSTOP)  # the kernel drops a SIGTSTP that no shell could take back
    deadline = time.monotonic() + 10
    while any(process.status() != psutil.STATUS_STOPPED for process in family):
        assert time.monotonic() < deadline
    os.killpg(member.pid, signal.SIGCONT)
    trial.put(b"k", b"2")
    assert trial.get(b"k").kvs[0].value == b"2"
    assert {name: actor["pid"] for name, actor in trial.actors().items()} == before


@pytest.mark.parity
@pytest.mark.skipif(RealEtcd.why_absent() is not None, reason=str(RealEtcd.why_absent()))
def test_etcd_ends_with_that_status_as_well(tmp_path: Path) -> None:
    with RealEtcd(tmp_path) as etcd:
        os.kill(etcd.pid, signal.SIGQUIT)
        assert etcd.wait() == 2
        assert "SIGQUIT: quit" in etcd.log_path.read_text()
