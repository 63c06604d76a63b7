"""Who accepts from which socket, and who is asked to send clients away."""

from types import SimpleNamespace
from typing import Any

from supervisor.children.accept_balancing import AcceptBalancing

SOCKETS = 16


def child(number: int, incarnation: int, serving: bool = True, draining: bool = False) -> Any:
    spec = SimpleNamespace(listen_sockets=True)
    leaving = not serving and not draining
    return SimpleNamespace(
        name=f"listener-{number}",
        incarnation=incarnation,
        spec=spec,
        serving=serving and not draining,
        leaving=leaving,
        draining=draining,
    )


def told(accept_balancing: AcceptBalancing, *children: Any) -> dict[int, tuple[int, float]]:
    """incarnation -> (how many sockets, share of its clients to be sent away)"""
    orders = accept_balancing.orders(children, SOCKETS)
    return {incarnation: (len(listen.sockets), listen.drain_share) for incarnation, listen in orders}


def test_every_socket_has_exactly_one_listener() -> None:
    orders = AcceptBalancing().orders([child(1, 1), child(2, 2), child(3, 3)], SOCKETS)
    assert sorted(number for _, listen in orders for number in listen.sockets) == list(range(SOCKETS))


def test_one_more_listener_gets_its_share_of_the_clients() -> None:
    accept_balancing = AcceptBalancing()
    assert told(accept_balancing, child(1, 1)) == {1: (16, 0.0)}
    assert told(accept_balancing, child(1, 1), child(2, 2)) == {1: (8, 0.5), 2: (8, 0.0)}


def test_those_with_which_a_member_starts_send_none_of_each_others_clients_away() -> None:
    accept_balancing = AcceptBalancing()
    assert len(accept_balancing.orders([child(1, 1)], SOCKETS, ["listener-1", "listener-2"])) == 1
    assert told(accept_balancing, child(1, 1), child(2, 2)) == {1: (8, 0.0), 2: (8, 0.0)}
    assert told(accept_balancing, child(1, 1), child(2, 2), child(3, 3))[1][1] == 1 / 3


def test_a_listener_that_died_and_came_back_sends_nobody_elses_clients_away() -> None:
    accept_balancing = AcceptBalancing()
    told(accept_balancing, child(1, 1), child(2, 2))
    assert told(accept_balancing, child(2, 2)) == {2: (16, 0.0)}
    assert told(accept_balancing, child(1, 3), child(2, 2)) == {3: (8, 0.0), 2: (8, 0.0)}


def test_who_drains_accepts_nobody_and_sends_all_away() -> None:
    accept_balancing = AcceptBalancing()
    told(accept_balancing, child(1, 1), child(2, 2))
    assert told(accept_balancing, child(1, 1), child(2, 2, draining=True)) == {1: (16, 0.0), 2: (0, 1.0)}


def test_after_scaling_down_and_up_clients_are_shared_again() -> None:
    accept_balancing = AcceptBalancing()
    told(accept_balancing, child(1, 1), child(2, 2))
    told(accept_balancing, child(1, 1), child(2, 2, serving=False))
    told(accept_balancing, child(1, 1))
    assert told(accept_balancing, child(1, 1), child(2, 3)) == {1: (8, 0.5), 3: (8, 0.0)}


def test_clients_are_not_left_to_a_listener_that_lets_nobody_in_yet() -> None:
    accept_balancing = AcceptBalancing()
    assert told(accept_balancing, child(1, 1), child(2, 2)) == {1: (8, 0.0), 2: (8, 0.0)}, "nobody else could"
    assert accept_balancing.note(1, True)
    assert not accept_balancing.note(1, True)
    assert not accept_balancing.note(2, False)
    assert told(accept_balancing, child(1, 1), child(2, 2)) == {1: (16, 0.0), 2: (0, 0.0)}
    assert accept_balancing.note(2, True)
    assert told(accept_balancing, child(1, 1), child(2, 2)) == {1: (8, 0.0), 2: (8, 0.0)}
    assert told(accept_balancing, child(1, 3), child(2, 2)) == {2: (16, 0.0), 3: (0, 0.0)}
