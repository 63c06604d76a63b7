"""A leader's snapshot on its way into a member, and a leader's on its way out, as the raft actor orders them."""

from collections.abc import Iterator

import pytest

from actors.peer import outgoing_snapshots as in_peer_actor
from actors.raft import outgoing_snapshots
from actors.runtime.link import Peer
from etcdz.ipc.messages import (
    Append,
    Appended,
    Applied,
    Apply,
    BackendHello,
    BackendState,
    Flushed,
    Install,
    PeerReports,
    Received,
    Send,
    SnapshotArrived,
    SnapshotTaken,
    SnapshotWanted,
    WalHello,
    WalState,
)
from etcdz.proto import raftpb
from etcdz.raft import ConfState, HardState, Message, Snapshot, codec, make_entry
from etcdz.raft.codec import decode_message, encode_message
from etcdz.raft.messages import (
    LEADER,
    MSG_APP,
    MSG_APP_RESP,
    MSG_HEARTBEAT,
    MSG_SNAP,
    MSG_VOTE,
    MSG_VOTE_RESP,
)
from tests.actors.raft.restarted import ME, METADATA, RecordedLinks, Restarted, restarted_with

OTHER = 2
INDEX, TERM = 50, 4
NOW = ConfState((ME, OTHER, 3))
BEFORE = codec.encode_conf_state(ConfState((ME, OTHER)))


class Links(RecordedLinks):
    def incarnation_of(self, name: str) -> int:
        return 30 if name == "peer" else 0


class Member(Restarted):
    """One of two, with a peer actor."""

    def turn(self, *messages: object) -> list[object]:
        """return what it has sent."""
        before = len(self.links.sent)
        for message in messages:
            self.actor.handlers[type(message)](message)
        self.actor.on_turn_end()
        return [message for _, message in self.links.sent[before:]]

    def to_others(self) -> list[Message]:
        return [decode_message(encoded) for send in self.links.of_type(Send) for _, encoded in send.messages]

    def backend_is_new(self, applied: int, conf_state: ConfState, term: int = TERM) -> list[object]:
        self.actor.on_peer_up(Peer("backend", "backend", 0, 40 + applied, ""))
        encoded = codec.encode_conf_state(conf_state)
        return self.turn(BackendState(7, ME, 2, applied, term, applied, encoded, "3.5.0"))


@pytest.fixture
def one() -> Iterator[Member]:
    with restarted_with((ME, OTHER), Member) as member:
        member.links = Links()
        member.actor.links = member.links  # type: ignore[assignment]
        yield member


@pytest.fixture
def follower(one: Member) -> Member:
    one.greet(leader=OTHER)
    one.turn(Received([encode_message(Message(MSG_HEARTBEAT, to=ME, from_=OTHER, term=TERM, commit=2))]))
    one.make_durable()
    one.links.sent.clear()
    return one


def arrived(index: int = INDEX) -> SnapshotArrived:
    snapshot = Snapshot(index, TERM, NOW, b"{}")
    message = encode_message(Message(MSG_SNAP, to=ME, from_=OTHER, term=TERM, snapshot=snapshot))
    return SnapshotArrived(index, TERM, f"/leveldb.{index}", message)


def append_behind(index: int, *terms: int, commit: int = 0) -> Received:
    entries = tuple(make_entry(0, term, index + at, b"x") for at, term in enumerate(terms, 1))
    message = Message(
        MSG_APP, to=ME, from_=OTHER, term=TERM, log_term=TERM, index=index, entries=entries, commit=commit
    )
    return Received([encode_message(message)])


# ---- into this member ----


def test_the_wal_has_it_before_the_leader_hears_and_the_backend_before_anything_is_applied(follower: Member) -> None:
    (append,) = [message for message in follower.turn(arrived()) if isinstance(message, Append)]
    snapshot = raftpb.Snapshot.FromString(append.snapshot)
    assert (snapshot.metadata.index, snapshot.data) == (INDEX, b"{}")
    assert codec.decode_hard_state(append.hard_state).commit == INDEX
    assert follower.links.of_type(Install) == [] and follower.to_others() == []
    follower.turn(Appended(7, append.seq, ""))
    assert follower.links.of_type(Install) == [Install(7, INDEX)]
    assert [(m.type, m.index) for m in follower.to_others()] == [(MSG_APP_RESP, INDEX)]
    follower.turn(append_behind(INDEX, TERM, TERM, commit=INDEX + 2))
    follower.make_durable()
    ((to, _, index, _),) = follower.links.of_type(Append)[-1].acknowledgements
    assert (to, index) == (2, INDEX + 2), "it replicates while the backend is not there yet"
    assert follower.links.of_type(Apply) == []
    sent = follower.backend_is_new(INDEX, NOW)
    follower.make_durable()
    applies = follower.links.of_type(Apply)
    assert [(apply.first_index, len(apply.entries)) for apply in applies] == [(INDEX + 1, 2)]
    assert not any(isinstance(message, Install) for message in sent)


