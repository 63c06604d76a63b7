"""Configuration changes through the log. Raft thesis 4.1, 4.2.1, 4.2.2, 4.3."""

import pytest

from etcdz.raft import ConfChange, ConfChangeV2, ConfState, Message, RawNode, StepPeerNotFound
from etcdz.raft.codec import encode_conf_change
from etcdz.raft.describe import describe_config, parse_changes
from etcdz.raft.entry import ENTRY_CONF_CHANGE_V2, ENTRY_NORMAL, make_entry
from etcdz.raft.errors import ConfigError, ProposalDropped
from etcdz.raft.messages import (
    CONF_CHANGE_ADD_LEARNER_NODE,
    CONF_CHANGE_ADD_NODE,
    CONF_CHANGE_REMOVE_NODE,
    FOLLOWER,
    MSG_APP_RESP,
    MSG_PROP,
    TRANSITION_JOINT_EXPLICIT,
)
from tests.raft.cluster import FIRST, Cluster, Member


def joint(text: str, transition: int = 0) -> ConfChangeV2:
    return ConfChangeV2(transition, parse_changes(text))


def config(member: Member) -> str:
    return describe_config(member.raw.raft.tracker.config)


def join(cluster: Cluster, node: int, **options: object) -> Member:
    """A member that starts with nothing."""
    cluster.members[node] = Member(node, ConfState())
    cluster.members[node].storage.__init__()  # type: ignore[misc]
    cluster.members[node].options |= {"applied": 0, **options}
    cluster.members[node].start()
    return cluster.members[node]


def test_a_server_is_added_alone_and_catches_up_thesis_4_1() -> None:
    cluster = Cluster(1)
    leader = cluster.elect(1)
    leader.propose(b"before")
    cluster.settle()
    leader.compact()
    newcomer = join(cluster, 2)
    cluster.isolate(2)
    leader.propose_change(ConfChange(CONF_CHANGE_ADD_NODE, 2))
    cluster.settle()
    leader.compact()  # the snapshot must name the newcomer
    cluster.heal()
    cluster.tick(1)
    assert config(newcomer) == config(leader) == "voters=(1 2)"
    leader.propose(b"after")
    cluster.settle()
    assert newcomer.applied[-1:] == [b"after"]


def test_the_next_change_waits_until_the_last_is_applied_thesis_4_1() -> None:
    cluster = Cluster(3)
    leader = cluster.elect(1)
    leader.propose_change(ConfChange(CONF_CHANGE_REMOVE_NODE, 3))
    leader.propose_change(ConfChange(CONF_CHANGE_REMOVE_NODE, 2))
    cluster.settle()
    assert config(leader) == "voters=(1 2)"
    assert any("possible unapplied conf change" in line for line in leader.log.lines)


def test_a_refused_change_leaves_an_empty_entry() -> None:
    cluster = Cluster(1)
    leader = cluster.elect(1)
    leader.propose_change(ConfChangeV2())
    cluster.settle()
    last = leader.storage.entries(FIRST + 1, FIRST + 2)[0]
    assert (last.type, last.data) == (ENTRY_NORMAL, b"")


def test_a_new_leader_waits_for_its_whole_log_before_a_change_thesis_4_1() -> None:
    cluster = Cluster(3)
    for node in (1, 2, 3):
        cluster.members[node] = Member(node, ConfState((1, 2, 3)), terms=(1, 1))
    cluster.lose(lambda m: m.type == MSG_APP_RESP)
    leader = cluster.elect(1)
    leader.propose_change(ConfChange(CONF_CHANGE_REMOVE_NODE, 3))
    cluster.heal()
    cluster.tick(1)
    assert config(leader) == "voters=(1 2 3)"
    leader.propose_change(ConfChange(CONF_CHANGE_REMOVE_NODE, 3))
    cluster.settle()
    assert config(leader) == "voters=(1 2)"


