"""Orders under load: clients see no error, and nothing is lost. No call is sent twice, not even by grpcio itself."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout, suppress
from io import StringIO
from typing import Any

import psutil
import pytest

from etcdz.cli.actors import main as actors_main
from etcdz.control.client import ask
from etcdz.ipc.request_ids import LISTENER_SLOTS
from supervisor.tree import COUNT_MAX
from tests.cluster_process import until
from tests.etcd_process import Member, MemberFailed
from tests.process.load import Load
from tests.process.test_kill_actor import channels_of
from tests.process.trial import Trial

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("needs_actors"), pytest.mark.timeout(900)]

FLAGS = ("--snapshot-count=700", "--listeners=1")
WAIT_S = 60


def run_actors(trial: Trial, *argv: str) -> tuple[int, str, str]:
    """`etcdz actors`, in this process, which returns when it is done. return (exit status, stdout, stderr)"""
    with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
        status = actors_main([*argv, "--json", "--data-dir", str(trial.member.data_dir)])
    return status, out.getvalue(), err.getvalue()


def order(trial: Trial, *argv: str) -> dict[str, Any]:
    """One that is carried out. return what it says"""
    status, out, err = run_actors(trial, *argv)
    assert status == 0, err
    return dict(json.loads(out))


def try_order(trial: Trial, *argv: str) -> str:
    """One that is refused. return the reason"""
    status, out, err = run_actors(trial, *argv)
    assert status == 1, out
    return err


def go_on(load: Load) -> None:
    """Every client has got answers again."""
    load.wait_acknowledged(load.acknowledged + 4 * len(load.clients))


def test_a_graceful_restart_of_a_listener_costs_no_client_anything(
    make_trial: Callable[..., Trial], is_long: bool
) -> None:
    trial = make_trial(*FLAGS)
    before = trial.actors()["listener-1"]
    with trial.load(clients=32, channels=8, long_running=True) as load:
        for _ in range(10 if is_long else 1):
            trial.random_moment(load)
            order(trial, "restart", "listener-1", "--graceful")
            go_on(load)
    after = trial.actors()["listener-1"]
    assert (after["restarts"], after["state"]) == (0, "ready")
    assert after["incarnation"] > before["incarnation"]
    print(f"longest stall {round(load.longest_stall_s() * 1000)} ms, {trial.verify()}")
    assert trial.record.errors() == []


def test_listeners_are_scaled_from_1_to_4_to_2_without_an_error_and_share_the_connections(
    make_trial: Callable[..., Trial],
) -> None:
    trial = make_trial(*FLAGS)
    with trial.load(clients=64, channels=32, long_running=True) as load:
        trial.random_moment(load)
        assert wait_connections(trial, 1, 32) == [32]
        for count in (4, 2):
            order(trial, "scale", f"listener={count}")
            go_on(load)
            found = wait_connections(trial, count, 32)
            assert max(found) <= 32 / count + 12, "with even chances, this is exceeded once in ten thousand times"
    print(f"longest stall {round(load.longest_stall_s() * 1000)} ms, {trial.verify()}")
    assert trial.record.errors() == []


def wait_connections(trial: Trial, listeners: int, total: int) -> list[int]:
    """How many each listener has, once so many take clients and all clients are connected: whoever was sent elsewhere
    comes back in its own time."""

    def all_are_there() -> list[int]:
        found = list(connections(trial).values())
        return found if len(found) == listeners and sum(found) == total else []

    return list(until(all_are_there, WAIT_S, lambda: str(connections(trial))))


def wait_held(trial: Trial, name: str, count: int) -> None:
    """Until this listener has so many connections."""
    until(lambda: connections(trial).get(name) == count, WAIT_S, lambda: str(connections(trial)))


def connections(trial: Trial) -> dict[str, int]:
    """Of each listener that is ready or draining."""
    pids = {name: actor["pid"] for name, actor in trial.actors().items() if name.startswith("listener")}
    return {name: held(pid, trial) for name, pid in pids.items() if pid}


def held(pid: int, trial: Trial) -> int:
    """0 also of a process that has ended."""
    port = trial.member.client_port
    with suppress(psutil.NoSuchProcess):
        found = psutil.Process(pid).net_connections("tcp")
        return sum(c.laddr.port == port and c.status == "ESTABLISHED" for c in found)
    return 0


def test_a_restart_in_order_is_not_noticed(make_trial: Callable[..., Trial]) -> None:
    trial = make_trial(*FLAGS)
    with trial.load() as load:
        for name in trial.random.sample(["raft", "wal", "backend"], 3):
            trial.random_moment(load)
            order(trial, "restart", name)
            go_on(load)
            assert load.errors == [], name
    print(f"longest stall {round(load.longest_stall_s() * 1000)} ms, {trial.verify()}")
    assert trial.record.errors() == []


def test_a_drained_listener_has_no_clients_until_it_is_started_again(make_trial: Callable[..., Trial]) -> None:
    trial = make_trial("--listeners=2")
    with trial.load(clients=32, channels=16, long_running=True) as load:
        trial.random_moment(load)
        order(trial, "drain", "listener-1")
        go_on(load)
        pids = {name: actor["pid"] for name, actor in trial.actors().items()}
        wait_held(trial, "listener-1", 0)
        wait_held(trial, "listener-2", 16)
        order(trial, "start", "listener-1")
        order(trial, "drain", "listener-2")
        go_on(load)
        wait_held(trial, "listener-1", 16)
        wait_held(trial, "listener-2", 0)
        assert channels_of(load, pids["listener-2"]) == set()
    assert trial.record.errors() == []


def test_an_upgrade_runs_in_a_new_zygote(make_trial: Callable[..., Trial], is_long: bool) -> None:
    trial = make_trial(*FLAGS)
    names = ["listener-1", "wal"]
    with trial.load(clients=32, channels=4, long_running=True) as load:
        trial.random_moment(load)
        for name in names if is_long else trial.random.sample(names, 1):
            before = trial.actors()[name]
            order(trial, "restart", name, "--upgrade")
            assert trial.actors()[name]["incarnation"] > before["incarnation"]
            go_on(load)
    assert trial.record.errors() == []


def test_as_many_listeners_as_there_can_be_are_restarted_gracefully_twice(make_trial: Callable[..., Trial]) -> None:
    """All at once, so that each has a successor while it still answers calls: twice as many slots of request ids."""
    trial = make_trial(f"--listeners={COUNT_MAX}")
    before = listeners(trial)
    where = str(trial.member.data_dir)

    def restart(name: str) -> None:
        assert ask(where, "restart", {"actor": name, "graceful": True}, answer_ms=120_000)["done"]

    with trial.load(clients=32, channels=16, long_running=True) as load, ThreadPoolExecutor(COUNT_MAX) as pool:
        for _ in range(2):
            trial.random_moment(load)
            list(pool.map(restart, before))
            go_on(load)
    after = listeners(trial)
    assert after.keys() == before.keys() and len(after) == COUNT_MAX
    assert all(after[name]["incarnation"] > before[name]["incarnation"] for name in after)
    slots = [listener["slot"] for listener in after.values()]
    assert len(set(slots)) == COUNT_MAX and set(slots) <= set(LISTENER_SLOTS)
    assert {listener["restarts"] for listener in after.values()} == {0}
    assert trial.record.errors() == []
    print(f"longest stall {round(load.longest_stall_s() * 1000)} ms, {trial.verify()}")


def listeners(trial: Trial) -> dict[str, dict[str, Any]]:
    return {name: actor for name, actor in trial.actors().items() if name.startswith("listener")}


def test_more_listeners_than_there_are_slots_for_are_refused_with_the_reason(
    make_member: Callable[..., Member],
) -> None:
    member = make_member(f"--listeners={COUNT_MAX + 1}")
    with pytest.raises(MemberFailed, match=f"count={COUNT_MAX + 1} is more than {COUNT_MAX}"):
        member.start()