def test_a_vote_looks_at_what_was_acknowledged_while_the_backend_is_not_there_yet(follower: Member) -> None:
    """Or a candidate without what this member was counted for might lead."""
    node = follower.actor.node
    assert node is not None
    follower.turn(arrived())
    follower.make_durable()
    follower.turn(append_behind(INDEX, TERM, TERM, commit=INDEX + 2))
    follower.make_durable()
    assert node.raft.log.last_index() == INDEX + 2
    heartbeat = Message(MSG_HEARTBEAT, to=ME, from_=OTHER, term=TERM, commit=INDEX + 2)
    follower.turn(Received([encode_message(heartbeat)]))
    request = Message(MSG_VOTE, to=ME, from_=3, term=TERM + 1, log_term=TERM, index=INDEX, context=b"CampaignTransfer")
    follower.turn(Received([encode_message(request)]))
    follower.make_durable()
    (vote,) = [message for message in follower.to_others() if message.type == MSG_VOTE_RESP]
    assert vote.reject


def test_the_word_of_the_old_backend_does_not_undo_the_new_configuration(follower: Member) -> None:
    change = codec.encode_conf_change(
        codec.decode_conf_change(1, raftpb.ConfChange(node_id=9, context=b"{}").SerializeToString())
    )
    entry = make_entry(1, 3, 3, change[1])
    message = Message(MSG_APP, to=ME, from_=OTHER, term=TERM, log_term=3, index=2, entries=(entry,), commit=3)
    follower.turn(Received([encode_message(message)]))
    follower.make_durable()
    follower.turn(arrived())
    follower.make_durable()
    follower.turn(Applied(3, 0, BEFORE))
    node = follower.actor.node
    assert node is not None and node.raft.tracker.config.conf_state() == NOW
    follower.backend_is_new(INDEX, NOW)
    assert node.raft.tracker.config.conf_state() == NOW
    assert node.raft.log.applied == INDEX


def test_a_backend_that_is_older_is_told_again(follower: Member) -> None:
    follower.turn(arrived())
    follower.make_durable()
    assert follower.backend_is_new(2, ConfState((ME, OTHER)))[-1] == Install(7, INDEX)
    assert follower.links.of_type(Apply) == []
    assert not any(isinstance(message, Install) for message in follower.backend_is_new(INDEX, NOW))


def test_a_flush_of_the_old_backend_saves_nothing(follower: Member) -> None:
    follower.turn(arrived())
    follower.make_durable()
    follower.turn(Flushed(2, 3, BEFORE, b"old"))
    assert follower.actor.trimming.snapshot_index == INDEX


def test_a_newer_one_on_top_is_installed_alone(follower: Member) -> None:
    follower.turn(arrived())
    follower.turn(arrived(INDEX + 20))
    follower.make_durable()
    assert follower.links.of_type(Install)[-1] == Install(7, INDEX + 20)
    assert follower.backend_is_new(INDEX, NOW)[-1] == Install(7, INDEX + 20)
    follower.backend_is_new(INDEX + 20, NOW)
    node = follower.actor.node
    assert node is not None and node.raft.log.applied == INDEX + 20


@pytest.mark.parametrize("behind", [0, 2])
def test_a_raft_that_begins_between_wal_and_backend_has_it_installed_first(one: Member, behind: int) -> None:
    """The log begins after a snapshot that the backend does not have."""
    entries = [make_entry(0, TERM, INDEX + 1 + at, b"").encoded for at in range(behind)]
    hard_state = codec.encode_hard_state(HardState(TERM, 0, INDEX))
    log = WalState(7, METADATA, False, hard_state, INDEX, TERM, INDEX + 1, entries, INDEX + behind)
    one.backend_is_new(2, ConfState((ME, OTHER)), term=3)
    assert one.turn(log) == [Install(7, INDEX)]
    assert one.turn(log) == [Install(7, INDEX)], "a new wal has been greeted twice"
    assert one.actor.node is None
    one.links.sent.clear()
    one.backend_is_new(INDEX, NOW)
    assert len(one.links.of_type(BackendHello)) == len(one.links.of_type(WalHello)) == 1
    one.turn(log)
    node = one.actor.node
    assert node is not None
    assert (node.raft.log.applied, node.raft.log.last_index()) == (INDEX, INDEX + behind)
    assert node.raft.tracker.config.conf_state() == NOW


# ---- out of this member ----


@pytest.fixture
def leader(one: Member) -> Member:
    """Of a log that begins at 3, beside a follower that has nothing."""
    entries = [make_entry(0, 3, index, b"").encoded for index in (3, 4)]
    hard_state = codec.encode_hard_state(HardState(3, ME, 4))
    one.backend_is_new(4, ConfState((ME, OTHER)), term=3)
    one.turn(WalState(7, METADATA, False, hard_state, 2, 3, 3, entries, 4, 3, ME))
    node = one.actor.node
    assert node is not None
    one.make_durable()
    one.turn(Received([encode_message(Message(MSG_VOTE_RESP, to=ME, from_=OTHER, term=node.raft.term))]))
    assert node.raft.role == LEADER
    one.make_durable()
    one.links.sent.clear()
    return one


