"""Peer actors among themselves: what raft sends at one member is what raft receives at another."""

from collections.abc import Callable

import pytest

from actors.peer import actor, incoming_stream, outgoing_stream
from etcdz.ipc.messages import Members, PeerReports, PeerState, Removed
from etcdz.raft.codec import decode_message, encode_message
from etcdz.raft.entry import encode_entry, make_entry
from etcdz.raft.messages import MSG_APP, MSG_HEARTBEAT, MSG_PROP, MSG_VOTE, Message
from tests.actors.peer.world import Member, World

MakeWorld = Callable[[str], World]


def are_connected(one: Member, other: Member) -> bool:
    """All four streams between two members are up."""
    a, b = one.actor.remotes.get(other.id), other.actor.remotes.get(one.id)
    return a is not None and b is not None and len(a.outgoing) == len(b.outgoing) == 2


def test_a_member_alone_dials_nobody_and_sets_no_clock(make_world: MakeWorld) -> None:
    member = make_world("a").start("a")
    assert not member.actor.remotes and not member.actor.clocked
    assert member.actor._clock is None


def test_what_raft_sends_before_any_stream_is_up_is_posted(make_world: MakeWorld) -> None:
    world = make_world("ab")
    a, b = world.start("a"), world.start("b")
    vote = Message(MSG_VOTE, to=b.id, from_=a.id, term=2)
    a.send(vote)
    assert not a.actor.remotes[b.id].outgoing
    world.until(lambda: len(b.received()) == 1)
    assert encode_message(decode_message(b.received()[0])) == encode_message(vote)


def test_appends_come_out_whole_and_in_order_and_heartbeats_beside_them(make_world: MakeWorld) -> None:
    world = make_world("ab")
    a, b = world.start("a"), world.start("b")
    world.until(lambda: are_connected(a, b))
    entries = [make_entry(0, 2, index, b"x" * 100_000) for index in range(1, 31)]
    for entry in entries:
        a.send(appends=[(b.id, 2, 0 if entry.index == 1 else 2, entry.index - 1, 0, [encode_entry(entry)])])
    a.send(Message(MSG_HEARTBEAT, to=b.id, from_=a.id, term=2))
    world.until(lambda: len(b.received()) == 31)
    messages = [decode_message(encoded) for encoded in b.received()]
    appended = [message for message in messages if message.type == MSG_APP]
    assert [message.entries[0].index for message in appended] == list(range(1, 31))
    assert appended[7].entries[0].data == entries[7].data
    assert (appended[7].to, appended[7].from_, appended[7].term) == (b.id, a.id, 2)
    assert [message.type for message in messages if message.type != MSG_APP] == [MSG_HEARTBEAT]


def test_raft_hears_that_a_member_is_unreachable_and_everybody_since_when_it_is_heard_of(make_world: MakeWorld) -> None:
    world = make_world("ab")
    a = world.start("a")
    vote = Message(MSG_VOTE, to=world.id_of("b"), from_=a.id)
    a.send(vote)
    world.until(lambda: bool(a.of(PeerReports)))
    assert a.of(PeerReports)[0].unreachable == [vote.to]
    assert not a.of(PeerState)
    b = world.start("b")
    world.until(lambda: are_connected(a, b))
    for name in ("raft", "listener"):
        ((member_id, since),) = a.of(PeerState, name)[-1].active
        assert member_id == b.id and since > 1e9


def test_nothing_waits_for_a_raft_that_is_gone(make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outgoing_stream, "LINK_HEARTBEAT_S", 1e9)  # else its own beats are counted as what has come
    world = make_world("ab")
    a, b = world.start("a"), world.start("b")
    world.until(lambda: are_connected(a, b))
    b.alive.clear()
    beat = Message(MSG_HEARTBEAT, to=b.id, from_=a.id, term=2)
    before = b.actor.remotes[a.id].received_bytes
    a.send(beat)
    world.until(lambda: b.actor.remotes[a.id].received_bytes >= before + 8 + len(encode_message(beat)))
    b.alive.append("raft")
    a.send(Message(MSG_HEARTBEAT, to=b.id, from_=a.id, term=3))
    world.until(lambda: bool(b.received()))
    assert [decode_message(encoded).term for encoded in b.received()] == [3]


def test_a_new_raft_hears_which_proposals_have_left(make_world: MakeWorld) -> None:
    world = make_world("ab")
    a = world.start("a")
    a.send(Message(MSG_PROP, to=world.id_of("b"), from_=a.id, entries=[make_entry(0, 0, 0, b"")]), forwarded=[17, 18])
    a.actor.on_peer_up(a.neighbours[2])
    a.actor.on_peer_up(a.neighbours[0])
    assert [state.forwarded for state in a.of(PeerState)] == [(17, 18), ()]


def test_members_that_come_are_dialled_and_those_that_are_removed_are_not(make_world: MakeWorld) -> None:
    world = make_world("ab")
    a, b = world.start("a"), world.start("b")
    world.until(lambda: are_connected(a, b))
    founding = world.founding("a")
    alone = [(m.id, m.name, list(m.peer_urls), [], False) for m in founding.members if m.id == a.id]
    a.actor.on_members(Members(9, founding.cluster_id, a.id, alone, [b.id], "3.5.0"))
    assert not a.actor.remotes
    world.until(lambda: not b.actor.remotes[a.id].outgoing)


def test_a_member_that_applies_its_own_removal_tells_the_supervisor(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actor, "LEAVE_S", 0.01)
    world = make_world("ab")
    a = world.start("a")
    told: list[Removed] = []
    monkeypatch.setattr(a.actor.links, "tell_supervisor", told.append)
    others = [(m.id, m.name, list(m.peer_urls), [], False) for m in world.founding("b").members if m.id != a.id]
    a.actor.on_members(Members(9, 1, a.id, others, [a.id], "3.5.0"))
    assert not a.actor.remotes
    world.until(lambda: bool(told))
    assert told[0].reason == "the member has been permanently removed from the cluster"


def test_an_actor_that_starts_again_is_connected_at_once(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other side notices that the connections are gone: it does not wait until nothing has come for long."""
    monkeypatch.setattr(incoming_stream, "READ_S", 1e9)
    world = make_world("ab")
    a, b = world.start("a"), world.start("b")
    world.until(lambda: are_connected(a, b))
    before = set(a.actor.remotes[b.id].outgoing.values())
    for connection in list(b.actor.connections):
        connection.cut()
    for stream in b.actor.remotes[a.id].incoming.values():
        stream.restart()
    world.until(lambda: are_connected(a, b) and not before & set(a.actor.remotes[b.id].outgoing.values()))
