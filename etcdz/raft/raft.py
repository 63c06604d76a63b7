"""The state of one member and its transitions. It hands out work (see node.py) and never does any.

    FOLLOWER --election timeout--> [PRE_CANDIDATE --quorum would vote-->] CANDIDATE --quorum votes--> LEADER
    any role --message of a higher term--> FOLLOWER

What a message does is found in tables: `_ANY_ROLE` here, then the STEP table of the role's own file (follower.py,
candidate.py for both kinds, leader.py). Terms are compared before any table is asked.
Source: Raft thesis chapters 3, 4, 6, 9; etcd-io/raft for everything that the thesis leaves open.
"""

from collections.abc import Callable, Sequence
from typing import NoReturn

from etcdz.raft import candidate, confchange, election, follower, leader
from etcdz.raft.config import Config
from etcdz.raft.describe import describe_config
from etcdz.raft.entry import (
    ENTRY_CONF_CHANGE_V2,
    NO_LIMIT,
    Entry,
    entries_bytes,
    make_entries,
    make_entry,
    payloads_bytes,
)
from etcdz.raft.errors import ConfChangeError, ProposalDropped, broken
from etcdz.raft.log import Log
from etcdz.raft.messages import (
    AFTER_APPEND_MESSAGES,
    CAMPAIGN_MESSAGES,
    CANDIDATE,
    FOLLOWER,
    LEADER,
    LEADER_MESSAGES,
    MESSAGE_NAMES,
    MSG_APP,
    MSG_APP_RESP,
    MSG_BEAT,
    MSG_CHECK_QUORUM,
    MSG_HEARTBEAT,
    MSG_HUP,
    MSG_PRE_VOTE,
    MSG_PRE_VOTE_RESP,
    MSG_PROP,
    MSG_STORAGE_APPEND_RESP,
    MSG_STORAGE_APPLY_RESP,
    MSG_VOTE,
    NO_NODE,
    PRE_CANDIDATE,
    TERMLESS_MESSAGES,
    ConfChangeV2,
    ConfState,
    HardState,
    Message,
    ReadState,
    Snapshot,
    SoftState,
)
from etcdz.raft.read_only import ReadOnly
from etcdz.raft.tracker import ProgressMap, TrackedConfig, Tracker

Handler = Callable[["Raft", Message], None]


