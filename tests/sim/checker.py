"""The rules of Raft, held against every step of every member. It sees what nobody in a cluster sees: all at once.

    rule                      what is compared                                                      thesis
    election safety           one leader a term; elected by votes of a quorum that were cast        3.4
    one vote                  a member votes for one candidate a term, and not before that is durable  3.4, 3.8
    terms rise                term and vote of a member, also across crashes                        3.3
    leader append-only        a leader's log only grows                                             3.5
    log matching              index and term name one entry, and one that goes before it            3.5
    leader completeness       a new leader has all that was committed in earlier terms              3.6.1
    commit rule               only an entry of the own term is committed by counting                3.6.2
    committed is durable      on a quorum of the leader's configuration, both halves while joint    3.8, 4.3
    state machine safety      one entry is committed, and one history applied, at an index          3.6.3
    one change at a time      no configuration change is appended while one may be unapplied        4.1
    linearizable reads        a read index covers all that was committed when the read began        6.4
    check-quorum              a leader that hears from no quorum steps down                         6.2
    pre-vote                  asking whether one could win leaves no trace                          9.6

Almost all are compared at what changed, so that a step costs some microseconds however long the log is: by induction an
entry that is equal, and follows an equal one, makes equal logs.
"""

from collections import deque

from etcdz.raft import ConfState, Entry, Message
from etcdz.raft.entry import ENTRY_NORMAL
from etcdz.raft.messages import (
    CANDIDATE,
    FOLLOWER,
    LEADER,
    MSG_APP_RESP,
    MSG_PRE_VOTE,
    MSG_SNAP,
    MSG_VOTE_RESP,
    PRE_CANDIDATE,
    ReadState,
)
from etcdz.raft.tracker import TrackedConfig
from tests.sim.member import Member
from tests.sim.plan import TICK_MS
from tests.sim.world import Violation, World

# A lease may be this many election timeouts old: two between a heartbeat and the check after that which it passed, one
# for a new voter, who counts as heard; the rest is for a clock that runs slow and answers that came late.
LEASE_TIMEOUTS = 5
# Ticks in election timeouts until a leader without a quorum must have noticed.
QUORUM_TIMEOUTS = 4


class Seen:
    """What a member was like after its last step."""

    __slots__ = ("commit", "last", "last_term", "role", "term", "vote")

    def __init__(self) -> None:
        self.term = self.vote = self.commit = self.last = self.last_term = 0
        self.role = FOLLOWER


