"""Raft's clock among other members: what was missed does not count, and what was heard counts before it."""

import time
from collections.abc import Iterator

import pytest

from actors.raft.ticks import Ticks
from etcdz.ipc.messages import PeerState, Received
from etcdz.raft import Message, codec
from etcdz.raft.messages import FOLLOWER, LEADER, MSG_HEARTBEAT, MSG_HEARTBEAT_RESP, MSG_PRE_VOTE
from tests.actors.raft.restarted import ME, PEER, Restarted, lead, restarted_with, said

TICK_S = 0.1


@pytest.fixture
def one() -> Iterator[Restarted]:
    with restarted_with((1, 2, 3)) as made:
        made.links.peers = [PEER]
        yield made


def hear(one: Restarted, message: Message) -> None:
    one.actor.peer_messages.on_received(Received([codec.encode_message(message)]))


def begin(one: Restarted) -> float:
    """The time at which the next tick is due."""
    deadline = one.actor.next_deadline()
    assert deadline is not None
    return deadline


def test_a_follower_that_was_held_up_does_not_take_its_leader_for_dead(one: Restarted) -> None:
    one.greet(leader=2)
    now = begin(one)
    for number in range(5):
        hear(one, Message(MSG_HEARTBEAT, to=ME, from_=2, term=3, commit=2))
        one.actor.on_deadline(now + 3.0 * number)
        one.actor.on_turn_end()
    assert one.role == FOLLOWER and one.actor.leadership.known.leader == 2
    assert not [message for message in said(one) if message.type == MSG_PRE_VOTE]


def test_a_leader_that_was_held_up_does_not_take_its_followers_for_dead(one: Restarted) -> None:
    lead(one)
    node = one.actor.node
    assert node is not None
    now = begin(one)
    for number in range(40):
        hear(one, Message(MSG_HEARTBEAT_RESP, to=ME, from_=2, term=node.raft.term))
        one.actor.on_deadline(now + 0.9 * number)
        one.actor.on_turn_end()
    assert one.role == LEADER


def test_heartbeats_that_leave_late_are_counted(one: Restarted) -> None:
    lead(one)
    now = begin(one)
    for late in (0.0, TICK_S, 2 * TICK_S, 4.5 * TICK_S, 5.5 * TICK_S):
        one.actor.on_deadline(now + late)
    assert one.actor.metrics()["late_heartbeats"] == 1


def test_who_has_just_started_and_sees_the_others_campaigns_soon(one: Restarted) -> None:
    one.greet(leader=0)
    one.actor.on_peer_state(PeerState(5, [(2, 1.0)]))
    node = one.actor.node
    assert node is not None and node.raft.election_elapsed == 0
    one.actor.on_peer_state(PeerState(5, [(2, 1.0), (3, 1.0)]))
    assert node.raft.election_elapsed == node.raft.election_ticks - 2 and one.role == FOLLOWER
    one.actor.on_peer_state(PeerState(5, [(3, 1.0), (2, 2.0)]))
    assert node.raft.election_elapsed == node.raft.election_ticks - 2, "once"


def test_a_raft_that_is_restarted_alone_waits_for_its_whole_election_timeout(one: Restarted) -> None:
    ticks = Ticks(one.actor, one.actor.config, time.monotonic(), is_members_start=False)
    one.greet(leader=0)
    one.actor.active = {2: 1.0, 3: 1.0}
    ticks.advance(time.monotonic())
    assert one.actor.node is not None and one.actor.node.raft.election_elapsed == 0


def test_who_knows_a_leader_has_no_hurry(one: Restarted) -> None:
    one.greet(leader=0)
    hear(one, Message(MSG_HEARTBEAT, to=ME, from_=2, term=3, commit=2))
    one.actor.on_turn_end()
    one.actor.on_peer_state(PeerState(5, [(2, 1.0), (3, 1.0)]))
    assert one.actor.node is not None and one.actor.node.raft.election_elapsed == 0
