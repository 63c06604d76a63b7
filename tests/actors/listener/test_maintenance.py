"""A listener's calls for maintenance: who may wait long, what comes before a proposal, what a full store refuses."""

import time

import pytest

from etcdz import limits
from etcdz.api import errors
from etcdz.api.methods import (
    COMPACT,
    DEFRAGMENT,
    DOWNGRADE,
    HASH_KV,
    LEASE_GRANT,
    MOVE_LEADER,
    PUT,
    TXN,
    WAIT_COMPACTION,
)
from etcdz.ipc.messages import Leadership, MoveLeader, Propose, QuotaHeadroom, Read, Replies
from etcdz.mvcc.growth import growth
from etcdz.proto import etcdserverpb as pb
from tests.actors.listener.test_calls import BACKEND, PUT_BODY, Setup, error_of, is_error

MEMBER = 9
DELETE = pb.RequestOp(request_delete_range=pb.DeleteRangeRequest(key=b"k"))
TXN_PUT = pb.TxnRequest(failure=[pb.RequestOp(request_put=pb.PutRequest(key=b"k", value=b"v"))]).SerializeToString()
TXN_DELETE = pb.TxnRequest(success=[DELETE]).SerializeToString()
COST = growth("put", pb.PutRequest(key=b"k", value=b"v"))


@pytest.fixture
def setup() -> Setup:
    made = Setup()
    made.grant(5)
    made.calls.on_quota_headroom(QuotaHeadroom(MEMBER, None, False))
    return made


def answer(setup: Setup, request_id: int, code: int, body: bytes, batch: int = 0) -> None:
    """batch: index of what was applied, 0 for reads."""
    setup.calls.on_replies(Replies(1, batch, [(request_id, code, body)], 1))


def only_item(setup: Setup) -> tuple[object, ...]:
    [(_, message)] = setup.turn()
    [item] = message.items
    return tuple(item)


@pytest.mark.parametrize("method", [HASH_KV, DEFRAGMENT])
def test_what_takes_long_is_not_timed_out_and_a_new_backend_is_asked_again(setup: Setup, method: int) -> None:
    setup.begin(1, method, b"")
    sent = only_item(setup)
    setup.calls.expire(time.monotonic() + 1e6)
    assert setup.client.answers == {}
    setup.calls.on_peer_up(BACKEND)
    assert only_item(setup) == sent
    answer(setup, int(str(sent[0])), 0, b"done")
    assert setup.client.answers == {1: (0, b"done")}


def test_a_physical_compaction_does_not_take_its_first_answer_out_of_the_ring_for_the_last(setup: Setup) -> None:
    setup.begin(1, COMPACT, pb.CompactionRequest(revision=5, physical=True).SerializeToString())
    request_id = int(str(only_item(setup)[0]))
    answer(setup, request_id, 0, b"in force", batch=7)
    assert only_item(setup)[1] == WAIT_COMPACTION
    answer(setup, request_id, 0, b"in force", batch=7)
    assert setup.client.answers == {}
    answer(setup, request_id, 0, b"scrubbed")
    assert setup.client.answers == {1: (0, b"scrubbed")}


def test_only_so_many_may_take_long(setup: Setup) -> None:
    for stream_id in range(limits.LONG_RUNNING_CALLS_MAX):
        setup.begin(stream_id, DEFRAGMENT, b"")
    setup.begin(-1, DEFRAGMENT, b"")
    assert is_error(error_of(setup, -1), errors.REQUEST_TOO_MANY_REQUESTS)
    setup.begin(-2, PUT, PUT_BODY)
    assert -2 not in setup.client.answers


def test_a_downgrade_is_proposed_once_the_backend_has_found_nothing_against_it(setup: Setup) -> None:
    body = pb.DowngradeRequest(action=1, version="3.4.7").SerializeToString()
    setup.begin(1, DOWNGRADE, body)
    request_id, method, asked, index = only_item(setup)
    assert (method, asked, index) == (DOWNGRADE, body, 5)
    answer(setup, int(str(request_id)), 0, b"found")
    [(name, message)] = setup.turn()
    assert (name, type(message)) == ("raft", Propose)
    proposed = pb.InternalRaftRequest.FromString(message.items[0][1]).downgrade_info_set
    assert (proposed.enabled, proposed.ver) == (True, "3.4.0")
    assert setup.client.answers == {}
    answer(setup, message.items[0][0], 0, b"applied")
    assert setup.client.answers == {1: (0, b"applied")}


