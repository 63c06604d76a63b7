"""Asynchronous storage: order rules, the ABA rule, restarts. Raft thesis 3.8, 10.2.1."""

import pytest

from etcdz.raft import ConfState, InvariantBroken, Message, Snapshot, StepLocalMessage
from etcdz.raft.messages import (
    LOCAL_MESSAGES,
    MSG_APP,
    MSG_APP_RESP,
    MSG_HEARTBEAT,
    MSG_SNAP,
    MSG_STORAGE_APPEND,
    MSG_STORAGE_APPEND_RESP,
    MSG_STORAGE_APPLY,
    MSG_STORAGE_APPLY_RESP,
)
from tests.raft.cluster import FIRST, Cluster, Member, entry

THREE = ConfState((1, 2, 3))


def follower() -> Member:
    return Member(2, THREE, async_storage_writes=True)


def append(member: Member, term: int, *terms: int, prev: int = FIRST - 1, prev_term: int = 1, commit: int = 0) -> None:
    entries = [entry(one, prev + 1 + at) for at, one in enumerate(terms)]
    leader = 1 if term % 2 else 3
    member.raw.step(
        Message(MSG_APP, to=2, from_=leader, term=term, index=prev, log_term=prev_term, entries=entries, commit=commit)
    )


def writes(member: Member) -> Message:
    [message] = [m for m in member.raw.ready().messages if m.type == MSG_STORAGE_APPEND]
    return message


def finish(member: Member, write: Message) -> list[Message]:
    """The write is on disk; answers to others."""
    member.storage.append(write.entries)
    for response in write.responses:
        if response.to == member.id:
            member.raw.step(response)
    return [response for response in write.responses if response.to != member.id]


def unstable(member: Member) -> list[int]:
    return [one.index for one in member.raw.raft.log.unstable.entries]


def test_writes_may_overlap_and_each_names_what_is_new() -> None:
    member = follower()
    append(member, 1, 1)
    first = writes(member)
    append(member, 1, 1, prev=FIRST)
    second = writes(member)
    assert [[one.index for one in write.entries] for write in (first, second)] == [[FIRST], [FIRST + 1]]
    finish(member, first)
    assert unstable(member) == [FIRST + 1]
    finish(member, second)
    assert unstable(member) == []


def test_an_acknowledgement_of_an_older_term_trims_nothing_the_aba_rule() -> None:
    member = follower()
    append(member, 1, 1)  # the leader of term 1 appends
    first = writes(member)
    append(member, 2, 2)  # overwritten by that of term 2, while the first write is under way
    second = writes(member)
    append(member, 3, 1)  # and again by the very entry of term 1, by the leader of term 3
    third = writes(member)
    assert [write.entries[0].term for write in (first, second, third)] == [1, 2, 1]
    finish(member, first)
    # On disk is now what the log says, but the second write is still to come and will replace it.
    assert unstable(member) == [FIRST]
    finish(member, second)
    assert unstable(member) == [FIRST]
    finish(member, third)
    assert unstable(member) == []
    assert member.storage.term(FIRST) == 1


def test_any_later_write_of_the_term_trims_what_an_ignored_one_could_not() -> None:
    member = follower()
    append(member, 1, 1)
    first = writes(member)
    member.raw.step(Message(MSG_HEARTBEAT, to=2, from_=1, term=3))
    second = writes(member)  # nothing but the new term
    assert second.entries == []
    finish(member, first)
    assert unstable(member) == [FIRST]
    finish(member, second)
    assert unstable(member) == []


def test_an_acknowledgement_of_replaced_entries_trims_nothing() -> None:
    member = follower()
    append(member, 1, 1, 1)
    first = writes(member)
    append(member, 3, 3)
    stale = next(m for m in first.responses if m.type == MSG_STORAGE_APPEND_RESP)
    member.raw.step(stale._replace(term=3))
    assert unstable(member) == [FIRST]


def test_a_snapshot_is_applied_whatever_the_term_says_now() -> None:
    member = follower()
    snapshot = Snapshot(20, 1, THREE)
    member.raw.step(Message(MSG_SNAP, to=2, from_=1, term=1, snapshot=snapshot))
    write = writes(member)
    assert write.snapshot == snapshot
    member.raw.step(Message(MSG_HEARTBEAT, to=2, from_=3, term=2))
    member.storage.apply_snapshot(snapshot)
    finish(member, write)
    assert member.raw.basic_status().applied == 20
    assert member.raw.raft.promotable


def test_entries_are_applied_once_and_not_before_they_are_on_our_disk() -> None:
    member = follower()
    append(member, 1, 1, 1, commit=FIRST + 1)
    ready = member.raw.ready()
    assert ready.committed_entries == ()
    finish(member, ready.messages[0])
    ready = member.raw.ready()
    [work] = [m for m in ready.messages if m.type == MSG_STORAGE_APPLY]
    assert [one.index for one in work.entries] == [FIRST, FIRST + 1]
    assert not member.raw.has_ready()
    member.raw.step(work.responses[0])
    assert member.raw.basic_status().applied == FIRST + 1


