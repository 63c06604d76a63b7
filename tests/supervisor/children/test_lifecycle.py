"""The life of a member's actors, without a process: events in, actions out."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from supervisor.children.child import (
    Action,
    AskToStop,
    DumpStacks,
    Forget,
    LogLine,
    PublishRoster,
    ReplaceZygote,
    Signal,
    Spawn,
    State,
)
from supervisor.children.lifecycle import DUMP_STACKS_S, LAST_CALLS_S, SIGKILL, SIGTERM, SPAWN_S, STALL_S, Lifecycle
from supervisor.restart import Intensity, Restart
from supervisor.tree import KILL_AFTER_S
from tests.supervisor.children.samples import beat_all_but, operations, pid, running, start, works


def state(lifecycle: Lifecycle, name: str) -> State:
    return lifecycle.children[name].state


# ---- start ----


def test_a_stage_starts_when_all_of_the_stage_before_are_ready() -> None:
    lifecycle = operations()
    assert works(lifecycle.begin(0.0)) == [Spawn("store", 100)]
    assert works(lifecycle.on_spawned("store", 100, 1, 0.0)) == []
    assert works(lifecycle.on_ready("store", 100, {}, 0.0)) == [PublishRoster(), Spawn("log", 101)]
    assert start(lifecycle, "log") == [PublishRoster(), Spawn("server-1", 102), Spawn("server-2", 103)]
    assert start(lifecycle, "server-2") == [PublishRoster()]
    assert not lifecycle.started
    start(lifecycle, "server-1")
    assert lifecycle.started


def test_an_actor_that_fails_in_the_members_own_start_ends_it() -> None:
    lifecycle = operations()
    lifecycle.begin(0.0)
    start(lifecycle, "store")
    lifecycle.on_spawned("log", 101, 101, 0.0)
    actions = works(lifecycle.on_exit(101, 1, 0.1))
    assert actions == [Forget("log", 101), AskToStop("store", 100, 5.0)]
    assert lifecycle.failure == "log exited with status 1"
    lifecycle.on_exit(pid(lifecycle, "store"), 0, 0.2)
    assert lifecycle.finished


def test_an_actor_that_is_killed_in_the_members_own_start_is_started_again() -> None:
    lifecycle = operations()
    lifecycle.begin(0.0)
    lifecycle.on_spawned("store", 100, 1, 0.0)
    assert works(lifecycle.on_exit(1, -9, 0.1)) == [Forget("store", 100), Spawn("store", 101)]


def test_one_that_is_not_ready_in_time_is_killed_and_started_again() -> None:
    lifecycle = running(start_s=2.0)
    lifecycle.on_exit(pid(lifecycle, "log"), -9, 10.0)
    new = lifecycle.children["log"].incarnation
    lifecycle.on_spawned("log", new, 55, 10.0)
    beat_all_but(lifecycle, "log", 11.9)
    assert works(lifecycle.on_clock(11.9)) == []
    assert works(lifecycle.on_clock(12.0)) == [DumpStacks("log", new, 55)]
    assert works(lifecycle.on_clock(12.1)) == []
    assert works(lifecycle.on_clock(12.0 + DUMP_STACKS_S)) == [Signal(55, SIGKILL)]
    assert works(lifecycle.on_clock(12.0 + 2 * DUMP_STACKS_S)) == []
    assert works(lifecycle.on_exit(55, -9, 12.2)) == [Forget("log", new), Spawn("log", new + 1)]


def test_one_that_is_never_spawned_gets_another_zygote() -> None:
    lifecycle = operations()
    lifecycle.begin(0.0)
    assert works(lifecycle.on_clock(SPAWN_S)) == [
        ReplaceZygote("store", 100),
        Forget("store", 100),
        Spawn("store", 101),
    ]


def test_while_the_zygote_starts_nobody_waits_in_vain_for_it() -> None:
    lifecycle = operations()
    lifecycle.begin(0.0)
    assert works(lifecycle.on_clock(2 * SPAWN_S, zygote_starts=True)) == []
    assert works(lifecycle.on_clock(3 * SPAWN_S - 0.1)) == []
    assert ReplaceZygote("store", 100) in works(lifecycle.on_clock(3 * SPAWN_S))


def test_a_process_that_nobody_waits_for_any_more_is_killed() -> None:
    lifecycle = running()
    assert works(lifecycle.on_spawned("log", 1, 77, 0.0)) == [Signal(77, SIGKILL)]


# ---- restart ----


def test_exactly_the_one_that_died_is_started_again_and_the_others_are_told() -> None:
    lifecycle = running()
    assert works(lifecycle.on_exit(pid(lifecycle, "log"), -9, 5.0)) == [
        Forget("log", 101),
        PublishRoster(),
        Spawn("log", 104),
    ]
    assert start(lifecycle, "log", 5.1) == [PublishRoster()]
    assert [found.incarnation for found in lifecycle.listed()] == [100, 104, 102, 103]
    assert [found.restarts for found in lifecycle.children.values()] == [0, 1, 0, 0]


def test_incarnations_are_never_used_twice() -> None:
    lifecycle = running()
    seen = {found.incarnation for found in lifecycle.children.values()}
    for turn in range(20):
        lifecycle.on_exit(pid(lifecycle, "store"), -9, turn * 10.0)
        assert lifecycle.children["store"].incarnation not in seen
        seen.add(lifecycle.children["store"].incarnation)
        start(lifecycle, "store", turn * 10.0)


def test_a_crash_loop_backs_off_and_then_ends_the_member_with_the_reason() -> None:
    lifecycle = running()
    now = 0.0
    while not lifecycle.stopping:
        lifecycle.on_exit(pid(lifecycle, "log"), 3, now)
        if lifecycle.children["log"].state is State.BACKOFF:
            now = lifecycle.next_deadline() or now
            assert works(lifecycle.on_clock(now)) == [Spawn("log", lifecycle.children["log"].incarnation)]
        if not lifecycle.stopping:
            start(lifecycle, "log", now)
    assert now < 5.0
    limit = "more than 10 restarts within 5 s needed"
    assert lifecycle.failure == f"log: {limit}, the last time because it exited with status 3"


def test_a_fatal_fault_stops_the_member_at_once_with_its_reason() -> None:
    lifecycle = running()
    assert works(lifecycle.on_fault("log", 101, True, "corrupt", 1.0)) == [
        AskToStop("server-1", 102, LAST_CALLS_S),
        AskToStop("server-2", 103, LAST_CALLS_S),
    ]
    assert lifecycle.failure == "log: corrupt"


def test_a_fatal_fault_counts_even_if_the_exit_was_noticed_first() -> None:
    lifecycle = running()
    lifecycle.on_exit(pid(lifecycle, "log"), 1, 1.0)
    lifecycle.on_fault("log", 101, True, "corrupt", 1.1)
    assert lifecycle.failure == "log: corrupt"


def test_a_fault_that_is_not_fatal_is_the_reason_of_the_exit() -> None:
    lifecycle = running(intensity=Intensity(0, 1.0))
    lifecycle.on_fault("log", 101, False, "no space", 1.0)
    lifecycle.on_exit(pid(lifecycle, "log"), 1, 1.0)
    assert lifecycle.failure.endswith("exited with status 1: no space")


def test_a_transient_actor_that_ends_well_stays_stopped() -> None:
    lifecycle = running(restart=Restart.TRANSIENT)
    assert works(lifecycle.on_exit(pid(lifecycle, "log"), 0, 5.0)) == [Forget("log", 101), PublishRoster()]
    assert lifecycle.children["log"].state is State.STOPPED
    assert not lifecycle.stopping


def test_ready_of_an_incarnation_that_is_gone_changes_nothing() -> None:
    lifecycle = running()
    lifecycle.on_exit(pid(lifecycle, "log"), -9, 5.0)
    assert lifecycle.on_ready("log", 101, {}, 5.1) == []
    assert lifecycle.on_ready("nobody", 101, {}, 5.1) == []


# ---- hangs ----


def test_one_without_a_heartbeat_is_killed_as_hung_and_started_again() -> None:
    lifecycle = running(hang_s=3.0)
    found: list[Action] = []
    for tick in range(1, 9):
        beat_all_but(lifecycle, "log", tick / 2)
        found += works(lifecycle.on_clock(tick / 2))
    assert found == [DumpStacks("log", 101, 101), Signal(101, SIGKILL)]
    notes = [action for action in lifecycle.on_exit(pid(lifecycle, "log"), -9, 4.0) if isinstance(action, LogLine)]
    assert notes[0].fields["reason"] == "hung: no heartbeat for 3.5 s"
    assert notes[0].fields["ending"] == "hung"
    assert lifecycle.children["log"].state is State.STARTING


def test_a_heartbeat_of_an_older_incarnation_does_not_count() -> None:
    lifecycle = running(hang_s=3.0)
    lifecycle.on_heartbeat("log", 1, 3.0)
    assert lifecycle.children["log"].heard_at == 0.0


def test_after_a_pause_of_the_supervisor_itself_nobody_is_taken_for_hung() -> None:
    lifecycle = running(hang_s=3.0)
    lifecycle.on_clock(0.1)
    assert works(lifecycle.on_clock(0.1 + 1000 * STALL_S)) == []


# ---- stop ----


def test_stop_goes_in_reverse_and_waits_for_each_stage() -> None:
    lifecycle = running()
    assert works(lifecycle.stop(1.0)) == [AskToStop("server-1", 102, 5.0), AskToStop("server-2", 103, 5.0)]
    assert works(lifecycle.on_exit(102, 0, 1.1)) == [Forget("server-1", 102), PublishRoster()]
    assert works(lifecycle.on_exit(103, 0, 1.2)) == [
        Forget("server-2", 103),
        PublishRoster(),
        AskToStop("log", 101, 5.0),
    ]
    assert works(lifecycle.on_exit(101, 0, 1.3)) == [Forget("log", 101), PublishRoster(), AskToStop("store", 100, 5.0)]
    assert [found.name for found in lifecycle.children.values() if found.alive] == ["store"]
    lifecycle.on_exit(100, 0, 1.4)
    assert lifecycle.finished
    assert lifecycle.failure == ""


def test_one_that_is_stopping_stands_in_the_roster_until_its_end() -> None:
    lifecycle = running()
    lifecycle.stop(0.0)
    assert [found.name for found in lifecycle.listed()] == ["store", "log", "server-1", "server-2"]


def test_one_that_does_not_stop_gets_sigterm_and_then_sigkill() -> None:
    lifecycle = running(stop_s=2.0)
    lifecycle.stop(0.0)
    lifecycle.on_exit(102, 0, 0.0)
    lifecycle.on_exit(103, 0, 0.0)
    assert works(lifecycle.on_clock(1.9)) == []
    assert works(lifecycle.on_clock(2.0)) == [Signal(101, SIGTERM)]
    assert works(lifecycle.on_clock(2.0 + KILL_AFTER_S)) == [Signal(101, SIGKILL)]
    assert works(lifecycle.on_clock(9.0)) == []


def test_nothing_is_started_again_once_the_member_stops() -> None:
    lifecycle = running()
    lifecycle.stop(0.0)
    assert works(lifecycle.on_exit(100, -9, 0.1)) == [Forget("store", 100), PublishRoster()]
    assert lifecycle.children["store"].state is State.STOPPED


def test_a_stop_during_back_off_ends_the_waiting() -> None:
    lifecycle = running()
    for _ in range(2):
        lifecycle.on_exit(pid(lifecycle, "server-1"), -9, 0.0)
        if lifecycle.children["server-1"].state is State.STARTING:
            start(lifecycle, "server-1")
    assert state(lifecycle, "server-1") is State.BACKOFF
    lifecycle.stop(0.0)
    assert state(lifecycle, "server-1") is State.STOPPED


def test_a_stop_during_the_start_kills_what_is_not_ready_and_stops_the_rest_in_order() -> None:
    lifecycle = operations()
    lifecycle.begin(0.0)
    start(lifecycle, "store")
    assert works(lifecycle.stop(0.0)) == []
    assert works(lifecycle.on_spawned("log", 101, 9, 0.1)) == [Signal(9, SIGKILL)]
    assert works(lifecycle.on_exit(9, -9, 0.2)) == [Forget("log", 101), AskToStop("store", 100, 5.0)]


def test_a_spawn_that_never_comes_about_does_not_hold_up_the_stop() -> None:
    lifecycle = operations()
    lifecycle.begin(0.0)
    lifecycle.stop(0.0)
    lifecycle.on_clock(5.0)  # the deadline of the stop
    assert lifecycle.finished
    assert works(lifecycle.on_spawned("store", 100, 9, 5.1)) == [Signal(9, SIGKILL)]


def test_a_spawn_that_fails_while_stopping_does_not_hold_up_the_stop() -> None:
    lifecycle = operations()
    lifecycle.begin(0.0)
    lifecycle.stop(0.0)
    lifecycle.on_spawn_failed("store", 100, "no memory", 0.1)
    assert lifecycle.finished


def test_force_kills_all_that_live() -> None:
    lifecycle = running()
    lifecycle.stop(0.0)
    assert works(lifecycle.force()) == [Signal(found, SIGKILL) for found in (100, 101, 102, 103)]
    for found in (100, 101, 102, 103):
        lifecycle.on_exit(found, -9, 0.1)
    assert lifecycle.finished


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["spawned", "spawn failed", "ready", "beat", "fault", "exit 0", "exit 1", "killed", "clock"]),
        st.sampled_from(["store", "log", "server-1", "server-2"]),
        st.floats(0, 20),
    ),
    max_size=60,
)


@given(EVENTS)
def test_whatever_happens_a_stop_comes_to_its_end(events: list[tuple[str, str, float]]) -> None:
    """And no actor ever has two processes: a pid is given up before the next incarnation is spawned."""
    lifecycle, now, pids = operations(), 0.0, iter(range(1000, 10_000))
    lifecycle.begin(now)
    for event, name, wait_s in events:
        now += wait_s
        happen(lifecycle, event, name, now, pids)
    lifecycle.stop(now)
    for _ in range(20):
        now += 10.0
        lifecycle.on_clock(now)
        for found in list(lifecycle.children.values()):
            if found.pid is not None:
                lifecycle.on_exit(found.pid, -9, now)
            elif found.alive:
                lifecycle.on_spawn_failed(found.name, found.incarnation, "no zygote", now)
    assert lifecycle.finished


def happen(lifecycle: Lifecycle, event: str, name: str, now: float, pids: Any) -> None:
    found = lifecycle.children[name]
    before = (found.incarnation, found.pid)
    if event == "spawned" and found.alive and found.pid is None:
        lifecycle.on_spawned(name, found.incarnation, next(pids), now)
    elif event == "spawn failed":
        lifecycle.on_spawn_failed(name, found.incarnation, "no memory", now)
    elif event == "ready" and found.pid is not None:
        lifecycle.on_ready(name, found.incarnation, {}, now)
    elif event == "beat":
        lifecycle.on_heartbeat(name, found.incarnation, now)
    elif event == "fault":
        lifecycle.on_fault(name, found.incarnation, False, "reason", now)
    elif event in ("exit 0", "exit 1", "killed") and found.pid is not None:
        lifecycle.on_exit(found.pid, {"exit 0": 0, "exit 1": 1, "killed": -9}[event], now)
    elif event == "clock":
        lifecycle.on_clock(now)
    if before[1] is not None and found.incarnation != before[0]:
        assert found.pid is None
