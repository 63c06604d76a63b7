"""Elections. Raft thesis 3.3, 3.4, 3.6.1, 3.8, 4.2.3, 6.2, 6.4.1, 9.6."""

import pytest

from etcdz.raft import ConfState, HardState, Message
from etcdz.raft.messages import (
    CANDIDATE,
    FOLLOWER,
    MSG_APP,
    MSG_APP_RESP,
    MSG_FORGET_LEADER,
    MSG_HEARTBEAT,
    MSG_PRE_VOTE,
    MSG_PRE_VOTE_RESP,
    MSG_SNAP,
    MSG_STORAGE_APPEND,
    MSG_TIMEOUT_NOW,
    MSG_VOTE,
    MSG_VOTE_RESP,
    PRE_CANDIDATE,
)
from tests.raft.cluster import FIRST, Cluster, Member

THREE = ConfState((1, 2, 3))


def role(member: Member) -> int:
    return member.raw.raft.role


def answers(member: Member, kind: int) -> list[Message]:
    return [m for m in member.work() if m.type == kind]


def test_a_quorum_elects_thesis_3_4() -> None:
    cluster = Cluster(3)
    assert cluster.elect(1).leads
    assert [member.raw.raft.lead for member in cluster.members.values()] == [1, 1, 1]
    assert {member.term for member in cluster.members.values()} == {1}


def test_a_minority_elects_nobody_thesis_3_4() -> None:
    cluster = Cluster(5)
    cluster.isolate(1, 2)
    assert role(cluster.elect(1)) == CANDIDATE


def test_a_single_voter_elects_itself_once_its_vote_is_on_disk_thesis_3_8() -> None:
    member = Member(1, ConfState((1,)), async_storage_writes=True)
    member.raw.campaign()
    write = next(m for m in member.raw.ready().messages if m.type == MSG_STORAGE_APPEND)
    assert (write.term, write.vote) == (1, 1)
    assert not member.leads
    for response in write.responses:
        member.raw.step(response)
    assert member.leads


def test_a_vote_leaves_only_with_the_write_that_makes_it_durable_thesis_3_8() -> None:
    member = Member(1, THREE, async_storage_writes=True)
    member.raw.step(Message(MSG_VOTE, to=1, from_=2, term=1, index=FIRST, log_term=1))
    messages = member.raw.ready().messages
    assert [m.type for m in messages] == [MSG_STORAGE_APPEND]
    assert [response.type for response in messages[0].responses] == [MSG_VOTE_RESP]


def test_without_async_writes_a_vote_comes_with_the_state_to_write_first_thesis_3_8() -> None:
    member = Member(1, THREE)
    member.raw.step(Message(MSG_VOTE, to=1, from_=2, term=1, index=FIRST, log_term=1))
    ready = member.raw.ready()
    assert ready.must_sync
    assert ready.hard_state == HardState(1, 2, FIRST - 1)
    assert [m.type for m in ready.messages] == [MSG_VOTE_RESP]


def test_one_vote_per_term_also_after_a_restart_thesis_3_4() -> None:
    member = Member(1, THREE)

    def ask(candidate: int) -> bool:
        member.raw.step(Message(MSG_VOTE, to=1, from_=candidate, term=5, index=9, log_term=5))
        [answer] = answers(member, MSG_VOTE_RESP)
        return not answer.reject

    assert ask(2)
    assert not ask(3)
    member.start()
    assert not ask(3)
    assert ask(2)  # the answer may have been lost


@pytest.mark.parametrize(
    ("log_term", "index", "granted"),
    [(2, FIRST + 1, True), (2, FIRST + 5, True), (3, FIRST, True), (2, FIRST, False), (1, FIRST + 9, False)],
)
@pytest.mark.parametrize(("ask", "answer"), [(MSG_VOTE, MSG_VOTE_RESP), (MSG_PRE_VOTE, MSG_PRE_VOTE_RESP)])
def test_a_less_complete_log_gets_no_vote_thesis_3_6_1(
    ask: int, answer: int, log_term: int, index: int, granted: bool
) -> None:
    member = Member(1, THREE, terms=(1, 2))
    member.raw.step(Message(ask, to=1, from_=2, term=3, index=index, log_term=log_term))
    [said] = answers(member, answer)
    assert said.reject is not granted


