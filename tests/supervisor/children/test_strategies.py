"""The whole decision about an end: restart type x kind of exit x strategy, and whom it concerns."""

from itertools import product

import pytest

from supervisor.children.child import AskToStop, Signal, Spawn, State
from supervisor.children.lifecycle import SIGKILL, Lifecycle
from supervisor.restart import Ending, Restart, Strategy
from tests.supervisor.children.samples import beat_all_but, pid, running, start, works

WORTH_A_RESTART = {
    Restart.PERMANENT: set(Ending),
    Restart.TRANSIENT: set(Ending) - {Ending.NORMAL},
    Restart.TEMPORARY: set[Ending](),
}
BESIDE = {
    Strategy.ONE_FOR_ONE: set[str](),
    Strategy.REST_FOR_ONE: {"server-1", "server-2"},
    Strategy.ONE_FOR_ALL: {"store", "server-1", "server-2"},
}
"""Of the log, which stands in the middle."""


def end(lifecycle: Lifecycle, ending: Ending, now: float) -> list[object]:
    """The log ends so. return what is to be done"""
    if ending is Ending.HUNG:
        lifecycle.on_halted(pid(lifecycle, "log"), now)
        beat_all_but(lifecycle, "log", now)
        lifecycle.on_clock(now)
        now += lifecycle.children["log"].spec.halt_s
        lifecycle.on_clock(now)
    if ending is Ending.UNREADY:
        lifecycle.children["log"].ending = ending  # as the start deadline leaves it
    status = {Ending.NORMAL: 0, Ending.FAILED: 3}.get(ending, -9)
    return list(works(lifecycle.on_exit(pid(lifecycle, "log"), status, now)))


@pytest.mark.parametrize(("restart", "ending", "strategy"), list(product(Restart, Ending, Strategy)))
def test_who_is_started_again_and_who_beside_it(restart: Restart, ending: Ending, strategy: Strategy) -> None:
    lifecycle = running(restart=restart, strategy=strategy)
    actions = end(lifecycle, ending, 10.0)
    again = ending in WORTH_A_RESTART[restart]
    assert [action.name for action in actions if isinstance(action, Spawn)] == (["log"] if again else [])
    asked = {action.name for action in actions if isinstance(action, AskToStop)}
    assert asked == (BESIDE[strategy] if again else set())
    assert lifecycle.children["log"].state is (State.STARTING if again else State.STOPPED)
    assert not lifecycle.stopping


def test_neighbours_are_stopped_in_order_and_started_again_without_counting_as_restarts() -> None:
    lifecycle = running(strategy=Strategy.ONE_FOR_ALL)
    end(lifecycle, Ending.KILLED, 10.0)
    start(lifecycle, "log", 10.1)
    for name in ("store", "server-1", "server-2"):
        assert Spawn(name, lifecycle.children[name].incarnation + 1) not in works(lifecycle.on_clock(10.1))
        (spawned,) = [one for one in lifecycle.on_exit(pid(lifecycle, name), 0, 10.2) if isinstance(one, Spawn)]
        assert spawned.name == name
        start(lifecycle, name, 10.3)
    assert {found.name: found.restarts for found in lifecycle.children.values()} == {
        "store": 0,
        "log": 1,
        "server-1": 0,
        "server-2": 0,
    }
    assert all(found.state is State.READY for found in lifecycle.children.values())


def test_a_neighbour_that_waits_for_its_own_restart_is_left_to_that() -> None:
    lifecycle = running(strategy=Strategy.ONE_FOR_ALL)
    for _ in range(2):  # the second short life in a row is answered by a back-off
        lifecycle.on_exit(pid(lifecycle, "server-1"), -9, 0.0)
        if lifecycle.children["server-1"].state is State.STARTING:
            start(lifecycle, "server-1")
    assert lifecycle.children["server-1"].state is State.BACKOFF
    end(lifecycle, Ending.KILLED, 0.0)
    assert lifecycle.children["server-1"].state is State.BACKOFF


@pytest.mark.parametrize(("restart", "status"), [(Restart.TRANSIENT, 0), (Restart.TEMPORARY, 0)])
def test_the_member_ends_well_with_a_significant_actor_that_has_done_its_work(restart: Restart, status: int) -> None:
    lifecycle = running(restart=restart, significant=True)
    lifecycle.on_exit(pid(lifecycle, "log"), status, 5.0)
    assert (lifecycle.stopping, lifecycle.failure) == (True, "")


