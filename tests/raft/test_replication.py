"""Replication. Raft thesis 3.5, 3.6.2, 3.8, 5.1, 10.2.1."""

from typing import Any

import pytest

from etcdz.raft import ConfState, HardState, Message, ProposalDropped, Snapshot
from etcdz.raft.errors import SnapshotTemporarilyUnavailable
from etcdz.raft.messages import (
    MSG_APP,
    MSG_APP_RESP,
    MSG_HEARTBEAT,
    MSG_HEARTBEAT_RESP,
    MSG_PROP,
    MSG_SNAP,
    MSG_STORAGE_APPEND,
)
from etcdz.raft.progress import PROBE, REPLICATE, SNAPSHOT, Progress
from tests.raft.cluster import FIRST, Cluster, Member, entry

THREE = ConfState((1, 2, 3))


def progress(leader: Member, peer: int) -> Progress:
    return leader.raw.raft.tracker.progress[peer]


def appends(messages: list[Message], to: int) -> list[Message]:
    return [m for m in messages if m.type == MSG_APP and m.to == to]


def leader_alone(**options: Any) -> Member:
    """Leader of three; the others only exist as answers of the test. Peer 2 has everything, 3 has not spoken."""
    member = Member(1, THREE, **options)
    member.raw.campaign()
    member.work()
    member.raw.step(Message(5 + 1, to=1, from_=2, term=1))
    member.work()
    member.raw.step(Message(MSG_APP_RESP, to=1, from_=2, term=1, index=FIRST))
    member.work()
    assert member.leads
    return member


def test_what_a_quorum_has_is_committed_and_applied_everywhere_thesis_3_5() -> None:
    cluster = Cluster(3)
    cluster.elect(1).propose(b"a", b"b")
    cluster.settle()
    assert [member.applied for member in cluster.members.values()] == [[b"a", b"b"]] * 3


def test_a_minority_commits_nothing_thesis_3_5() -> None:
    cluster = Cluster(3)
    leader = cluster.elect(1)
    cluster.isolate(1)
    leader.propose(b"lost")
    cluster.settle()
    assert (leader.committed, leader.applied) == (FIRST, [])


def test_a_leaders_own_append_counts_only_when_it_is_durable_thesis_10_2_1() -> None:
    leader = Member(1, ConfState((1,)), async_storage_writes=True)
    leader.raw.campaign()
    leader.work()
    leader.propose(b"x")
    [write] = leader.raw.ready().messages
    assert leader.committed == FIRST
    leader.storage.append(write.entries)
    for response in write.responses:
        leader.raw.step(response)
    assert leader.committed == FIRST + 1


def test_followers_alone_may_commit_before_the_leaders_disk_has_it_thesis_10_2_1() -> None:
    leader = leader_alone(async_storage_writes=True)
    leader.propose(b"x")
    leader.raw.ready()
    for peer in (2, 3):
        leader.raw.step(Message(MSG_APP_RESP, to=1, from_=peer, term=1, index=FIRST + 1))
    assert leader.committed == FIRST + 1
    assert leader.raw.ready().committed_entries == ()  # but nothing is applied that our disk may yet lose


def test_an_acknowledgement_leaves_only_with_the_write_that_makes_it_true_thesis_3_8() -> None:
    member = Member(2, THREE, async_storage_writes=True)
    member.raw.step(
        Message(MSG_APP, to=2, from_=1, term=1, index=FIRST - 1, log_term=1, entries=[entry(1, FIRST, b"x")])
    )
    [write] = member.raw.ready().messages
    assert write.type == MSG_STORAGE_APPEND
    assert [(m.type, m.to, m.index) for m in write.responses[:1]] == [(MSG_APP_RESP, 1, FIRST)]


