"""Placement: together at small loads, spread at once under load, together again only after a calm while."""

from itertools import pairwise

import pytest

from supervisor.children.placement import (
    CALM_MAX_S,
    CALM_S,
    FOLLOW_MAX_S,
    FOLLOW_S,
    GATHER_BELOW,
    INTERVAL_S,
    SPREAD_ABOVE,
    WAIT_ABOVE,
    Load,
    Placement,
)

IDLE = {"wal": Load(0.01, 0.0), "raft": Load(0.02, 0.0)}
BUSY = {"wal": Load(SPREAD_ABOVE / 2, 0.0), "raft": Load(SPREAD_ABOVE, 0.0)}
IN_THE_WAY = {"wal": Load(0.2, WAIT_ABOVE), "raft": Load(0.2, 0.1)}
HOGGED = {"wal": Load(0.2, 0.5), "raft": Load(0.2, 0.5)}
MIDDLING = {"wal": Load((GATHER_BELOW + SPREAD_ABOVE) / 2, 0.0)}


def test_actors_start_together_on_one_cpu() -> None:
    assert Placement([0, 1, 2], home=4).cpus() == frozenset({1})


@pytest.mark.parametrize("load", [BUSY, IN_THE_WAY])
def test_one_busy_interval_spreads_them(load: dict[str, Load]) -> None:
    placement = Placement([0, 1], home=0)
    assert placement.look(IDLE, 0.0) is None
    assert placement.look(load, INTERVAL_S) == frozenset({0, 1})
    assert placement.look(load, 2 * INTERVAL_S) is None
    assert placement.cpus() == frozenset({0, 1})


def test_a_crowd_of_callers_spreads_them_without_waiting_for_a_look() -> None:
    placement = Placement([0, 1], home=0)
    assert placement.on_busy(0.01) == frozenset({0, 1})
    assert placement.on_busy(0.02) is None
    assert Placement([0, 1], home=0, policy="none").on_busy(0.01) is None


def test_they_gather_only_after_a_calm_while() -> None:
    placement = Placement([0, 1], home=0)
    placement.look(BUSY, 0.0)
    assert placement.look(IDLE, 1.0) is None
    assert placement.look(IDLE, 1.0 + CALM_S - 0.01) is None
    assert placement.look(IDLE, 1.0 + CALM_S) == frozenset({0})


def test_any_load_within_the_calm_begins_it_anew() -> None:
    placement = Placement([0, 1], home=0)
    placement.look(BUSY, 0.0)
    placement.look(IDLE, 1.0)
    placement.look(MIDDLING, 2.0)
    assert placement.look(IDLE, 3.0) is None
    assert placement.look(IDLE, 1.0 + CALM_S) is None
    assert placement.look(IDLE, 3.0 + CALM_S) == frozenset({0})


def test_a_gathering_that_did_not_last_makes_the_next_one_wait_longer() -> None:
    placement, now, waits = Placement([0, 1], home=0), 0.0, []
    for _ in range(7):
        assert placement.look(BUSY, now) == placement.everywhere
        began = now
        while placement.look(IDLE, now) is None:
            now += 0.25
        waits.append(now - began)
    assert waits == [CALM_S, 2 * CALM_S, 4 * CALM_S, 8 * CALM_S, CALM_MAX_S, CALM_MAX_S, CALM_MAX_S]
    now += 2 * CALM_MAX_S
    placement.look(BUSY, now)
    placement.look(IDLE, now)
    assert placement.look(IDLE, now + CALM_S) == placement.together


def test_a_middling_load_moves_nothing() -> None:
    placement = Placement([0, 1], home=0)
    assert placement.look(MIDDLING, 0.0) is None
    assert placement.look(HOGGED, 0.5) is None
    placement.look(BUSY, 1.0)
    assert placement.look(MIDDLING, 100.0) is None


@pytest.mark.parametrize("placement", [Placement([0, 1], 0, "none"), Placement([3], 0)])
def test_without_a_policy_or_a_choice_nothing_is_pinned(placement: Placement) -> None:
    assert placement.cpus() == placement.everywhere
    assert placement.look(BUSY, 0.0) is None
    assert placement.look(IDLE, 100.0) is None


def test_what_is_together_follows_the_client() -> None:
    placement = Placement([0, 1, 2], home=0)
    assert placement.follow(0, 0.0) is None
    assert placement.follow(-1, 0.0) is None
    assert placement.follow(7, 0.0) is None  # not ours
    assert placement.follow(2, 0.0) == frozenset({2}) == placement.cpus()
    assert placement.follow(2, 1.0) is None
    assert Placement([0, 1], home=0, policy="none").follow(1, 0.0) is None


def test_what_is_spread_stays_so_and_gathers_where_the_client_was() -> None:
    placement = Placement([0, 1, 2], home=0)
    placement.look(BUSY, 0.0)
    assert placement.follow(2, 0.5) is None
    assert placement.cpus() == placement.everywhere
    placement.look(IDLE, 1.0)
    assert placement.look(IDLE, 1.0 + CALM_S) == frozenset({2})


def test_a_client_that_never_stays_is_followed_ever_more_seldom() -> None:
    """The kernel may keep it off a CPU that we use; moving costs caches."""
    placement, now, moves = Placement([0, 1], home=0), 0.0, []
    while now < 300:
        (here,) = placement.together
        if placement.follow(1 - here, now) is not None:
            moves.append(now)
        now += 0.25
    gaps = [after - before for before, after in pairwise(moves)]
    assert gaps[:4] == [FOLLOW_S, 2 * FOLLOW_S, 4 * FOLLOW_S, 8 * FOLLOW_S]
    assert gaps == sorted(gaps) and gaps[-1] == FOLLOW_MAX_S
    (here,) = placement.together
    now += 5 * FOLLOW_MAX_S  # it stayed for long: the next time is like the first
    assert placement.follow(1 - here, now) is not None
    assert placement.follow(here, now + FOLLOW_S) is not None