def test_the_member_fails_with_a_significant_actor_that_ended_otherwise_for_good() -> None:
    lifecycle = running(restart=Restart.TEMPORARY, significant=True)
    lifecycle.on_exit(pid(lifecycle, "log"), -9, 5.0)
    assert lifecycle.failure == "log, which the member cannot do without, was killed by signal 9"


# ---- busy, halted, silent ----


def silent(lifecycle: Lifecycle, until: float, works_until: float = 0.0) -> float | None:
    """The log is silent from 0 on, and seen to work for a while. return when it was given up, None if it was not"""
    for tick in range(1, round(until * 2) + 1):
        now = tick / 2
        beat_all_but(lifecycle, "log", now)
        if now <= works_until:
            lifecycle.on_work(pid(lifecycle, "log"), now)
        if works(lifecycle.on_clock(now)):
            return now
    return None


def test_who_is_silent_and_works_is_busy_and_lives() -> None:
    assert silent(running(hang_s=3.0, busy_s=20.0), until=20.0, works_until=20.0) is None


def test_who_works_in_silence_for_too_long_is_in_an_endless_loop() -> None:
    lifecycle = running(hang_s=3.0, busy_s=20.0)
    assert silent(lifecycle, until=30.0, works_until=30.0) == 20.5
    assert lifecycle.children["log"].reason == "hung: busy without a heartbeat for 20.5 s"


def test_who_stops_working_and_stays_silent_hangs_from_then_on() -> None:
    assert silent(running(hang_s=3.0, busy_s=20.0), until=30.0, works_until=5.0) == 8.5


def test_one_that_is_stopped_by_a_signal_is_killed_after_a_moment_without_asking_for_its_stacks() -> None:
    lifecycle = running(halt_s=0.25)
    log = pid(lifecycle, "log")
    lifecycle.on_halted(log, 1.0)
    assert lifecycle.next_deadline() == 1.25
    assert works(lifecycle.on_clock(1.2)) == []
    assert works(lifecycle.on_clock(1.25)) == [Signal(log, SIGKILL)]
    assert lifecycle.next_deadline() is None
    assert lifecycle.children["log"].reason.startswith("hung: stopped by a signal")


def test_one_that_is_continued_in_time_lives() -> None:
    lifecycle = running(halt_s=0.25)
    lifecycle.on_halted(pid(lifecycle, "log"), 1.0)
    lifecycle.on_clock(1.2)
    lifecycle.on_continued(pid(lifecycle, "log"), 1.2)
    assert lifecycle.next_deadline() is None
    assert works(lifecycle.on_clock(2.0)) == []


def test_one_that_is_stopped_while_it_starts_is_killed_as_well() -> None:
    lifecycle = running(halt_s=0.25)
    lifecycle.on_exit(pid(lifecycle, "log"), -9, 5.0)
    incarnation = lifecycle.children["log"].incarnation
    lifecycle.on_spawned("log", incarnation, incarnation, 5.0)
    lifecycle.on_halted(incarnation, 5.5)
    lifecycle.on_clock(5.5)
    assert works(lifecycle.on_clock(5.75)) == [Signal(incarnation, SIGKILL)]


def test_who_was_stopped_together_with_the_supervisor_gets_the_time_to_be_continued() -> None:
    lifecycle = running(halt_s=0.25)
    lifecycle.on_clock(1.0)
    lifecycle.on_halted(pid(lifecycle, "log"), 1.0)
    assert works(lifecycle.on_clock(61.0)) == []
    lifecycle.on_continued(pid(lifecycle, "log"), 61.1)
    assert works(lifecycle.on_clock(61.5)) == []


def test_stopping_an_actor_often_is_not_held_against_it() -> None:
    """It is no fault of its own, and leaves no trace in what is counted for a poison message."""
    lifecycle = running()
    for number in range(30):
        now = 100.0 * (number + 1)
        end(lifecycle, Ending.HUNG, now)
        start(lifecycle, "log", now + 1)
    assert not lifecycle.stopping
