"""What another member claims and cannot be true reaches neither the core nor the log."""

import random
from collections.abc import Callable, Iterator

import pytest

from actors.raft.claims import TERMS_AHEAD_MAX
from etcdz.api.raft_request import encode_request
from etcdz.cluster.membership import Member, addition, conf_change, promotion, removal, version_request
from etcdz.ipc.messages import Append, Appended, Applied, Received
from etcdz.peer.screen import Screen
from etcdz.proto import raftpb
from etcdz.raft import Message, codec, make_entry
from etcdz.raft.entry import ENTRY_CONF_CHANGE, ENTRY_CONF_CHANGE_V2, ENTRY_NORMAL
from etcdz.raft.errors import InvariantBroken
from etcdz.raft.messages import (
    APPEND_THREAD,
    APPLY_THREAD,
    MESSAGE_NAMES,
    MSG_APP_RESP,
    MSG_FORGET_LEADER,
    MSG_HEARTBEAT,
    MSG_PROP,
    MSG_TRANSFER_LEADER,
    MSG_VOTE,
    NO_NODE,
    TERMLESS_MESSAGES,
)
from tests.actors.raft.restarted import ME, PEER, Restarted, lead, restarted_with, said

U64 = (1 << 64) - 1


@pytest.fixture
def one() -> Iterator[Restarted]:
    with restarted_with((1, 2, 3)) as made:
        made.links.peers = [PEER]
        yield made


def follow(one: Restarted) -> None:
    one.greet(leader=0)
    hear(one, Message(MSG_HEARTBEAT, to=ME, from_=2, term=3, commit=2))
    one.links.sent.clear()


def hear(one: Restarted, message: Message) -> None:
    one.actor.peer_messages.on_received(Received([codec.encode_message(message)]))
    one.actor.on_turn_end()


FALSE = {
    "the last term there is": Message(MSG_VOTE, to=ME, from_=2, term=U64, log_term=3, index=9),
    "a term that no elections reach": Message(MSG_HEARTBEAT, to=ME, from_=2, term=5 + TERMS_AHEAD_MAX),
    "nobody's vote": Message(MSG_VOTE, to=ME, from_=NO_NODE, term=9, log_term=9, index=9),
    "its own heartbeat": Message(MSG_HEARTBEAT, to=ME, from_=ME, term=9),
    "the disk's vote": Message(MSG_VOTE, to=ME, from_=APPEND_THREAD, term=9, log_term=9, index=9),
    "the backend's vote": Message(MSG_VOTE, to=ME, from_=APPLY_THREAD, term=9, log_term=9, index=9),
    "forget the leader": Message(MSG_FORGET_LEADER, to=ME, from_=2, term=3),
}


@pytest.mark.parametrize("what", FALSE)
@pytest.mark.parametrize("begin", [lead, follow])
def test_a_claim_that_cannot_be_true_changes_nothing(
    what: str, begin: Callable[[Restarted], None], one: Restarted
) -> None:
    begin(one)
    assert one.actor.node is not None
    raft = one.actor.node.raft
    before = raft.hard_state, raft.soft_state, raft.log.last_index()
    hear(one, FALSE[what])
    assert (raft.hard_state, raft.soft_state, raft.log.last_index()) == before and said(one) == []


def test_a_follower_passes_no_transfer_of_the_lead_on(one: Restarted) -> None:
    follow(one)
    hear(one, Message(MSG_TRANSFER_LEADER, to=ME, from_=3, term=3))
    assert said(one) == []


@pytest.mark.parametrize(("sender", "ahead"), [(2, 1), (ME, 0)])
def test_nobody_acknowledges_what_a_leader_has_not_sent_or_for_the_leader(
    sender: int, ahead: int, one: Restarted
) -> None:
    lead(one)
    assert one.actor.node is not None
    raft = one.actor.node.raft
    before = raft.tracker.progress[sender].match
    hear(one, Message(MSG_APP_RESP, to=ME, from_=sender, term=raft.term, index=raft.log.last_index() + ahead))
    assert raft.tracker.progress[sender].match == before < raft.log.last_index()


def test_a_term_that_others_have_reached_meanwhile_is_believed(one: Restarted) -> None:
    follow(one)
    hear(one, Message(MSG_HEARTBEAT, to=ME, from_=2, term=1_000_000))
    assert one.actor.node is not None and one.actor.node.raft.term == 1_000_000


def test_a_heartbeat_that_commits_what_this_log_has_lost_ends_the_process(one: Restarted) -> None:
    follow(one)
    with pytest.raises(InvariantBroken, match="Was the raft log corrupted, truncated, or lost"):
        hear(one, Message(MSG_HEARTBEAT, to=ME, from_=2, term=3, commit=9))


