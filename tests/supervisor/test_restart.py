"""The restart decision: the product of restart type and kind of exit, intensity, back-off."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.restart import (
    BACKOFF_FIRST_S,
    BACKOFF_MAX_S,
    REPEATS_MAX,
    REPEATS_S,
    SETTLED_S,
    Ending,
    Exit,
    GiveUp,
    Intensity,
    RecyclingLimits,
    Restart,
    RestartHistory,
    StartAgain,
    StayStopped,
    backoff_s,
    decide,
    recycling_reason,
)

LENIENT = Intensity(5, 10.0)

AGAIN = {
    (Restart.PERMANENT, Ending.NORMAL): True,
    (Restart.PERMANENT, Ending.FAILED): True,
    (Restart.PERMANENT, Ending.KILLED): True,
    (Restart.PERMANENT, Ending.HUNG): True,
    (Restart.PERMANENT, Ending.UNREADY): True,
    (Restart.TRANSIENT, Ending.NORMAL): False,
    (Restart.TRANSIENT, Ending.FAILED): True,
    (Restart.TRANSIENT, Ending.KILLED): True,
    (Restart.TRANSIENT, Ending.HUNG): True,
    (Restart.TRANSIENT, Ending.UNREADY): True,
    (Restart.TEMPORARY, Ending.NORMAL): False,
    (Restart.TEMPORARY, Ending.FAILED): False,
    (Restart.TEMPORARY, Ending.KILLED): False,
    (Restart.TEMPORARY, Ending.HUNG): False,
    (Restart.TEMPORARY, Ending.UNREADY): False,
}


@pytest.mark.parametrize(("restart", "ending"), list(product(Restart, Ending)))
@pytest.mark.parametrize("ready_s", [None, 0.0, 60.0])
def test_restart_type_and_kind_of_exit_decide(restart: Restart, ending: Ending, ready_s: float | None) -> None:
    decision = decide(restart, LENIENT, RestartHistory(), Exit(ending, "ended", ready_s), 100.0, 0.5)
    assert isinstance(decision, StartAgain if AGAIN[restart, ending] else StayStopped)


def children(
    count: int, every_s: float, ready_s: float | None, intensity: Intensity = LENIENT
) -> list[StartAgain | GiveUp]:
    """Decisions about a permanent actor that is killed again and again."""
    history, decisions, died = RestartHistory(), [], Exit(Ending.KILLED, "died", ready_s, from_outside=True)
    for i in range(count):
        decision = decide(Restart.PERMANENT, intensity, history, died, i * every_s, 0.0)
        assert not isinstance(decision, StayStopped)
        decisions.append(decision)
        if isinstance(decision, GiveUp):
            break
        history = decision.history
    return decisions


def waits(decisions: list[StartAgain | GiveUp]) -> list[float]:
    return [decision.after_s for decision in decisions if isinstance(decision, StartAgain)]


def test_the_first_retry_is_immediate_and_short_lives_back_off_exponentially() -> None:
    decisions = children(8, every_s=1.0, ready_s=0.01, intensity=Intensity(100, 100.0))
    first = BACKOFF_FIRST_S
    assert waits(decisions) == [0.0, first, 2 * first, 4 * first, 8 * first, *[BACKOFF_MAX_S] * 3]


def test_after_a_settled_life_the_retry_is_immediate_again() -> None:
    decisions = children(20, every_s=3.0, ready_s=SETTLED_S)
    assert waits(decisions) == [0.0] * 20


def test_more_than_r_restarts_within_t_seconds_give_up_with_the_reason() -> None:
    decisions = children(20, every_s=1.0, ready_s=60.0)
    assert len(decisions) == LENIENT.restarts + 1
    last = decisions[-1]
    assert isinstance(last, GiveUp)
    assert last.reason == "more than 5 restarts within 10 s needed, the last time because it died"


def test_r_restarts_within_t_seconds_are_allowed_for_ever() -> None:
    assert not any(isinstance(decision, GiveUp) for decision in children(100, every_s=2.0, ready_s=1.0))


def test_starts_that_never_become_ready_give_up_however_slow_they_are() -> None:
    decisions = children(20, every_s=1000.0, ready_s=None)
    assert len(decisions) == LENIENT.restarts + 1
    assert isinstance(decisions[-1], GiveUp)


def test_no_restart_is_allowed_with_intensity_zero() -> None:
    assert isinstance(children(1, every_s=1.0, ready_s=60.0, intensity=Intensity(0, 1.0))[0], GiveUp)


@given(st.integers(0, 10_000), st.floats(0, 1, exclude_max=True))
def test_back_off_is_bounded_and_jitter_takes_at_most_half(short_lives: int, jitter: float) -> None:
    full = backoff_s(short_lives, 0.0)
    assert 0 <= full <= BACKOFF_MAX_S
    assert full / 2 <= backoff_s(short_lives, jitter) <= full


def repeat(exits: list[Exit], every_s: float) -> list[str]:
    """Why a permanent actor is given up that ends so, one after the other, and may end as often as it likes."""
    history, reasons = RestartHistory(), []
    for number, exit in enumerate(exits):
        decision = decide(Restart.PERMANENT, Intensity(1000, 1e6), history, exit, number * every_s, 0.0)
        if isinstance(decision, GiveUp):
            reasons.append(decision.reason)
            break
        assert isinstance(decision, StartAgain)
        history = decision.history
    return reasons


POISONED = Exit(Ending.FAILED, "exited with status 1: ValueError", 10.0)


def test_the_same_fault_again_and_again_gives_up_however_slowly_it_comes() -> None:
    every_s = REPEATS_S / (REPEATS_MAX + 1)
    (reason,) = repeat([POISONED] * (REPEATS_MAX + 1), every_s)
    assert reason == "21 times within 600 s it exited with status 1: ValueError"
    assert repeat([POISONED] * REPEATS_MAX, every_s) == []


def test_the_same_fault_seldom_enough_is_borne_for_ever() -> None:
    assert repeat([POISONED] * 200, REPEATS_S / REPEATS_MAX) == []


def test_kills_from_outside_between_do_not_hide_a_poison_message() -> None:
    killed = Exit(Ending.KILLED, "was killed by signal 9", 10.0, from_outside=True)
    assert repeat([killed] * 200, 1.0) == []
    assert len(repeat([POISONED, killed] * (REPEATS_MAX + 1), 1.0)) == 1


def test_an_end_in_good_order_is_no_fault() -> None:
    """A backend ends so whenever a leader's snapshot takes the place of its store."""
    assert repeat([Exit(Ending.NORMAL, "exited with status 0", 10.0)] * 200, 1.0) == []


