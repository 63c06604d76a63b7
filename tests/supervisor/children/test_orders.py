"""What people order: what it would do, what is refused without force, and what is done. No processes."""

import pytest

from supervisor.children.child import AskToStop, Forget, PublishRoster, Signal, Spawn, State
from supervisor.children.lifecycle import SIGKILL, Lifecycle
from supervisor.children.orders import Order, Orders, Refusal
from supervisor.restart import Intensity
from supervisor.tree import COUNT_MAX
from tests.supervisor.children.samples import operations, pid, running, start, start_incarnation, works

VERBS = ("restart", "stop", "start", "kill", "scale", "drain")


def refusal(lifecycle: Lifecycle, order: Order, now: float = 5.0) -> str:
    """ "" if it is not refused; the plan changes nothing either way."""
    before = [(found.name, found.state, found.incarnation, found.draining) for found in lifecycle.everyone()]
    try:
        Orders(lifecycle).plan(order, now)
    except Refusal as refused:
        return str(refused)
    finally:
        assert before == [
            (found.name, found.state, found.incarnation, found.draining) for found in lifecycle.everyone()
        ]
    return ""


# ---- what cannot be done at all ----


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("force", [False, True])
def test_nothing_is_ordered_of_a_member_that_starts_or_stops(verb: str, force: bool) -> None:
    order = Order(verb, "server" if verb == "scale" else "server-1", wanted=3, force=force)
    lifecycle = operations()
    lifecycle.begin(0.0)
    assert refusal(lifecycle, order) == "the member has not started yet"
    lifecycle = running()
    lifecycle.stop(1.0)
    assert refusal(lifecycle, order) == "the member is stopping"


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "scale"])
def test_nobody_can_be_ordered_about_who_is_not_there(verb: str) -> None:
    assert (
        refusal(running(), Order(verb, "nobody", force=True))
        == "no actor nobody; there are store, log, server-1, server-2"
    )


def test_one_that_is_stopped_can_be_started_and_nothing_else() -> None:
    lifecycle = running()
    Orders(lifecycle).carry_out(Order("stop", "log"), 1.0)
    lifecycle.on_exit(pid(lifecycle, "log"), 0, 1.1)
    assert refusal(lifecycle, Order("stop", "log")) == "log is stopped already"
    assert refusal(lifecycle, Order("kill", "log", force=True)) == "log has no process, it is stopped"
    assert Orders(lifecycle).plan(Order("start", "log"), 2.0) == ["start log"]
    assert works(Orders(lifecycle).carry_out(Order("start", "log"), 2.0)) == [Spawn("log", 104)]
    assert refusal(lifecycle, Order("start", "log")) == "log is starting already"


def test_only_numbered_rows_can_be_scaled_and_within_bounds() -> None:
    lifecycle = running()
    assert refusal(lifecycle, Order("scale", "log", wanted=2, force=True)).endswith("are called log; there are server")
    assert refusal(lifecycle, Order("scale", "server-1", wanted=2)).endswith("are called server-1; there are server")
    for wanted in (0, COUNT_MAX + 1):
        assert f"not to {wanted}" in refusal(lifecycle, Order("scale", "server", wanted=wanted, force=True))


def test_only_who_holds_connections_can_drain() -> None:
    lifecycle = running()
    assert refusal(lifecycle, Order("drain", "log", force=True)) == "log holds no connections of clients"
    Orders(lifecycle).carry_out(Order("drain", "server-1"), 1.0)
    assert refusal(lifecycle, Order("drain", "server-1", force=True)) == "server-1 is draining already"


# ---- what is refused without force ----


def test_a_stop_of_the_only_one_of_its_kind_needs_force() -> None:
    lifecycle = running()
    assert (
        refusal(lifecycle, Order("stop", "log"))
        == "without log the member would serve no client; --force does it all the same"
    )
    assert refusal(lifecycle, Order("stop", "log", force=True)) == ""
    assert refusal(lifecycle, Order("stop", "server-1")) == "", "the other one serves"
    Orders(lifecycle).carry_out(Order("drain", "server-2"), 1.0)
    assert "without server-1" in refusal(lifecycle, Order("stop", "server-1"))


