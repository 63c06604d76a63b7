"""The life of a member's actors, without a process: events in, actions out."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from supervisor.children.child import Action, Ask, Dump, Gone, Note, Publish, ReplaceZygote, Signal, Spawn, State
from supervisor.children.lifecycle import DUMP_S, LAST_CALLS_S, SIGKILL, SIGTERM, SPAWN_S, STALL_S, Lifecycle
from supervisor.restart import Intensity, Restart
from supervisor.tree import KILL_AFTER_S
from tests.supervisor.children.lives import beat_all_but, pid, running, start, works
from tests.supervisor.children.lives import operations as lifecycle


def state(life: Lifecycle, name: str) -> State:
    return life.lives[name].state


# ---- start ----


def test_a_stage_starts_when_all_of_the_stage_before_are_ready() -> None:
    life = lifecycle()
    assert works(life.begin(0.0)) == [Spawn("store", 100)]
    assert works(life.on_spawned("store", 100, 1, 0.0)) == []
    assert works(life.on_ready("store", 100, {}, 0.0)) == [Publish(), Spawn("log", 101)]
    assert start(life, "log") == [Publish(), Spawn("door-1", 102), Spawn("door-2", 103)]
    assert start(life, "door-2") == [Publish()]
    assert not life.started
    start(life, "door-1")
    assert life.started


def test_an_actor_that_fails_in_the_members_own_start_ends_it() -> None:
    life = lifecycle()
    life.begin(0.0)
    start(life, "store")
    life.on_spawned("log", 101, 101, 0.0)
    actions = works(life.on_exit(101, 1, 0.1))
    assert actions == [Gone("log", 101), Ask("store", 100, 5.0)]
    assert life.failure == "log exited with status 1"
    life.on_exit(pid(life, "store"), 0, 0.2)
    assert life.finished


def test_an_actor_that_is_killed_in_the_members_own_start_is_started_again() -> None:
    life = lifecycle()
    life.begin(0.0)
    life.on_spawned("store", 100, 1, 0.0)
    assert works(life.on_exit(1, -9, 0.1)) == [Gone("store", 100), Spawn("store", 101)]


def test_one_that_is_not_ready_in_time_is_killed_and_started_again() -> None:
    life = running(start_s=2.0)
    life.on_exit(pid(life, "log"), -9, 10.0)
    new = life.lives["log"].incarnation
    life.on_spawned("log", new, 55, 10.0)
    beat_all_but(life, "log", 11.9)
    assert works(life.on_clock(11.9)) == []
    assert works(life.on_clock(12.0)) == [Dump("log", new, 55)]
    assert works(life.on_clock(12.1)) == []
    assert works(life.on_clock(12.0 + DUMP_S)) == [Signal(55, SIGKILL)]
    assert works(life.on_clock(12.0 + 2 * DUMP_S)) == []
    assert works(life.on_exit(55, -9, 12.2)) == [Gone("log", new), Spawn("log", new + 1)]


def test_one_that_is_never_spawned_gets_another_zygote() -> None:
    life = lifecycle()
    life.begin(0.0)
    assert works(life.on_clock(SPAWN_S)) == [ReplaceZygote("store", 100), Gone("store", 100), Spawn("store", 101)]


def test_a_process_that_nobody_waits_for_any_more_is_killed() -> None:
    life = running()
    assert works(life.on_spawned("log", 1, 77, 0.0)) == [Signal(77, SIGKILL)]


# ---- restart ----


def test_exactly_the_one_that_died_is_started_again_and_the_others_are_told() -> None:
    life = running()
    assert works(life.on_exit(pid(life, "log"), -9, 5.0)) == [Gone("log", 101), Publish(), Spawn("log", 104)]
    assert start(life, "log", 5.1) == [Publish()]
    assert [found.incarnation for found in life.listed()] == [100, 104, 102, 103]
    assert [found.restarts for found in life.lives.values()] == [0, 1, 0, 0]


def test_incarnations_are_never_used_twice() -> None:
    life = running()
    seen = {found.incarnation for found in life.lives.values()}
    for turn in range(20):
        life.on_exit(pid(life, "store"), -9, turn * 10.0)
        assert life.lives["store"].incarnation not in seen
        seen.add(life.lives["store"].incarnation)
        start(life, "store", turn * 10.0)


def test_a_crash_loop_backs_off_and_then_ends_the_member_with_the_reason() -> None:
    life = running()
    now = 0.0
    while not life.stopping:
        life.on_exit(pid(life, "log"), 3, now)
        if life.lives["log"].state is State.BACKOFF:
            now = life.next_deadline() or now
            assert works(life.on_clock(now)) == [Spawn("log", life.lives["log"].incarnation)]
        if not life.stopping:
            start(life, "log", now)
    assert now < 5.0
    limit = "more than 10 restarts within 5 s needed"
    assert life.failure == f"log: {limit}, the last time because it exited with status 3"


def test_a_fatal_fault_stops_the_member_at_once_with_its_reason() -> None:
    life = running()
    assert works(life.on_fault("log", 101, True, "corrupt", 1.0)) == [
        Ask("door-1", 102, LAST_CALLS_S),
        Ask("door-2", 103, LAST_CALLS_S),
    ]
    assert life.failure == "log: corrupt"


def test_a_fatal_fault_counts_even_if_the_exit_was_noticed_first() -> None:
    life = running()
    life.on_exit(pid(life, "log"), 1, 1.0)
    life.on_fault("log", 101, True, "corrupt", 1.1)
    assert life.failure == "log: corrupt"


def test_a_fault_that_is_not_fatal_is_the_reason_of_the_exit() -> None:
    life = running(intensity=Intensity(0, 1.0))
    life.on_fault("log", 101, False, "no space", 1.0)
    life.on_exit(pid(life, "log"), 1, 1.0)
    assert life.failure.endswith("exited with status 1: no space")


def test_a_transient_actor_that_ends_well_stays_stopped() -> None:
    life = running(restart=Restart.TRANSIENT)
    assert works(life.on_exit(pid(life, "log"), 0, 5.0)) == [Gone("log", 101), Publish()]
    assert life.lives["log"].state is State.STOPPED
    assert not life.stopping


def test_ready_of_an_incarnation_that_is_gone_changes_nothing() -> None:
    life = running()
    life.on_exit(pid(life, "log"), -9, 5.0)
    assert life.on_ready("log", 101, {}, 5.1) == []
    assert life.on_ready("nobody", 101, {}, 5.1) == []


# ---- hangs ----


def test_one_without_a_heartbeat_is_killed_as_hung_and_started_again() -> None:
    life = running(hang_s=3.0)
    found: list[Action] = []
    for tick in range(1, 9):
        beat_all_but(life, "log", tick / 2)
        found += works(life.on_clock(tick / 2))
    assert found == [Dump("log", 101, 101), Signal(101, SIGKILL)]
    notes = [action for action in life.on_exit(pid(life, "log"), -9, 4.0) if isinstance(action, Note)]
    assert notes[0].fields["reason"] == "hung: no heartbeat for 3.5 s"
    assert notes[0].fields["ending"] == "hung"
    assert life.lives["log"].state is State.STARTING


def test_a_heartbeat_of_an_older_incarnation_does_not_count() -> None:
    life = running(hang_s=3.0)
    life.on_heartbeat("log", 1, 3.0)
    assert life.lives["log"].heard_at == 0.0


def test_after_a_pause_of_the_supervisor_itself_nobody_is_taken_for_hung() -> None:
    life = running(hang_s=3.0)
    life.on_clock(0.1)
    assert works(life.on_clock(0.1 + 1000 * STALL_S)) == []


# ---- stop ----


def test_stop_goes_in_reverse_and_waits_for_each_stage() -> None:
    life = running()
    assert works(life.stop(1.0)) == [Ask("door-1", 102, 5.0), Ask("door-2", 103, 5.0)]
    assert works(life.on_exit(102, 0, 1.1)) == [Gone("door-1", 102), Publish()]
    assert works(life.on_exit(103, 0, 1.2)) == [Gone("door-2", 103), Publish(), Ask("log", 101, 5.0)]
    assert works(life.on_exit(101, 0, 1.3)) == [Gone("log", 101), Publish(), Ask("store", 100, 5.0)]
    assert [found.name for found in life.lives.values() if found.alive] == ["store"]
    life.on_exit(100, 0, 1.4)
    assert life.finished
    assert life.failure == ""


def test_one_that_is_stopping_stands_in_the_roster_until_its_end() -> None:
    life = running()
    life.stop(0.0)
    assert [found.name for found in life.listed()] == ["store", "log", "door-1", "door-2"]


def test_one_that_does_not_stop_gets_sigterm_and_then_sigkill() -> None:
    life = running(stop_s=2.0)
    life.stop(0.0)
    life.on_exit(102, 0, 0.0)
    life.on_exit(103, 0, 0.0)
    assert works(life.on_clock(1.9)) == []
    assert works(life.on_clock(2.0)) == [Signal(101, SIGTERM)]
    assert works(life.on_clock(2.0 + KILL_AFTER_S)) == [Signal(101, SIGKILL)]
    assert works(life.on_clock(9.0)) == []


def test_nothing_is_started_again_once_the_member_stops() -> None:
    life = running()
    life.stop(0.0)
    assert works(life.on_exit(100, -9, 0.1)) == [Gone("store", 100), Publish()]
    assert life.lives["store"].state is State.STOPPED


def test_a_stop_during_back_off_ends_the_waiting() -> None:
    life = running()
    for _ in range(2):
        life.on_exit(pid(life, "door-1"), -9, 0.0)
        if life.lives["door-1"].state is State.STARTING:
            start(life, "door-1")
    assert state(life, "door-1") is State.BACKOFF
    life.stop(0.0)
    assert state(life, "door-1") is State.STOPPED


def test_a_stop_during_the_start_kills_what_is_not_ready_and_stops_the_rest_in_order() -> None:
    life = lifecycle()
    life.begin(0.0)
    start(life, "store")
    assert works(life.stop(0.0)) == []
    assert works(life.on_spawned("log", 101, 9, 0.1)) == [Signal(9, SIGKILL)]
    assert works(life.on_exit(9, -9, 0.2)) == [Gone("log", 101), Ask("store", 100, 5.0)]


def test_a_spawn_that_never_comes_about_does_not_hold_up_the_stop() -> None:
    life = lifecycle()
    life.begin(0.0)
    life.stop(0.0)
    life.on_clock(5.0)  # the deadline of the stop
    assert life.finished
    assert works(life.on_spawned("store", 100, 9, 5.1)) == [Signal(9, SIGKILL)]


def test_a_spawn_that_fails_while_stopping_does_not_hold_up_the_stop() -> None:
    life = lifecycle()
    life.begin(0.0)
    life.stop(0.0)
    life.on_spawn_failed("store", 100, "no memory", 0.1)
    assert life.finished


def test_force_kills_all_that_live() -> None:
    life = running()
    life.stop(0.0)
    assert works(life.force()) == [Signal(found, SIGKILL) for found in (100, 101, 102, 103)]
    for found in (100, 101, 102, 103):
        life.on_exit(found, -9, 0.1)
    assert life.finished


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["spawned", "spawn failed", "ready", "beat", "fault", "exit 0", "exit 1", "killed", "clock"]),
        st.sampled_from(["store", "log", "door-1", "door-2"]),
        st.floats(0, 20),
    ),
    max_size=60,
)


@given(EVENTS)
def test_whatever_happens_a_stop_comes_to_its_end(events: list[tuple[str, str, float]]) -> None:
    """And no actor ever has two processes: a pid is given up before the next incarnation is spawned."""
    life, now, pids = lifecycle(), 0.0, iter(range(1000, 10_000))
    life.begin(now)
    for event, name, wait_s in events:
        now += wait_s
        happen(life, event, name, now, pids)
    life.stop(now)
    for _ in range(20):
        now += 10.0
        life.on_clock(now)
        for found in list(life.lives.values()):
            if found.pid is not None:
                life.on_exit(found.pid, -9, now)
            elif found.alive:
                life.on_spawn_failed(found.name, found.incarnation, "no zygote", now)
    assert life.finished


def happen(life: Lifecycle, event: str, name: str, now: float, pids: Any) -> None:
    found = life.lives[name]
    before = (found.incarnation, found.pid)
    if event == "spawned" and found.alive and found.pid is None:
        life.on_spawned(name, found.incarnation, next(pids), now)
    elif event == "spawn failed":
        life.on_spawn_failed(name, found.incarnation, "no memory", now)
    elif event == "ready" and found.pid is not None:
        life.on_ready(name, found.incarnation, {}, now)
    elif event == "beat":
        life.on_heartbeat(name, found.incarnation, now)
    elif event == "fault":
        life.on_fault(name, found.incarnation, False, "reason", now)
    elif event in ("exit 0", "exit 1", "killed") and found.pid is not None:
        life.on_exit(found.pid, {"exit 0": 0, "exit 1": 1, "killed": -9}[event], now)
    elif event == "clock":
        life.on_clock(now)
    if before[1] is not None and found.incarnation != before[0]:
        assert found.pid is None