def test_entries_of_older_terms_commit_with_the_new_leaders_first_thesis_3_6_2() -> None:
    cluster = Cluster(3)
    for node in (1, 2, 3):
        cluster.members[node] = Member(node, THREE, terms=(1, 2) if node != 3 else ())
    cluster.lose(lambda m: m.type == MSG_APP and any(one.term == 3 for one in m.entries))
    leader = cluster.elect(1)
    assert leader.leads
    assert leader.term == 3
    leader.raw.step(Message(MSG_APP_RESP, to=1, from_=2, term=3, index=FIRST + 1))
    assert leader.committed == FIRST - 1  # a quorum has them, but of term 2
    leader.raw.step(Message(MSG_APP_RESP, to=1, from_=2, term=3, index=FIRST + 2))
    assert leader.committed == FIRST + 2


@pytest.mark.parametrize(
    "terms",
    [(), (1,), (1, 1, 1, 1, 1, 1), (1, 2, 2, 2, 2), (1, 1, 2, 2, 2, 2, 2, 2, 2), (2, 2, 2), (1, 1, 1, 3, 3, 3)],
)
def test_any_follower_log_is_repaired_thesis_3_5_figure_3_6(terms: tuple[int, ...]) -> None:
    cluster = Cluster(3)
    cluster.members[1] = Member(1, THREE, terms=(1, 1, 1, 3, 3, 4, 4, 5, 5))
    cluster.members[2] = Member(2, THREE, terms=terms)
    cluster.lose(lambda m: 3 in (m.to, m.from_))
    assert cluster.elect(1).leads
    assert cluster[2].terms == cluster[1].terms == [1, 1, 1, 3, 3, 4, 4, 5, 5, 6]
    assert cluster[2].committed == cluster[1].committed


def probes(leader_terms: tuple[int, ...], follower_terms: tuple[int, ...]) -> list[int]:
    """Where the leader's appends to the follower start, from the first one until one is accepted."""
    cluster = Cluster(3)
    cluster.members[1] = Member(1, THREE, terms=leader_terms)
    cluster.members[2] = Member(2, THREE, terms=follower_terms)
    cluster.lose(lambda m: m.to == 2 and m.from_ == 3)
    cluster.elect(1)
    ends = [at for at, m in enumerate(cluster.sent) if m.type == MSG_APP_RESP and m.from_ == 2 and not m.reject]
    return [m.index - FIRST + 1 for m in appends(cluster.sent[: ends[0]], 2)]


def test_a_leader_skips_terms_that_the_follower_cannot_have_thesis_3_5() -> None:
    # index 1 2 3 4 5 6 7 8 9; the follower ends with (6, 2): only index 1 has a term that it could match.
    assert probes((1, 3, 3, 3, 5, 5, 5, 5, 5), (1, 1, 1, 1, 2, 2)) == [9, 1]


def test_a_follower_skips_terms_that_the_leader_cannot_have_thesis_3_5() -> None:
    # The follower's tail has terms above the leader's: it answers with index 3, the last that could match.
    assert probes((1, 3, 3, 3, 3, 3, 3, 3, 7), (1, 3, 3, 4, 4, 5, 5, 5, 6)) == [9, 8, 3]


def test_an_append_that_comes_again_changes_nothing_thesis_3_7() -> None:
    follower = Member(2, THREE)
    first, second = (
        Message(MSG_APP, to=2, from_=1, term=1, index=at - 1, log_term=1, entries=[entry(1, at)])
        for at in (FIRST, FIRST + 1)
    )
    for append in (first, second):
        follower.raw.step(append)
    follower.work()
    # The answer to the first was lost: the leader sends it again. What came behind it stays.
    follower.raw.step(first)
    assert [(m.index, m.reject) for m in follower.work()] == [(FIRST, False)]
    assert follower.storage.last_index() == follower.raw.raft.log.last_index() == FIRST + 1


