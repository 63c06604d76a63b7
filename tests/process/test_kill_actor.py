"""kill -9 of one actor after the other, under load: the member goes on by itself."""

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from tests.process import damage
from tests.process.load import Load
from tests.process.trial import Trial

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("needs_actors"), pytest.mark.timeout(900)]

FLAGS = ("--snapshot-count=700", "--listeners=2")


@pytest.mark.parametrize("name", ["raft", "wal", "backend", "lessor"])
def test_clients_do_not_notice_that_it_was_killed(name: str, make_trial: Callable[..., Trial], is_long: bool) -> None:
    trial = make_trial(*FLAGS)
    actors = trial.actors()
    stalls_ms = []
    with trial.load() as load:
        for _ in range(10 if is_long else 2):
            trial.random_moment(load)
            actors, killed_at = kill_one(trial, load, actors, name)
            stalls_ms.append(round(load.longest_stall_s(killed_at) * 1000))
        assert_snapshots_go_on(trial, load)
    print(f"{name}: longest stalls {stalls_ms} ms, {trial.verify()}")
    assert trial.record.errors() == []


def test_clients_do_not_notice_that_several_were_killed_at_once(
    make_trial: Callable[..., Trial], is_long: bool
) -> None:
    trial = make_trial(*FLAGS)
    stalls_ms = []
    with trial.load() as load:
        for _ in range(20 if is_long else 3):
            trial.random_moment(load)
            before = trial.actors()
            victims = trial.random.sample(["raft", "wal", "backend"], trial.random.randint(2, 3))
            killed_at = time.monotonic()
            for name in victims:
                os.kill(before[name]["pid"], signal.SIGKILL)
            load.wait_acknowledged(load.acknowledged + 4 * len(load.clients))
            for name in victims:
                trial.wait_restarted(before, name)
            stalls_ms.append(round(load.longest_stall_s(killed_at) * 1000))
        assert_snapshots_go_on(trial, load)
    print(f"longest stalls {stalls_ms} ms, {trial.verify()}")
    assert trial.record.errors() == []


def test_a_killed_listener_costs_only_its_own_connections(make_trial: Callable[..., Trial], is_long: bool) -> None:
    trial = make_trial(*FLAGS)
    actors = trial.actors()
    name = "listener-1"
    stalls_ms = []
    for _ in range(10 if is_long else 2):
        with trial.load(channels=8) as load:
            trial.random_moment(load)
            own = channels_of(load, actors[name]["pid"])
            actors, killed_at = kill_one(trial, load, actors, name)
            stalls_ms.append(round(load.longest_stall_s(killed_at) * 1000))
        hit = {client.channel_number for client in load.clients if any(op.code is not None for op in client.ops)}
        assert hit <= own, "errors on connections of the other listener"
    print(f"{name}: longest stalls {stalls_ms} ms, {trial.verify()}")


def kill_one(
    trial: Trial, load: Load, before: dict[str, dict[str, Any]], name: str
) -> tuple[dict[str, dict[str, Any]], float]:
    """Kills it, and sees that it and only it was restarted. return (the actors now, when it was killed)"""
    killed_at = time.monotonic()
    os.kill(before[name]["pid"], signal.SIGKILL)
    # More than were under way: so the new process has had its part in some of them.
    load.wait_acknowledged(load.acknowledged + 4 * len(load.clients))
    after = trial.wait_restarted(before, name)
    assert after[name]["restarts"] == before[name]["restarts"] + 1
    assert after[name]["incarnation"] > before[name]["incarnation"]
    others = after.keys() - {name}
    assert {other: after[other]["pid"] for other in others} == {other: before[other]["pid"] for other in others}
    return after, killed_at


def assert_snapshots_go_on(trial: Trial, load: Load) -> None:
    """Whatever was under way when an actor was killed: else the log would grow for ever."""
    before = damage.newest_snapshot(trial.member.data_dir)
    for _ in range(10):
        load.wait_acknowledged(load.acknowledged + 700)
        if damage.newest_snapshot(trial.member.data_dir) > before:
            return
    raise AssertionError(f"no snapshot after {before}")


def channels_of(load: Load, pid: int) -> set[int]:
    """Numbers of the load's channels whose connection ends in this process."""
    peers = {c.raddr.port for c in psutil.Process(pid).net_connections("tcp") if c.raddr}
    return {number for number, port in enumerate(load.ports) if port in peers}
