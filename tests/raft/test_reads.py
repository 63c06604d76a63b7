"""Linearizable reads. Raft thesis 6.4, 6.4.1."""

import pytest

from etcdz.raft import (
    ConfChange,
    ConfChangeSingle,
    ConfChangeV2,
    Config,
    ConfigError,
    ConfState,
    MemoryStorage,
    Message,
    ReadState,
)
from etcdz.raft.messages import (
    CONF_CHANGE_ADD_NODE,
    CONF_CHANGE_REMOVE_NODE,
    MSG_APP_RESP,
    MSG_HEARTBEAT,
    MSG_HEARTBEAT_RESP,
    MSG_READ_INDEX,
    MSG_VOTE_RESP,
    TRANSITION_JOINT_EXPLICIT,
)
from etcdz.raft.read_only import READ_LEASE_BASED
from tests.raft.cluster import FIRST, Cluster, Member


def test_a_read_waits_for_a_quorum_thesis_6_4() -> None:
    cluster = Cluster(3)
    leader = cluster.elect(1)
    cluster.lose(lambda m: m.type == MSG_HEARTBEAT)
    leader.raw.read_index(b"r")
    cluster.settle()
    assert leader.reads == []
    cluster.heal()
    cluster.tick(1)
    assert leader.reads == [ReadState(FIRST, b"r")]


def test_a_deposed_leader_serves_no_read_thesis_6_4() -> None:
    cluster = Cluster(3)
    old = cluster.elect(1)
    cluster.isolate(1)
    new = cluster.elect(2)
    new.propose(b"newer")
    cluster.settle()
    old.raw.read_index(b"stale")
    cluster.tick(1, 5)
    assert old.reads == []
    cluster.heal()
    cluster.tick(2)
    assert (old.reads, old.leads) == ([], False)


def test_a_follower_asks_the_leader_thesis_6_4() -> None:
    cluster = Cluster(3)
    cluster.elect(1).propose(b"x")
    cluster.settle()
    cluster[3].raw.read_index(b"r")
    cluster.settle()
    assert cluster[3].reads == [ReadState(FIRST + 1, b"r")]


def test_a_follower_that_asks_is_a_quorum_with_the_leader_of_three_thesis_6_4() -> None:
    cluster = Cluster(3)
    leader = cluster.elect(1)
    cluster.lose(lambda m: m.type == MSG_HEARTBEAT)
    leader.raw.read_index(b"own")
    cluster[3].raw.read_index(b"r")
    cluster.settle()
    assert cluster[3].reads == [ReadState(FIRST, b"r")]
    assert leader.reads == [], "the follower may have asked before that read came"


def test_and_of_five_it_is_none_thesis_6_4() -> None:
    cluster = Cluster(5)
    cluster.elect(1)
    cluster.lose(lambda m: m.type == MSG_HEARTBEAT)
    cluster[3].raw.read_index(b"r")
    cluster.settle()
    assert cluster[3].reads == []
    cluster.heal()
    cluster.tick(1)
    assert cluster[3].reads == [ReadState(FIRST, b"r")]


def test_a_learner_that_asks_counts_for_nothing_thesis_4_2_1() -> None:
    cluster = Cluster(2, learners=(3,))
    cluster.elect(1)
    cluster.isolate(2)
    cluster[3].raw.read_index(b"r")
    cluster.settle()
    assert cluster[3].reads == []


def test_without_a_leader_a_read_is_dropped() -> None:
    member = Member(1, ConfState((1, 2, 3)))
    member.raw.read_index(b"r")
    assert member.work() == []
    assert "1 no leader at term 0; dropping index reading msg" in member.log.lines


def test_a_new_leader_serves_no_read_before_its_first_commit_thesis_6_4_step_1() -> None:
    cluster = Cluster(3)
    for node in (1, 2, 3):
        cluster.members[node] = Member(node, ConfState((1, 2, 3)), terms=(1,))
    cluster.lose(lambda m: m.type == MSG_APP_RESP)
    leader = cluster.elect(1)
    leader.raw.read_index(b"early")
    cluster.tick(1)
    assert (leader.leads, leader.reads) == (True, [])
    cluster.heal()
    cluster.tick(1)
    assert leader.reads == [ReadState(FIRST + 1, b"early")]


def test_one_round_confirms_all_that_wait() -> None:
    cluster = Cluster(3)
    leader = cluster.elect(1)
    for number in range(3):
        leader.raw.read_index(b"%d" % number)
    queue = leader.work()
    newest = [m for m in queue if m.type == MSG_HEARTBEAT and m.to == 2][-1]
    leader.raw.step(Message(MSG_HEARTBEAT_RESP, to=1, from_=2, term=1, context=newest.context))
    leader.work()
    assert [read.context for read in leader.reads] == [b"0", b"1", b"2"]


def test_an_answer_confirms_only_reads_that_came_before_its_heartbeat_thesis_6_4() -> None:
    cluster = Cluster(3)
    leader = cluster.elect(1)
    leader.raw.read_index(b"first")
    old = next(m for m in leader.work() if m.type == MSG_HEARTBEAT)
    leader.raw.read_index(b"second")
    leader.work()
    leader.raw.step(Message(MSG_HEARTBEAT_RESP, to=1, from_=2, term=1, context=old.context))
    leader.work()
    assert [read.context for read in leader.reads] == [b"first"]


def test_the_same_context_twice_is_two_reads() -> None:
    cluster = Cluster(3)
    leader = cluster.elect(1)
    for _ in range(2):
        leader.raw.read_index(b"r")
    cluster.settle()
    assert leader.reads == [ReadState(FIRST, b"r")] * 2


