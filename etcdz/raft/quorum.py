"""Majorities, alone and joint: which index is committed, which election is won. Pure functions.

Source: Raft thesis 3.6.2 (commit), 3.4 (votes), 4.3 (joint consensus: both majorities must agree).
"""

from collections.abc import Collection, Mapping

INFINITE = (1 << 64) - 1  # what an empty configuration has committed: it never holds the other half back
VOTE_PENDING, VOTE_LOST, VOTE_WON = 1, 2, 3
VOTE_NAMES = {VOTE_PENDING: "VotePending", VOTE_LOST: "VoteLost", VOTE_WON: "VoteWon"}


def majority_index(acked: list[int]) -> int:
    """Highest index that a majority has, given one index for every voter (0: nothing heard). Sorts its argument."""
    count = len(acked)
    if count == 1:
        return acked[0]
    if not count:
        return INFINITE
    acked.sort()
    return acked[(count - 1) // 2]


def committed_index(voters: Collection[int], acked: Mapping[int, int]) -> int:
    return majority_index([acked.get(voter, 0) for voter in voters])


def joint_committed_index(voters: Collection[int], outgoing: Collection[int], acked: Mapping[int, int]) -> int:
    return min(committed_index(voters, acked), committed_index(outgoing, acked))


def vote_result(voters: Collection[int], votes: Mapping[int, bool]) -> int:
    """An election among voters; who has not answered is absent from votes. Nobody elects anyone."""
    needed = len(voters) // 2 + 1
    if not voters:
        return VOTE_WON
    granted = sum(1 for voter in voters if votes.get(voter, False))
    missing = sum(1 for voter in voters if voter not in votes)
    if granted >= needed:
        return VOTE_WON
    return VOTE_PENDING if granted + missing >= needed else VOTE_LOST


def joint_vote_result(voters: Collection[int], outgoing: Collection[int], votes: Mapping[int, bool]) -> int:
    one, other = vote_result(voters, votes), vote_result(outgoing, votes)
    if VOTE_LOST in (one, other):
        return VOTE_LOST
    return min(one, other)