def test_a_learner_gets_everything_and_counts_for_nothing_thesis_4_2_1() -> None:
    cluster = Cluster(1, learners=(2,))
    leader = cluster.elect(1)
    cluster.isolate(2)
    leader.propose(b"x")
    cluster.settle()
    assert leader.applied == [b"x"]
    cluster.heal()
    cluster.tick(1)
    assert cluster[2].applied == [b"x"]


def test_a_learner_is_promoted_thesis_4_2_1() -> None:
    cluster = Cluster(1, learners=(2,))
    leader = cluster.elect(1)
    leader.propose_change(ConfChange(CONF_CHANGE_ADD_NODE, 2))
    cluster.settle()
    assert config(cluster[2]) == "voters=(1 2)"
    cluster.isolate(2)
    leader.propose(b"needs both")
    cluster.settle()
    assert leader.applied == []


def test_joint_consensus_needs_both_majorities_thesis_4_3() -> None:
    cluster = Cluster(3)
    leader = cluster.elect(1)
    leader.propose_change(joint("r2 r3", TRANSITION_JOINT_EXPLICIT))
    cluster.settle()
    assert config(leader) == "voters=(1)&&(1 2 3)"
    cluster.isolate(1)
    leader.propose(b"old majority is missing")
    cluster.settle()
    assert leader.applied == []
    cluster.heal()
    cluster.tick(1)
    assert leader.applied == [b"old majority is missing"]


def test_elections_need_both_majorities_while_joint_thesis_4_3() -> None:
    cluster = Cluster(3)
    leader = cluster.elect(1)
    leader.propose_change(joint("r2 r3", TRANSITION_JOINT_EXPLICIT))
    cluster.settle()
    cluster.isolate(1)
    leader.raw.raft.become_follower(leader.term, 0)
    assert not cluster.elect(1).leads  # alone it is all of the new majority, and too little of the old one
    cluster.heal()
    assert cluster.elect(1).leads


def test_a_joint_configuration_is_left_by_the_leader_thesis_4_3() -> None:
    cluster = Cluster(3)
    leader = cluster.elect(1)
    leader.propose_change(joint("r3 l2"))
    cluster.settle()
    assert [config(cluster[node]) for node in (1, 2)] == ["voters=(1) learners=(2)"] * 2
    assert leader.conf_state == ConfState((1,), (2,))


def test_an_explicit_joint_configuration_stays_until_it_is_left_thesis_4_3() -> None:
    cluster = Cluster(1)
    leader = cluster.elect(1)
    leader.propose_change(joint("l2 l3", TRANSITION_JOINT_EXPLICIT))
    cluster.settle()
    leader.propose_change(ConfChange(CONF_CHANGE_ADD_LEARNER_NODE, 4))
    cluster.settle()
    assert config(leader) == "voters=(1)&&(1) learners=(2 3)"
    assert any("must transition out of joint config first" in line for line in leader.log.lines)
    leader.propose_change(ConfChangeV2())
    cluster.settle()
    assert config(leader) == "voters=(1) learners=(2 3)"


def test_leaving_is_tried_again_after_a_transfer_thesis_4_3() -> None:
    cluster = Cluster(3)
    leader = cluster.elect(1)
    cluster.lose(lambda m: m.to == 3)
    leader.propose_change(joint("l3 r2"))
    leader.propose(b"x")
    leader.raw.transfer_leader(3)  # which cannot answer
    cluster.settle()
    assert config(leader) == "voters=(1)&&(1 2 3) learners_next=(3) autoleave"
    cluster.heal()
    cluster.tick(1, 11)
    leader = cluster[cluster.leaders()[0]]
    leader.propose(b"y")
    cluster.settle()
    assert config(leader) == "voters=(1) learners=(3)"


