"""What comes of other members: taken in order, and nothing of it ends raft or displaces what this member must know."""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from actors.runtime.link import Peer
from etcdz import limits
from etcdz.api.raft_request import encode_request
from etcdz.ipc.messages import (
    Append,
    Appended,
    Apply,
    BackendState,
    PeerReports,
    PeerState,
    Propose,
    Received,
    Reconfigure,
    Send,
)
from etcdz.ipc.request_ids import RequestIds
from etcdz.proto import raftpb
from etcdz.raft import ConfState, Message, codec, make_entry
from etcdz.raft.messages import (
    MSG_APP,
    MSG_APP_RESP,
    MSG_HEARTBEAT,
    MSG_PROP,
    MSG_READ_INDEX,
    MSG_VOTE,
    MSG_VOTE_RESP,
)
from etcdz.raft.progress import PROBE, REPLICATE
from tests.actors.raft.restarted import ME, PEER, Restarted, lead, restarted_with, said

CONF_STATE = codec.encode_conf_state(ConfState((1, 2, 3)))


@pytest.fixture
def one() -> Iterator[Restarted]:
    with restarted_with((1, 2, 3)) as made:
        made.links.peers = [PEER]
        yield made


def hear(one: Restarted, *messages: Message) -> None:
    one.actor.peer_messages.on_received(Received([codec.encode_message(message) for message in messages]))
    one.actor.on_turn_end()


def append(index: int, commit: int, count: int = 1) -> Message:
    entries = [make_entry(0, 3, index + 1 + at, b"x") for at in range(count)]
    return Message(MSG_APP, to=ME, from_=2, term=3, log_term=3, index=index, entries=entries, commit=commit)


def acknowledged(one: Restarted) -> list[int]:
    return [message.index for message in said(one) if message.type == MSG_APP_RESP]


def make_durable(one: Restarted) -> None:
    one.actor.appends.on_appended(Appended(7, one.links.of_type(Append)[-1].seq, ""))
    one.actor.on_turn_end()


def test_the_wal_is_told_how_entries_are_acknowledged_when_they_are_on_disk(one: Restarted) -> None:
    one.greet(leader=0)
    hear(one, append(2, commit=2), append(3, commit=2))
    (append_,) = one.links.of_type(Append)
    (to, term, index, encoded) = append_.acknowledgements[0]
    assert (to, term, index) == (2, 3, 4) and len(append_.acknowledgements) == 1
    assert codec.decode_message(encoded) == Message(MSG_APP_RESP, to=2, from_=ME, term=3, index=4, entries=[])
    make_durable(one)
    assert acknowledged(one) == [], "raft does not say it again"


def test_a_wal_that_says_no_acknowledgements_leaves_them_to_raft(one: Restarted) -> None:
    one.greet(leader=0)
    one.actor.on_peer_up(Peer("wal", "wal", 0, 6, ""))  # of older code
    hear(one, append(2, commit=2))
    make_durable(one)
    assert acknowledged(one) == [3]


def test_what_is_on_disk_already_is_acknowledged_at_once(one: Restarted) -> None:
    one.greet(leader=0)
    hear(one, append(2, commit=2))
    make_durable(one)
    appends = len(one.links.of_type(Append))
    hear(one, append(2, commit=3, count=1))
    assert acknowledged(one) == [3] and len(one.links.of_type(Append)) == appends


def test_a_vote_leaves_when_it_is_on_disk(one: Restarted) -> None:
    one.greet(leader=0)
    hear(one, Message(MSG_VOTE, to=ME, from_=2, term=9, log_term=3, index=9))
    assert [m for m in said(one) if m.type == MSG_VOTE_RESP] == []
    make_durable(one)
    assert [(m.to, m.reject) for m in said(one) if m.type == MSG_VOTE_RESP] == [(2, False)]


def test_a_leaders_appends_do_not_wait_for_its_own_disk(one: Restarted) -> None:
    lead(one)
    node = one.actor.node
    assert node is not None
    hear(one, Message(MSG_APP_RESP, to=ME, from_=2, term=node.raft.term, index=node.raft.log.last_index()))
    one.links.sent.clear()
    one.actor.proposals.on_propose(Propose(0, [(9, encode_request(9, b"\x22", b""))]))
    one.actor.on_turn_end()
    (send,) = one.links.of_type(Send)
    assert [(to, len(entries)) for to, *_, entries in send.appends] == [(2, 1)] and send.forwarded == [9]
    assert len(one.links.of_type(Append)) == 1


BROKEN = [
    b"",
    b"\xff\xff\xff",
    codec.encode_message(append(2, commit=2))[:-3],
    codec.encode_message(Message(MSG_HEARTBEAT, to=9, from_=2, term=7)),
    codec.encode_message(Message(MSG_PROP, to=ME, from_=2)),
    codec.encode_message(Message(MSG_READ_INDEX, to=ME, from_=2)),
    codec.encode_message(append(2, commit=2)._replace(entries=[make_entry(0, 3, 9, b"x")])),
]


@pytest.mark.parametrize("encoded", BROKEN)
@pytest.mark.parametrize("role", ["leader", "follower"])
def test_a_broken_message_ends_nothing(role: str, encoded: bytes, one: Restarted) -> None:
    if role == "leader":
        lead(one)
    else:
        one.greet(leader=0)
        hear(one, Message(MSG_HEARTBEAT, to=ME, from_=2, term=3, commit=2))
    assert one.actor.node is not None
    before = one.actor.node.raft.hard_state, one.actor.node.raft.log.last_index()
    one.actor.peer_messages.on_received(Received([encoded]))
    one.actor.on_turn_end()
    assert (one.actor.node.raft.hard_state, one.actor.node.raft.log.last_index()) == before