class Checker:
    def __init__(self, world: World, members: dict[int, Member]) -> None:
        self.world = world
        self.members = members
        self.leaders: dict[int, int] = {}  # term -> member
        self.votes: dict[tuple[int, int], int] = {}  # (term, voter) -> candidate
        self.entries: dict[
            tuple[int, int], tuple[bytes, int]
        ] = {}  # (index, term) -> (encoded, term of the one before)
        # By index, from 1 on; commit_terms: of the leader that counted it first.
        self.committed: list[Entry] = []
        self.commit_terms: list[int] = []
        self.digests: dict[int, int] = {0: 0}  # applied index -> state machine
        self.conf_states: dict[int, ConfState] = {}  # index of a configuration change -> what came of it
        self.reads: dict[bytes, tuple[int, int]] = {}  # context -> (committed when it began, when)
        self.history: deque[tuple[int, int]] = deque([(0, 0)])  # (when, committed)
        self.acked: set[bytes] = set()  # payloads whose proposer has applied them
        self.answered: set[bytes] = set()  # contexts of reads
        self.seen: dict[int, Seen] = {}
        self._term_before = 0  # of whoever gets a message just now
        self.heard: dict[int, dict[int, int]] = {}  # member -> peer -> member's tick when it was last heard
        self.configs: dict[int, TrackedConfig] = {}  # leader -> its configuration at its last tick

    def fail(self, rule: str, text: str) -> None:
        raise Violation(rule, text)

    # Child

    def on_start(self, member: Member) -> None:
        before = self.seen.get(member.id)
        seen = self.seen[member.id] = Seen()
        raft = self._raft(member)
        seen.term, seen.vote = raft.term, raft.vote
        durable = member.disk.hard_state
        if before is not None and (raft.term, raft.vote) != (durable.term, durable.vote):
            self.fail("terms rise", f"{member.id} started with other than its hard state {durable}")
        self._compare_applied(member)
        self.on_step(member)

    def _raft(self, member: Member):
        assert member.raw is not None
        return member.raw.raft

    def on_step(self, member: Member) -> None:
        raft = self._raft(member)
        log = raft.log
        seen = self.seen[member.id]
        if raft.term != seen.term or raft.vote != seen.vote:
            self._check_term(member, seen)
        if raft.role != seen.role:
            self._check_role(member, seen)
        elif raft.role == LEADER:
            self._check_append_only(member, seen)
        if log.committed != seen.commit:
            self._check_commit(member, seen)
        seen.term, seen.vote, seen.role, seen.commit = raft.term, raft.vote, raft.role, log.committed
        if raft.role == LEADER:
            seen.last = log.last_index()
            seen.last_term = log.term(seen.last)

    # Terms and elections

    def _check_term(self, member: Member, seen: Seen) -> None:
        raft = self._raft(member)
        if raft.term < seen.term:
            self.fail("terms rise", f"{member.id} fell from term {seen.term} to {raft.term}")
        if raft.term == seen.term and seen.vote:
            self.fail("one vote", f"{member.id} changed its vote of term {raft.term} from {seen.vote} to {raft.vote}")
        if raft.term != seen.term and raft.role == PRE_CANDIDATE:
            self.fail("pre-vote", f"{member.id} went to term {raft.term} to ask for pre-votes")
        if raft.term != seen.term and raft.role == LEADER:
            self.fail("election safety", f"{member.id} took term {raft.term} with it as leader")

    def _check_role(self, member: Member, seen: Seen) -> None:
        raft = self._raft(member)
        if raft.role == LEADER:
            self._check_election(member, seen)
        elif raft.role in (CANDIDATE, PRE_CANDIDATE) and seen.role == FOLLOWER:
            self.world.counts["campaigns"] += 1
            if member.id not in raft.tracker.config.all_voters:
                self.fail("election safety", f"{member.id} campaigns and is no voter of its configuration")
        if self.world.traced:
            self.world.say(
                f"{member.id} is {('follower', 'candidate', 'LEADER', 'pre-candidate')[raft.role]} {raft.term}"
            )

    def _check_election(self, member: Member, seen: Seen) -> None:
        raft = self._raft(member)
        self.world.counts["elections"] += 1
        if (seen.role, seen.term) != (CANDIDATE, raft.term):
            self.fail("election safety", f"{member.id} leads term {raft.term} and was no candidate of it")
        other = self.leaders.setdefault(raft.term, member.id)
        if other != member.id:
            self.fail("election safety", f"{member.id} and {other} lead term {raft.term}")
        votes = {voter for voter in self.members if self.votes.get((raft.term, voter)) == member.id}
        if not has_quorum(raft.tracker.config, votes):
            config = raft.tracker.config
            self.fail("election safety", f"{member.id} leads term {raft.term} with votes of {votes} in {config}")
        self._check_complete(member, raft.term)
        self.heard[member.id] = dict.fromkeys(self.members, member.ticks)
        self.world.counts["learners that lead"] += member.id not in raft.tracker.config.all_voters

    def _check_complete(self, member: Member, term: int) -> None:
        index = len(self.commit_terms)
        while index and self.commit_terms[index - 1] >= term:
            index -= 1
        if index:
            self._check_has(member, index)

    def _check_has(self, member: Member, index: int) -> None:
        log = self._raft(member).log
        if index >= log.first_index() and not log.matches(self.committed[index - 1].term, index):
            self.fail(
                "leader completeness",
                f"leader {member.id} of term {self._raft(member).term} lacks entry {index} "
                f"of term {self.committed[index - 1].term}, committed in term {self.commit_terms[index - 1]}",
            )

    def on_send(self, member: Member, m: Message) -> None:
        if m.type == MSG_APP_RESP:
            if not m.reject:
                self._check_promise(member, m)
        elif m.type == MSG_VOTE_RESP:
            if not m.reject:
                self._check_vote(member, m)
        elif m.type == MSG_PRE_VOTE and m.term > self._raft(member).term + 1:
            self.fail("pre-vote", f"{member.id} asks for term {m.term} in term {self._raft(member).term}")
        elif m.type == MSG_SNAP:
            self.world.counts["snapshots sent"] += 1

    def _check_vote(self, member: Member, m: Message) -> None:
        durable = member.disk.hard_state
        if durable.term < m.term or (durable.term == m.term and durable.vote != m.to):
            self.fail("one vote", f"{member.id} votes for {m.to} in term {m.term} and has {durable} on disk")
        other = self.votes.setdefault((m.term, member.id), m.to)
        if other != m.to:
            self.fail("one vote", f"{member.id} votes for {m.to} and {other} in term {m.term}")

    def _check_promise(self, member: Member, m: Message) -> None:
        durable = member.disk.hard_state
        if durable.term < m.term:
            self.fail("committed is durable", f"{member.id} answers in term {m.term} and has {durable} on disk")
        last = member.disk.storage.last_index()
        # One write may hold an append and, of a later term, what replaced it: the answer to the first is sent all the
        # same. It can do no harm: who leads the later term without that entry was elected by a majority without it.
        if durable.term == m.term and last < m.index:
            self.fail("committed is durable", f"{member.id} acknowledges {m.index} and has {last} entries on disk")

    # Logs

    def _check_append_only(self, member: Member, seen: Seen) -> None:
        raft = self._raft(member)
        log = raft.log
        if log.last_index() < seen.last or (seen.last >= log.first_index() and log.term(seen.last) != seen.last_term):
            self.fail("leader append-only", f"leader {member.id} of term {raft.term} changed its log at {seen.last}")

    def on_write(self, member: Member, m: Message) -> None:
        """Everything that enters a log comes by here, in order."""
        if not m.entries:
            return
        raft = self._raft(member)
        first = m.entries[0].index
        self.world.counts["logs cut back"] += first <= member.disk.storage.last_index()
        before = raft.log.term_or_zero(first - 1)
        for at, entry in enumerate(m.entries):
            if entry.index != first + at:
                self.fail("log matching", f"{member.id} appends entry {entry.index} where {first + at} belongs")
            known = self.entries.setdefault((entry.index, entry.term), (entry.encoded, before))
            if known[0] != entry.encoded:
                self.fail("log matching", f"{member.id} has another entry {entry.index} of term {entry.term}")
            # Where a snapshot was taken the term before the first entry may be forgotten.
            if known[1] != before and before and known[1]:
                self.fail("log matching", f"{member.id} has entry {entry.index} behind term {before}, not {known[1]}")
            if entry.term < before:
                self.fail("log matching", f"{member.id} has term {entry.term} behind term {before} at {entry.index}")
            before = entry.term
            if entry.type != ENTRY_NORMAL and raft.role == LEADER and entry.term == raft.term:
                self._check_one_change(member, entry.index)

    def _check_one_change(self, member: Member, index: int) -> None:
        log = self._raft(member).log
        applied = max(log.applied, member.machine.applied)
        for entry in log.slice(applied + 1, index):
            if entry.type != ENTRY_NORMAL:
                text = f"leader {member.id} appends change {index} while {entry.index} may be unapplied ({applied})"
                self.fail("one change at a time", text)

    # Committing

    def _check_commit(self, member: Member, seen: Seen) -> None:
        raft = self._raft(member)
        log = raft.log
        commit = log.committed
        if commit < seen.commit:
            self.fail("state machine safety", f"{member.id} took back its commit index {seen.commit} to {commit}")
        first = log.first_index()
        if first - 1 > seen.commit:
            self._check_base(member, first - 1)
        lo = max(seen.commit + 1, first)
        leads = raft.role == LEADER and seen.role == LEADER
        if leads and log.term(commit) != raft.term:
            term = log.term(commit)
            self.fail("commit rule", f"leader {member.id} of term {raft.term} commits {commit} of term {term}")
        before = len(self.committed)
        for entry in log.slice(lo, commit + 1):
            self._commit(member, entry)
        if len(self.committed) > before and raft.term > 1:
            self._check_new_commit(member, leads)
        if self.world.traced:
            self.world.say(f"{member.id} commits {commit}")

    def _commit(self, member: Member, entry: Entry) -> None:
        known = len(self.committed)
        if entry.index <= known:
            if self.committed[entry.index - 1].encoded != entry.encoded:
                other = self.committed[entry.index - 1].term
                text = f"{member.id} commits entry {entry.index} of term {entry.term}, others one of term {other}"
                self.fail("state machine safety", text)
            return
        if entry.index != known + 1:
            self.fail("state machine safety", f"{member.id} commits {entry.index} when {known} was the last")
        self.committed.append(entry)
        self.commit_terms.append(self._raft(member).term)

    def _check_base(self, member: Member, index: int) -> None:
        """The position that a member's log begins after came of a snapshot."""
        term = self._raft(member).log.term(index)
        if index > len(self.committed) or self.committed[index - 1].term != term:
            self.fail("state machine safety", f"{member.id} begins after {index} of term {term}, not committed")

    def _check_new_commit(self, member: Member, leads: bool) -> None:
        raft = self._raft(member)
        index, entry = len(self.committed), self.committed[-1]
        if not leads:
            self.fail("commit rule", f"{member.id} commits {index} before any leader did")
        holders = {node for node, other in self.members.items() if other.disk.holds(index, entry.term)}
        if not has_quorum(raft.tracker.config, holders):
            text = f"leader {member.id} commits {index} of term {entry.term}, durable on {sorted(holders)}"
            self.fail("committed is durable", f"{text} in {raft.tracker.config}")
        for other in self.members.values():
            if other.leads and self._raft(other).term > raft.term:
                self._check_has(other, index)
        self.history.append((self.world.now, index))

    # Applying

    def on_apply(self, member: Member, entry: Entry) -> None:
        """Before it is applied."""
        index = entry.index
        if index != member.machine.applied + 1:
            self.fail("state machine safety", f"{member.id} applies {index} after {member.machine.applied}")
        if index > len(self.committed) or self.committed[index - 1].encoded != entry.encoded:
            self.fail("state machine safety", f"{member.id} applies entry {index} that is not the committed one")
        after = member.machine.after(entry)
        if self.digests.setdefault(index, after.digest) != after.digest:
            self.fail("state machine safety", f"{member.id} has another history at {index}")
        if entry.data.startswith(b"%d-" % member.id):
            self.acked.add(entry.data)

    def _compare_applied(self, member: Member) -> None:
        machine = member.machine
        if self.digests.get(machine.applied) != machine.digest:
            self.fail("state machine safety", f"{member.id} got another history at {machine.applied} by a snapshot")

    def on_restored(self, member: Member, index: int) -> None:
        if index != member.machine.applied:
            self.fail("state machine safety", f"snapshot of {index} holds the state of {member.machine.applied}")
        self._compare_applied(member)

    def on_conf_state(self, member: Member, index: int) -> None:
        # What a cluster begins with is known to its first members before they apply it.
        if index <= self.world.plan.voters:
            return
        state = member.conf_state
        if self.conf_states.setdefault(index, state) != state:
            text = f"{member.id} has {state} at {index}, others {self.conf_states[index]}"
            self.fail("state machine safety", text)

    # Reads

    def begin_read(self, context: bytes) -> None:
        self.reads[context] = (len(self.committed), self.world.now)

    def on_read(self, member: Member, state: ReadState) -> None:
        floor, begun = self.reads[state.context]
        self.answered.add(state.context)
        self.world.counts["reads"] += 1
        if self.world.plan.lease:
            floor = self._committed_at(begun - self._lease_ms())
            self.world.counts["reads by lease"] += 1
        if state.index < floor:
            text = f"{member.id} was given {state.index} for a read of {begun} ms, when {floor} was committed"
            self.fail("linearizable reads", text)
        if state.index > len(self.committed):
            self.fail("linearizable reads", f"{member.id} was given {state.index}, which is not committed")

    def _lease_ms(self) -> int:
        plan = self.world.plan
        return LEASE_TIMEOUTS * plan.election_ticks * (TICK_MS + plan.skew) + plan.delay_ms

    def _committed_at(self, when: int) -> int:
        known = 0
        for at, index in self.history:
            if at > when:
                break
            known = index
        return known

    # Time

    def on_receive(self, member: Member, m: Message) -> None:
        self.heard.setdefault(member.id, {})[m.from_] = member.ticks
        self._term_before = self._raft(member).term

    def on_received(self, member: Member, m: Message) -> None:
        if m.type == MSG_PRE_VOTE and self._raft(member).term != self._term_before:
            self.fail("pre-vote", f"{member.id} went to term {m.term} when it was asked for a pre-vote")

    def on_transfer(self, member: Member) -> None:
        """A transfer starts the leader's quorum check anew."""
        self.heard[member.id] = dict.fromkeys(self.members, member.ticks)

    def on_tick(self, member: Member) -> None:
        raft = self._raft(member)
        if raft.role != LEADER or not raft.check_quorum:
            return
        heard = self.heard[member.id]
        config = raft.tracker.config
        if self.configs.get(member.id) is not config:
            # Who has just become a voter counts as heard.
            self.configs[member.id] = config
            heard.update(dict.fromkeys(config.all_voters, member.ticks))
        since = member.ticks - QUORUM_TIMEOUTS * raft.election_ticks
        heard[member.id] = member.ticks
        if not has_quorum(config, {peer for peer, tick in heard.items() if tick >= since}):
            self.fail("check-quorum", f"{member.id} still leads term {raft.term}, having heard from nobody for long")


def has_quorum(config: TrackedConfig, members: set[int]) -> bool:
    """Counted by itself, without the core's own arithmetic."""
    return all(2 * len(half & members) > len(half) for half in (config.voters, config.outgoing) if half)
