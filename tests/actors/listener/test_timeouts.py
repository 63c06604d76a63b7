"""What a write is answered with that nobody has answered in time. Texts and rules are etcd's."""

import time

import pytest

from etcdz.api import errors
from etcdz.api.errors import EtcdError
from etcdz.api.methods import PUT, RANGE
from etcdz.ipc.messages import Leadership, Members, PeerState
from tests.actors.listener.test_calls import PUT_BODY, RANGE_BODY, Setup, error_of, is_error

ME, OTHER, THIRD = 1, 2, 3
LONG_AGO = 1.0


class Clock:
    """Both clocks, from a common start."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now = 1_000.0
        patch.setattr("time.monotonic", lambda: self.now)
        patch.setattr("time.time", lambda: 1e9 + self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def setup(clock: Clock) -> Setup:
    made = Setup()
    rows = [(id_, f"m{id_}", [f"http://m{id_}:1"], [], False) for id_ in (ME, OTHER, THIRD)]
    made.calls.on_members(Members(9, 77, ME, rows, [], "3.5.0"))
    hear_of(made, OTHER, THIRD)
    return made


def hear_of(setup: Setup, *ids: int, since: float = LONG_AGO) -> None:
    setup.calls.members.on_peer_state(PeerState(1, [(id_, since) for id_ in ids]))


def lead(setup: Setup, leader: int, term: int = 5) -> None:
    setup.calls.on_leadership(Leadership(1, term, leader, 4, None, 3, 0))


def timed_out(setup: Setup, clock: Clock, method: int = PUT) -> tuple[int, bytes]:
    """What a call is answered with that begins now."""
    setup.begin(1, method, PUT_BODY if method == PUT else RANGE_BODY)
    return wait(setup, clock)


def wait(setup: Setup, clock: Clock, seconds: float = 7.1) -> tuple[int, bytes]:
    clock.now += seconds
    setup.calls.expire(time.monotonic())
    return error_of(setup, 1)


@pytest.mark.parametrize(
    ("leader", "heard", "error"),
    [
        (ME, (OTHER, THIRD), errors.TIMEOUT),
        (ME, (OTHER,), errors.TIMEOUT),
        (ME, (), errors.TIMEOUT_DUE_TO_CONNECTION_LOST),
        (OTHER, (OTHER,), errors.TIMEOUT),
        (OTHER, (THIRD,), errors.TIMEOUT_DUE_TO_CONNECTION_LOST),
    ],
)
def test_a_connection_may_be_the_reason_if_it_was_not_there_all_the_time(
    setup: Setup, clock: Clock, leader: int, heard: tuple[int, ...], error: EtcdError
) -> None:
    lead(setup, leader)
    clock.now += 60
    hear_of(setup, *heard)
    assert is_error(timed_out(setup, clock), error)


def test_a_connection_that_came_back_meanwhile_was_lost(setup: Setup, clock: Clock) -> None:
    lead(setup, OTHER)
    clock.now += 60
    hear_of(setup, OTHER, since=time.time() + 1)
    assert is_error(timed_out(setup, clock), errors.TIMEOUT_DUE_TO_CONNECTION_LOST)


def test_one_that_takes_over_blames_the_leader_before(setup: Setup, clock: Clock) -> None:
    lead(setup, OTHER)
    setup.begin(1, PUT, PUT_BODY)
    clock.now += 1.5
    lead(setup, 0)
    clock.now += 0.4
    lead(setup, ME, term=6)
    assert is_error(wait(setup, clock, 5.2), errors.TIMEOUT_DUE_TO_LEADER_FAIL)


def test_one_that_hears_of_another_leader_does_not(setup: Setup, clock: Clock) -> None:
    """As in etcd, where only the new leader itself notes when it was elected."""
    lead(setup, OTHER)
    setup.begin(1, PUT, PUT_BODY)
    clock.now += 1.5
    lead(setup, 0)
    clock.now += 0.4
    lead(setup, THIRD, term=6)
    assert is_error(wait(setup, clock, 5.2), errors.TIMEOUT)


def test_what_never_left_for_want_of_a_leader_has_another_error(setup: Setup, clock: Clock) -> None:
    lead(setup, OTHER)
    lead(setup, 0)
    clock.now += 0.1
    assert is_error(timed_out(setup, clock), errors.LEADERLESS)


def test_what_may_have_left_before_the_leader_was_lost_may_have_been_done(setup: Setup, clock: Clock) -> None:
    lead(setup, OTHER)
    setup.begin(1, PUT, PUT_BODY)
    clock.now += 0.1
    lead(setup, 0)
    assert is_error(wait(setup, clock), errors.TIMEOUT)


def test_a_read_says_no_more_than_that_it_timed_out(setup: Setup, clock: Clock) -> None:
    lead(setup, OTHER)
    hear_of(setup)
    assert is_error(timed_out(setup, clock, RANGE), errors.TIMEOUT)