def test_another_fault_begins_the_count_anew() -> None:
    other = POISONED._replace(reason="exited with status 1: KeyError")
    assert repeat([*[POISONED] * REPEATS_MAX, other] * 3, 1.0) == []


@pytest.mark.parametrize("ending", [Ending.HUNG, Ending.UNREADY])
def test_waits_that_differ_do_not_hide_the_same_fault(ending: Ending) -> None:
    exits = [Exit(ending, f"hung: no heartbeat for {number} s", 10.0) for number in range(REPEATS_MAX + 1)]
    assert len(repeat(exits, 1.0)) == 1


@pytest.mark.parametrize(
    ("limits", "age_s", "rss_bytes", "reason"),
    [
        (RecyclingLimits(), 1e9, 1 << 40, ""),
        (RecyclingLimits(max_age_s=60.0), 60.0, 0, ""),
        (RecyclingLimits(max_age_s=60.0), 61.0, 0, "has lived for 61 s"),
        (RecyclingLimits(max_rss_bytes=100 << 20), 1.0, 100 << 20, ""),
        (RecyclingLimits(max_rss_bytes=100 << 20), 1.0, 101 << 20, "uses 101 MiB of memory"),
        (RecyclingLimits(max_rss_bytes=100 << 20, max_rss_after_s=60.0), 60.0, 101 << 20, ""),
        (RecyclingLimits(max_rss_bytes=100 << 20, max_rss_after_s=60.0), 61.0, 101 << 20, "uses 101 MiB of memory"),
        (RecyclingLimits(max_age_s=60.0, max_rss_bytes=100 << 20), 61.0, 101 << 20, "has lived for 61 s"),
    ],
)
def test_who_grows_too_old_or_too_big_is_recycled(
    limits: RecyclingLimits, age_s: float, rss_bytes: int, reason: str
) -> None:
    assert recycling_reason(limits, age_s, rss_bytes) == reason