def test_an_append_below_the_commit_index_is_answered_with_it() -> None:
    member = Member(2, THREE, terms=(1, 1, 1))
    member.storage.set_hard_state(HardState(1, 0, FIRST + 2))
    member.start()
    member.raw.step(Message(MSG_APP, to=2, from_=1, term=1, index=FIRST, log_term=1, entries=[entry(1, FIRST + 1)]))
    assert [(m.index, m.reject) for m in member.work()] == [(FIRST + 2, False)]


def test_a_heartbeat_never_commits_what_the_peer_may_not_match_thesis_3_5() -> None:
    leader = leader_alone()
    leader.propose(b"x")
    leader.work()
    leader.raw.step(Message(MSG_APP_RESP, to=1, from_=2, term=1, index=FIRST + 1))
    leader.work()
    assert leader.committed == FIRST + 1
    leader.raw.tick()
    commits = {m.to: m.commit for m in leader.work() if m.type == MSG_HEARTBEAT}
    assert commits == {2: FIRST + 1, 3: 0}


# Flow control


def test_a_peer_is_probed_once_until_it_answers_then_sent_ahead_thesis_10_2_1() -> None:
    leader = leader_alone()
    assert (progress(leader, 2).state, progress(leader, 3).state) == (REPLICATE, PROBE)
    leader.propose(b"a")
    leader.propose(b"b")
    messages = leader.work()
    assert [len(m.entries) for m in appends(messages, 2)] == [1, 1]
    assert appends(messages, 3) == []  # the first append is still unanswered
    leader.raw.step(Message(MSG_HEARTBEAT_RESP, to=1, from_=3, term=1))
    assert [len(m.entries) for m in appends(leader.work(), 3)] == [3]


def test_no_more_messages_than_the_window_thesis_10_2_1() -> None:
    leader = leader_alone(max_inflight_msgs=3)
    for _ in range(5):
        leader.propose(b"x")
    assert len(appends(leader.work(), 2)) == 3
    leader.raw.step(Message(MSG_APP_RESP, to=1, from_=2, term=1, index=FIRST + 2))
    assert sum(len(m.entries) for m in appends(leader.work(), 2)) == 2


def test_no_more_bytes_than_the_window() -> None:
    leader = leader_alone(max_inflight_bytes=2500, max_size_per_msg=1500)
    for _ in range(5):
        leader.propose(bytes(1000))
    assert len(appends(leader.work(), 2)) == 3  # the one that crosses the bound is let through


def test_a_full_window_still_gets_an_empty_append_after_a_heartbeat() -> None:
    leader = leader_alone(max_inflight_msgs=1)
    leader.propose(b"x")
    leader.propose(b"y")
    assert len(appends(leader.work(), 2)) == 1
    leader.raw.step(Message(MSG_HEARTBEAT_RESP, to=1, from_=2, term=1))
    assert [len(m.entries) for m in appends(leader.work(), 2)] == [0]


def test_appends_are_cut_into_pages_thesis_10_2_1() -> None:
    size = len(entry(1, FIRST, bytes(100)).encoded)
    cluster = Cluster(3, max_size_per_msg=2 * size)
    leader = cluster.elect(1)
    cluster.sent.clear()
    leader.propose(*[bytes(100)] * 7)
    cluster.settle()
    assert [len(m.entries) for m in appends(cluster.sent, 2) if m.entries] == [2, 2, 2, 1]
    assert len(cluster[2].applied) == 7


def test_a_limit_of_nothing_sends_one_entry_at_a_time() -> None:
    cluster = Cluster(3, max_size_per_msg=0)
    leader = cluster.elect(1)
    cluster.sent.clear()
    leader.propose(b"a", b"b", b"c")
    cluster.settle()
    assert [len(m.entries) for m in appends(cluster.sent, 2) if m.entries] == [1, 1, 1]
    assert cluster[3].applied == [b"a", b"b", b"c"]


def test_an_unreachable_peer_is_probed_again_from_its_match_thesis_10_2_1() -> None:
    leader = leader_alone()
    leader.propose(b"lost")
    leader.work()
    leader.raw.report_unreachable(2)
    assert (progress(leader, 2).state, progress(leader, 2).next) == (PROBE, FIRST + 1)
    leader.propose(b"more")
    assert [len(m.entries) for m in appends(leader.work(), 2)] == [2]


