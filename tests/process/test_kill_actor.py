"""One actor after the other comes to its end, under load: the member goes on by itself.

`--long -s` shows for each kind of actor how long clients waited at most.
"""

import os
import signal
import time
from collections.abc import Callable

import psutil
import pytest

from supervisor.restart import SETTLED_S
from tests.process import damage
from tests.process.killing import MEMORY_MAX, end_one, rounds, table
from tests.process.load import Load
from tests.process.trial import Trial

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("needs_actors"), pytest.mark.timeout(900)]

FLAGS = ("--snapshot-count=700", "--listeners=2")
NAMES = ("raft", "wal", "backend", "compactor", "lessor", "peer")
SHORT = {"kill": 1, "stop": 1}
"""Of a listener."""
LONG = {"kill": 50, "stop": 20, "fail": 5, "exhaust": 5}
RULES = f"memory-max={MEMORY_MAX},intensity=1000/500s"
"""So many ends in a row would otherwise end the member."""
SETTLED = (SETTLED_S, SETTLED_S + 0.2)
"""Who ends again before it has lived so long is started again later and later."""


def test_clients_do_not_notice_the_end_of_any(make_trial: Callable[..., Trial]) -> None:
    """Each is killed or fails; one is stopped, since that is noticed by its silence alone and takes long."""
    trial = make_trial(*FLAGS)
    actors = trial.actors()
    ends = [(name, trial.random.choice(("kill", "fail"))) for name in NAMES]
    ends += [(name, "stop") for name in trial.random.sample(NAMES, 1)]
    trial.random.shuffle(ends)
    with trial.load(clients=32, reads=True) as load:
        for name, way in ends:
            trial.random_moment(load, wait_s=SETTLED)
            actors, _ = end_one(trial, load, actors, name, way)
        assert_snapshots_go_on(trial, load)
    print(trial.verify())
    assert trial.record.errors() == []


@pytest.mark.parametrize("name", NAMES)
def test_clients_do_not_notice_its_end(name: str, make_trial: Callable[..., Trial], is_long: bool) -> None:
    if not is_long:
        pytest.skip("each way several times only with --long")
    trial = make_trial(*FLAGS, f"--actor-rules={name}:{RULES}")
    actors = trial.actors()
    ends = []
    with trial.load(clients=32, reads=True) as load:
        for way in rounds(LONG, trial):
            trial.random_moment(load, wait_s=SETTLED)
            actors, end = end_one(trial, load, actors, name, way)
            ends.append(end)
        assert_snapshots_go_on(trial, load)
    print(f"{table(name, ends)}\n{trial.verify()}")
    assert trial.record.errors() == []


def test_clients_do_not_notice_that_several_were_killed_at_once(
    make_trial: Callable[..., Trial], is_long: bool
) -> None:
    trial = make_trial(*FLAGS)
    stalls_ms = []
    with trial.load() as load:
        for _ in range(20 if is_long else 1):
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


@pytest.mark.parametrize("listeners", [1, 2])
def test_the_end_of_a_listener_costs_only_its_own_connections(
    listeners: int, make_trial: Callable[..., Trial], is_long: bool
) -> None:
    if listeners == 1 and not is_long:
        pytest.skip("a listener alone only with --long")
    name = "listener-1"
    rules = f"--actor-rules=listener:{RULES}"
    trial = make_trial("--snapshot-count=700", f"--listeners={listeners}", rules)
    actors = trial.actors()
    ends = []
    for way in rounds(LONG if is_long else SHORT, trial):
        with trial.load(clients=32, channels=8, reads=True) as load:
            trial.random_moment(load, wait_s=SETTLED)
            own = channels_of(load, actors[name]["pid"])
            actors, end = end_one(trial, load, actors, name, way, probes=8)
            ends.append(end)
        hit = {client.channel_number for client in load.clients if any(op.code is not None for op in client.ops)}
        assert hit <= own, "errors on connections of the other listener"
    print(f"{table(f'{name} of {listeners}', ends)}\n{trial.verify()}")


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
    return {number for number, ports in enumerate(load.ports) if ports & peers}
