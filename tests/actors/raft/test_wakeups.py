"""Raft is woken for an answer of its disk or of another member whenever something follows from it."""

from collections.abc import Iterator

import pytest

from actors.raft.wakeups import awaits_acknowledgements, awaits_disk
from etcdz.ipc.messages import Append, Appended, PeerReports, Propose
from etcdz.proto import etcdserverpb as pb
from etcdz.raft import Message, codec
from etcdz.raft.entry import make_entry
from etcdz.raft.messages import MSG_APP, MSG_APP_RESP, MSG_VOTE
from etcdz.raft.raft import Raft
from tests.actors.raft.restarted import ME, PEER, Restarted, lead, restarted_with


@pytest.fixture
def one() -> Iterator[Restarted]:
    with restarted_with((1, 2, 3)) as made:
        made.links.peers = [PEER]
        yield made


def raft_of(one: Restarted) -> Raft:
    assert one.actor.node is not None
    return one.actor.node.raft


def hear(one: Restarted, message: Message) -> None:
    one.actor.peer_messages.waiting.append(codec.encode_message(message))
    one.actor.on_turn_end()


def acknowledge(one: Restarted, member: int) -> None:
    raft = raft_of(one)
    hear(one, Message(MSG_APP_RESP, to=ME, from_=member, term=raft.term, index=raft.log.last_index()))


def make_durable(one: Restarted) -> None:
    one.actor.appends.on_appended(Appended(7, one.links.of_type(Append)[-1].seq, ""))
    one.actor.on_turn_end()


def awaits(one: Restarted) -> tuple[bool, bool]:
    """(its disk, acknowledgements)"""
    return awaits_disk(raft_of(one), one.actor.appends), awaits_acknowledgements(raft_of(one))


def propose(one: Restarted, request_id: int) -> None:
    request = pb.InternalRaftRequest(header=pb.RequestHeader(ID=request_id), put=pb.PutRequest(key=b"k"))
    one.actor.proposals.on_propose(Propose(0, [(request_id, request.SerializeToString())]))
    one.actor.on_turn_end()


def leader_with_one_write(one: Restarted) -> None:
    """Which nobody has acknowledged yet; what came before everybody has."""
    lead(one)
    acknowledge(one, 2)
    acknowledge(one, 3)
    one.actor.appends.on_appended(Appended(7, 99, ""))
    one.actor.on_turn_end()
    assert awaits(one) == (False, False)
    propose(one, 9)


def test_a_leaders_own_disk_counts_when_another_member_has_the_entry(one: Restarted) -> None:
    leader_with_one_write(one)
    assert awaits(one) == (False, True)
    acknowledge(one, 2)
    assert awaits(one) == (True, True)
    make_durable(one)
    assert awaits(one) == (False, False), "it is committed, and member 3 may say later that it has it"


def test_what_the_others_have_committed_waits_for_the_leaders_own_disk(one: Restarted) -> None:
    leader_with_one_write(one)
    acknowledge(one, 2)
    acknowledge(one, 3)
    assert raft_of(one).log.committed == raft_of(one).log.last_index()
    assert awaits(one) == (True, False)


def test_a_follower_needs_its_disk_for_what_is_committed(one: Restarted) -> None:
    one.greet(leader=0)
    entries = [make_entry(0, 3, 3, b"x")]
    hear(one, Message(MSG_APP, to=ME, from_=2, term=3, log_term=3, index=2, entries=entries, commit=2))
    assert awaits(one) == (False, False)
    hear(one, Message(MSG_APP, to=ME, from_=2, term=3, log_term=3, index=3, commit=3))
    assert awaits(one) == (True, False)
    make_durable(one)
    assert awaits(one) == (False, False)


def test_and_for_a_vote_that_leaves_when_it_is_on_disk(one: Restarted) -> None:
    one.greet(leader=0)
    hear(one, Message(MSG_VOTE, to=ME, from_=2, term=9, log_term=3, index=9))
    assert awaits(one) == (True, False)


def test_the_only_voter_needs_its_disk() -> None:
    with restarted_with((1,)) as one:
        one.greet(leader=ME)
        assert awaits_disk(raft_of(one), one.actor.appends)


def test_a_leader_that_hands_over_or_brings_a_member_up_needs_acknowledgements(one: Restarted) -> None:
    leader_with_one_write(one)
    for member in (2, 3):
        acknowledge(one, member)
    assert not awaits_acknowledgements(raft_of(one))
    one.actor.peer_messages.on_reports(PeerReports([3]))
    assert awaits_acknowledgements(raft_of(one)), "a probe"
