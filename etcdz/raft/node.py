"""RawNode: the core as its driver sees it. Put ticks, proposals and messages in, take Ready out, do what it says.

Order rules of a Ready (Raft thesis 3.8: promises only after they are on disk)
    synchronous   write entries, hard_state and snapshot (fsync if must_sync), then send messages, apply
                  committed_entries, then call advance(); one Ready at a time.
    asynchronous  send messages at once. MsgStorageAppend goes to whoever writes, MsgStorageApply to whoever applies,
                  each in order and without loss; when the work is done (durable, for appends) deliver the message's
                  responses, those to this member by step(). Any number of Readys may be under way.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

from etcdz.raft import election, leader
from etcdz.raft.codec import encode_conf_change
from etcdz.raft.config import Config
from etcdz.raft.entry import ENTRY_CONF_CHANGE, ENTRY_NORMAL, Entry, entries_bytes, make_entry
from etcdz.raft.errors import ConfigError, StepLocalMessage, StepPeerNotFound
from etcdz.raft.messages import (
    APPEND_THREAD,
    APPLY_THREAD,
    CONF_CHANGE_ADD_NODE,
    LEADER,
    LOCAL_MESSAGES,
    MSG_FORGET_LEADER,
    MSG_HUP,
    MSG_PROP,
    MSG_READ_INDEX,
    MSG_SNAP_STATUS,
    MSG_STORAGE_APPEND,
    MSG_STORAGE_APPEND_RESP,
    MSG_STORAGE_APPLY,
    MSG_STORAGE_APPLY_RESP,
    MSG_TRANSFER_LEADER,
    MSG_UNREACHABLE,
    NO_NODE,
    RESPONSE_MESSAGES,
    AnyConfChange,
    ConfChange,
    ConfState,
    HardState,
    Message,
    ReadState,
    Snapshot,
    SoftState,
)
from etcdz.raft.progress import Progress
from etcdz.raft.raft import Raft
from etcdz.raft.tracker import TrackedConfig

_STORAGE_THREADS = (APPEND_THREAD, APPLY_THREAD)
_NOTHING_YET = HardState()
# Of all fields in their order. The generated Message() costs three times as much, and each batch makes five of them.
_message: Callable[[tuple[Any, ...]], Message] = partial(tuple.__new__, Message)


class Ready(NamedTuple):
    """Work to do. None and empty mean that there is nothing of the kind.

    soft_state         if it changed
    hard_state         if it changed; to be written
    read_states        reads that may be served once their index is applied
    entries            to be written
    snapshot           to be written, and applied, before any entries
    committed_entries  to be applied
    messages           to be sent, each to its `to`
    must_sync          whether hard_state and entries have to be durable before messages go out
    """

    soft_state: SoftState | None
    hard_state: HardState | None
    read_states: Sequence[ReadState]
    entries: Sequence[Entry]
    snapshot: Snapshot | None
    committed_entries: Sequence[Entry]
    messages: Sequence[Message]
    must_sync: bool


class BasicStatus(NamedTuple):
    id: int
    hard_state: HardState
    soft_state: SoftState
    applied: int
    transferee: int


class Status(NamedTuple):
    """progress is a copy, and empty unless this member leads."""

    basic: BasicStatus
    config: TrackedConfig
    progress: dict[int, Progress]


class RawNode:
    __slots__ = ("_async", "_on_advance", "_seen_hard_state", "_seen_soft_state", "raft")

    def __init__(self, config: Config) -> None:
        """raises ConfigError, InvariantBroken: what storage holds cannot be"""
        self.raft = Raft(config)
        self._async = config.async_storage_writes
        self._seen_soft_state = self.raft.soft_state
        self._seen_hard_state = self.raft.hard_state
        self._on_advance: list[Message] = []

    # In

    def tick(self) -> None:
        self.raft.tick()

    def campaign(self) -> None:
        self.raft.step(Message(MSG_HUP))

    def reclaim(self) -> None:
        """Campaign as the leader that this member was until it died a moment ago; the others have not missed it yet.

        Like a transfer to itself: whoever hears from no other leader votes at once, because the lease that would
        forbid it is this member's own. Who has gone on to a later term refuses as ever, and nobody is disturbed.
        Requires: this member led the term that it has, and what led then is dead.
        """
        election.hup(self.raft, election.TRANSFER)

    def propose(self, data: bytes) -> None:
        """raises ProposalDropped: no leader, a transfer, too much uncommitted; nothing was appended"""
        self.propose_batch((data,))

    def propose_batch(self, payloads: Sequence[bytes]) -> None:
        """Propose many payloads as neighbours in the log, all or none. raises ProposalDropped, as propose"""
        if not payloads:
            return
        if self.raft.role == LEADER:
            leader.propose(self.raft, payloads)
        else:
            entries = [make_entry(ENTRY_NORMAL, 0, 0, data) for data in payloads]
            self.raft.step(Message(MSG_PROP, from_=self.raft.id, entries=entries))

    def propose_conf_change(self, change: AnyConfChange) -> None:
        """raises ProposalDropped. A change that does not fit becomes an empty entry."""
        entry_type, data = encode_conf_change(change)
        self.raft.step(Message(MSG_PROP, entries=(make_entry(entry_type, 0, 0, data),)))

    def apply_conf_change(self, change: AnyConfChange) -> ConfState:
        """To be called when a configuration change comes up in committed_entries, unless the application refuses it.

        raises  ConfChangeError: it does not fit the active configuration, which stays
        """
        return self.raft.apply_conf_change(change.as_v2())

    def step(self, m: Message) -> None:
        """Take a message of another member, or a response of a storage thread.

        raises  ProposalDropped, StepLocalMessage, StepPeerNotFound
        """
        if m.from_ not in _STORAGE_THREADS:
            if m.type in LOCAL_MESSAGES:
                raise StepLocalMessage
            if m.type in RESPONSE_MESSAGES and m.from_ not in self.raft.tracker.progress:
                raise StepPeerNotFound
        self.raft.step(m)

    def read_index(self, context: bytes) -> None:
        """Ask for a ReadState with this context. It may never come: no leader, or a message is lost."""
        self.raft.step(Message(MSG_READ_INDEX, entries=(make_entry(ENTRY_NORMAL, 0, 0, context),)))

    def transfer_leader(self, target: int) -> None:
        self.raft.step(Message(MSG_TRANSFER_LEADER, from_=target))

    def forget_leader(self) -> None:
        """Vote for whoever asks next; for a follower that knows its leader is gone."""
        self.raft.step(Message(MSG_FORGET_LEADER))

    def report_unreachable(self, peer: int) -> None:
        self.raft.step(Message(MSG_UNREACHABLE, from_=peer))

    def report_snapshot(self, peer: int, *, failed: bool) -> None:
        """Requires: called once for every MsgSnap, or that peer gets nothing more."""
        self.raft.step(Message(MSG_SNAP_STATUS, from_=peer, reject=failed))

    def bootstrap(self, peers: Iterable[tuple[int, bytes]]) -> None:
        """Begin a new cluster's log with one committed change of term 1 per member: (id, context of the change).

        Requires: all first members are given the same, in the same order. raises ConfigError: not empty, or no peers
        """
        peers = list(peers)
        raft = self.raft
        if not peers:
            raise ConfigError("must provide at least one peer to Bootstrap")
        if raft.log.storage.last_index():
            raise ConfigError("can't bootstrap a nonempty Storage")
        # So that the first Ready has the hard state, which nobody has written yet.
        self._seen_hard_state = HardState()
        raft.become_follower(1, NO_NODE)
        changes = [ConfChange(CONF_CHANGE_ADD_NODE, peer, context) for peer, context in peers]
        datas = [encode_conf_change(change)[1] for change in changes]
        raft.log.append([make_entry(ENTRY_CONF_CHANGE, 1, at, data) for at, data in enumerate(datas, 1)])
        raft.log.committed = len(changes)
        # They come up in committed_entries as well and do no harm the second time; the member knows its peers now.
        for change in changes:
            raft.apply_conf_change(change.as_v2())

    # Out

    def has_ready(self) -> bool:
        # The path of every batch, like ready(): what is likely comes first, and nothing is made only to be compared.
        raft, log = self.raft, self.raft.log
        unstable = log.unstable
        return bool(
            raft.messages
            or raft.after_append
            or unstable.in_progress < unstable.offset + len(unstable.entries)
            or log.has_committed(not self._async)
            or raft.read_states
            or (raft.lead, raft.role) != self._seen_soft_state
            or self._changed_hard_state() is not None
            or unstable.next_snapshot() is not None
        )

    def _changed_hard_state(self) -> HardState | None:
        raft = self.raft
        now = (raft.term, raft.vote, raft.log.committed)
        return None if now == self._seen_hard_state or now == _NOTHING_YET else HardState._make(now)

    def ready(self) -> Ready:
        """Everything there is to do, now in the caller's hands: it is not handed out again."""
        raft, log = self.raft, self.raft.log
        unstable, seen = log.unstable, self._seen_hard_state
        soft_state = None if (raft.lead, raft.role) == self._seen_soft_state else raft.soft_state
        hard_state = self._changed_hard_state()
        entries, snapshot = unstable.next_entries(), unstable.next_snapshot()
        committed = log.next_committed(not self._async)
        must_sync = bool(entries) or raft.term != seen.term or raft.vote != seen.vote
        messages = raft.messages
        if self._async:
            self._add_storage_messages(messages, hard_state, entries, snapshot, committed)
        else:
            messages += [m for m in raft.after_append if m.to != raft.id]
            self._plan_advance(snapshot, committed)
        ready = Ready(soft_state, hard_state, raft.read_states, entries, snapshot, committed, messages, must_sync)
        self._accept(ready)
        return ready

    def _accept(self, ready: Ready) -> None:
        raft, log = self.raft, self.raft.log
        if ready.soft_state is not None:
            self._seen_soft_state = ready.soft_state
        if ready.hard_state is not None:
            self._seen_hard_state = ready.hard_state
        raft.messages, raft.after_append, raft.read_states = [], [], []
        log.unstable.accept_in_progress()
        committed = ready.committed_entries
        if committed:
            log.accept_applying(committed[-1].index, entries_bytes(committed), not self._async)

    def advance(self) -> None:
        """The last Ready is done: written, sent and applied. Only without asynchronous writes."""
        if self._async:
            self.raft.broken("Advance must not be called when using AsyncStorageWrites")
        steps, self._on_advance = self._on_advance, []
        for m in steps:
            self.raft.step(m)

    # Storage

    def _plan_advance(self, snapshot: Snapshot | None, committed: Sequence[Entry]) -> None:
        if self._on_advance:
            self.raft.broken("two accepted Ready structs without call to Advance")
        raft = self.raft
        self._on_advance = [m for m in raft.after_append if m.to == raft.id]
        if raft.log.unstable.entries or snapshot is not None:
            self._on_advance.append(self._append_response(snapshot))
        if committed:
            self._on_advance.append(self._apply_response(committed))

    def _add_storage_messages(
        self,
        messages: list[Message],
        hard_state: HardState | None,
        entries: Sequence[Entry],
        snapshot: Snapshot | None,
        committed: Sequence[Entry],
    ) -> None:
        raft = self.raft
        if entries or hard_state is not None or snapshot is not None or raft.after_append:
            # Our own acknowledgement of entries comes before the one that moves them out of the unstable log, where
            # their terms are looked up fastest.
            responses = raft.after_append
            if raft.log.unstable.entries or snapshot is not None:
                responses.append(self._append_response(snapshot))
            term, vote, commit = hard_state or _NOTHING_YET
            write = (MSG_STORAGE_APPEND, APPEND_THREAD, raft.id, term, 0, 0, entries, commit, vote, snapshot)
            messages.append(_message((*write, False, 0, b"", responses)))
        if committed:
            work = (MSG_STORAGE_APPLY, APPLY_THREAD, raft.id, 0, 0, 0, committed, 0, 0, None)
            messages.append(_message((*work, False, 0, b"", (self._apply_response(committed),))))

    def _append_response(self, snapshot: Snapshot | None) -> Message:
        """Says that all that is unstable now is durable, if our term is still the same when it comes back.

        It names the end of the whole log, not of the entries that go out with it: the answer to an older append may
        have been dropped for its term, and this one then speaks for those entries as well.
        """
        raft = self.raft
        entries = raft.log.unstable.entries
        term, index = (entries[-1].term, entries[-1].index) if entries else (0, 0)
        done = (MSG_STORAGE_APPEND_RESP, raft.id, APPEND_THREAD, raft.term, term, index, (), 0, 0, snapshot)
        return _message((*done, False, 0, b"", ()))

    def _apply_response(self, committed: Sequence[Entry]) -> Message:
        # Committed is committed in every term, so this has none.
        done = (MSG_STORAGE_APPLY_RESP, self.raft.id, APPLY_THREAD, 0, 0, 0, committed, 0, 0, None)
        return _message((*done, False, 0, b"", ()))

    # Looking inside

    def basic_status(self) -> BasicStatus:
        raft = self.raft
        return BasicStatus(raft.id, raft.hard_state, raft.soft_state, raft.log.applied, raft.transferee)

    def status(self) -> Status:
        raft = self.raft
        progress = raft.tracker.progress if raft.role == LEADER else {}
        return Status(self.basic_status(), raft.tracker.config, {peer: one.copy() for peer, one in progress.items()})