class Raft:
    __slots__ = (
        "after_append",
        "check_quorum",
        "conf_change_validation",
        "election_elapsed",
        "election_ticks",
        "election_timeout",
        "heartbeat_elapsed",
        "heartbeat_ticks",
        "id",
        "lead",
        "log",
        "logger",
        "message_bytes_max",
        "messages",
        "pending_conf_index",
        "pending_reads",
        "pre_vote",
        "proposal_forwarding",
        "random",
        "read_only",
        "read_states",
        "role",
        "step_down_on_removal",
        "term",
        "tracker",
        "transferee",
        "uncommitted_bytes",
        "uncommitted_bytes_max",
        "vote",
    )

    def __init__(self, config: Config) -> None:
        config.validate()
        self._take_config(config)
        self.term = 0
        self.vote = NO_NODE
        self.lead = NO_NODE
        self.role = FOLLOWER
        # Member that leadership is being handed to, 0 for none (thesis 3.10).
        self.transferee = NO_NODE
        # Invariant: >= the index of every configuration change in the log that may not be applied yet. There may be
        # one at a time (thesis 4.1), so a leader takes the next only when it has applied up to here.
        self.pending_conf_index = 0
        # Payload bytes of the leader's uncommitted tail since it became leader; an estimate from below.
        self.uncommitted_bytes = 0
        self.election_elapsed = 0  # ticks since the timeout started anew
        self.heartbeat_elapsed = 0
        self.election_timeout = self.election_ticks
        self.messages: list[Message] = []  # may be sent at once
        # May be sent when all that is unstable now is durable; some go to ourselves.
        self.after_append: list[Message] = []
        self.read_states: list[ReadState] = []
        self.pending_reads: list[Message] = []  # wait for the first commit of our term
        self._load(config)

    def _take_config(self, config: Config) -> None:
        self.id = config.id
        self.logger = config.logger
        self.random = config.random
        self.election_ticks = config.election_tick
        self.heartbeat_ticks = config.heartbeat_tick
        self.check_quorum = config.check_quorum
        self.pre_vote = config.pre_vote
        self.proposal_forwarding = not config.disable_proposal_forwarding
        self.conf_change_validation = not config.disable_conf_change_validation
        self.step_down_on_removal = config.step_down_on_removal
        self.message_bytes_max = config.max_size_per_msg
        self.uncommitted_bytes_max = config.max_uncommitted_size or NO_LIMIT
        self.log = Log(config.storage, config.logger, config.applying_bytes_max)
        self.tracker = Tracker(config.max_inflight_msgs, config.max_inflight_bytes)
        self.read_only = ReadOnly(config.read_only)

    def _load(self, config: Config) -> None:
        log = self.log
        hard_state, conf_state = config.storage.initial_state()
        last_index = log.last_index()
        last_term = log.last_term()
        self.restore_config(conf_state, last_index)
        if hard_state != HardState():
            self._load_hard_state(hard_state)
        if config.applied > 0:
            log.applied_to(config.applied, 0)
        self.become_follower(self.term, NO_NODE)
        peers = ",".join(f"{peer:x}" for peer in sorted(self.tracker.config.all_voters))
        self.logger.info(
            f"newRaft {self.id:x} [peers: [{peers}], term: {self.term}, commit: {log.committed}, "
            f"applied: {log.applied}, lastindex: {last_index}, lastterm: {last_term}]"
        )

    def _load_hard_state(self, state: HardState) -> None:
        committed, last_index = self.log.committed, self.log.last_index()
        if not committed <= state.commit <= last_index:
            self.broken(f"{self.id:x} state.commit {state.commit} is out of range [{committed}, {last_index}]")
        self.term, self.vote, self.log.committed = state.term, state.vote, state.commit

    def broken(self, text: str) -> NoReturn:
        broken(self.logger, text)

    # What others may see

    @property
    def soft_state(self) -> SoftState:
        return SoftState(self.lead, self.role)

    @property
    def hard_state(self) -> HardState:
        return HardState(self.term, self.vote, self.log.committed)

    @property
    def promotable(self) -> bool:
        """Whether this member may campaign: a voter, with no snapshot half way in."""
        progress = self.tracker.progress.get(self.id)
        return progress is not None and not progress.is_learner and self.log.unstable.snapshot is None

    @property
    def committed_in_term(self) -> bool:
        """Whether an entry of our term is committed: before that a new leader does not know what is."""
        return self.log.term_or_zero(self.log.committed) == self.term

    # Roles. Only these four write the role.

    def become_follower(self, term: int, lead: int) -> None:
        self._reset(term)
        self.lead = lead
        self.role = FOLLOWER
        self.logger.info(f"{self.id:x} became follower at term {self.term}")

    def become_candidate(self) -> None:
        if self.role == LEADER:
            self.broken("invalid transition [leader -> candidate]")
        self._reset(self.term + 1)
        self.vote = self.id
        self.role = CANDIDATE
        self.logger.info(f"{self.id:x} became candidate at term {self.term}")

    def become_pre_candidate(self) -> None:
        """Asks for votes without a trace: term, vote and timeout stay as they are (thesis 9.6)."""
        if self.role == LEADER:
            self.broken("invalid transition [leader -> pre-candidate]")
        self.tracker.votes = {}
        self.lead = NO_NODE
        self.role = PRE_CANDIDATE
        self.logger.info(f"{self.id:x} became pre-candidate at term {self.term}")

    def become_leader(self) -> None:
        """Starts with an empty entry: only an entry of its own term lets a leader commit (thesis 3.6.2, 6.4)."""
        if self.role == FOLLOWER:
            self.broken("invalid transition [follower -> leader]")
        self._reset(self.term)
        self.lead = self.id
        self.role = LEADER
        own = self.tracker.progress[self.id]
        own.become_replicate()
        own.recent_active = True
        # There may be a configuration change in the tail. Waiting for all of it is cheaper than looking.
        last = self.log.last_index()
        self.pending_conf_index = last
        self.append_own([make_entry(0, self.term, last + 1, b"")])
        self.logger.info(f"{self.id:x} became leader at term {self.term}")

    def _reset(self, term: int) -> None:
        if self.term != term:
            self.term = term
            self.vote = NO_NODE
        self.lead = NO_NODE
        self.election_elapsed = self.heartbeat_elapsed = 0
        # A new random timeout each time keeps split votes from repeating (thesis 3.4).
        self.election_timeout = self.election_ticks + self.random(self.election_ticks)
        self.transferee = NO_NODE
        self.tracker.votes = {}
        self.tracker.reset_progress(self.id, self.log.last_index())
        self.pending_conf_index = 0
        self.uncommitted_bytes = 0
        self.read_only = ReadOnly(self.read_only.option)

    # Time

    def tick(self) -> None:
        if self.role == LEADER:
            self._tick_leader()
        else:
            self._tick_follower()

    def _tick_follower(self) -> None:
        self.election_elapsed += 1
        if self.election_elapsed >= self.election_timeout and self.promotable:
            self.election_elapsed = 0
            self.step(Message(MSG_HUP, from_=self.id))

    def _tick_leader(self) -> None:
        self.heartbeat_elapsed += 1
        self.election_elapsed += 1
        if self.election_elapsed >= self.election_ticks:
            self.election_elapsed = 0
            if self.check_quorum:
                self.step(Message(MSG_CHECK_QUORUM, from_=self.id))
            # A transfer that took a whole election timeout has failed; take proposals again (thesis 3.10).
            if self.role == LEADER:
                self.transferee = NO_NODE
        if self.role == LEADER and self.heartbeat_elapsed >= self.heartbeat_ticks:
            self.heartbeat_elapsed = 0
            self.step(Message(MSG_BEAT, from_=self.id))

    # Messages

    def send(self, m: Message) -> None:
        """Queue m, with sender and term filled in. Which queue decides what must be durable first."""
        if m.type in CAMPAIGN_MESSAGES:
            if m.term == 0:
                self.broken(f"term should be set when sending {MESSAGE_NAMES[m.type]}")
        elif m.term:
            self.broken(f"term should not be set when sending {MESSAGE_NAMES[m.type]} (was {m.term})")
        term = m.term if m.type in CAMPAIGN_MESSAGES or m.type in TERMLESS_MESSAGES else self.term
        m = Message(m.type, m.to, m.from_ or self.id, term, *m[4:])
        if m.type in AFTER_APPEND_MESSAGES:
            self.after_append.append(m)
            return
        if m.to == self.id:
            self.broken(f"message should not be self-addressed when sending {MESSAGE_NAMES[m.type]}")
        self.messages.append(m)

    def step(self, m: Message) -> None:
        """Take one message. raises ProposalDropped; the state is unchanged then"""
        if m.term and m.term != self.term:
            if m.term < self.term:
                self._on_lower_term(m)
                return
            if not self._admit_higher_term(m):
                return
        handler = _ANY_ROLE.get(m.type) or _STEP[self.role].get(m.type)
        if handler is not None:
            handler(self, m)

    def _admit_higher_term(self, m: Message) -> bool:
        """Adopt the term of m where that is due (thesis 3.3); False if m is to be ignored."""
        if m.type in (MSG_VOTE, MSG_PRE_VOTE) and election.ignored_in_lease(self, m):
            return False
        # Both speak of a term that does not exist yet: it is only being asked for.
        if m.type == MSG_PRE_VOTE or (m.type == MSG_PRE_VOTE_RESP and not m.reject):
            return True
        self.logger.info(
            f"{self.id:x} [term: {self.term}] received a {MESSAGE_NAMES[m.type]} message with higher term "
            f"from {m.from_:x} [term: {m.term}]"
        )
        self.become_follower(m.term, m.from_ if m.type in LEADER_MESSAGES else NO_NODE)
        return True

    def _on_lower_term(self, m: Message) -> None:
        """Old news. Some senders must be told, or they would never catch up with our term."""
        if m.type in (MSG_HEARTBEAT, MSG_APP) and (self.check_quorum or self.pre_vote):
            # Our own campaigns are ignored while others hear from that leader. It learns of our term by this answer,
            # steps down, and the election that follows takes us in again (thesis 9.6, 6.2).
            self.send(Message(MSG_APP_RESP, to=m.from_))
        elif m.type == MSG_PRE_VOTE:
            election.reject_vote(self, m)
        elif m.type == MSG_STORAGE_APPEND_RESP:
            self._on_append_stable_in_older_term(m)
        else:
            self.logger.info(
                f"{self.id:x} [term: {self.term}] ignored a {MESSAGE_NAMES[m.type]} message with lower term "
                f"from {m.from_:x} [term: {m.term}]"
            )

    # Answers of the storage

    def _on_append_stable(self, m: Message) -> None:
        if m.index:
            self.log.unstable.stable_to(m.log_term, m.index)
        if m.snapshot is not None:
            self._applied_snapshot(m.snapshot)

    def _on_append_stable_in_older_term(self, m: Message) -> None:
        """The ABA rule: an append of an older term may have been overwritten, and its overwriting be overwritten by
        the same entries again, with those writes still under way. Only an answer of this term says how the disk
        looks; there will be one, since each new term is itself written. A snapshot is committed state of any term.
        """
        if m.index:
            self.logger.info(
                f"{self.id:x} [term: {self.term}] ignored entry appends from a {MESSAGE_NAMES[m.type]} message "
                f"with lower term [term: {m.term}]"
            )
        if m.snapshot is not None:
            self._applied_snapshot(m.snapshot)

    def _on_applied(self, m: Message) -> None:
        if m.entries:
            self.applied_to(m.entries[-1].index, entries_bytes(m.entries))
            if self.uncommitted_bytes:
                self.uncommitted_bytes = max(self.uncommitted_bytes - payloads_bytes(m.entries), 0)

    def _applied_snapshot(self, snapshot: Snapshot) -> None:
        self.log.unstable.snapshot_stable_to(snapshot.index)
        self.applied_to(snapshot.index, 0)

    def applied_to(self, index: int, size: int) -> None:
        """The application has applied up to index; size encoded bytes of entries less are outstanding."""
        index = max(index, self.log.applied)
        self.log.applied_to(index, size)
        if self.tracker.config.auto_leave and self.role == LEADER and index >= self.pending_conf_index:
            self._leave_joint()

    def _leave_joint(self) -> None:
        """Propose to leave the joint configuration; tried again with every applied batch until it is taken."""
        config = describe_config(self.tracker.config)
        # No data is an empty ConfChangeV2, and of no size, so that no limit can refuse it.
        proposal = make_entry(ENTRY_CONF_CHANGE_V2, 0, 0, b"")
        try:
            self.step(Message(MSG_PROP, entries=(proposal,)))
        except ProposalDropped as error:
            self.logger.debug(f"not initiating automatic transition out of joint configuration {config}: {error}")
        else:
            self.logger.info(f"initiating automatic transition out of joint configuration {config}")

    # Appending as leader

    def append_payloads(self, payloads: Sequence[bytes]) -> bool:
        """Requires: leader. As append_own, for normal entries."""
        return self.append_own(make_entries(self.term, self.log.last_index() + 1, payloads))

    def append_own(self, entries: Sequence[Entry]) -> bool:
        """Append a leader's own entries; False if they would make the uncommitted tail too large.

        The leader's own vote for them is an answer to itself, which waits for the disk like everybody's: a leader
        need not be part of the quorum that commits (thesis 10.2.1).
        """
        if self.uncommitted_bytes_max != NO_LIMIT and not self._reserve_uncommitted(payloads_bytes(entries)):
            self.logger.warning(
                f"{self.id:x} appending new entries to log would exceed uncommitted entry size limit; dropping proposal"
            )
            return False
        last = self.log.append(entries)
        # As send() would, at a fraction of its price: this is once per batch.
        self.after_append.append(Message(MSG_APP_RESP, self.id, self.id, self.term, 0, last))
        return True

    def _reserve_uncommitted(self, size: int) -> bool:
        """One proposal of any size is taken if nothing else is uncommitted, and one without data always."""
        if self.uncommitted_bytes and size and self.uncommitted_bytes + size > self.uncommitted_bytes_max:
            return False
        self.uncommitted_bytes += size
        return True

    def maybe_commit(self) -> bool:
        """Requires: leader. Whether the commit index rose."""
        return self.log.maybe_commit(self.term, self.tracker.committed())

    # Configuration

    def apply_conf_change(self, change: ConfChangeV2) -> ConfState:
        """raises ConfChangeError: does not fit the active configuration, which stays"""
        last_index = self.log.last_index()
        if change.leaves_joint:
            changed = confchange.leave_joint(self.tracker)
        elif change.enters_joint:
            changed = confchange.enter_joint(self.tracker, last_index, change.auto_leave, change.changes)
        else:
            changed = confchange.simple(self.tracker, last_index, change.changes)
        return self.switch_to_config(*changed)

    def restore_config(self, state: ConfState, last_index: int) -> None:
        """Take the configuration of a snapshot. Whatever is known of peers is forgotten."""
        try:
            changed = confchange.restore(self.tracker, last_index, state)
        except ConfChangeError as error:
            self.broken(f"unable to restore config {state}: {error}")
        restored = self.switch_to_config(*changed)
        if restored != state._replace(
            voters=tuple(sorted(state.voters)),
            learners=tuple(sorted(state.learners)),
            voters_outgoing=tuple(sorted(state.voters_outgoing)),
            learners_next=tuple(sorted(state.learners_next)),
        ):
            self.broken(f"ConfStates not equivalent after sorting: {restored} {state}")

    def switch_to_config(self, config: TrackedConfig, progress: ProgressMap) -> ConfState:
        """Use config from now on; the only place that does."""
        self.tracker.switch_to(config, progress)
        self.logger.info(f"{self.id:x} switched to configuration {describe_config(config)}")
        state = config.conf_state()
        if self.role == LEADER:
            own = progress.get(self.id)
            if own is None or own.is_learner:
                if self.step_down_on_removal:
                    self.become_follower(self.term, NO_NODE)
            elif config.voters:
                leader.on_config_switched(self)
        return state


def _campaign(r: Raft, m: Message) -> None:
    election.hup(r, election.PRE_ELECTION if r.pre_vote else election.ELECTION)


# What does not depend on the role. Everything else is in the role's own table.
_ANY_ROLE: dict[int, Handler] = {
    MSG_HUP: _campaign,
    MSG_VOTE: election.on_vote_request,
    MSG_PRE_VOTE: election.on_vote_request,
    MSG_STORAGE_APPEND_RESP: Raft._on_append_stable,
    MSG_STORAGE_APPLY_RESP: Raft._on_applied,
}
_STEP: dict[int, dict[int, Handler]] = {
    FOLLOWER: follower.STEP,
    CANDIDATE: candidate.STEP,
    PRE_CANDIDATE: candidate.STEP,
    LEADER: leader.STEP,
}