def test_one_peer_twice_is_no_quorum_thesis_6_4() -> None:
    cluster = Cluster(5)
    leader = cluster.elect(1)
    leader.raw.read_index(b"r")
    heartbeat = next(m for m in leader.work() if m.type == MSG_HEARTBEAT)
    for _ in range(3):
        leader.raw.step(Message(MSG_HEARTBEAT_RESP, to=1, from_=2, term=1, context=heartbeat.context))
    leader.work()
    assert leader.reads == []


def test_a_learner_confirms_nothing_thesis_4_2_1() -> None:
    cluster = Cluster(2, learners=(3,))
    leader = cluster.elect(1)
    cluster.isolate(2)
    leader.raw.read_index(b"r")
    cluster.settle()
    assert leader.reads == []


@pytest.mark.parametrize("context", [b"\x00", b"\xff" * 8, b"junk of another kind"])
def test_a_context_that_is_not_ours_breaks_nothing(context: bytes) -> None:
    cluster = Cluster(3)
    leader = cluster.elect(1)
    leader.raw.step(Message(MSG_HEARTBEAT_RESP, to=1, from_=2, term=1, context=context))
    assert leader.work() == []


def test_a_single_voter_needs_nobody() -> None:
    cluster = Cluster(1, learners=(2,))
    leader = cluster.elect(1)
    leader.raw.read_index(b"own")
    cluster[2].raw.read_index(b"learner's")
    cluster.settle()
    assert leader.reads == [ReadState(FIRST, b"own")]
    assert cluster[2].reads == [ReadState(FIRST, b"learner's")]


def test_a_single_voter_reads_only_after_a_commit_of_its_term_thesis_6_4() -> None:
    """The commit index on disk may be older than what was acknowledged before the restart."""
    cluster = Cluster(1)
    leader = cluster.elect(1)
    leader.propose(b"acknowledged")
    cluster.settle()
    acknowledged = leader.committed
    state = leader.storage.initial_state()[0]
    leader.storage.set_hard_state(state._replace(commit=FIRST))
    leader.start()
    leader.raw.campaign()
    while not leader.leads:
        leader._work_once()
    assert leader.committed < acknowledged
    leader.raw.read_index(b"r")
    cluster.settle()
    assert leader.reads[-1].context == b"r"
    assert leader.reads[-1].index > acknowledged


def test_a_removed_leader_does_not_take_the_only_voter_left_for_itself() -> None:
    cluster = Cluster(2)
    old = cluster.elect(1)
    old.propose_change(ConfChange(CONF_CHANGE_REMOVE_NODE, 1))
    cluster.settle()
    assert old.leads
    assert old.conf_state.voters == (2,)
    cluster.isolate(1)
    new = cluster.elect(2)
    new.propose(b"newer")
    cluster.settle()
    assert new.leads
    old.raw.read_index(b"stale")
    cluster.settle()
    assert old.reads == []


def test_an_only_voter_that_is_both_halves_of_a_joint_configuration_needs_nobody() -> None:
    cluster = Cluster(1)
    leader = cluster.elect(1)
    leader.propose_change(ConfChangeV2(TRANSITION_JOINT_EXPLICIT, (ConfChangeSingle(CONF_CHANGE_ADD_NODE, 1),)))
    cluster.settle()
    assert leader.conf_state.voters_outgoing == (1,)
    leader.raw.read_index(b"r")
    cluster.settle()
    assert [read.context for read in leader.reads] == [b"r"]


def test_a_read_needs_both_halves_of_a_joint_configuration_thesis_4_3() -> None:
    cluster = Cluster(5)
    leader = cluster.elect(1)
    leaving = tuple(ConfChangeSingle(CONF_CHANGE_REMOVE_NODE, node) for node in (3, 4, 5))
    leader.propose_change(ConfChangeV2(TRANSITION_JOINT_EXPLICIT, leaving))
    cluster.settle()
    assert (leader.conf_state.voters, leader.conf_state.voters_outgoing) == ((1, 2), (1, 2, 3, 4, 5))
    cluster.isolate(3, 4, 5)
    leader.raw.read_index(b"r")
    cluster.settle()
    cluster.tick(1)
    assert leader.reads == []
    cluster.heal()
    cluster.tick(1)
    assert [read.context for read in leader.reads] == [b"r"]


def test_a_lease_answers_at_once_thesis_6_4_1() -> None:
    cluster = Cluster(3, read_only=READ_LEASE_BASED, check_quorum=True)
    leader = cluster.elect(1)
    cluster.isolate(1)
    leader.raw.read_index(b"r")
    leader.work()
    assert leader.reads == [ReadState(FIRST, b"r")]


def test_a_lease_needs_check_quorum_thesis_6_4_1() -> None:
    config = Config(
        id=1,
        election_tick=10,
        heartbeat_tick=1,
        storage=MemoryStorage(),
        random=lambda n: 0,
        read_only=READ_LEASE_BASED,
    )
    with pytest.raises(ConfigError, match="CheckQuorum must be enabled"):
        config.validate()


def test_reads_do_not_survive_a_change_of_leader() -> None:
    member = Member(1, ConfState((1, 2, 3)))
    member.raw.campaign()
    member.work()
    member.raw.step(Message(MSG_VOTE_RESP, to=1, from_=2, term=1))
    member.work()
    member.raw.step(Message(MSG_APP_RESP, to=1, from_=2, term=1, index=FIRST))
    member.work()
    member.raw.step(Message(MSG_READ_INDEX, to=1, from_=2, entries=()))
    member.raw.step(Message(MSG_HEARTBEAT, to=1, from_=3, term=2))
    member.raw.step(Message(MSG_HEARTBEAT_RESP, to=1, from_=2, term=2, context=(1).to_bytes(8, "little")))
    member.work()
    assert member.reads == []
