"""The raft actor: drives the consensus core, ticks, keeps what is not yet durable.

    only voter      (the wal appends by itself, on a delegation)  Written -> core;  see delegation.py
    otherwise       Propose -> core -> Append -> wal -> Appended -> core commits -> Apply -> backend

It starts without state: the backend says how far it has applied, the wal what it holds, and the core is built from
these. Until then, and while there is no leader, proposals wait. A proposal whose request id is in the recent log is
dropped: its answer comes from the backend, so an offer that is made twice enters the log once.

Towards the wal stands actors/raft/appends.py, towards the backend actors/raft/applies.py, towards those who are told
who leads actors/raft/leadership.py; the length of the log is actors/raft/trimming.py's.
"""

import random
import time
from typing import Any

from actors.raft.appends import Appends
from actors.raft.applies import Applies
from actors.raft.delegating import Delegating
from actors.raft.delegation import Delegation
from actors.raft.leadership import LeadershipNotes
from actors.raft.peer_messages import PeerMessages
from actors.raft.publish import Publish
from actors.raft.reconfiguration import Reconfiguration
from actors.raft.recovery import DoNotBelongTogether, check_identity, led, recover
from actors.raft.request_window import RequestWindow
from actors.raft.trimming import Trimming
from actors.runtime.link import Peer
from actors.runtime.loop import Actor, FatalError, run_actor
from etcdz import limits
from etcdz.cluster.membership import bootstrap_peers
from etcdz.config import MemberConfig
from etcdz.ipc import request_ids
from etcdz.ipc.boot import Boot
from etcdz.ipc.messages import (
    Appended,
    Applied,
    BackendHello,
    BackendState,
    DelegatedAppends,
    DelegationReturned,
    Flushed,
    Propose,
    ReadIndex,
    ReadStates,
    Received,
    Reconfigure,
    Refused,
    WalHello,
    WalState,
)
from etcdz.raft import Config, MemoryStorage, ProposalDropped, RawNode
from etcdz.raft.entry import ENTRY_CONF_CHANGE, ENTRY_NORMAL
from etcdz.raft.messages import APPEND_THREAD, APPLY_THREAD, FOLLOWER


