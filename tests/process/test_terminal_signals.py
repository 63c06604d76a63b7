"""What a terminal's keys send: ^\\ asks a member where it is and ends it, ^Z halts its supervisor."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.etcd_process import RealEtcd
from tests.process.trial import Trial, wait_gone

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("needs_actors"), pytest.mark.timeout(120)]


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
    assert wait_gone(family, timeout_s=60) == set()
    member.kill9()
    member.start()
    assert trial.get(b"k").count == 1


def test_a_supervisor_that_is_halted_and_goes_on_has_lost_nothing(make_trial: Callable[..., Trial]) -> None:
    """NB: SIGSTOP, since the kernel drops a SIGTSTP where no shell could let it go on. The actors are in a process
    group of their own, which a terminal's keys do not reach."""
    trial = make_trial()
    member = trial.member
    before = {name: actor["pid"] for name, actor in trial.actors().items()}
    os.killpg(member.pid, signal.SIGSTOP)
    trial.put(b"k", b"1")
    os.killpg(member.pid, signal.SIGCONT)
    assert {name: actor["pid"] for name, actor in trial.actors().items()} == before
    assert trial.get(b"k").kvs[0].value == b"1"


@pytest.mark.parity
@pytest.mark.skipif(RealEtcd.why_absent() is not None, reason=str(RealEtcd.why_absent()))
def test_etcd_ends_with_that_status_as_well(tmp_path: Path) -> None:
    with RealEtcd(tmp_path) as etcd:
        os.kill(etcd.pid, signal.SIGQUIT)
        assert etcd.wait() == 2
        assert "SIGQUIT: quit" in etcd.log_path.read_text()
