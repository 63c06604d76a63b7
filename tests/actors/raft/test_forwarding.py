"""What a member has forwarded it offers again to the next leader, and a leader takes nothing twice."""

from collections.abc import Iterator

import pytest

from actors.raft.request_window import request_id_of
from etcdz.api.raft_request import encode_request
from etcdz.ipc.messages import Append, Leadership, PeerState, Propose, Received
from etcdz.raft import Message, codec, make_entry
from etcdz.raft.messages import (
    LEADER,
    MSG_APP,
    MSG_APP_RESP,
    MSG_HEARTBEAT,
    MSG_PROP,
    MSG_TIMEOUT_NOW,
    MSG_VOTE_RESP,
)
from tests.actors.raft.restarted import ME, PEER, Restarted, lead, listener, restarted_with, said


def item(request_id: int) -> tuple[int, bytes]:
    return request_id, encode_request(request_id, b"\x22", b"")


@pytest.fixture
def one() -> Iterator[Restarted]:
    """One of three voters, with a peer actor and a listener."""
    with restarted_with((1, 2, 3)) as made:
        made.links.peers = [PEER, listener(0)]
        yield made


def hear(one: Restarted, *messages: Message) -> None:
    one.actor.peer_messages.on_received(Received([codec.encode_message(message) for message in messages]))
    one.actor.on_turn_end()


def streams(one: Restarted, *found: tuple[int, int, bool]) -> None:
    one.actor.on_peer_state(PeerState(PEER.incarnation, [], (), found))
    one.actor.on_turn_end()


def offer(one: Restarted, *request_ids: int, fence: int = 0) -> None:
    one.actor.proposals.on_propose(Propose(0, [item(one) for one in request_ids], fence))
    one.actor.on_turn_end()


def forwarded(one: Restarted) -> list[tuple[int, int, bool, int]]:
    """(to, the term that it is marked with, whether it is a repetition, how many entries) since it was asked last, but
    not what it proposes of its own."""
    found = [
        (m.to, m.log_term, m.reject, len(m.entries))
        for m in said(one)
        if m.type == MSG_PROP and all(0 < request_id_of(entry.data) < 100 for entry in m.entries)
    ]
    one.links.sent = [pair for pair in one.links.sent if pair[0] != PEER.name]
    return found


def asked(one: Restarted) -> int:
    """The fence with which the listener was asked last; 0: not since it was looked for last."""
    fences = [known.fence for known in one.links.of_type(Leadership)]
    one.links.sent = [pair for pair in one.links.sent if not isinstance(pair[1], Leadership)]
    return max(fences, default=0)


def follow(one: Restarted, leader: int, term: int) -> None:
    hear(one, Message(MSG_HEARTBEAT, to=ME, from_=leader, term=term))


def test_what_is_unanswered_is_offered_again_to_the_leader_of_the_next_term(one: Restarted) -> None:
    one.greet(leader=2)
    streams(one, (2, 1, True), (3, 1, True))
    follow(one, 2, 4)
    offer(one, 9, 10)
    assert forwarded(one) == [(2, 4, False, 2)] and asked(one) == 0
    follow(one, 3, 5)
    fence = asked(one)
    offer(one, 10, 11, fence=fence)
    assert fence and forwarded(one) == [(3, 5, True, 1), (3, 5, False, 1)], "9 is answered, 11 is new"
    follow(one, 3, 5)
    assert asked(one) == 0


def test_it_is_offered_again_over_a_new_connection(one: Restarted) -> None:
    one.greet(leader=2)
    streams(one, (2, 1, True))
    follow(one, 2, 4)
    offer(one, 9)
    streams(one)
    offer(one, 10)
    assert forwarded(one) == [(2, 4, False, 1)] and asked(one) == 0, "10 waits until the leader dials again"
    streams(one, (2, 2, True))
    offer(one, 9, 10, fence=asked(one))
    assert forwarded(one) == [(2, 4, False, 1), (2, 4, True, 2)]


