"""Proposals before the log is known, without a leader, and when raft takes none."""

import time
from collections.abc import Iterator

import pytest

from etcdz import limits
from etcdz.api.raft_request import encode_request
from etcdz.ipc.messages import Append, Appended, Propose, ReadIndex, ReadStates, Refused, Send
from etcdz.ipc.request_ids import COMPACTOR_SLOT, RequestIds
from etcdz.raft import make_entry
from etcdz.raft.messages import MSG_APP_RESP, MSG_HEARTBEAT, MSG_HEARTBEAT_RESP, Message
from tests.actors.raft.restarted import ME, Restarted, lead, restarted_with


def item(request_id: int) -> tuple[int, bytes]:
    return request_id, encode_request(request_id, b"\x22", b"")


@pytest.fixture
def one() -> Iterator[Restarted]:
    """One of three voters: the wal never gets the end of the log."""
    with restarted_with((1, 2, 3)) as made:
        yield made


def entries(one: Restarted) -> list[bytes]:
    return [entry for append in one.links.of_type(Append) for entry in append.entries]


def test_what_comes_before_the_log_is_read_is_neither_lost_nor_refused(one: Restarted) -> None:
    one.actor.proposals.on_propose(Propose(0, [item(9)]))
    one.actor.on_turn_end()
    assert one.links.sent == []
    one.greet(leader=2)
    assert one.actor.proposals.waiting == [item(9)[1]]
    one.actor.on_turn_end()
    assert one.actor.proposals.waiting == [item(9)[1]], "it waits for a leader"


def test_what_has_waited_for_a_leader_until_nobody_waits_for_it_is_not_written_later(one: Restarted) -> None:
    one.greet(leader=2)
    now = time.monotonic()
    one.actor.proposals.expire(now)
    one.actor.proposals.on_propose(Propose(0, [item(9)]))
    one.actor.proposals.expire(now + 6.9)
    assert one.actor.proposals.waiting == [item(9)[1]]
    one.actor.proposals.expire(now + 7.1)
    one.actor.proposals.on_propose(Propose(0, [item(10)]))
    one.actor.proposals.expire(now + 14.2)
    assert one.actor.proposals.waiting == [item(10)[1]]


def test_the_proposals_of_a_turn_enter_the_log_as_neighbours_and_each_once(one: Restarted) -> None:
    lead(one)
    one.actor.proposals.on_propose(Propose(0, [item(9), item(10)]))
    one.actor.proposals.on_propose(Propose(1, [item(11)]))
    one.actor.proposals.on_propose(Propose(0, [item(9)]))
    one.actor.on_turn_end()
    (append,) = one.links.of_type(Append)
    assert len(append.entries) == 3


def test_a_listener_that_began_when_the_clock_had_been_set_back_is_not_refused(one: Restarted) -> None:
    lead(one)
    before = RequestIds(ME, 0, 1_700_000_000_000_000)
    for _ in range(2 * limits.REQUEST_WINDOW):
        one.actor.window.add(before.next())
    one.actor.window.trim(0)
    (first, data) = item(RequestIds(ME, 0, 1_699_999_995_000_000).next())
    assert one.actor.window.has_forgotten(first), "five seconds are less than what is taken for the same listener's"
    one.actor.proposals.on_propose(Propose(0, [(first, data)]))
    one.actor.proposals.on_propose(Propose(0, [(first, data)]))
    assert one.actor.proposals.waiting == [data] and one.links.of_type(Refused) == []


def test_a_full_disk_refuses_what_is_new_but_not_what_is_in_the_log(one: Restarted) -> None:
    lead(one)
    one.actor.proposals.on_propose(Propose(0, [item(9)]))
    one.actor.appends.on_appended(Appended(7, 0, "NoSpace"))
    one.actor.proposals.on_propose(Propose(0, [item(9), item(10)]))
    one.actor.proposals.on_propose(Propose(COMPACTOR_SLOT, [item(11)]))
    assert one.links.sent == [("listener-1", Refused([(10, "NoSpace")]))]
    assert one.actor.proposals.waiting == [item(9)[1]]


def test_a_backend_that_is_far_behind_makes_raft_refuse(one: Restarted) -> None:
    lead(one)
    one.actor.applies.handed_by_wal(one.actor.applies.applied_index + limits.APPLY_LAG_MAX + 1)
    one.actor.proposals.on_propose(Propose(0, [item(9)]))
    assert one.links.of_type(Refused) == [Refused([(9, "RequestTooManyRequests")])]