def has_nothing(one: Member) -> Received:
    node = one.actor.node
    assert node is not None
    probe = node.raft.tracker.progress[OTHER].next - 1
    answer = Message(MSG_APP_RESP, to=ME, from_=OTHER, term=node.raft.term, index=probe, reject=True)
    return Received([encode_message(answer)])


def taken(index: int, term: int = 3) -> SnapshotTaken:
    return SnapshotTaken(OTHER, index, term, BEFORE, b"v2") if index else SnapshotTaken(OTHER, 0, 0, b"", b"")


def ask_again(one: Member) -> list[Message]:
    """The other answers a heartbeat. return snapshots that this sends"""
    node = one.actor.node
    assert node is not None
    before = len(one.to_others())
    answer = Message(9, to=ME, from_=OTHER, term=node.raft.term)
    one.turn(Received([encode_message(answer)]))
    return [message for message in one.to_others()[before:] if message.type == MSG_SNAP]


def test_one_is_asked_for_once_and_leaves_when_it_was_taken(leader: Member) -> None:
    leader.turn(has_nothing(leader))
    assert leader.links.of_type(SnapshotWanted) == [SnapshotWanted(7, OTHER)]
    assert ask_again(leader) == [] and len(leader.links.of_type(SnapshotWanted)) == 1
    leader.turn(taken(4))
    (message,) = ask_again(leader)
    assert message.snapshot == Snapshot(4, 3, ConfState((ME, OTHER)), b"v2")
    assert ask_again(leader) == [] and len(leader.links.of_type(SnapshotWanted)) == 1
    leader.turn(PeerReports([], [(OTHER, True)]))
    node = leader.actor.node
    assert node is not None and node.raft.tracker.progress[OTHER].next == 5


@pytest.mark.parametrize("unfit", [taken(0), taken(1), taken(9), taken(4, term=2)])
def test_one_that_the_log_does_not_go_on_behind_is_not_sent(leader: Member, unfit: SnapshotTaken) -> None:
    leader.turn(has_nothing(leader))
    leader.turn(unfit)
    assert ask_again(leader) == []
    assert len(leader.links.of_type(SnapshotWanted)) == 1
    leader.actor.outgoing_snapshots.advance(outgoing_snapshots.ASK_AGAIN_S)
    assert ask_again(leader) == []
    assert len(leader.links.of_type(SnapshotWanted)) == 2


def test_the_log_is_kept_behind_it_until_a_while_after_it_has_arrived(leader: Member) -> None:
    snapshots = leader.actor.outgoing_snapshots
    leader.turn(has_nothing(leader))
    leader.turn(taken(4))
    ask_again(leader)
    snapshots.advance(1000.0)
    assert snapshots.kept_from == 4
    leader.turn(PeerReports([], [(OTHER, True)]))
    snapshots.advance(1000.0 + outgoing_snapshots.KEPT_S - 1)
    assert snapshots.kept_from == 4
    snapshots.advance(1000.0 + outgoing_snapshots.KEPT_S)
    assert snapshots.kept_from is None


def test_after_one_has_failed_the_next_is_not_taken_at_once(leader: Member) -> None:
    """A member whose disk is full would else have processes started for it all the time."""
    leader.turn(has_nothing(leader))
    leader.turn(taken(4))
    ask_again(leader)
    leader.turn(PeerReports([], [(OTHER, False)]))
    ask_again(leader)
    assert len(leader.links.of_type(SnapshotWanted)) == 1
    leader.actor.outgoing_snapshots.advance(outgoing_snapshots.ASK_AGAIN_S)
    ask_again(leader)
    assert len(leader.links.of_type(SnapshotWanted)) == 2


def test_one_that_nobody_asks_for_any_more_keeps_nothing(leader: Member) -> None:
    snapshots = leader.actor.outgoing_snapshots
    leader.turn(has_nothing(leader))
    leader.turn(taken(4))
    snapshots.advance(outgoing_snapshots.READY_S)
    assert snapshots.kept_from is None
    ask_again(leader)
    assert len(leader.links.of_type(SnapshotWanted)) == 2


def test_a_new_peer_actor_is_asked_anew(leader: Member) -> None:
    leader.turn(has_nothing(leader))
    leader.turn(taken(4))
    ask_again(leader)
    leader.actor.on_peer_up(Peer("peer", "peer", 0, 31, ""))
    leader.turn()
    ask_again(leader)
    assert len(leader.links.of_type(SnapshotWanted)) == 2


def test_one_that_was_taken_is_there_as_long_as_raft_may_use_it() -> None:
    assert outgoing_snapshots.READY_S < in_peer_actor.KEPT_S