def test_what_a_leader_of_etcd_was_offered_is_never_offered_again(one: Restarted) -> None:
    one.greet(leader=2)
    streams(one, (2, 1, False), (3, 1, True))
    follow(one, 2, 4)
    offer(one, 9)
    assert forwarded(one) == [(2, 0, False, 1)]
    follow(one, 3, 5)
    offer(one, 10)
    follow(one, 3, 6)
    offer(one, 9, 10, fence=asked(one))
    assert forwarded(one) == [(3, 5, False, 1), (3, 6, True, 1)]


def test_nor_what_was_marked_is_offered_to_a_leader_of_etcd(one: Restarted) -> None:
    one.greet(leader=2)
    streams(one, (2, 1, True), (3, 1, False))
    follow(one, 2, 4)
    offer(one, 9)
    forwarded(one)
    follow(one, 3, 5)
    assert asked(one) == 0
    offer(one, 9, fence=1)
    assert forwarded(one) == []


def test_offers_of_which_nobody_can_tell_stay_out_when_all_is_asked_for(one: Restarted) -> None:
    one.greet(leader=2)
    streams(one, (2, 1, True))
    follow(one, 2, 4)
    one.actor.proposals.on_propose(Propose(0, [item(9)], since_peer=0))
    offer(one, 9, 10, fence=1)
    assert forwarded(one) == [(2, 4, False, 1)]


def entries(one: Restarted) -> int:
    return sum(len(append.entries) for append in one.links.of_type(Append))


def prop(one: Restarted, *request_ids: int, term: int = 0, index: int = 2, again: bool = False) -> Message:
    """As member 2 says it. term: 0 for this one's"""
    assert one.actor.node is not None
    found = [make_entry(0, 0, 0, item(one)[1]) for one in request_ids]
    return Message(MSG_PROP, ME, 2, 0, term or one.actor.node.raft.term, index, found, reject=again)


def test_a_leader_takes_of_a_repetition_what_its_log_has_not(one: Restarted) -> None:
    lead(one)
    hear(one, prop(one, 9))
    hear(one, prop(one, 9, 10, again=True), prop(one, 10, again=True), prop(one, 10))
    assert entries(one) == 2


def test_a_repetition_is_dropped_if_the_log_does_not_reach_back_far_enough(one: Restarted) -> None:
    lead(one)
    assert one.actor.node is not None
    last = one.actor.node.raft.log.last_index()
    one.make_durable()
    hear(one, Message(MSG_APP_RESP, to=ME, from_=2, term=one.actor.node.raft.term, index=last))
    one.actor.storage.compact(last)
    one.links.sent.clear()
    hear(one, prop(one, 9, index=last - 1, again=True))
    assert entries(one) == 0
    hear(one, prop(one, 9, index=last, again=True))
    assert entries(one) == 1


def test_what_is_marked_for_another_term_is_neither_taken_nor_passed_on(one: Restarted) -> None:
    lead(one)
    hear(one, prop(one, 9, term=1))
    assert entries(one) == 0
    follow(one, 3, 9)
    hear(one, prop(one, 9, term=9))
    assert entries(one) == 0 and forwarded(one) == []


def test_a_member_that_leads_itself_offers_to_its_own_log_what_that_has_not(one: Restarted) -> None:
    """It had forwarded 9, which has come back to it in an append, and 10, which has not."""
    one.greet(leader=2)
    streams(one, (2, 1, True))
    follow(one, 2, 4)
    offer(one, 9, 10)
    hear(one, Message(MSG_APP, ME, 2, 4, 3, 2, [make_entry(0, 4, 3, item(9)[1])], 2))
    one.make_durable()
    hear(one, Message(MSG_TIMEOUT_NOW, ME, 2, 4))
    one.make_durable()
    hear(one, Message(MSG_VOTE_RESP, ME, 2, 5))
    one.make_durable()
    one.links.sent = [pair for pair in one.links.sent if not isinstance(pair[1], Append)]
    offer(one, 9, 10, fence=asked(one))
    assert one.role == LEADER and entries(one) == 1