CONTEXT = b'{"id":9,"peerURLs":["http://10.0.0.9:2380"]}'
PUT = encode_request(7, b"\x22", b"")
UNKNOWN = b"\xa2\x06\x02\x08\x07\xfa\xff\x07\x00"
"""An InternalRaftRequest with an id, and a field of a far future."""
PROPOSED = [
    (ENTRY_NORMAL, PUT, True),
    (ENTRY_NORMAL, version_request(7, "3.5.0"), True),
    (ENTRY_NORMAL, b"\x22\xff\xff", False),
    (ENTRY_NORMAL, b"garbage", False),
    (ENTRY_NORMAL, UNKNOWN, False),
    (ENTRY_NORMAL, b"\x12\x05AAAAA", False),
    (ENTRY_CONF_CHANGE, addition(Member(9, ["http://10.0.0.9:2380"]), 7), True),
    (ENTRY_CONF_CHANGE, promotion(9, 7), True),
    (ENTRY_CONF_CHANGE, removal(9, 7), True),
    (ENTRY_CONF_CHANGE, conf_change(0, 9, b"", 7), False),
    (ENTRY_CONF_CHANGE, conf_change(0, 8, CONTEXT, 7), False),
    (ENTRY_CONF_CHANGE, conf_change(0, 9, CONTEXT.replace(b'"http://10.0.0.9:2380"', b"5"), 7), False),
    (ENTRY_CONF_CHANGE, conf_change(0, 9, b"[" * 100_000, 7), False),
    (ENTRY_CONF_CHANGE, b"\xff", False),
    (ENTRY_CONF_CHANGE_V2, raftpb.ConfChangeV2().SerializeToString(), False),
]


@pytest.mark.parametrize(("kind", "data", "is_taken"), PROPOSED)
def test_a_leader_appends_nothing_for_others_that_would_end_all_who_apply_it(
    kind: int, data: bytes, is_taken: bool, one: Restarted
) -> None:
    lead(one)
    assert one.actor.node is not None
    before = one.actor.node.raft.log.last_index()
    entries = [make_entry(kind, 0, 0, data), make_entry(ENTRY_NORMAL, 0, 0, PUT)]
    hear(one, Message(MSG_PROP, to=ME, from_=2, entries=entries))
    assert one.actor.node.raft.log.last_index() - before == (2 if is_taken else 1)


def lie(chance: random.Random, one: Restarted) -> Message:
    """Any message, with numbers near to what is true, and far from it."""
    assert one.actor.node is not None
    raft = one.actor.node.raft
    last, term = raft.log.last_index(), raft.term

    def number(near: int) -> int:
        return chance.choice([0, 1, near - 1, near, near + 1, near + 5, 1 << 63, U64, chance.randrange(U64)]) & U64

    type_, index = chance.randrange(len(MESSAGE_NAMES)), number(last)
    kinds = (ENTRY_NORMAL, ENTRY_NORMAL, ENTRY_CONF_CHANGE, ENTRY_CONF_CHANGE_V2)
    return Message(
        type_,
        to=ME,
        from_=chance.choice([NO_NODE, ME, 2, 2, 3, 3, 7, APPEND_THREAD, APPLY_THREAD]),
        term=0 if type_ in TERMLESS_MESSAGES else chance.choice([term, term, term, term + 1, number(term)]),
        log_term=chance.choice([term, 3, number(term)]),
        index=index,
        entries=[
            make_entry(chance.choice(kinds), term, (index + at) & U64, chance.choice([PUT, b"", b"\xff"]))
            for at in range(1, chance.randint(1, 3))
        ],
        commit=min(number(last), last) if type_ == MSG_HEARTBEAT else number(last),
        reject=chance.random() < 0.4,
        reject_hint=number(last),
        context=chance.choice([b"", b"12345678"]),
    )


@pytest.mark.parametrize("seed", range(40))
def test_a_member_that_lies_at_random_ends_nobody(seed: int, one: Restarted) -> None:
    chance = random.Random(seed)
    chance.choice([lead, follow])(one)
    node, screen = one.actor.node, Screen(ME)
    assert node is not None
    for _ in range(30):
        message = lie(chance, one)
        if not screen.admits(message):
            continue
        hear(one, message)
        appends = one.links.of_type(Append)
        if appends and chance.random() < 0.7:
            one.actor.appends.on_appended(Appended(7, appends[-1].seq, ""))
        one.actor.on_applied(Applied(one.actor.applies.handed_index, 0))
        for _ in range(chance.choice([0, 0, 1, 30])):
            node.tick()
        one.actor.on_turn_end()
    assert node.raft.term < 1 << 63