def test_a_known_leader_of_this_term_gets_the_only_vote() -> None:
    member = Member(1, THREE)
    member.raw.step(Message(MSG_HEARTBEAT, to=1, from_=2, term=4))
    member.raw.step(Message(MSG_VOTE, to=1, from_=3, term=4, index=9, log_term=4))
    assert [m.reject for m in answers(member, MSG_VOTE_RESP)] == [True]


def test_a_higher_term_makes_a_follower_thesis_3_3() -> None:
    cluster = Cluster(3)
    leader = cluster.elect(1)
    leader.raw.step(Message(MSG_APP_RESP, to=1, from_=2, term=9, index=1))
    assert (role(leader), leader.term, leader.raw.raft.lead) == (FOLLOWER, 9, 0)


@pytest.mark.parametrize("kind", [MSG_APP, MSG_HEARTBEAT, MSG_SNAP])
@pytest.mark.parametrize("candidate", [False, True])
def test_a_leader_of_this_term_is_followed_thesis_3_4(kind: int, candidate: bool) -> None:
    member = Member(1, THREE)
    member.raw.campaign() if candidate else member.raw.step(Message(MSG_VOTE, to=1, from_=3, term=1))
    member.raw.step(Message(kind, to=1, from_=2, term=1))
    assert (role(member), member.raw.raft.lead, member.term) == (FOLLOWER, 2, 1)


def test_messages_of_an_older_term_are_ignored_thesis_3_3() -> None:
    member = Member(1, THREE, terms=(3,))
    member.raw.step(Message(MSG_APP, to=1, from_=2, term=2, index=FIRST, log_term=3, commit=FIRST))
    assert member.work() == []
    assert (member.raw.raft.lead, member.committed) == (0, FIRST - 1)


@pytest.mark.parametrize("flag", ["check_quorum", "pre_vote"])
def test_a_leader_of_an_older_term_is_told_so_where_campaigns_cannot_thesis_6_2(flag: str) -> None:
    member = Member(1, THREE, terms=(3,), **{flag: True})
    member.raw.step(Message(MSG_HEARTBEAT, to=1, from_=2, term=2))
    assert [(m.type, m.term, m.to) for m in member.work()] == [(MSG_APP_RESP, 3, 2)]


def test_timeouts_are_random_between_one_and_two_times_the_tick_thesis_3_4() -> None:
    cluster = Cluster(3)
    seen = set()
    for _ in range(200):
        cluster[1].raw.raft.become_follower(cluster[1].term, 0)
        seen.add(cluster[1].raw.raft.election_timeout)
    assert seen == set(range(10, 20))


def test_silence_makes_a_candidate_and_heartbeats_prevent_it_thesis_3_4() -> None:
    member = Member(1, THREE)
    timeout = member.raw.raft.election_timeout
    for _ in range(timeout - 1):
        member.raw.tick()
    member.raw.step(Message(MSG_HEARTBEAT, to=1, from_=2, term=1))
    member.raw.raft.election_timeout = timeout
    for _ in range(timeout - 1):
        member.raw.tick()
    assert role(member) == FOLLOWER
    member.raw.tick()
    assert (role(member), member.term) == (CANDIDATE, 2)


def test_a_lost_election_goes_back_to_follower_in_the_same_term() -> None:
    member = Member(1, THREE)
    member.raw.campaign()
    member.work()
    for voter in (2, 3):
        member.raw.step(Message(MSG_VOTE_RESP, to=1, from_=voter, term=1, reject=True))
    assert (role(member), member.term) == (FOLLOWER, 1)


def test_one_voter_counts_once_thesis_3_4() -> None:
    member = Member(1, ConfState((1, 2, 3, 4, 5)))
    member.raw.campaign()
    member.work()
    for _ in range(3):
        member.raw.step(Message(MSG_VOTE_RESP, to=1, from_=2, term=1))
    assert role(member) == CANDIDATE


