"""Slow and obvious forms of what the core computes fast, to compare it with."""

from collections.abc import Collection, Mapping
from itertools import combinations

from hypothesis import HealthCheck, settings

from etcdz.raft.quorum import INFINITE, VOTE_LOST, VOTE_PENDING, VOTE_WON
from tests.examples import examples

# For tests on random input: how often, and no clock, since the machine may be busy.
RANDOMLY = settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])


def slow_committed_index(voters: Collection[int], acked: Mapping[int, int]) -> int:
    """The highest acknowledged index that more than half of the voters have acknowledged."""
    if not voters:
        return INFINITE
    candidates = [0, *(acked[voter] for voter in voters if voter in acked)]
    have = {index: sum(acked.get(voter, 0) >= index for voter in voters) for index in candidates}
    return max(index for index in candidates if 2 * have[index] > len(voters))


def slow_vote_result(voters: Collection[int], votes: Mapping[int, bool]) -> int:
    """Try every way in which those who are silent could still vote."""
    if not voters:
        return VOTE_WON
    silent = [voter for voter in voters if voter not in votes]
    yes = [voter for voter in voters if votes.get(voter)]
    outcomes = {
        2 * len({*yes, *more}) > len(voters) for count in range(len(silent) + 1) for more in combinations(silent, count)
    }
    if outcomes == {True}:
        return VOTE_WON
    return VOTE_PENDING if True in outcomes else VOTE_LOST