def test_outstanding_applications_are_bounded_across_readys() -> None:
    size = len(entry(1, FIRST).encoded)
    member = Member(2, THREE, async_storage_writes=True, max_committed_size_per_ready=2 * size)
    append(member, 1, 1, 1, 1, commit=FIRST + 2)
    finish(member, writes(member))
    [work] = [m for m in member.raw.ready().messages if m.type == MSG_STORAGE_APPLY]
    assert len(work.entries) == 2
    assert not member.raw.has_ready()
    member.raw.step(work.responses[0])
    [work] = [m for m in member.raw.ready().messages if m.type == MSG_STORAGE_APPLY]
    assert len(work.entries) == 1


def test_a_commit_alone_is_written_without_an_answer() -> None:
    member = follower()
    append(member, 1, 1)
    finish(member, writes(member))
    member.raw.step(Message(MSG_HEARTBEAT, to=2, from_=1, term=1, commit=FIRST))
    ready = member.raw.ready()
    write = next(m for m in ready.messages if m.type == MSG_STORAGE_APPEND)
    assert (write.commit, write.responses, ready.must_sync) == (FIRST, [], False)


def test_the_synchronous_form_is_not_mixed_with_this_one() -> None:
    with pytest.raises(InvariantBroken):
        follower().raw.advance()


def test_a_second_ready_before_advance_is_a_mistake() -> None:
    member = Member(1, ConfState((1,)))
    member.raw.campaign()
    member.raw.ready()
    member.raw.campaign()
    with pytest.raises(InvariantBroken):
        member.raw.ready()


@pytest.mark.parametrize("kind", sorted(LOCAL_MESSAGES))
def test_what_only_a_member_itself_may_say_is_refused_from_others(kind: int) -> None:
    with pytest.raises(StepLocalMessage):
        follower().raw.step(Message(kind, to=2, from_=1, term=1))


@pytest.mark.parametrize("kind", [MSG_STORAGE_APPEND_RESP, MSG_STORAGE_APPLY_RESP, MSG_APP_RESP])
def test_an_empty_answer_of_storage_changes_nothing(kind: int) -> None:
    member = follower()
    member.raw.step(Message(kind, to=2, from_=2**64 - 1))
    assert not member.raw.has_ready()


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_restart_loses_nothing_that_was_acknowledged_thesis_3_8(asynchronous: bool) -> None:
    cluster = Cluster(3, async_storage_writes=asynchronous)
    leader = cluster.elect(1)
    leader.propose(b"a", b"b")
    cluster.settle()
    for node in (1, 2, 3):
        cluster[node].applied.clear()
        cluster[node].start()
    assert {member.term for member in cluster.members.values()} == {1}
    assert cluster.elect(2).leads
    assert [cluster[node].applied for node in (1, 2, 3)] == [[b"a", b"b"]] * 3


def test_both_forms_of_storage_end_alike() -> None:
    logs = []
    for asynchronous in (False, True):
        cluster = Cluster(3, async_storage_writes=asynchronous)
        cluster.elect(1).propose(b"a")
        cluster.settle()
        cluster.isolate(1)
        cluster[1].propose(b"lost")
        cluster.elect(2).propose(b"b")
        cluster.settle()
        cluster.heal()
        cluster.tick(2)
        logs.append([(member.terms, member.applied) for member in cluster.members.values()])
    assert logs[0] == logs[1]
    assert logs[0][0][1] == [b"a", b"b"]


def test_a_long_log_does_not_slow_a_step_down() -> None:
    """Counted in entries that are looked at, not in seconds."""
    member = Member(1, ConfState((1,)), terms=(1,) * 20_000, async_storage_writes=True)
    looked_at = 0
    entries = member.storage.entries

    class Counting(type(member.storage)):  # type: ignore[misc]
        __slots__ = ()

        def entries(self, lo: int, hi: int, bytes_max: int = 0) -> object:
            nonlocal looked_at
            looked_at += hi - lo
            return entries(lo, hi, bytes_max)

    member.storage.set_hard_state(member.raw.raft.hard_state._replace(commit=FIRST + 19_999))
    member.options["applied"] = FIRST + 19_999
    member.storage.__class__ = Counting
    member.start()
    member.raw.campaign()
    member.work()
    for _ in range(10):
        member.propose(*[b"x"] * 64)
        member.work()
    assert looked_at == 641


def test_a_driver_that_compacts_what_is_not_applied_is_stopped() -> None:
    member = Member(1, ConfState((1,)), async_storage_writes=True)
    member.raw.campaign()
    member.work()
    member.raw.propose(b"x")
    ready = member.raw.ready()
    (write,) = ready.messages
    member.storage.append(write.entries)
    member.storage.compact(write.entries[-1].index)
    for response in write.responses:
        member.raw.step(response)
    with pytest.raises(InvariantBroken, match="getting unapplied entries"):
        member.raw.ready()
