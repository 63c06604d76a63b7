"""What people order: what it would do, what is refused without force, and what is done. No processes."""

import pytest

from supervisor.children.child import Ask, Gone, Publish, Signal, Spawn, State
from supervisor.children.lifecycle import SIGKILL
from supervisor.children.orders import Operations, Order, Refusal
from supervisor.restart import Intensity
from supervisor.tree import COUNT_MAX
from tests.supervisor.children.lives import operations, pid, running, start, start_incarnation, works

VERBS = ("restart", "stop", "start", "kill", "scale", "drain")


def refusal(life: Operations, order: Order, now: float = 5.0) -> str:
    """ "" if it is not refused; the plan changes nothing either way."""
    before = [(found.name, found.state, found.incarnation, found.draining) for found in life.everyone()]
    try:
        life.plan(order, now)
    except Refusal as refused:
        return str(refused)
    finally:
        assert before == [(found.name, found.state, found.incarnation, found.draining) for found in life.everyone()]
    return ""


# ---- what cannot be done at all ----


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("force", [False, True])
def test_nothing_is_ordered_of_a_member_that_starts_or_stops(verb: str, force: bool) -> None:
    order = Order(verb, "door" if verb == "scale" else "door-1", wanted=3, force=force)
    life = operations()
    life.begin(0.0)
    assert refusal(life, order) == "the member has not started yet"
    life = running()
    life.stop(1.0)
    assert refusal(life, order) == "the member is stopping"


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "scale"])
def test_nobody_can_be_ordered_about_who_is_not_there(verb: str) -> None:
    assert (
        refusal(running(), Order(verb, "nobody", force=True)) == "no actor nobody; there are store, log, door-1, door-2"
    )


def test_one_that_is_stopped_can_be_started_and_nothing_else() -> None:
    life = running()
    life.carry_out(Order("stop", "log"), 1.0)
    life.on_exit(pid(life, "log"), 0, 1.1)
    assert refusal(life, Order("stop", "log")) == "log is stopped already"
    assert refusal(life, Order("kill", "log", force=True)) == "log has no process, it is stopped"
    assert life.plan(Order("start", "log"), 2.0) == ["start log"]
    assert works(life.carry_out(Order("start", "log"), 2.0)) == [Spawn("log", 104)]
    assert refusal(life, Order("start", "log")) == "log is starting already"


def test_only_numbered_rows_can_be_scaled_and_within_bounds() -> None:
    life = running()
    assert refusal(life, Order("scale", "log", wanted=2, force=True)).endswith("are called log; there are door")
    assert refusal(life, Order("scale", "door-1", wanted=2)).endswith("are called door-1; there are door")
    for wanted in (0, COUNT_MAX + 1):
        assert f"not to {wanted}" in refusal(life, Order("scale", "door", wanted=wanted, force=True))


def test_only_who_holds_connections_can_drain() -> None:
    life = running()
    assert refusal(life, Order("drain", "log", force=True)) == "log holds no connections of clients"
    life.carry_out(Order("drain", "door-1"), 1.0)
    assert refusal(life, Order("drain", "door-1", force=True)) == "door-1 is draining already"


# ---- what is refused without force ----


def test_a_stop_of_the_only_one_of_its_kind_needs_force() -> None:
    life = running()
    assert (
        refusal(life, Order("stop", "log")) == "without log the member would serve nobody; --force does it all the same"
    )
    assert refusal(life, Order("stop", "log", force=True)) == ""
    assert refusal(life, Order("stop", "door-1")) == "", "the other one serves"
    life.carry_out(Order("drain", "door-2"), 1.0)
    assert "without door-1" in refusal(life, Order("stop", "door-1"))


def test_a_drain_of_the_last_one_that_serves_needs_force() -> None:
    life = running()
    life.carry_out(Order("drain", "door-1"), 1.0)
    order = Order("drain", "door-2")
    assert "without door-2 the member would serve nobody" in refusal(life, order)
    assert refusal(life, order._replace(force=True)) == ""


def test_scaling_down_to_those_that_do_not_serve_needs_force() -> None:
    life = running()
    life.carry_out(Order("drain", "door-1"), 1.0)
    order = Order("scale", "door", wanted=1)
    assert refusal(life, order) == "none of door-1 serves clients now; --force does it all the same"
    assert refusal(life, order._replace(force=True)) == ""
    assert refusal(life, order._replace(wanted=2)) == ""


def test_a_kill_that_would_use_up_the_restarts_needs_force() -> None:
    life = running(intensity=Intensity(2, 60.0))
    for now in (1.0, 2.0):
        assert refusal(life, Order("kill", "log"), now) == ""
        life.on_exit(pid(life, "log"), -9, now)
        start(life, "log", now)
    text = "one more restart of log would stop the member; --force does it all the same"
    for signum in (SIGKILL, 15, 19):
        assert refusal(life, Order("kill", "log", signum=signum), 3.0) == text
    for harmless in (0, 18):
        assert refusal(life, Order("kill", "log", signum=harmless), 3.0) == ""
    assert refusal(life, Order("kill", "log", force=True), 3.0) == ""
    assert refusal(life, Order("kill", "log"), 63.0) == "", "the first two are long ago"
    assert refusal(life, Order("restart", "log"), 3.0) == "", "an ordered restart does not count"


