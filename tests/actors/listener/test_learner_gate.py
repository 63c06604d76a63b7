"""What a learner serves: its own state, and reads that need nobody else."""

import pytest

from etcdz.api import errors
from etcdz.api.methods import (
    HASH_KV,
    HEALTH,
    PATHS,
    PUT,
    RANGE,
    RANGE_CHUNK,
    STATUS,
)
from etcdz.ipc.messages import Leadership, Members, PeerAsk, QuotaHeadroom
from etcdz.proto import etcdserverpb as pb
from tests.actors.listener.test_calls import PUT_BODY, RANGE_BODY, Setup, error_of, is_error

ME = 4
SERIALIZABLE = pb.RangeRequest(key=b"k", serializable=True).SerializeToString()


def learn(setup: Setup, is_learner: bool) -> None:
    rows = [(1, "m1", ["http://m1:1"], [], False), (ME, "me", ["http://me:1"], [], is_learner)]
    setup.calls.on_members(Members(9, 77, ME, rows, [], "3.5.0"))


@pytest.fixture
def setup() -> Setup:
    made = Setup()
    learn(made, True)
    made.calls.on_leadership(Leadership(1, 5, 1, 4, None, 3, 0))
    return made


@pytest.mark.parametrize("method", sorted({*PATHS.values(), RANGE_CHUNK} - {STATUS}))
def test_everything_else_is_refused_whatever_it_says(setup: Setup, method: int) -> None:
    setup.begin(1, method, b"")
    assert is_error(error_of(setup, 1), errors.NOT_SUPPORTED_FOR_LEARNER)
    assert setup.turn() == []


def test_status_and_serializable_ranges_are_served(setup: Setup) -> None:
    setup.begin(1, STATUS, b"")
    setup.begin(3, RANGE, SERIALIZABLE)
    [(name, message)] = setup.turn()
    assert (name, [item[1] for item in message.items]) == ("backend", [STATUS, RANGE])
    setup.begin(5, RANGE, RANGE_BODY)
    assert is_error(error_of(setup, 5), errors.NOT_SUPPORTED_FOR_LEARNER)


def test_with_a_vote_all_is_served_and_the_quota_holds(setup: Setup) -> None:
    setup.calls.on_quota_headroom(QuotaHeadroom(ME, 0, True))
    learn(setup, False)
    setup.begin(1, PUT, PUT_BODY)
    assert is_error(error_of(setup, 1), errors.NO_SPACE)
    setup.begin(3, RANGE, RANGE_BODY)
    assert [name for name, _ in setup.turn()] == ["raft"]


def test_a_health_check_and_other_members_are_answered_by_a_learner(setup: Setup) -> None:
    setup.calls.begin_health(setup.client, 1, linearizable=False)
    setup.calls.peer_requests.on_ask(PeerAsk(1, "GET", "/members/hashkv", b'{"revision":1}'))
    [(name, message)] = setup.turn()
    assert (name, [item[1] for item in message.items]) == ("backend", [HEALTH, HASH_KV])