def test_an_old_answer_changes_nothing() -> None:
    leader = leader_alone()
    leader.propose(b"x")
    leader.work()
    for stale in (
        Message(MSG_APP_RESP, to=1, from_=2, term=1, index=FIRST - 1),
        Message(MSG_APP_RESP, to=1, from_=2, term=1, index=FIRST, reject=True, reject_hint=0),
    ):
        leader.raw.step(stale)
    assert (progress(leader, 2).match, progress(leader, 2).state) == (FIRST, REPLICATE)
    assert leader.work() == []


# Snapshots


def behind(**options: Any) -> Cluster:
    """Member 3 lacks what the others have compacted."""
    cluster = Cluster(3, **options)
    leader = cluster.elect(1)
    cluster.isolate(3)
    leader.propose(b"a", b"b", b"c")
    cluster.settle()
    leader.compact()
    cluster.heal()
    return cluster


def test_who_lacks_compacted_entries_gets_a_snapshot_and_then_entries_thesis_5_1() -> None:
    cluster = behind()
    leader = cluster[1]
    cluster.tick(1)
    assert [m.snapshot.index for m in cluster.sent if m.type == MSG_SNAP and m.snapshot] == [FIRST + 3]
    assert cluster[3].storage.snapshot().index == FIRST + 3
    leader.propose(b"d")
    cluster.settle()
    assert cluster[3].applied == [b"d"]
    assert progress(leader, 3).state == REPLICATE


def test_nothing_is_sent_while_a_snapshot_is_under_way_thesis_5_1() -> None:
    cluster = behind()
    leader = cluster[1]
    cluster.lose(lambda m: m.type == MSG_SNAP)
    cluster.tick(1)
    assert progress(leader, 3).state == SNAPSHOT
    cluster.sent.clear()
    leader.propose(b"d")
    cluster.settle()
    assert appends(cluster.sent, 3) == []


@pytest.mark.parametrize(("failed", "next_after"), [(True, FIRST), (False, FIRST + 4)])
def test_the_transports_report_ends_the_wait_for_a_snapshot_thesis_5_1(failed: bool, next_after: int) -> None:
    cluster = behind()
    leader = cluster[1]
    cluster.lose(lambda m: m.type == MSG_SNAP)
    cluster.tick(1)
    leader.raw.report_snapshot(3, failed=failed)
    assert (progress(leader, 3).state, progress(leader, 3).match) == (PROBE, FIRST)
    assert progress(leader, 3).next == max(next_after, FIRST + 1)
    assert progress(leader, 3).paused
    cluster.heal()
    cluster.tick(1)
    cluster.tick(1)
    assert progress(leader, 3).state == REPLICATE


def test_no_snapshot_for_who_is_not_heard_from() -> None:
    cluster = behind()
    cluster.isolate(3)
    cluster[1].raw.raft.tracker.progress[3].recent_active = False
    cluster[1].propose(b"d")
    cluster.settle()
    assert not [m for m in cluster.sent if m.type == MSG_SNAP]


def test_a_snapshot_that_is_not_ready_yet_is_asked_for_again() -> None:
    cluster = behind()
    storage = cluster[1].storage
    snapshot = storage.snapshot()
    answers: list[Snapshot | None] = [None, snapshot]

    class Slow(type(storage)):  # type: ignore[misc]
        __slots__ = ()

        def snapshot(self, to: int = 0) -> Snapshot:
            answer = answers.pop(0)
            if answer is None:
                raise SnapshotTemporarilyUnavailable
            return answer

    storage.__class__ = Slow
    cluster.tick(1)
    assert not [m for m in cluster.sent if m.type == MSG_SNAP]
    cluster.tick(1)
    assert progress(cluster[1], 3).state == REPLICATE