def test_learners_neither_campaign_nor_count_thesis_4_2_1() -> None:
    cluster = Cluster(1, learners=(2, 3))
    assert not cluster.elect(2).leads
    assert "2 is unpromotable and can not campaign" in cluster[2].log.lines
    assert cluster.elect(1).leads
    for _ in range(40):
        cluster[2].raw.tick()
    assert role(cluster[2]) == FOLLOWER


def test_a_learner_votes_for_who_believes_it_a_voter_thesis_4_2_1() -> None:
    member = Member(3, ConfState((1, 2), (3,)))
    member.raw.step(Message(MSG_VOTE, to=3, from_=2, term=1, index=FIRST, log_term=1))
    assert [m.reject for m in answers(member, MSG_VOTE_RESP)] == [False]


# Pre-vote


def test_pre_vote_raises_no_term_while_alone_thesis_9_6() -> None:
    cluster = Cluster(3, pre_vote=True)
    cluster.elect(1)
    cluster.isolate(3)
    cluster.tick(3, 60)
    assert (role(cluster[3]), cluster[3].term) == (PRE_CANDIDATE, 1)
    cluster.heal()
    cluster.tick(1)
    assert cluster[1].leads
    assert (role(cluster[3]), cluster[3].term, cluster[3].raw.raft.lead) == (FOLLOWER, 1, 1)


def test_pre_vote_leads_to_a_real_election_thesis_9_6() -> None:
    cluster = Cluster(3, pre_vote=True)
    assert cluster.elect(1).leads
    kinds = [m.type for m in cluster.sent]
    assert kinds.index(MSG_PRE_VOTE) < kinds.index(MSG_VOTE)


def test_a_granted_pre_vote_is_no_promise_thesis_9_6() -> None:
    member = Member(1, THREE, pre_vote=True)
    for candidate in (2, 3):
        member.raw.step(Message(MSG_PRE_VOTE, to=1, from_=candidate, term=1, index=FIRST, log_term=1))
    said = answers(member, MSG_PRE_VOTE_RESP)
    assert [(m.reject, m.term) for m in said] == [(False, 1), (False, 1)]
    assert (member.term, member.raw.raft.vote) == (0, 0)


def test_a_rejected_pre_vote_brings_the_higher_term_thesis_9_6() -> None:
    member = Member(1, THREE, pre_vote=True)
    member.raw.campaign()
    member.work()
    member.raw.step(Message(MSG_PRE_VOTE_RESP, to=1, from_=2, term=7, reject=True))
    assert (role(member), member.term) == (FOLLOWER, 7)


def test_a_pre_vote_of_an_older_term_is_answered_with_ours() -> None:
    member = Member(1, THREE, terms=(5,), pre_vote=True)
    member.raw.step(Message(MSG_PRE_VOTE, to=1, from_=2, term=2, index=99, log_term=9))
    [said] = answers(member, MSG_PRE_VOTE_RESP)
    assert (said.reject, said.term) == (True, 5)


def test_late_pre_votes_do_not_elect_thesis_9_6() -> None:
    member = Member(1, THREE, pre_vote=True)
    member.raw.campaign()
    member.work()
    member.raw.step(Message(MSG_PRE_VOTE_RESP, to=1, from_=2, term=1))
    assert role(member) == CANDIDATE
    member.work()
    member.raw.step(Message(MSG_PRE_VOTE_RESP, to=1, from_=3, term=1))
    assert role(member) == CANDIDATE


# Check-quorum and leases


def test_a_leader_without_a_quorum_steps_down_thesis_6_2() -> None:
    cluster = Cluster(3, check_quorum=True)
    leader = cluster.elect(1)
    cluster.isolate(1)
    cluster.tick(1, 10)  # the first period still had answers
    assert leader.leads
    cluster.tick(1, 10)
    assert (role(leader), leader.raw.raft.lead) == (FOLLOWER, 0)