def test_a_downgrade_that_is_only_asked_about_changes_nothing(setup: Setup) -> None:
    setup.begin(1, DOWNGRADE, pb.DowngradeRequest(version="3.4").SerializeToString())
    request_id = only_item(setup)[0]
    answer(setup, int(str(request_id)), 0, b"found")
    assert setup.client.answers == {1: (0, b"found")}
    assert setup.turn() == []


def test_leadership_is_moved_by_the_leader_alone(setup: Setup) -> None:
    setup.begin(1, MOVE_LEADER, b"")
    assert [type(message) for _, message in setup.turn()] == [Read]
    setup.calls.on_leadership(Leadership(1, 2, MEMBER + 1, 4, None, 3, 0))
    setup.begin(3, MOVE_LEADER, b"")
    assert is_error(error_of(setup, 3), errors.NOT_LEADER)


def ask_to_move(setup: Setup, target: int) -> list[MoveLeader]:
    """The backend takes the target for a voter. return what raft is asked for"""
    setup.begin(1, MOVE_LEADER, pb.MoveLeaderRequest(targetID=target).SerializeToString())
    answer(setup, int(str(only_item(setup)[0])), 0, b"")
    return [message for name, message in setup.turn() if name == "raft"]


def test_the_call_is_answered_when_the_target_leads(setup: Setup) -> None:
    assert ask_to_move(setup, MEMBER + 1) == [MoveLeader(MEMBER + 1)]
    setup.calls.on_leadership(Leadership(1, 3, 0, 4, None, 3, 0))
    assert setup.client.answers == {}
    setup.calls.on_leadership(Leadership(1, 3, MEMBER + 1, 4, None, 3, 0))
    assert setup.client.answers == {1: (0, b"")}


def test_it_moves_to_this_member_at_once(setup: Setup) -> None:
    assert ask_to_move(setup, MEMBER) == []
    assert setup.client.answers == {1: (0, b"")}


def test_a_move_that_takes_too_long_is_told(setup: Setup) -> None:
    ask_to_move(setup, MEMBER + 1)
    setup.calls.expire(time.monotonic() + 8)
    assert is_error(error_of(setup, 1), errors.TIMEOUT_LEADER_TRANSFER)


def raised(setup: Setup) -> tuple[int, int, int]:
    """(action, member id, alarm) of the one proposal of this turn."""
    request_id, data = only_item(setup)
    assert isinstance(data, bytes)
    alarm = pb.InternalRaftRequest.FromString(data).alarm
    answer(setup, int(str(request_id)), 0, b"raised")
    return alarm.action, alarm.memberID, alarm.alarm


@pytest.mark.parametrize(
    ("method", "body"), [(PUT, PUT_BODY), (PUT, b""), (TXN, TXN_PUT), (LEASE_GRANT, b"\x08\x05"), (LEASE_GRANT, b"")]
)
def test_without_room_what_grows_raises_the_alarm_whatever_else_is_wrong_with_it(
    setup: Setup, method: int, body: bytes
) -> None:
    setup.calls.on_quota_headroom(QuotaHeadroom(MEMBER, 64, False))
    setup.begin(1, method, body)
    assert raised(setup) == (1, MEMBER, 1)
    assert is_error(error_of(setup, 1), errors.NO_SPACE)


def test_an_alarm_that_is_raised_is_not_raised_again(setup: Setup) -> None:
    setup.calls.on_quota_headroom(QuotaHeadroom(MEMBER, 0, True))
    setup.begin(1, PUT, PUT_BODY)
    assert is_error(error_of(setup, 1), errors.NO_SPACE)
    assert setup.turn() == []


def test_what_does_not_grow_goes_on_without_room(setup: Setup) -> None:
    setup.calls.on_quota_headroom(QuotaHeadroom(MEMBER, -5, True))
    setup.begin(1, TXN, TXN_DELETE)
    assert [type(message) for _, message in setup.turn()] == [Propose]


def test_what_is_let_through_takes_room_until_the_backend_says_how_much_is_left(setup: Setup) -> None:
    setup.calls.on_quota_headroom(QuotaHeadroom(MEMBER, 2 * COST + 1, True))
    for stream_id in (1, 3, 5):
        setup.begin(stream_id, PUT, PUT_BODY)
    assert list(setup.client.answers) == [5]
    setup.calls.on_quota_headroom(QuotaHeadroom(MEMBER, 2 * COST, True))
    setup.begin(7, PUT, PUT_BODY)
    setup.begin(9, PUT, PUT_BODY)
    assert list(setup.client.answers) == [5, 9], "a request must leave something over, as in etcd"
    setup.calls.on_quota_headroom(QuotaHeadroom(MEMBER, None, False))
    for stream_id in range(11, 31, 2):
        setup.begin(stream_id, PUT, PUT_BODY)
    assert list(setup.client.answers) == [5, 9]