def test_what_others_propose_does_not_push_out_what_this_members_clients_have(one: Restarted) -> None:
    lead(one)
    own, others = RequestIds(ME, 0, 1_000), RequestIds(2, 0, 1_000)
    first = own.next()
    item = (first, encode_request(first, b"\x22", b""))
    one.actor.proposals.on_propose(Propose(0, [item]))
    one.actor.on_turn_end()
    for _ in range(4):
        ids = [others.next() for _ in range(limits.REQUEST_WINDOW // 2)]
        entries = [make_entry(0, 0, 0, encode_request(id_, b"\x22", b"")) for id_ in ids]
        hear(one, Message(MSG_PROP, to=ME, from_=2, entries=entries))
    assert first in one.actor.window
    one.actor.proposals.on_propose(Propose(0, [item]))
    assert one.actor.proposals.waiting == []


def test_a_new_backend_is_not_handed_what_others_have_committed_and_this_disk_has_not(one: Restarted) -> None:
    one.greet(leader=0)
    hear(one, append(2, commit=3))
    assert one.actor.node is not None and one.actor.node.raft.log.committed == 3
    one.actor.on_backend_state(BackendState(7, ME, 2, 1, 3, 1, CONF_STATE, "3.5.0"))
    one.actor.on_turn_end()
    handed = [(apply.first_index, len(apply.entries)) for apply in one.links.of_type(Apply)]
    assert handed == [(2, 1)], "after a crash its log would end before what it has applied"
    make_durable(one)
    assert [(apply.first_index, len(apply.entries)) for apply in one.links.of_type(Apply)] == [(2, 1), (3, 1)]


def test_what_was_lost_on_the_way_is_said_again(one: Restarted) -> None:
    lead(one)
    node = one.actor.node
    assert node is not None
    hear(one, Message(MSG_APP_RESP, to=ME, from_=2, term=node.raft.term, index=2))
    progress = node.raft.tracker.progress[2]
    assert progress.state == REPLICATE
    one.actor.peer_messages.on_reports(PeerReports([2]))
    assert progress.state == PROBE
    hear(one, Message(MSG_APP_RESP, to=ME, from_=2, term=node.raft.term, index=2))
    one.actor.on_peer_up(PEER)
    assert progress.state == PROBE, "a new peer actor has sent nothing of what the one before was given"


def test_no_more_goes_to_a_member_without_an_answer_than_the_peer_actor_keeps_for_it(one: Restarted) -> None:
    lead(one)
    node = one.actor.node
    assert node is not None
    hear(one, Message(MSG_APP_RESP, to=ME, from_=2, term=node.raft.term, index=node.raft.log.last_index()))
    one.links.sent.clear()
    for number in range(40):
        one.actor.proposals.on_propose(Propose(0, [(number + 1, b"x" * (1 << 20))]))
        one.actor.on_turn_end()
    sent = sum(len(entry) for send in one.links.of_type(Send) for *_, entries in send.appends for entry in entries)
    assert 4 << 20 < sent < limits.PEER_BULK_BYTES_MAX


def test_the_core_is_told_once_how_far_its_log_is_durable(one: Restarted) -> None:
    """Else it says in the log of each busy follower that what it is told is none of its business any more."""
    lines: list[str] = []
    one.greet(leader=0)
    assert one.actor.node is not None
    one.actor.node.raft.log.unstable.logger = SimpleNamespace(info=lines.append)
    for index in range(2, 6):
        hear(one, append(index, commit=index))
        hear(one, append(index + 1, commit=index + 1, count=0))
    make_durable(one)
    assert one.actor.node.raft.log.unstable.offset == 7 and lines == []


def test_a_change_of_members_is_not_proposed_again_if_nobody_knows_whether_it_has_left(one: Restarted) -> None:
    lead(one)
    node, reconfiguration = one.actor.node, one.actor.reconfiguration
    assert node is not None

    def proposed() -> bool:
        before = node.raft.log.last_index()
        for _ in range(2):  # the fast paths are closed first
            reconfiguration.advance(node)
        return bool(node.raft.log.last_index() > before)

    def offer(request_id: int, since_peer: int) -> None:
        change = raftpb.ConfChange(id=request_id, type=1, node_id=3).SerializeToString()
        reconfiguration.on_reconfigure(Reconfigure(0, [(request_id, change)], since_peer))

    node.raft.pending_conf_index = 0
    offer(5, since_peer=0)
    assert reconfiguration.has_work and not proposed(), "the peer actor has not said anything yet"
    one.actor.on_peer_state(PeerState(PEER.incarnation, [], [6]))
    assert not proposed() and not reconfiguration.has_work, "it is younger than the offer"
    offer(6, since_peer=PEER.incarnation)
    assert not proposed(), "it has passed that on"
    offer(7, since_peer=PEER.incarnation)
    assert proposed()


def test_a_change_of_members_that_has_waited_for_a_leader_too_long_is_not_made_later(one: Restarted) -> None:
    one.greet(leader=0)
    reconfiguration = one.actor.reconfiguration
    reconfiguration.expire(100.0)
    change = raftpb.ConfChange(id=5, type=0, node_id=9).SerializeToString()
    reconfiguration.on_reconfigure(Reconfigure(0, [(5, change)]))
    reconfiguration.expire(106.9)
    assert len(reconfiguration.waiting) == 1
    reconfiguration.expire(107.1)
    reconfiguration.expire(114.2)
    assert len(reconfiguration.waiting) == 0