def test_a_drain_of_the_last_one_that_serves_needs_force() -> None:
    lifecycle = running()
    Orders(lifecycle).carry_out(Order("drain", "server-1"), 1.0)
    order = Order("drain", "server-2")
    assert "without server-2 the member would serve no client" in refusal(lifecycle, order)
    assert refusal(lifecycle, order._replace(force=True)) == ""


def test_scaling_down_to_those_that_do_not_serve_needs_force() -> None:
    lifecycle = running()
    Orders(lifecycle).carry_out(Order("drain", "server-1"), 1.0)
    order = Order("scale", "server", wanted=1)
    assert refusal(lifecycle, order) == "none of server-1 serves clients now; --force does it all the same"
    assert refusal(lifecycle, order._replace(force=True)) == ""
    assert refusal(lifecycle, order._replace(wanted=2)) == ""


def test_a_kill_that_would_use_up_the_restarts_needs_force() -> None:
    lifecycle = running(intensity=Intensity(2, 60.0))
    for now in (1.0, 2.0):
        assert refusal(lifecycle, Order("kill", "log"), now) == ""
        lifecycle.on_exit(pid(lifecycle, "log"), -9, now)
        start(lifecycle, "log", now)
    text = "one more restart of log would stop the member; --force does it all the same"
    for signum in (SIGKILL, 15, 19):
        assert refusal(lifecycle, Order("kill", "log", signum=signum), 3.0) == text
    for harmless in (0, 18):
        assert refusal(lifecycle, Order("kill", "log", signum=harmless), 3.0) == ""
    assert refusal(lifecycle, Order("kill", "log", force=True), 3.0) == ""
    assert refusal(lifecycle, Order("kill", "log"), 63.0) == "", "the first two are long ago"
    assert refusal(lifecycle, Order("restart", "log"), 3.0) == "", "an ordered restart does not count"


# ---- doing ----


def test_a_restart_in_order_counts_neither_as_a_restart_nor_against_the_intensity() -> None:
    lifecycle = running(intensity=Intensity(0, 1.0))
    assert works(Orders(lifecycle).carry_out(Order("restart", "log"), 1.0)) == [AskToStop("log", 101, 5.0)]
    assert works(lifecycle.on_exit(101, 0, 1.1)) == [Forget("log", 101), PublishRoster(), Spawn("log", 104)]
    start(lifecycle, "log", 1.2)
    assert (lifecycle.children["log"].restarts, lifecycle.stopping) == (0, False)


def test_a_graceful_restart_starts_the_new_one_before_the_old_one_is_told_to_stop() -> None:
    lifecycle = running()
    order = Order("restart", "server-1", graceful=True)
    assert Orders(lifecycle).plan(order, 1.0) == ["start a successor of server-1 (pid 102), then let that one drain"]
    assert works(Orders(lifecycle).carry_out(order, 1.0)) == [Spawn("server-1", 104)]
    assert refusal(lifecycle, order) == "server-1 is being restarted already"
    assert start_incarnation(lifecycle, "server-1", 104, 1.1) == [AskToStop("server-1", 102, 5.0), PublishRoster()]
    assert (lifecycle.children["server-1"].incarnation, lifecycle.children["server-1"].restarts) == (104, 0)
    assert lifecycle.children["server-1"].slot not in [lifecycle.find("server-1", 102).slot], "request ids carry it"  # type: ignore[union-attr]
    assert works(lifecycle.on_exit(102, 0, 1.5)) == [Forget("server-1", 102), PublishRoster()]