def test_the_log_that_is_read_at_a_restart_tells_what_has_entered_it(one: Restarted) -> None:
    known = make_entry(0, 3, 2, item(9)[1]).encoded
    one.greet(leader=ME, last=known)
    one.actor.proposals.on_propose(Propose(0, [item(9), item(10)]))
    assert one.actor.proposals.waiting == [item(10)[1]]


def test_reads_of_a_turn_share_one_round_of_the_quorum(one: Restarted) -> None:
    lead(one)
    node = one.actor.node
    assert node is not None
    reads = one.actor.read_indexes
    for slot, ids in ((0, [1, 2]), (1, [3])):
        reads.on_read_index(ReadIndex(slot, ids))
    one.actor.on_turn_end()
    assert reads.waiting, "an entry of the leader's own term is not committed yet"
    index = node.raft.log.last_index()
    one.actor.appends.on_appended(Appended(7, one.actor.appends._seq, ""))
    node.step(_appended(2, node.raft.term, index))
    one.actor.on_turn_end()
    assert not reads.waiting and one.links.of_type(ReadStates) == []
    node.step(Message(MSG_HEARTBEAT_RESP, to=ME, from_=2, term=node.raft.term, context=(1).to_bytes(8, "big")))
    one.actor.on_turn_end()
    answered = [(name, message) for name, message in one.links.sent if isinstance(message, ReadStates)]
    assert answered == [("listener-1", ReadStates(index, [1, 2])), ("listener-2", ReadStates(index, [3]))]


def _appended(member: int, term: int, index: int) -> Message:
    return Message(MSG_APP_RESP, to=ME, from_=member, term=term, index=index)


def test_what_is_for_a_term_is_appended_by_its_leader(one: Restarted) -> None:
    lead(one)
    node = one.actor.node
    assert node is not None
    one.actor.proposals.on_propose(Propose(0, [item(9)], only_term=node.raft.term))
    one.actor.on_turn_end()
    assert len(entries(one)) == 1


def test_what_is_for_another_term_is_dropped(one: Restarted) -> None:
    lead(one)
    node = one.actor.node
    assert node is not None
    one.actor.proposals.on_propose(Propose(0, [item(9)], only_term=node.raft.term - 1))
    one.actor.on_turn_end()
    assert entries(one) == []
    one.actor.proposals.on_propose(Propose(0, [item(9)]))
    one.actor.on_turn_end()
    assert len(entries(one)) == 1, "it is not taken for one that is in the log"


def test_what_is_for_a_term_is_not_forwarded_by_who_has_lost_the_lead_in_the_same_turn(one: Restarted) -> None:
    lead(one)
    node = one.actor.node
    assert node is not None
    term = node.raft.term
    one.actor.proposals.on_propose(Propose(0, [item(9)], only_term=term))
    node.step(Message(MSG_HEARTBEAT, to=ME, from_=2, term=term + 1))
    for _ in range(2):
        one.actor.on_turn_end()
    assert entries(one) == []
    assert one.actor.proposals.waiting == []
    assert 9 not in one.actor.window


def test_what_is_for_a_term_waits_for_the_end_of_a_transfer_and_is_not_forwarded_then(one: Restarted) -> None:
    lead(one)
    node = one.actor.node
    assert node is not None
    node.transfer_leader(2)
    one.actor.proposals.on_propose(Propose(0, [item(9)], only_term=node.raft.term))
    one.actor.on_turn_end()
    assert entries(one) == []
    node.step(Message(MSG_HEARTBEAT, to=ME, from_=2, term=node.raft.term + 1))
    for _ in range(3):
        one.actor.on_turn_end()
    assert [send.forwarded for send in one.links.of_type(Send) if send.forwarded] == []
    assert entries(one) == []


def test_what_is_for_a_term_is_appended_when_a_transfer_has_failed(one: Restarted) -> None:
    lead(one)
    node = one.actor.node
    assert node is not None
    node.transfer_leader(2)
    one.actor.proposals.on_propose(Propose(0, [item(9)], only_term=node.raft.term))
    one.actor.on_turn_end()
    node.raft.transferee = 0
    one.actor.on_turn_end()
    assert len(entries(one)) == 1
