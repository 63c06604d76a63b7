"""Majorities, against twins that try everything."""

from hypothesis import given
from hypothesis import strategies as st

from etcdz.raft.quorum import (
    INFINITE,
    VOTE_LOST,
    VOTE_PENDING,
    VOTE_WON,
    committed_index,
    joint_committed_index,
    joint_vote_result,
    vote_result,
)
from tests.raft.twins import RANDOMLY, slow_committed_index, slow_vote_result

NODES = st.integers(1, 9)
VOTERS = st.sets(NODES, max_size=7)
ACKED = st.dictionaries(NODES, st.integers(1, 12))
VOTES = st.dictionaries(NODES, st.booleans())


@RANDOMLY
@given(VOTERS, ACKED)
def test_committed_is_what_more_than_half_have(voters: set[int], acked: dict[int, int]) -> None:
    assert committed_index(voters, acked) == slow_committed_index(voters, acked)


@RANDOMLY
@given(VOTERS, VOTERS, ACKED)
def test_jointly_committed_is_committed_in_both_halves(one: set[int], other: set[int], acked: dict[int, int]) -> None:
    index = joint_committed_index(one, other, acked)
    assert index == min(slow_committed_index(one, acked), slow_committed_index(other, acked))


@RANDOMLY
@given(VOTERS, VOTES)
def test_a_vote_is_decided_once_the_silent_cannot_change_it(voters: set[int], votes: dict[int, bool]) -> None:
    assert vote_result(voters, votes) == slow_vote_result(voters, votes)


@RANDOMLY
@given(VOTERS, VOTERS, VOTES)
def test_a_joint_vote_is_won_in_both_halves_and_lost_in_either(
    one: set[int], other: set[int], votes: dict[int, bool]
) -> None:
    halves = {slow_vote_result(one, votes), slow_vote_result(other, votes)}
    expected = VOTE_LOST if VOTE_LOST in halves else VOTE_PENDING if VOTE_PENDING in halves else VOTE_WON
    assert joint_vote_result(one, other, votes) == expected


def test_nobody_holds_nobody_back() -> None:
    assert committed_index((), {}) == INFINITE
    assert vote_result((), {}) == VOTE_WON