# ---- doing ----


def test_a_restart_in_order_counts_neither_as_a_restart_nor_against_the_intensity() -> None:
    life = running(intensity=Intensity(0, 1.0))
    assert works(life.carry_out(Order("restart", "log"), 1.0)) == [Ask("log", 101, 5.0)]
    assert works(life.on_exit(101, 0, 1.1)) == [Gone("log", 101), Publish(), Spawn("log", 104)]
    start(life, "log", 1.2)
    assert (life.lives["log"].restarts, life.stopping) == (0, False)


def test_a_graceful_restart_starts_the_new_one_before_the_old_one_is_told_to_stop() -> None:
    life = running()
    order = Order("restart", "door-1", graceful=True)
    assert life.plan(order, 1.0) == ["start a successor of door-1 (pid 102), then let that one drain"]
    assert works(life.carry_out(order, 1.0)) == [Spawn("door-1", 104)]
    assert refusal(life, order) == "door-1 is being restarted already"
    assert start_incarnation(life, "door-1", 104, 1.1) == [Ask("door-1", 102, 5.0), Publish()]
    assert (life.lives["door-1"].incarnation, life.lives["door-1"].restarts) == (104, 0)
    assert life.lives["door-1"].slot not in [life.find("door-1", 102).slot], "request ids carry it"  # type: ignore[union-attr]
    assert works(life.on_exit(102, 0, 1.5)) == [Gone("door-1", 102), Publish()]


def test_a_successor_that_does_not_become_ready_leaves_the_old_one_in_place() -> None:
    life = running()
    life.carry_out(Order("restart", "door-1", graceful=True), 1.0)
    life.on_spawned("door-1", 104, 104, 1.0)
    assert works(life.on_exit(104, 1, 1.1)) == [Gone("door-1", 104)]
    found = life.lives["door-1"]
    assert (found.incarnation, found.state, found.restarts) == (102, State.READY, 0)


def test_the_death_of_one_whose_successor_starts_is_made_good_by_that() -> None:
    life = running()
    life.carry_out(Order("restart", "door-1", graceful=True), 1.0)
    assert works(life.on_exit(102, -9, 1.1)) == [Gone("door-1", 102), Publish()]
    start_incarnation(life, "door-1", 104, 1.2)
    assert life.lives["door-1"].state is State.READY


def test_who_cannot_overlap_is_stopped_first_also_gracefully() -> None:
    life = running()
    assert life.plan(Order("restart", "log", graceful=True), 1.0) == ["stop log (pid 101) and start it again"]
    assert works(life.carry_out(Order("restart", "log", graceful=True), 1.0)) == [Ask("log", 101, 5.0)]


def test_scaling_up_and_down_starts_and_drains_by_number() -> None:
    life = running()
    assert life.plan(Order("scale", "door", wanted=4), 1.0) == ["start door-3", "start door-4"]
    assert works(life.carry_out(Order("scale", "door", wanted=4), 1.0))[:2] == [
        Spawn("door-3", 104),
        Spawn("door-4", 105),
    ]
    for name in ("door-3", "door-4"):
        start(life, name, 1.1)
    order = Order("scale", "door", wanted=1)
    assert [line.split()[1] for line in life.plan(order, 2.0)] == ["door-2", "door-3", "door-4"]
    asked = [action.name for action in works(life.carry_out(order, 2.0)) if isinstance(action, Ask)]
    assert asked == ["door-2", "door-3", "door-4"]
    assert [name for name in life.lives if name.startswith("door")] == ["door-1"]


def test_who_is_scaled_away_and_dies_is_not_started_again() -> None:
    life = running()
    life.carry_out(Order("scale", "door", wanted=1), 1.0)
    assert works(life.on_exit(103, -9, 1.1)) == [Gone("door-2", 103), Publish()]
    assert not life.stopping


def test_a_drained_one_takes_clients_again_when_it_is_started() -> None:
    life = running()
    life.carry_out(Order("drain", "door-1"), 1.0)
    assert not life.lives["door-1"].serving
    assert life.plan(Order("start", "door-1"), 2.0) == ["let door-1 (pid 102) take clients again"]
    assert works(life.carry_out(Order("start", "door-1"), 2.0)) == [Publish()]
    assert life.lives["door-1"].serving


def test_a_kill_sends_the_signal_and_the_death_counts_as_any_other() -> None:
    life = running()
    assert life.plan(Order("kill", "log", signum=15), 1.0) == ["send signal 15 to log (pid 101)"]
    assert works(life.carry_out(Order("kill", "log", signum=15), 1.0)) == [Signal(101, 15)]
    life.on_exit(101, -15, 1.1)
    assert life.lives["log"].restarts == 1


def test_a_stop_is_not_undone_by_a_restart_that_was_ordered_before() -> None:
    life = running()
    life.carry_out(Order("restart", "log"), 1.0)
    life.carry_out(Order("stop", "log", force=True), 1.1)
    life.on_exit(101, 0, 1.2)
    assert life.lives["log"].state is State.STOPPED
