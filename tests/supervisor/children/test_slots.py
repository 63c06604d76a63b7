"""Slots of request ids: no two living processes share one, and an order that would need too many is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etcdz.ipc.request_ids import LISTENER_SLOTS
from supervisor.children import slots
from supervisor.children.child import Child, State
from supervisor.children.lifecycle import Lifecycle
from supervisor.children.orders import Order, Orders, Refusal
from supervisor.tree import COUNT_MAX, ChildSpec
from tests.supervisor.children.samples import start, start_incarnation

SERVER = ChildSpec(name="server", kind="actors.server", stage=1, numbered=True, overlap=True, listen_sockets=True)


def serving(count: int) -> Lifecycle:
    lifecycle = Lifecycle((SERVER,), 100, lambda: 0.0)
    lifecycle.begin(0.0)
    start(lifecycle, "server-1")
    if count > 1:
        lifecycle.scale("server", count, 0.0)
        for number in range(2, count + 1):
            start(lifecycle, f"server-{number}")
    return lifecycle


def taken(lifecycle: Lifecycle) -> list[int]:
    """Slots of all living processes. NB: checks that they are as they must be."""
    found = [child.slot for child in lifecycle.everyone() if child.alive]
    assert len(set(found)) == len(found), "no two have the same"
    assert set(found) <= set(LISTENER_SLOTS)
    return found


def restart(lifecycle: Lifecycle, name: str) -> None:
    """Gracefully; the successor is ready when this returns, and the one before may still leave."""
    order = Order("restart", name, graceful=True)
    Orders(lifecycle).plan(order, 1.0)
    Orders(lifecycle).carry_out(order, 1.0)
    start_incarnation(lifecycle, name, lifecycle.successors[name].incarnation, 1.0)


def end_all_that_leave(lifecycle: Lifecycle) -> None:
    for child in list(lifecycle.leaving):
        assert child.pid is not None
        lifecycle.on_exit(child.pid, 0, 2.0)


def test_as_many_as_there_can_be_are_restarted_gracefully_twice() -> None:
    lifecycle = serving(COUNT_MAX)
    names = list(lifecycle.children)
    assert sorted(taken(lifecycle)) == list(range(COUNT_MAX))
    for name in names:
        restart(lifecycle, name)
    assert sorted(taken(lifecycle)) == list(LISTENER_SLOTS), "all of the first round still leave"
    for name in names:
        with pytest.raises(Refusal, match=f"server has {2 * COUNT_MAX} processes with those that leave still"):
            restart(lifecycle, name)
    end_all_that_leave(lifecycle)
    for name in names:
        restart(lifecycle, name)
    assert sorted(taken(lifecycle)) == list(LISTENER_SLOTS)


def test_a_slot_is_free_again_when_the_process_that_leaves_has_ended() -> None:
    lifecycle = serving(1)
    for _ in range(100):
        restart(lifecycle, "server-1")
        assert len(taken(lifecycle)) == 2
        end_all_that_leave(lifecycle)
    assert set(taken(lifecycle)) <= {0, 1}


def test_scaling_waits_for_slots_that_leaving_processes_have() -> None:
    lifecycle = serving(COUNT_MAX)
    for name in list(lifecycle.children):
        restart(lifecycle, name)
    lifecycle.scale("server", 1, 1.0)
    order = Order("scale", "server", wanted=2)
    with pytest.raises(Refusal, match="try again when some have ended"):
        Orders(lifecycle).plan(order, 1.0)
    end_all_that_leave(lifecycle)
    assert Orders(lifecycle).plan(order, 1.0) == ["start server-2"]


def test_more_listeners_than_there_are_slots_for_are_refused_with_the_reason() -> None:
    lifecycle = serving(1)
    with pytest.raises(Refusal, match=f"can be scaled to 1 up to {COUNT_MAX}, not to {COUNT_MAX + 1}"):
        Orders(lifecycle).plan(Order("scale", "server", wanted=COUNT_MAX + 1), 1.0)


def test_one_that_died_comes_back_though_all_others_were_restarted_meanwhile() -> None:
    lifecycle = serving(COUNT_MAX)
    for _ in range(2):  # the second short life is answered by a back-off, in which it has no process
        pid = lifecycle.children["server-1"].pid
        assert pid is not None
        lifecycle.on_exit(pid, -9, 0.1)
        if lifecycle.children["server-1"].state is State.STARTING:
            start(lifecycle, "server-1", 0.1)
    assert lifecycle.children["server-1"].state is State.BACKOFF
    refused = 0
    for name in [*lifecycle.children] * 2:
        try:
            if name != "server-1":
                restart(lifecycle, name)
        except Refusal:
            refused += 1
    assert refused == COUNT_MAX - 2, "the second round, but for one process"
    lifecycle.on_clock(9.0)
    assert lifecycle.children["server-1"].state is State.STARTING
    assert len(taken(lifecycle)) == len(LISTENER_SLOTS)


def test_without_a_slot_nothing_is_started() -> None:
    children = []
    for number in range(len(LISTENER_SLOTS)):
        child = Child(SERVER, f"server-{number}", number)
        child.state = State.READY
        children.append(child)
    assert slots.room("server", children) == 0
    with pytest.raises(RuntimeError, match="no slot is left"):
        slots.free_slot(Child(SERVER, "one-more", 0), children)


@given(
    st.lists(
        st.tuples(st.sampled_from(("restart", "ready", "left", "die", "scale", "clock")), st.integers(1, COUNT_MAX))
    )
)
def test_whatever_is_ordered_and_dies_no_two_share_a_slot(events: list[tuple[str, int]]) -> None:
    lifecycle = serving(COUNT_MAX)
    for step, (event, number) in enumerate(events):
        happen(lifecycle, event, number, 10.0 * (step + 1))
        taken(lifecycle)


def happen(lifecycle: Lifecycle, event: str, number: int, now: float) -> None:
    orders, name = Orders(lifecycle), f"server-{number}"
    order = Order("scale", "server", wanted=number) if event == "scale" else Order("restart", name, graceful=True)
    if event in ("scale", "restart"):
        try:
            orders.plan(order, now)
        except Refusal:
            return
        orders.carry_out(order, now)
    for child in [child for child in lifecycle.everyone() if child.name == name]:
        if event == "ready" and child.state is State.STARTING:
            start_incarnation(lifecycle, child.name, child.incarnation, now)
        if child.pid is not None and (event == "die" or (event == "left" and child.leaving)):
            lifecycle.on_exit(child.pid, 0 if event == "left" else -9, now)
    if event == "clock":
        lifecycle.on_clock(now)
