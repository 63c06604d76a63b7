"""kill -9 of the whole member, and of its supervisor alone, under load."""

import itertools
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.process import damage
from tests.process.trial import Trial, wait_gone

pytestmark = [pytest.mark.process, pytest.mark.timeout(900)]

# Snapshots, flushes and released segments happen all the time, so that some moment falls into each.
FLAGS = ("--snapshot-count=700",)


def test_a_member_killed_at_random_moments_loses_nothing(make_trial: Callable[..., Trial], is_long: bool) -> None:
    trial = make_trial(*FLAGS)
    for number in range(30 if is_long else 1):
        with trial.load(big_one_in=10 if is_long else 50) as load:
            trial.random_moment(load)
            trial.crash(load)
        trial.member.start()
        print(f"round {number + 1}: {trial.verify()}")


def test_a_member_killed_while_it_recovers_loses_nothing(make_trial: Callable[..., Trial], is_long: bool) -> None:
    trial = make_trial(*FLAGS)
    for _ in range(8 if is_long else 1):
        with trial.load() as load:
            trial.random_moment(load)
            trial.crash(load)
        for _ in range(3 if is_long else 1):
            trial.member.start()
            trial.member.kill9()
        trial.member.start()
        print(trial.verify())


@pytest.mark.usefixtures("needs_actors")
def test_the_processes_of_a_killed_supervisor_end_at_once(make_trial: Callable[..., Trial], is_long: bool) -> None:
    trial = make_trial(*FLAGS)
    for number in range(10 if is_long else 1):
        with trial.load() as load:
            trial.random_moment(load)
            family = {process.pid for process in trial.member.processes()}
            assert len(family) > 4, "supervisor, zygote, and the actors"
            os.kill(trial.member.pid, signal.SIGKILL)
            assert wait_gone(family, timeout_s=60) == set(), "left behind by their supervisor"
        assert trial.member.wait() == -signal.SIGKILL
        trial.member.start()
        print(f"round {number + 1}: {trial.verify()}")


@pytest.mark.usefixtures("needs_actors")
def test_a_stopped_member_leaves_nothing_behind(make_trial: Callable[..., Trial]) -> None:
    trial = make_trial(*FLAGS)
    with trial.load() as load:
        trial.random_moment(load)
        family = {process.pid for process in trial.member.processes()}
        run_dir = _run_dir(trial)
        assert trial.member.stop() in (0, -signal.SIGTERM)
    assert wait_gone(family, timeout_s=0) == set()
    assert not run_dir.exists()
    trial.member.start()
    print(trial.verify())


@pytest.mark.usefixtures("needs_actors")
def test_no_marker_in_the_log_is_ahead_of_the_commit_index(make_trial: Callable[..., Trial]) -> None:
    """A marker that the hard state before it does not cover counts for nothing after a crash, and segments before it
    may be gone by then. Calls one by one: then the commit index is the last to reach the disk."""
    trial = make_trial("--snapshot-count=10")
    with trial.load(clients=1, channels=1) as load:
        load.wait_acknowledged(100)
    for number in range(5):  # each when its time has come, which is not after so many calls exactly
        before = damage.newest_snapshot(trial.member.data_dir)
        for call in itertools.count():
            trial.put(b"put/%d/%d" % (number, call))
            if damage.newest_snapshot(trial.member.data_dir) > before:
                break
    trial.member.kill9()
    seen = damage.markers(trial.member.data_dir)
    assert len(seen) > 4
    assert [marker for marker in seen if marker[0] > marker[1]] == []


def _run_dir(trial: Trial) -> Path:
    return Path(json.loads((trial.member.data_dir / "etcdz.json").read_text())["run_dir"])