@pytest.mark.parametrize("step_down", [False, True])
def test_a_removed_leader_commits_its_removal_thesis_4_2_2(step_down: bool) -> None:
    cluster = Cluster(3, step_down_on_removal=step_down)
    leader = cluster.elect(1)
    leader.propose_change(ConfChange(CONF_CHANGE_REMOVE_NODE, 1))
    cluster.settle()
    assert config(cluster[2]) == "voters=(2 3)"
    assert leader.leads is not step_down
    with pytest.raises(ProposalDropped):
        leader.propose(b"x")
    assert leader.raw.raft.role == (FOLLOWER if step_down else 2)
    assert cluster.elect(2).leads


def test_a_demoted_leader_steps_down_too() -> None:
    cluster = Cluster(3, step_down_on_removal=True)
    leader = cluster.elect(1)
    leader.propose_change(ConfChange(CONF_CHANGE_ADD_LEARNER_NODE, 1))
    cluster.settle()
    assert not leader.leads
    assert not cluster.elect(1).leads


def test_a_smaller_quorum_may_commit_at_once_thesis_4_1() -> None:
    cluster = Cluster(2)
    leader = cluster.elect(1)
    cluster.lose(lambda m: m.to == 2)
    leader.propose_change(ConfChange(CONF_CHANGE_REMOVE_NODE, 2))
    leader.propose(b"x")
    cluster.settle()
    assert leader.applied == []
    leader.raw.step(Message(MSG_APP_RESP, to=1, from_=2, term=1, index=FIRST + 1))
    cluster.settle()
    assert (config(leader), leader.applied) == ("voters=(1)", [b"x"])


def test_nobody_campaigns_with_a_change_committed_and_not_applied_thesis_4_1() -> None:
    cluster = Cluster(3)
    leader = cluster.elect(1)
    cluster[2]._apply = lambda entries: None  # type: ignore[method-assign]
    leader.propose_change(ConfChange(CONF_CHANGE_REMOVE_NODE, 3))
    member = Member(2, ConfState((1, 2, 3)), async_storage_writes=True)
    leader.work()
    kind, data = encode_conf_change(ConfChange(CONF_CHANGE_REMOVE_NODE, 3))
    change = make_entry(kind, 1, FIRST, data)
    member.raw.step(Message(3, to=2, from_=1, term=1, index=FIRST - 1, log_term=1, entries=[change], commit=FIRST))
    member.raw.campaign()
    assert any("there are still pending configuration changes to apply" in line for line in member.log.lines)


def test_a_change_that_is_none_is_dropped() -> None:
    leader = Cluster(1).elect(1)
    with pytest.raises(ProposalDropped):
        leader.raw.step(Message(MSG_PROP, entries=[make_entry(ENTRY_CONF_CHANGE_V2, 0, 0, b"\xff\xff")]))


def test_answers_of_strangers_are_refused() -> None:
    leader = Cluster(1).elect(1)
    with pytest.raises(StepPeerNotFound):
        leader.raw.step(Message(MSG_APP_RESP, to=1, from_=9, term=1, index=1))


def test_a_first_cluster_begins_with_its_members_in_the_log() -> None:
    def fresh() -> Member:
        member = Member(1, ConfState())
        member.storage.__init__()  # type: ignore[misc]
        member.options["applied"] = 0
        member.start()
        return member

    member = fresh()
    member.raw.bootstrap([(1, b"one")])
    first = member.raw.raft.log.unstable.entries[0]
    assert (first.term, first.index, first.data) == (1, 1, encode_conf_change(ConfChange(0, 1, b"one"))[1])
    member.work()
    member.raw.campaign()
    member.work()
    member.propose(b"x")
    member.work()
    assert (member.leads, member.term, member.applied) == (True, 2, [b"x"])
    with pytest.raises(ConfigError, match="nonempty"):
        member.raw.bootstrap([(1, b"")])
    with pytest.raises(ConfigError, match="at least one peer"):
        fresh().raw.bootstrap([])
    assert isinstance(member.raw, RawNode)