class RaftActor(Actor):
    """One per member."""

    def __init__(self, boot: Boot) -> None:
        super().__init__(boot)
        self.config = MemberConfig.from_dict(boot.config)
        self.delegation = Delegation(boot.incarnation)
        self.delegating = Delegating(self)
        self.appends = Appends(self)
        self.applies = Applies(self)
        self.trimming = Trimming(self, self.config.snapshot_count)
        self.publish = Publish(self.config)
        self.leadership = LeadershipNotes(self)
        self.reconfiguration = Reconfiguration(self)
        self.peer_messages = PeerMessages(self)
        self.handlers |= {
            WalState: self.on_wal_state,
            Appended: self.appends.on_appended,
            BackendState: self.on_backend_state,
            Applied: self.on_applied,
            Flushed: self.trimming.on_flushed,
            Propose: self.on_propose,
            Reconfigure: self.reconfiguration.on_reconfigure,
            Received: self.peer_messages.on_received,
            ReadIndex: self.on_read_index,
            DelegatedAppends: self.delegating.on_delegated_appends,
            DelegationReturned: self.delegating.on_delegation_returned,
        }
        self.node: RawNode | None = None
        self.storage = MemoryStorage()
        self.window = RequestWindow(limits.REQUEST_WINDOW)
        self.member_id = 0
        self.backend_state: BackendState | None = None
        self.proposals: list[bytes] = []
        """Entry data of this turn, or held until there is a leader."""
        self.unchecked: list[Propose] = []
        """Proposals that came before the log was read: until then nobody knows whether they are in it."""
        self.reads: list[tuple[int, list[int]]] = []
        """(slot, request ids) that wait for a read index."""
        self.read_batches: dict[bytes, list[tuple[int, list[int]]]] = {}
        """By context: what the core has been asked for."""
        self.read_seq = 0
        self.tick_s = self.config.heartbeat_ms / 1000
        self.next_tick = time.monotonic() + self.tick_s

    # ---- resync with wal and backend ----

    def on_peer_up(self, peer: Peer) -> None:
        if peer.kind == "backend":
            self.links.send("backend", BackendHello(self.boot.incarnation))
        elif peer.kind == "wal":
            self._greet_wal()
        else:
            self.leadership.tell(peer)

    def on_peer_down(self, peer: Peer) -> None:
        if peer.kind == "listener":
            self.delegation.owing.discard(peer.slot)

    def _greet_wal(self) -> None:
        if self.delegation.number:
            self.delegation.recalled = True  # the new wal says what its predecessor has appended on it
            self.links.send("wal", WalHello(self.boot.incarnation, self.storage.last_index() + 1))
        elif self.node is not None:
            self.links.send("wal", WalHello(self.boot.incarnation, 1 << 62))
            self.links.send("wal", self.leadership.known)
            self.appends.send_again()
        elif self.backend_state is not None:
            behind = max(limits.CATCH_UP_ENTRIES, limits.REQUEST_WINDOW)
            first = max(1, self.backend_state.applied_index - behind)
            needed = self.backend_state.applied_index + 1
            self.links.send("wal", WalHello(self.boot.incarnation, first, needed))

    def on_backend_state(self, state: BackendState) -> None:
        if state.raft_incarnation != self.boot.incarnation:
            return
        self.backend_state = state
        node = self.node
        if node is None:
            self._greet_wal()
            return
        self.trimming.on_new_backend()
        self.delegation.hand_over = True
        self.delegating.recall()
        self.on_applied(Applied(state.applied_index, state.flushed_index, state.conf_state))
        self.applies.begin_again(state.applied_index, node.raft.log.committed)

    def on_wal_state(self, state: WalState) -> None:
        if state.raft_incarnation != self.boot.incarnation:
            return
        if self.node is not None:
            self.delegating.on_wal_back(self.node, state)
            return
        backend = self.backend_state
        assert backend is not None  # we greet the wal only then
        self.member_id = backend.member_id
        try:
            check_identity(state, backend)
            if state.fresh and backend.applied_index == 0:
                self._bootstrap()
            else:
                self._recover(state, backend)
        except DoNotBelongTogether as error:
            raise FatalError(str(error)) from error
        for message in self.unchecked:
            self.on_propose(message)
        self.unchecked = []
        self._campaign_if_alone()
        self._campaign_if_it_led(state)

    def _bootstrap(self) -> None:
        """A new cluster: its members are the first entries of every member's log, committed from the start."""
        self.log.info("starting a new cluster", member_id=f"{self.member_id:x}")
        self._build(applied=0)
        assert self.node is not None
        self.node.bootstrap(bootstrap_peers(self.config.initial_cluster, self.config.initial_cluster_token))
        self.applies.begin(0, configured_index=self.node.raft.log.last_index())

    def _recover(self, state: WalState, backend: BackendState) -> None:
        found = recover(state, backend)
        self.storage.apply_snapshot(found.base)
        self.storage.append(found.entries)
        self.storage.set_hard_state(found.hard_state)
        self.trimming.snapshot_index = state.snapshot_index
        for entry in found.read[-limits.REQUEST_WINDOW :]:
            if entry.type == ENTRY_NORMAL:
                self.window.add_data(entry.data)
            elif entry.type == ENTRY_CONF_CHANGE:
                self.reconfiguration.remember(entry.data)
        applied = backend.applied_index
        self._build(applied)
        self.log.info(
            "restarting member", commit_index=found.hard_state.commit, applied_index=applied, term=found.hard_state.term
        )

    def _build(self, applied: int) -> None:
        self.applies.begin(applied, configured_index=applied)
        self.node = RawNode(
            Config(
                id=self.member_id,
                election_tick=max(2, self.config.election_ms // self.config.heartbeat_ms),
                heartbeat_tick=1,
                storage=self.storage,
                applied=applied,
                max_size_per_msg=limits.RAFT_MESSAGE_BYTES,
                max_committed_size_per_ready=limits.APPLY_BYTES_IN_FLIGHT_MAX,
                max_inflight_msgs=limits.RAFT_INFLIGHT_MESSAGES,
                check_quorum=True,
                pre_vote=self.config.pre_vote,
                async_storage_writes=True,
                random=random.Random().randrange,
                logger=RaftLog(self.log),
            )
        )

    def _campaign_if_alone(self) -> None:
        """The only voter need not wait for an election timeout, once it has applied who the voters are."""
        node = self.node
        if node is None or node.raft.role != FOLLOWER or not node.raft.tracker.single_voter:
            return
        if not node.raft.log.has_unapplied_conf_change():
            node.campaign()

    def _campaign_if_it_led(self, state: WalState) -> None:
        """The wal lived on and knows that the raft before this one led: it leads on without an election timeout."""
        node = self.node
        if node is not None and node.raft.role == FOLLOWER and led(state, self.member_id, node.raft.term):
            node.reclaim()

    # ---- proposals ----

    def on_propose(self, message: Propose) -> None:
        """NB: what is offered again may be in the log, and must not be refused then: first raft has to know the log."""
        delegation = self.delegation
        if self.node is None:
            self.unchecked.append(message)
        elif delegation.recalled:
            delegation.held.append(message)
        elif not delegation.number:
            delegation.answered(message)
            self.take(message)
        elif message.fence == 0:
            self.delegating.forward(self._new_of(message))
        elif message.items:
            delegation.held.append(message)
            self.delegating.recall()

    def take(self, message: Propose) -> None:
        self.proposals += [data for _, data in self._new_of(message)]

    def _new_of(self, message: Propose) -> list[tuple[int, bytes]]:
        """Those that are not in the log yet, unless they are refused. Requires: the window holds what the log does."""
        refusal = self._why_refused()
        if not refusal:
            is_new = self.window.add
            return [item for item in message.items if is_new(item[0])]
        refused = [(item[0], refusal) for item in message.items if item[0] not in self.window]
        if refused and message.slot not in request_ids.INTERNAL_PROPOSERS:
            self.links.send(self.links.listener(message.slot), Refused(refused))
        return []

    def _why_refused(self) -> str:
        if self.appends.refusal:
            return self.appends.refusal
        if self.appends.bytes > limits.APPEND_BYTES_IN_FLIGHT_MAX or self.applies.lag > limits.APPLY_LAG_MAX:
            return "RequestTooManyRequests"
        return ""

    def on_read_index(self, message: ReadIndex) -> None:
        self.reads.append((message.slot, message.ids))

    def _ask_read_index(self, node: RawNode) -> None:
        """One quorum round for all reads that wait."""
        self.read_seq += 1
        context = self.read_seq.to_bytes(8, "big")
        self.read_batches[context] = self.reads
        self.reads = []
        node.read_index(context)

    # ---- the turn ----

    def on_applied(self, message: Applied) -> None:
        node = self.node
        took = self.applies.on_applied(node, message)
        if node is not None and (took or self.reconfiguration.is_under_way):
            self.leadership.note(node)
            self.reconfiguration.on_applied(node)
        if not self.leadership.known.leader:
            self._campaign_if_alone()
        self.trimming.on_applied(self.applies.applied_index)

    def next_deadline(self) -> float | None:
        """The next tick; several ticks at once while they mean nothing. They are made up for as soon as they do."""
        if self.delegation.number and not self.appends.owes_commit_index:
            return self.next_tick + limits.TICKS_DELEGATED * self.tick_s
        return self.next_tick

    def on_deadline(self, now: float) -> None:
        while self.next_tick <= now:
            self.next_tick += self.tick_s
            if now - self.next_tick > 1.0:
                self.next_tick = now + self.tick_s  # the process was stopped: time that no one saw does not count
            if self.node is not None:
                self.node.tick()
        self.appends.send_commit_index()

    def on_turn_end(self) -> None:
        node = self.node
        if node is None:
            return
        if self.peer_messages.waiting:
            self.peer_messages.step(node)
        if self.leadership.known.leader:
            if self.reconfiguration.waiting:
                self.reconfiguration.advance(node)
            if self.publish.waiting:
                self.publish.propose(node)
            waits = self.delegating.maybe_delegate(node)
            if self.proposals and not waits and not self.delegation.number:
                self._propose(node)
            # NB: before an entry of its own term is committed, a leader does not know what was acknowledged.
            if self.reads and node.raft.committed_in_term:
                self._ask_read_index(node)
        while node.has_ready():
            self.handle_ready(node)
        if self.trimming.flushed is not None:
            self.trimming.maybe_save(node.raft.log.committed)

    def _propose(self, node: RawNode) -> None:
        proposals = self.proposals
        try:
            node.propose_batch(proposals)
        except ProposalDropped:
            return  # they wait for the next leader, or the end of a leadership transfer
        if proposals:
            self.statistics.batches.add(len(proposals))
        self.proposals = []

    def handle_ready(self, node: RawNode) -> None:
        """Do what the core has to have done. Requires: it has something."""
        ready = node.ready()
        leadership = self.leadership
        if ready.soft_state is not None:
            leadership.note(node)
        for state in ready.read_states:
            for slot, waiting in self.read_batches.pop(state.context, ()):
                self.links.send(self.links.listener(slot), ReadStates(state.index, waiting))
        for message in ready.messages:
            if message.to == APPEND_THREAD:
                self.appends.put(message)
            elif message.to == APPLY_THREAD:
                self.applies.put(message)
        known = leadership.known
        if known.read_index is None or not known.ready_index:
            leadership.note(node)

    def summary(self) -> dict[str, Any]:
        known = self.leadership.known
        return {
            "term": known.term,
            "leader": f"{known.leader:x}",
            "handed_index": self.applies.handed_index,
            "not_durable": len(self.appends),
            "log_entries": self.storage.last_index() - self.storage.first_index() + 1,
            "lent": bool(self.delegation.number),
            "refusal": self.appends.refusal,
        }

    def details(self) -> dict[str, Any]:
        known = self.leadership.known
        return {
            "member_id": f"{self.member_id:x}",
            "commit_index": known.commit,
            "short_reads_from": known.read_index,
            "applied_index": self.applies.applied_index,
            "snapshot_index": self.trimming.snapshot_index,
            "first_index": self.storage.first_index(),
            "last_index": self.storage.last_index(),
            "appends_in_flight": len(self.appends),
            "append_bytes_in_flight": self.appends.bytes,
            "applies_in_flight": len(self.applies),
            "proposals_held": len(self.proposals),
            "flushing": self.trimming.is_flushing,
        }

    def metrics(self) -> dict[str, Any]:
        known = self.leadership.known
        return {
            "has_leader": int(known.leader != 0),
            "is_leader": int(known.leader != 0 and known.leader == self.member_id),
            "leader_changes": self.leadership.changes,
            "commit_index": known.commit,
        }


class RaftLog:
    """The core's logger: its lines go to the member's log."""

    def __init__(self, log: Any) -> None:
        self._log = log

    def debug(self, text: str) -> None:
        self._log.debug(text)

    def info(self, text: str) -> None:
        self._log.info(text)

    def warning(self, text: str) -> None:
        self._log.warn(text)

    def error(self, text: str) -> None:
        self._log.error(text)

    fatal = error


def run(boot: Boot) -> int:
    return run_actor(RaftActor, boot)
