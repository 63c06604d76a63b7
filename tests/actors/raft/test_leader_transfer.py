"""The lead goes to another member when it is asked for and when this member stops, and no write is lost by it."""

from collections.abc import Iterator

import pytest

from actors.raft.leader_transfer import STEP_ASIDE_EVERY_S
from etcdz.api.raft_request import encode_request
from etcdz.ipc.messages import Appended, MoveLeader, PeerState, Received
from etcdz.raft import Message, codec, make_entry
from etcdz.raft.messages import MSG_APP_RESP, MSG_HEARTBEAT, MSG_PROP, MSG_TIMEOUT_NOW
from tests.actors.raft.restarted import ME, PEER, Restarted, lead, listener, restarted_with, said


@pytest.fixture
def leader() -> Iterator[Restarted]:
    with restarted_with((1, 2, 3)) as made:
        made.links.peers = [PEER]
        lead(made)
        yield made


def hear(one: Restarted, *messages: Message) -> None:
    one.actor.peer_messages.on_received(Received([codec.encode_message(message) for message in messages]))
    one.actor.on_turn_end()


def catch_up(one: Restarted, member: int) -> None:
    assert one.actor.node is not None
    raft = one.actor.node.raft
    hear(one, Message(MSG_APP_RESP, to=ME, from_=member, term=raft.term, index=raft.log.last_index()))


def told_to_campaign(one: Restarted) -> list[int]:
    return [message.to for message in said(one) if message.type == MSG_TIMEOUT_NOW]


def test_the_target_is_told_to_campaign_when_it_has_everything(leader: Restarted) -> None:
    leader.actor.leader_transfer.on_move_leader(MoveLeader(3))
    leader.actor.on_turn_end()
    assert told_to_campaign(leader) == []
    catch_up(leader, 3)
    assert told_to_campaign(leader) == [3]


def test_what_others_have_forwarded_meanwhile_goes_to_the_next_leader(leader: Restarted) -> None:
    node = leader.actor.node
    assert node is not None
    leader.actor.leader_transfer.on_move_leader(MoveLeader(3))
    catch_up(leader, 3)
    put = encode_request(9, b"\x22", b"")
    forwarded = Message(MSG_PROP, to=ME, from_=2, entries=(make_entry(0, 0, 0, put),))
    hear(leader, forwarded)
    assert [m for m in said(leader) if m.type == MSG_PROP] == []
    hear(leader, Message(MSG_HEARTBEAT, to=ME, from_=3, term=node.raft.term + 1))
    passed_on = [(m.to, [entry.data for entry in m.entries]) for m in said(leader) if m.type == MSG_PROP]
    assert passed_on == [(3, [put])]
    leader.actor.on_turn_end()
    assert len([m for m in said(leader) if m.type == MSG_PROP]) == 1, "once"


def test_a_leader_whose_disk_is_full_hands_over_and_tries_again_only_after_a_while(leader: Restarted) -> None:
    actor, now = leader.actor, leader.actor.ticks.deadline()
    actor.on_peer_state(PeerState(5, [(2, 50.0), (3, 40.0)]))
    catch_up(leader, 3)
    actor.on_deadline(now)
    assert told_to_campaign(leader) == []
    actor.appends.on_appended(Appended(7, 0, "NoSpace"))
    for passed in (10, 20, STEP_ASIDE_EVERY_S, STEP_ASIDE_EVERY_S + 20):
        actor.on_deadline(now + passed)
        catch_up(leader, 3)
        assert actor.node is not None
        actor.node.raft.transferee = 0  # it came to nothing
    assert told_to_campaign(leader) == [3, 3]


class Clock:
    """Turns take no time, but each is a heartbeat interval of the actor's."""

    def __init__(self, one: Restarted, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000.0
        self.turns: list[Message] = []
        self.one = one
        monkeypatch.setattr("time.monotonic", lambda: self.now)
        monkeypatch.setattr(one.actor, "turn", self.turn)

    def turn(self) -> None:
        self.now += 0.05
        if self.turns:
            hear(self.one, self.turns.pop(0))
        else:
            self.one.actor.on_turn_end()


def test_a_member_that_stops_hands_over_to_the_voter_that_it_has_heard_of_for_longest(
    leader: Restarted, monkeypatch: pytest.MonkeyPatch
) -> None:
    leader.actor.on_peer_state(PeerState(5, [(2, 50.0), (3, 40.0), (4, 10.0)]))
    assert leader.actor.node is not None
    term, last = leader.actor.node.raft.term, leader.actor.node.raft.log.last_index()
    clock = Clock(leader, monkeypatch)
    clock.turns = [
        Message(MSG_APP_RESP, to=ME, from_=3, term=term, index=last),
        Message(MSG_HEARTBEAT, to=ME, from_=3, term=term + 1),
        Message(MSG_PROP, to=ME, from_=2, entries=(make_entry(0, 0, 0, b"late"),)),
    ]
    leader.actor.on_stop()
    assert told_to_campaign(leader) == [3]
    assert [m.to for m in said(leader) if m.type == MSG_PROP] == [3], "what was on its way here is passed on"


def test_it_waits_no_longer_than_it_may(leader: Restarted, monkeypatch: pytest.MonkeyPatch) -> None:
    leader.actor.on_peer_state(PeerState(5, [(3, 40.0)]))
    clock = Clock(leader, monkeypatch)
    leader.actor.on_stop()
    assert clock.now < 1_003


@pytest.mark.parametrize("why", ["nobody is heard of", "only raft is restarted"])
def test_it_hands_over_to_nobody(why: str, leader: Restarted, monkeypatch: pytest.MonkeyPatch) -> None:
    if why == "only raft is restarted":
        leader.links.peers = [PEER, listener(0)]
        leader.actor.on_peer_state(PeerState(5, [(3, 40.0)]))
    clock = Clock(leader, monkeypatch)
    leader.actor.on_stop()
    assert clock.now == 1_000.0