def test_a_snapshot_of_what_we_have_only_commits_thesis_5_1() -> None:
    member = Member(2, THREE, terms=(1, 1, 1))
    snapshot = Snapshot(FIRST + 1, 1, THREE)
    member.raw.step(Message(MSG_SNAP, to=2, from_=1, term=1, snapshot=snapshot))
    assert (member.committed, member.terms) == (FIRST + 1, [1, 1, 1])
    assert [m.index for m in member.work()] == [FIRST + 1]


@pytest.mark.parametrize(
    "snapshot", [Snapshot(FIRST - 1, 1, THREE), Snapshot(FIRST + 9, 3, ConfState((1, 3))), Snapshot()]
)
def test_a_snapshot_that_is_old_or_not_for_us_is_ignored(snapshot: Snapshot) -> None:
    member = Member(2, THREE, terms=(1,))
    member.raw.step(Message(MSG_SNAP, to=2, from_=1, term=3, snapshot=snapshot))
    assert [m.index for m in member.work()] == [FIRST - 1]
    assert member.terms == [1]


def test_a_learner_may_be_restored_from_a_snapshot() -> None:
    member = Member(4, ConfState((1, 2, 3), (4,)))
    member.raw.step(Message(MSG_SNAP, to=4, from_=1, term=3, snapshot=Snapshot(20, 3, ConfState((1, 2, 3), (4,)))))
    member.work()
    assert member.committed == 20


def test_nobody_campaigns_over_a_snapshot_half_way_in() -> None:
    member = Member(2, THREE)
    member.raw.step(Message(MSG_SNAP, to=2, from_=1, term=1, snapshot=Snapshot(20, 1, THREE)))
    member.raw.campaign()
    assert "2 is unpromotable and can not campaign" in member.log.lines


# Proposals


def test_a_follower_forwards_proposals_unless_told_not_to() -> None:
    cluster = Cluster(3)
    cluster.elect(1)
    cluster[2].propose(b"a", b"b")
    cluster.settle()
    assert cluster[3].applied == [b"a", b"b"]
    cluster[3].raw.raft.proposal_forwarding = False
    with pytest.raises(ProposalDropped):
        cluster[3].propose(b"c")


def test_without_a_leader_proposals_are_dropped() -> None:
    member = Member(1, THREE)
    with pytest.raises(ProposalDropped):
        member.propose(b"x")
    member.raw.campaign()
    with pytest.raises(ProposalDropped):
        member.propose(b"x")


def test_a_batch_is_appended_whole_and_costs_one_message() -> None:
    leader = leader_alone()
    leader.propose(*[b"%d" % number for number in range(100)])
    [append] = appends(leader.work(), 2)
    assert [one.data for one in append.entries] == [b"%d" % number for number in range(100)]


def test_an_empty_batch_is_nothing() -> None:
    leader = leader_alone()
    leader.raw.propose_batch([])
    assert not leader.raw.has_ready()


def test_the_uncommitted_tail_is_bounded() -> None:
    leader = leader_alone(max_uncommitted_size=2048)
    for _ in range(2):
        leader.propose(bytes(1024))
    with pytest.raises(ProposalDropped):
        leader.propose(b"x")
    leader.propose(b"")  # what has no size is never refused
    leader.work()
    leader.raw.step(Message(MSG_APP_RESP, to=1, from_=2, term=1, index=FIRST + 3))
    leader.work()
    leader.propose(bytes(5000))  # with nothing else uncommitted any size is taken
    with pytest.raises(ProposalDropped):
        leader.propose(b"x")


def test_proposals_stepped_as_messages_are_bounded_alike() -> None:
    leader = leader_alone(max_uncommitted_size=100)
    proposal = Message(MSG_PROP, to=1, from_=2, entries=[entry(0, 0, bytes(100))])
    leader.raw.step(proposal)
    with pytest.raises(ProposalDropped):
        leader.raw.step(proposal)