def test_a_successor_that_does_not_become_ready_leaves_the_old_one_in_place() -> None:
    lifecycle = running()
    Orders(lifecycle).carry_out(Order("restart", "server-1", graceful=True), 1.0)
    lifecycle.on_spawned("server-1", 104, 104, 1.0)
    assert works(lifecycle.on_exit(104, 1, 1.1)) == [Forget("server-1", 104)]
    found = lifecycle.children["server-1"]
    assert (found.incarnation, found.state, found.restarts) == (102, State.READY, 0)


def test_the_death_of_one_whose_successor_starts_is_made_good_by_that() -> None:
    lifecycle = running()
    Orders(lifecycle).carry_out(Order("restart", "server-1", graceful=True), 1.0)
    assert works(lifecycle.on_exit(102, -9, 1.1)) == [Forget("server-1", 102), PublishRoster()]
    start_incarnation(lifecycle, "server-1", 104, 1.2)
    assert lifecycle.children["server-1"].state is State.READY


def test_who_cannot_overlap_is_stopped_first_also_gracefully() -> None:
    lifecycle = running()
    assert Orders(lifecycle).plan(Order("restart", "log", graceful=True), 1.0) == [
        "stop log (pid 101) and start it again"
    ]
    assert works(Orders(lifecycle).carry_out(Order("restart", "log", graceful=True), 1.0)) == [
        AskToStop("log", 101, 5.0)
    ]


def test_scaling_up_and_down_starts_and_drains_by_number() -> None:
    lifecycle = running()
    assert Orders(lifecycle).plan(Order("scale", "server", wanted=4), 1.0) == ["start server-3", "start server-4"]
    assert works(Orders(lifecycle).carry_out(Order("scale", "server", wanted=4), 1.0))[:2] == [
        Spawn("server-3", 104),
        Spawn("server-4", 105),
    ]
    for name in ("server-3", "server-4"):
        start(lifecycle, name, 1.1)
    order = Order("scale", "server", wanted=1)
    assert [line.split()[1] for line in Orders(lifecycle).plan(order, 2.0)] == ["server-2", "server-3", "server-4"]
    asked = [action.name for action in works(Orders(lifecycle).carry_out(order, 2.0)) if isinstance(action, AskToStop)]
    assert asked == ["server-2", "server-3", "server-4"]
    assert [name for name in lifecycle.children if name.startswith("server")] == ["server-1"]


def test_who_is_scaled_away_and_dies_is_not_started_again() -> None:
    lifecycle = running()
    Orders(lifecycle).carry_out(Order("scale", "server", wanted=1), 1.0)
    assert works(lifecycle.on_exit(103, -9, 1.1)) == [Forget("server-2", 103), PublishRoster()]
    assert not lifecycle.stopping


def test_a_drained_one_takes_clients_again_when_it_is_started() -> None:
    lifecycle = running()
    Orders(lifecycle).carry_out(Order("drain", "server-1"), 1.0)
    assert not lifecycle.children["server-1"].serving
    assert Orders(lifecycle).plan(Order("start", "server-1"), 2.0) == ["let server-1 (pid 102) take clients again"]
    assert works(Orders(lifecycle).carry_out(Order("start", "server-1"), 2.0)) == [PublishRoster()]
    assert lifecycle.children["server-1"].serving


def test_a_kill_sends_the_signal_and_the_death_counts_as_any_other() -> None:
    lifecycle = running()
    assert Orders(lifecycle).plan(Order("kill", "log", signum=15), 1.0) == ["send signal 15 to log (pid 101)"]
    assert works(Orders(lifecycle).carry_out(Order("kill", "log", signum=15), 1.0)) == [Signal(101, 15)]
    lifecycle.on_exit(101, -15, 1.1)
    assert lifecycle.children["log"].restarts == 1


def test_a_stop_is_not_undone_by_a_restart_that_was_ordered_before() -> None:
    lifecycle = running()
    Orders(lifecycle).carry_out(Order("restart", "log"), 1.0)
    Orders(lifecycle).carry_out(Order("stop", "log", force=True), 1.1)
    lifecycle.on_exit(101, 0, 1.2)
    assert lifecycle.children["log"].state is State.STOPPED
