"""Unary calls of the Lease service: ids for leases that have none, and the two halves of a TimeToLive."""

import time

import pytest

from etcdz.api import errors
from etcdz.api.errors import EtcdError
from etcdz.api.methods import LEASE_GRANT, LEASE_LEASES, LEASE_TIME_TO_LIVE
from etcdz.ipc.messages import Leadership, LeaseAnswers, LeaseCalls
from etcdz.lease import question
from etcdz.proto import etcdserverpb as pb
from tests.actors.listener.test_calls import LESSOR, Setup


@pytest.fixture
def setup() -> Setup:
    return Setup()


def granted(setup: Setup, body: bytes) -> pb.LeaseGrantRequest:
    """The grant that is proposed for this request."""
    setup.begin(1, LEASE_GRANT, body)
    [(_, message)] = setup.turn()
    return pb.InternalRaftRequest.FromString(message.items[0][1]).lease_grant


def test_a_lease_without_an_id_gets_a_positive_one_before_it_is_proposed(setup: Setup) -> None:
    first, second = (granted(setup, pb.LeaseGrantRequest(TTL=5).SerializeToString()) for _ in range(2))
    assert first.TTL == 5 and 0 < first.ID < 1 << 63
    assert second.ID != first.ID


def test_a_lease_keeps_the_id_that_its_client_names(setup: Setup) -> None:
    assert granted(setup, pb.LeaseGrantRequest(TTL=5, ID=77).SerializeToString()).ID == 77


@pytest.mark.parametrize(("keys", "mark"), [(False, b"\0"), (True, b"\1")])
def test_a_time_to_live_asks_the_lessor_first_and_then_the_backend(setup: Setup, keys: bool, mark: bytes) -> None:
    setup.begin(1, LEASE_TIME_TO_LIVE, pb.LeaseTimeToLiveRequest(ID=7, keys=keys).SerializeToString())
    [(name, message)] = setup.turn()
    assert (name, type(message)) == ("lessor", LeaseCalls)
    [(request_id, verb, lease_id)] = message.items
    assert (verb, lease_id) == (question.TIME_TO_LIVE, 7)
    setup.calls.on_lease_answers(LeaseAnswers([(request_id, b"known")]))
    [(name, message)] = setup.turn()
    assert (name, message.items) == ("backend", [(request_id, LEASE_TIME_TO_LIVE, b"known" + mark, 0)])


def test_a_new_lessor_is_asked_again(setup: Setup) -> None:
    setup.begin(1, LEASE_LEASES, b"")
    before = setup.turn()
    setup.calls.on_peer_up(LESSOR)
    assert setup.turn() == before


@pytest.mark.parametrize("keys", [False, True])
def test_the_lessor_hears_which_times_to_live_want_keys(setup: Setup, keys: bool) -> None:
    setup.begin(1, LEASE_TIME_TO_LIVE, pb.LeaseTimeToLiveRequest(ID=7, keys=keys).SerializeToString())
    for _ in range(2):
        [(_, message)] = setup.turn()
        assert message.with_keys == ([message.items[0][0]] if keys else [])
        setup.calls.on_peer_up(LESSOR)


def test_a_whole_answer_of_the_lessor_goes_to_the_client(setup: Setup) -> None:
    setup.begin(1, LEASE_TIME_TO_LIVE, pb.LeaseTimeToLiveRequest(ID=7).SerializeToString())
    [(_, message)] = setup.turn()
    for _ in range(2):
        setup.calls.on_lease_answers(LeaseAnswers([], [(message.items[0][0], b"whole")]))
    assert setup.turn() == []
    assert setup.client.answers == {1: (0, b"whole")}


@pytest.mark.parametrize(("leader", "error"), [(0, errors.NO_LEADER), (99, errors.TIMEOUT)])
def test_who_has_waited_in_vain_hears_whether_there_is_a_leader(setup: Setup, leader: int, error: EtcdError) -> None:
    setup.calls.on_leadership(Leadership(1, 3, leader, 9, None, 9, 0))
    setup.begin(1, LEASE_TIME_TO_LIVE, pb.LeaseTimeToLiveRequest(ID=7).SerializeToString())
    setup.turn()
    setup.calls.expire(time.monotonic() + 8)
    assert setup.client.answers == {1: (error.code, error.text.encode())}
