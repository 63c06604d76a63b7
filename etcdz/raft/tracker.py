"""The active configuration, what is known of each member in it, and the votes of an election."""

from typing import NamedTuple

from etcdz.raft.inflights import Inflights
from etcdz.raft.messages import ConfState
from etcdz.raft.progress import Progress
from etcdz.raft.quorum import VOTE_WON, joint_vote_result, majority_index

Members = frozenset[int]
ProgressMap = dict[int, Progress]


class TrackedConfig(NamedTuple):
    """Who votes, who learns. Source: Raft thesis 4.2.1 (learners), 4.3 (joint).

    voters         the incoming, or only, majority
    outgoing       the majority that is being left; not empty exactly while the configuration is joint
    learners       Invariant: in neither majority
    learners_next  voters of outgoing that become learners when it is left: nobody is voter and learner at once
    auto_leave     the leader leaves the joint configuration by itself. Invariant: False unless joint
    """

    voters: Members = frozenset()
    outgoing: Members = frozenset()
    learners: Members = frozenset()
    learners_next: Members = frozenset()
    auto_leave: bool = False

    @property
    def joint(self) -> bool:
        return bool(self.outgoing)

    @property
    def all_voters(self) -> Members:
        return self.voters | self.outgoing

    def conf_state(self) -> ConfState:
        return ConfState(
            tuple(sorted(self.voters)),
            tuple(sorted(self.learners)),
            tuple(sorted(self.outgoing)),
            tuple(sorted(self.learners_next)),
            self.auto_leave,
        )


class Tracker:
    __slots__ = ("config", "inflight_bytes_max", "inflight_max", "peers", "progress", "votes")

    def __init__(self, inflight_max: int, inflight_bytes_max: int = 0) -> None:
        self.inflight_max = inflight_max
        self.inflight_bytes_max = inflight_bytes_max
        self.votes: dict[int, bool] = {}
        self.switch_to(TrackedConfig(), {})

    def switch_to(self, config: TrackedConfig, progress: ProgressMap) -> None:
        self.config = config
        self.progress = progress
        # Everybody tracked, by rising id: messages of one round always go out in the same order.
        self.peers = sorted(progress)

    def new_inflights(self) -> Inflights:
        return Inflights(self.inflight_max, self.inflight_bytes_max)

    def reset_progress(self, own_id: int, last_index: int) -> None:
        """A new term: nothing is known of anybody but ourselves."""
        for peer in self.peers:
            self.progress[peer] = Progress(
                match=last_index if peer == own_id else 0,
                next=last_index + 1,
                inflights=self.new_inflights(),
                is_learner=self.progress[peer].is_learner,
            )

    @property
    def single_voter(self) -> bool:
        return len(self.config.voters) == 1 and not self.config.outgoing

    @property
    def single_member(self) -> bool:
        """Whether there is one member in all, learners counted."""
        return len(self.progress) == 1

    def committed(self) -> int:
        """Highest index that a quorum has acknowledged, whatever its term."""
        progress, config = self.progress, self.config
        index = majority_index([progress[voter].match for voter in config.voters])
        if config.outgoing:
            return min(index, majority_index([progress[voter].match for voter in config.outgoing]))
        return index

    def quorum_active(self) -> bool:
        heard = {peer: pr.recent_active for peer, pr in self.progress.items() if not pr.is_learner}
        return self.vote_result(heard) == VOTE_WON

    def vote_result(self, votes: dict[int, bool]) -> int:
        return joint_vote_result(self.config.voters, self.config.outgoing, votes)

    def record_vote(self, voter: int, granted: bool) -> None:
        """The first answer of a voter counts, later ones do not."""
        self.votes.setdefault(voter, granted)

    def tally(self) -> tuple[int, int, int]:
        """(granted, rejected, VOTE_*); the counts are for the log and leave out who is no longer a voter."""
        voting = [peer for peer, pr in self.progress.items() if not pr.is_learner and peer in self.votes]
        granted = sum(self.votes[peer] for peer in voting)
        return granted, len(voting) - granted, self.vote_result(self.votes)
