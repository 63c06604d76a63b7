"""Leadership transfer. Raft thesis 3.10."""

import pytest

from etcdz.raft import ConfChange, ProposalDropped
from etcdz.raft.messages import CONF_CHANGE_REMOVE_NODE, MSG_APP, MSG_TIMEOUT_NOW, MSG_VOTE
from tests.raft.cluster import Cluster


def test_an_up_to_date_target_campaigns_at_once_thesis_3_10() -> None:
    cluster = Cluster(3)
    cluster.elect(1).raw.transfer_leader(2)
    cluster.settle()
    assert cluster.leaders() == [2]
    assert cluster[2].term == 2


def test_leases_and_pre_vote_do_not_hinder_a_transfer_thesis_4_2_3() -> None:
    cluster = Cluster(3, check_quorum=True, pre_vote=True)
    cluster.elect(1).raw.transfer_leader(3)
    cluster.settle()
    assert cluster.leaders() == [3]


def test_a_target_that_is_behind_is_brought_up_first_thesis_3_10() -> None:
    cluster = Cluster(3)
    leader = cluster.elect(1)
    cluster.isolate(3)
    leader.propose(b"x")
    cluster.settle()
    cluster.heal()
    cluster.sent.clear()
    leader.raw.transfer_leader(3)
    cluster.tick(1)
    assert cluster.leaders() == [3]
    kinds = [m.type for m in cluster.sent if 3 in (m.to, m.from_)]
    assert kinds.index(MSG_APP) < kinds.index(MSG_TIMEOUT_NOW) < kinds.index(MSG_VOTE)


def test_no_proposals_while_leadership_moves_thesis_3_10() -> None:
    cluster = Cluster(3)
    leader = cluster.elect(1)
    cluster.isolate(3)
    leader.raw.transfer_leader(3)
    cluster.settle()
    with pytest.raises(ProposalDropped):
        leader.propose(b"x")
    cluster.tick(1, 10)
    leader.propose(b"after an election timeout the transfer has failed")
    assert leader.raw.basic_status().transferee == 0


def test_another_target_takes_the_place_of_the_first() -> None:
    cluster = Cluster(3)
    leader = cluster.elect(1)
    cluster.isolate(3)
    leader.raw.transfer_leader(3)
    leader.raw.transfer_leader(3)
    assert any("ignores request to same node 3" in line for line in leader.log.lines)
    leader.raw.transfer_leader(2)
    cluster.settle()
    assert cluster.leaders() == [2]


def test_to_itself_to_a_learner_or_to_nobody_changes_nothing() -> None:
    cluster = Cluster(2, learners=(3,))
    leader = cluster.elect(1)
    for target in (1, 3, 9):
        leader.raw.transfer_leader(target)
        cluster.settle()
        assert (cluster.leaders(), leader.raw.basic_status().transferee) == ([1], 0)


def test_a_follower_passes_the_wish_on() -> None:
    cluster = Cluster(3)
    cluster.elect(1)
    cluster[2].raw.transfer_leader(3)
    cluster.settle()
    assert cluster.leaders() == [3]


def test_without_a_leader_the_wish_is_dropped() -> None:
    cluster = Cluster(3)
    cluster[2].raw.transfer_leader(3)
    cluster.settle()
    assert cluster.sent == []


def test_a_target_that_is_removed_ends_the_transfer() -> None:
    cluster = Cluster(3)
    leader = cluster.elect(1)
    cluster.isolate(3)
    leader.propose_change(ConfChange(CONF_CHANGE_REMOVE_NODE, 3))
    leader.raw.transfer_leader(3)
    cluster.settle()
    assert leader.raw.basic_status().transferee == 0
    leader.propose(b"x")