def test_a_leader_with_a_quorum_stays_thesis_6_2() -> None:
    cluster = Cluster(3, check_quorum=True)
    leader = cluster.elect(1)
    cluster.isolate(3)
    cluster.tick(1, 50)
    assert leader.leads


def test_who_hears_from_a_leader_ignores_campaigns_thesis_4_2_3() -> None:
    cluster = Cluster(3, check_quorum=True)
    cluster.elect(1)
    cluster[3].raw.campaign()  # a removed member does not know better
    cluster.settle()
    assert cluster.leaders() == [1]
    assert [cluster[node].term for node in (1, 2)] == [1, 1]
    assert any("lease is not expired" in line for line in cluster[2].log.lines)


def test_a_member_stuck_at_a_higher_term_is_taken_in_again_thesis_6_2() -> None:
    cluster = Cluster(3, check_quorum=True)
    cluster.elect(1)
    cluster[3].raw.campaign()
    cluster.settle()
    cluster.tick(1)  # its answer to the heartbeat deposes the leader
    assert cluster[1].term == cluster[3].term == 2
    cluster.tick(2, 20)
    cluster.elect(2)
    assert cluster.leaders() == [2]
    assert cluster[3].raw.raft.lead == 2


def test_a_leader_that_died_and_is_back_at_once_leads_on_thesis_4_2_3() -> None:
    cluster = Cluster(3, check_quorum=True, pre_vote=True)
    cluster.elect(1).propose(b"before")
    cluster.settle()
    cluster[1].start()
    assert cluster[1].raw.raft.role == FOLLOWER
    cluster.elect(1)  # an ordinary campaign is ignored: the others think that they hear from a leader
    assert cluster.leaders() == []
    cluster[1].start()
    cluster[1].raw.reclaim()
    cluster.settle()
    assert cluster.leaders() == [1]
    assert [cluster[node].term for node in (1, 2, 3)] == [2, 2, 2]


def test_a_leader_that_comes_back_too_late_disturbs_nobody() -> None:
    cluster = Cluster(3, check_quorum=True)
    cluster.elect(1)
    cluster.isolate(1)
    for node in (2, 3):
        cluster.tick(node, 20)
    cluster.elect(2)
    assert cluster[2].leads
    terms = [cluster[node].term for node in (2, 3)]
    cluster.heal()
    cluster[1].start()
    cluster[1].raw.reclaim()
    cluster.settle()
    assert cluster[2].leads
    assert [cluster[node].term for node in (2, 3)] == terms


def test_a_forgotten_leader_makes_votes_free() -> None:
    cluster = Cluster(3, check_quorum=True, pre_vote=True)
    cluster.elect(1)
    cluster.isolate(1)
    for node in (2, 3):
        cluster[node].raw.forget_leader()
    assert [cluster[node].raw.raft.lead for node in (2, 3)] == [0, 0]
    assert cluster.elect(2).leads


def test_forgetting_a_leader_is_refused_where_its_lease_serves_reads_thesis_6_4_1() -> None:
    member = Member(1, THREE, check_quorum=True, read_only=1)
    member.raw.step(Message(MSG_HEARTBEAT, to=1, from_=2, term=1))
    member.raw.forget_leader()
    assert member.raw.raft.lead == 2


@pytest.mark.parametrize("kind", [MSG_TIMEOUT_NOW, MSG_FORGET_LEADER])
def test_a_leader_does_not_listen_to_what_is_for_followers(kind: int) -> None:
    leader = Cluster(3).elect(1)
    leader.raw.step(Message(kind, to=1, from_=2, term=0))
    assert leader.leads
    assert leader.work() == []


def test_a_vote_of_an_earlier_term_elects_nobody_thesis_3_3() -> None:
    cluster = Cluster(3)
    cluster.isolate(1)
    candidate = cluster.elect(1)
    earlier = candidate.term
    cluster.elect(1)
    answer = Message(MSG_VOTE_RESP, to=1, from_=2, term=earlier)
    candidate.raw.step(answer)
    cluster.settle()
    assert (candidate.leads, candidate.term) == (False, earlier + 1)
    candidate.raw.step(answer._replace(term=earlier + 1))
    assert candidate.leads
