"""The raft actor: drives the consensus core, ticks, keeps what is not yet durable.

    only member     (the wal appends by itself, on a delegation)  DelegatedAppends -> core;  see delegation.py
    leader          Propose -> core -> Append -> wal, Send -> peer;  Appended, Received -> core -> Apply -> backend
    follower        Propose -> core -> Send -> peer;  Received -> core -> Append -> wal -> Appended -> Send -> peer

It starts without state: the backend says how far it has applied, the wal what it holds, and the core is built from
these. Until then, and while there is no leader, proposals wait. A proposal whose request id is in the recent log is
dropped: its answer comes from the backend, so an offer that is made twice enters the log once.

Which file knows which. A file knows only those in rows below its own, and none writes another's fields
(tests/actors/raft/test_shape.py):

    actor                                            starts, resyncs, gives the others their turns
    leader_transfer                                  hands the lead to another
    ticks                                            raft's clock
    peer_messages   version_monitor                  what comes of other members
    delegating      reconfiguration                  carry out what takes several turns
    proposals       ready            trimming        into the core, out of it, off its log
    wakeups                                          what need not wake this actor
    appends         applies          read_index      towards the wal, the backend, and listeners that read
    forwarding                                       proposals that go to a leader, or come to one
    leadership                                       what the others are told
    delegation      publish          request_window  who may append; what is made known; what has entered the log
    outgoing_snapshots                               whole states for members that are far behind
    recovery        outgoing        installs         what a restart begins with; what goes to other members; a leader's
                                                     snapshot on its way into this one
    claims                                           which messages of other members cannot be true
"""

import random
import time
from typing import Any

from actors.raft.appends import Appends
from actors.raft.applies import Applies
from actors.raft.delegating import Delegating
from actors.raft.delegation import Delegation
from actors.raft.forwarding import Forwarding
from actors.raft.installs import Installs
from actors.raft.leader_transfer import LeaderTransfer
from actors.raft.leadership import LeadershipNotes
from actors.raft.outgoing import Outgoing
from actors.raft.outgoing_snapshots import OutgoingSnapshots, SendingStorage
from actors.raft.peer_messages import PeerMessages
from actors.raft.proposals import Proposals
from actors.raft.publish import Publish
from actors.raft.read_index import ReadIndexes
from actors.raft.ready import Readies
from actors.raft.reconfiguration import Reconfiguration
from actors.raft.recovery import DoNotBelongTogether, check_identity, led, pending_install, recover
from actors.raft.request_window import RequestWindow
from actors.raft.ticks import Ticks
from actors.raft.trimming import Trimming
from actors.raft.version_monitor import VersionMonitor
from actors.raft.wakeups import awaits_acknowledgements, awaits_disk
from actors.runtime.link import Peer
from actors.runtime.loop import Actor, FatalError, run_actor
from etcdz import limits
from etcdz.config import MemberConfig
from etcdz.ipc.boot import Boot
from etcdz.ipc.messages import (
    ACKNOWLEDGED,
    APPENDED,
    Appended,
    Applied,
    BackendHello,
    BackendState,
    DelegatedAppends,
    DelegationReturned,
    Flushed,
    Members,
    MoveLeader,
    PeerAnswer,
    PeerReports,
    PeerState,
    Propose,
    ReadIndex,
    Received,
    Reconfigure,
    SnapshotArrived,
    SnapshotTaken,
    WalHello,
    WalState,
)
from etcdz.raft import Config, MemoryStorage, RawNode, Snapshot
from etcdz.raft.entry import ENTRY_CONF_CHANGE, ENTRY_NORMAL
from etcdz.raft.messages import FOLLOWER, LEADER
from etcdz.raft.progress import PROGRESS_NAMES

NO_ENTRIES = 1 << 62
"""As the first index that a WalHello asks for: raft has them all."""


class RaftActor(Actor):
    """One per member."""

    deferrable = (APPENDED, ACKNOWLEDGED)

    def __init__(self, boot: Boot) -> None:
        super().__init__(boot)
        self.config = MemberConfig.from_dict(boot.config)
        self.node: RawNode | None = None
        """The core, once backend and wal have answered."""
        self.outgoing = Outgoing(self)
        self.outgoing_snapshots = OutgoingSnapshots(self)
        self.storage: MemoryStorage = SendingStorage(self.outgoing_snapshots.take)
        self.member_id = 0
        self.members: Members | None = None
        """As the backend has said last; None before its first word."""
        self.backend_state: BackendState | None = None
        self.active: dict[int, float] = {}
        """Other members that are heard of, and since when, unix time in s."""
        self.delegation = Delegation(boot.incarnation)
        self.window = RequestWindow(limits.REQUEST_WINDOW)
        self.publish = Publish(self.config)
        self.installs = Installs(self)
        self.leadership = LeadershipNotes(self)
        self.forwarding = Forwarding(self)
        self.appends = Appends(self)
        self.applies = Applies(self)
        self.read_indexes = ReadIndexes(self, self.config.request_timeout_s)
        self.trimming = Trimming(self, self.config.snapshot_count, self.config.catch_up_entries)
        self.proposals = Proposals(self, self.config.request_timeout_s)
        self.readies = Readies(self)
        self.delegating = Delegating(self)
        self.reconfiguration = Reconfiguration(self, self.config.request_timeout_s)
        self.peer_messages = PeerMessages(self, self.config.request_timeout_s)
        self.ticks = Ticks(self, self.config, time.monotonic(), boot.may_found)
        self.leader_transfer = LeaderTransfer(self)
        self.version_monitor = VersionMonitor(self, self.config.downgrade_check_s)
        self.handlers |= {
            WalState: self.on_wal_state,
            Appended: self.appends.on_appended,
            BackendState: self.on_backend_state,
            Applied: self.on_applied,
            Flushed: self.trimming.on_flushed,
            Propose: self.proposals.on_propose,
            Reconfigure: self.reconfiguration.on_reconfigure,
            MoveLeader: self.leader_transfer.on_move_leader,
            Received: self.peer_messages.on_received,
            PeerReports: self.peer_messages.on_reports,
            SnapshotArrived: self.peer_messages.on_snapshot_arrived,
            SnapshotTaken: self.outgoing_snapshots.on_taken,
            PeerState: self.on_peer_state,
            PeerAnswer: self.version_monitor.on_peer_answer,
            Members: self.on_members,
            ReadIndex: self.read_indexes.on_read_index,
            DelegatedAppends: self.delegating.on_delegated_appends,
            DelegationReturned: self.delegating.on_delegation_returned,
        }

    # ---- resync with wal and backend ----

    def on_peer_up(self, peer: Peer) -> None:
        if peer.kind == "backend":
            self.links.send("backend", BackendHello(self.boot.incarnation))
            self.leadership.tell(peer)
        elif peer.kind == "wal":
            self._greet_wal()
        elif peer.kind == "peer":
            self.peer_messages.on_new_peer_actor()
        else:
            self.leadership.tell(peer)

    def on_peer_down(self, peer: Peer) -> None:
        if peer.kind == "listener":
            self.delegation.listener_gone(peer.slot)

    def _greet_wal(self) -> None:
        self.appends.on_wal(says_acknowledgements=False)  # until it says so
        if self.delegation.number:
            self.delegation.on_new_wal()
            self.links.send("wal", WalHello(self.boot.incarnation, self.storage.last_index() + 1))
        elif self.node is not None:
            self.links.send("wal", WalHello(self.boot.incarnation, NO_ENTRIES))
            self.links.send("wal", self.leadership.known)
            self.appends.send_again()
        elif self.backend_state is not None:
            behind = max(self.config.catch_up_entries, limits.REQUEST_WINDOW)
            first = max(1, self.backend_state.applied_index - behind)
            needed = self.backend_state.applied_index + 1
            self.links.send("wal", WalHello(self.boot.incarnation, first, needed))

    def on_backend_state(self, state: BackendState) -> None:
        """Where the backend stands: the answer to BackendHello, and what it says when it sees a new wal."""
        if state.raft_incarnation != self.boot.incarnation:
            return
        self.backend_state = state
        node = self.node
        if node is None:
            self._greet_wal()
            return
        self.trimming.on_new_backend()
        self.links.send_all("wal", self.delegation.on_new_backend())
        self.on_applied(Applied(state.applied_index, state.flushed_index, state.conf_state))
        if self.installs.pending_index:
            self.installs.tell_backend()
            return
        self.applies.begin_again(state.applied_index, node.raft.log.applying)

    def on_wal_state(self, state: WalState) -> None:
        """raises FatalError: log and backend do not belong together"""
        if state.raft_incarnation != self.boot.incarnation:
            return
        self.appends.on_wal(state.says_acknowledgements)
        if self.node is not None:
            self.delegating.on_new_wal(self.node, state)
            return
        if self.backend_state is None:
            raise RuntimeError("the wal answers a greeting before there was one")
        try:
            self._begin(state, self.backend_state)
        except DoNotBelongTogether as error:
            raise FatalError(str(error)) from error

    def _begin(self, state: WalState, backend: BackendState) -> None:
        """Build the core. raises DoNotBelongTogether"""
        check_identity(state, backend)
        pending = pending_install(state, backend)
        if pending:  # the next backend says where it stands, and then the log is asked for again
            self.installs.install(pending)
            return
        self.member_id = backend.member_id
        is_new = state.fresh and backend.applied_index == 0
        node = self.node = self._bootstrap() if is_new else self._recover(state, backend)
        self.proposals.on_log_read()
        self._campaign_if_alone(node)
        # The wal lived on and knows that the raft before this one led: it leads on without an election timeout.
        if node.raft.role == FOLLOWER and led(state, self.member_id, node.raft.term):
            node.reclaim()

    def _bootstrap(self) -> RawNode:
        """A new cluster: its members are the first entries of every member's log, committed from the start. A member
        that joins one has an empty log, and is sent everything."""
        founding = self.config.first_founding
        node = self._build(applied=0)
        if founding.is_join:
            self.log.info("joining a cluster", member_id=f"{self.member_id:x}", cluster_id=f"{founding.cluster_id:x}")
        else:
            self.log.info("starting a new cluster", member_id=f"{self.member_id:x}")
            node.bootstrap(founding.bootstrap_peers())
        self.applies.begin(0, configured_index=node.raft.log.last_index())
        return node

    def _recover(self, state: WalState, backend: BackendState) -> RawNode:
        """raises DoNotBelongTogether"""
        found = recover(state, backend)
        self.storage.apply_snapshot(found.base)
        self.storage.append(found.entries)
        self.storage.set_hard_state(found.hard_state)
        self.trimming.begin(state.snapshot_index)
        data = [entry.data for entry in found.read if entry.type == ENTRY_NORMAL]
        self.window.add_entries(data, is_whole_log=state.first_index <= 1)
        for entry in found.read:
            if entry.type == ENTRY_CONF_CHANGE:
                self.reconfiguration.remember(entry.data)
        applied = backend.applied_index
        self.applies.begin(applied, configured_index=applied)
        node = self._build(applied)
        self.log.info(
            "restarting member", commit_index=found.hard_state.commit, applied_index=applied, term=found.hard_state.term
        )
        return node

    def _build(self, applied: int) -> RawNode:
        return RawNode(
            Config(
                id=self.member_id,
                election_tick=max(2, self.config.election_ms // self.config.heartbeat_ms),
                heartbeat_tick=1,
                storage=self.storage,
                applied=applied,
                max_size_per_msg=limits.RAFT_MESSAGE_BYTES,
                max_committed_size_per_ready=limits.APPLY_BYTES_IN_FLIGHT_MAX,
                max_inflight_msgs=limits.RAFT_INFLIGHT_MESSAGES,
                max_inflight_bytes=limits.RAFT_INFLIGHT_BYTES,
                check_quorum=True,
                pre_vote=self.config.pre_vote,
                async_storage_writes=True,
                random=random.Random().randrange,
                logger=RaftLog(self.log),
            )
        )

    def _campaign_if_alone(self, node: RawNode) -> None:
        """The only voter need not wait for an election timeout, once it has applied who the voters are."""
        raft = node.raft
        if raft.role == FOLLOWER and raft.tracker.single_voter and not raft.log.has_unapplied_conf_change():
            node.campaign()

    # ---- other members ----

    def begin_after(self, snapshot: Snapshot) -> None:
        """A leader's snapshot takes the place of the log."""
        self.storage.apply_snapshot(snapshot)
        self.installs.expect(snapshot.index)
        self.applies.begin_after(snapshot.index)
        self.trimming.begin(snapshot.index)

    def on_peer_state(self, state: PeerState) -> None:
        """Which members are heard of."""
        self.active = dict(state.active)
        self.ticks.advance(time.monotonic())
        self.forwarding.on_peer_state(state)
        self.proposals.on_peer_state(state)
        self.reconfiguration.on_peer_state(state)

    # ---- the turn ----

    def on_applied(self, message: Applied) -> None:
        """NB: a backend that was there before the core tells of what it applies as well."""
        node = self.node
        took = self.applies.on_applied(node, message)
        if node is not None:
            if self.installs.pending_index:
                self.installs.on_applied(node, self.applies.applied_index)
            if took or self.leadership.are_fast_paths_closed:
                self.leadership.note(node)
                self.reconfiguration.on_applied(node)
            if not self.leadership.known.leader:
                self._campaign_if_alone(node)
        self.trimming.on_applied(self.applies.applied_index)

    def on_members(self, message: Members) -> None:
        """Names and URLs. NB: who votes is what `Applied` says."""
        self.members = message

    def next_deadline(self) -> float | None:
        """The next tick, or what is said before."""
        tick_at, due_at = self.ticks.deadline(), self.outgoing.due_at
        return tick_at if due_at is None or tick_at < due_at else due_at

    def on_deadline(self, now: float) -> None:
        self.outgoing.send_put_off(now)
        if now < self.ticks.deadline():
            return
        self.outgoing.send_repeated()
        self.ticks.run(now)
        self.proposals.expire(now)
        self.peer_messages.expire(now)
        self.reconfiguration.expire(now)
        self.appends.send_commit_index()
        self.publish.retry(now)
        self.outgoing_snapshots.advance(now)
        self.version_monitor.look(now)
        if self.appends.refusal:
            self.leader_transfer.step_aside(now)
        if self.read_indexes.has_work:
            self.read_indexes.expire(now)

    def on_turn_end(self) -> None:
        node = self.node
        if node is None:
            return
        if self.peer_messages.has_work:
            self.peer_messages.step(node)
        if self.leadership.known.leader:
            self._propose(node)
        self.readies.do(node)
        self.outgoing.send()
        self.links.flush()  # the rest of the turn is for this process alone, and others can work meanwhile
        if self.trimming.flushed is not None:
            self.trimming.maybe_save(node.raft.log.committed)
        not_applied = max(0, node.raft.log.last_index() - self.applies.applied_index)
        self.window.trim(not_applied + len(self.proposals.waiting) + self.delegation.unwritten)
        self.mailbox.heed(APPENDED, awaits_disk(node.raft, self.appends))
        self.mailbox.heed(ACKNOWLEDGED, awaits_acknowledgements(node.raft))

    def _propose(self, node: RawNode) -> None:
        """Whatever may be done by now of what waits for a leader."""
        if self.reconfiguration.has_work:
            self.reconfiguration.advance(node)
        if self.publish.waiting:
            self.publish.propose(node, time.monotonic())
        self.forwarding.advance(node)
        waits = self.delegating.advance(node)
        if not waits and not self.delegation.number:
            self.proposals.propose(node)
        if self.read_indexes.has_work:
            self.read_indexes.advance(node, time.monotonic())

    def on_stop(self) -> None:
        self.leader_transfer.at_stop()

    def summary(self) -> dict[str, Any]:
        known = self.leadership.known
        return {
            "term": known.term,
            "leader": f"{known.leader:x}",
            "handed_index": self.applies.handed_index,
            "not_durable": len(self.appends),
            "log_entries": self.storage.last_index() - self.storage.first_index() + 1,
            "delegated": bool(self.delegation.number),
            "refusal": self.appends.refusal,
            **({"followers": followers} if (followers := self._followers()) else {}),
        }

    def _followers(self) -> list[dict[str, Any]]:
        """How far the others have followed, if this member leads."""
        raft = self.node.raft if self.node is not None else None
        if raft is None or raft.role != LEADER:
            return []
        last_index = self.storage.last_index()
        return [
            {
                "id": f"{id_:x}",
                "follows": PROGRESS_NAMES[one.state].removeprefix("State").lower(),
                "behind": max(0, last_index - one.match),
                "is_learner": one.is_learner,
            }
            for id_, one in raft.tracker.progress.items()
            if id_ != raft.id
        ]

    def details(self) -> dict[str, Any]:
        known = self.leadership.known
        return {
            "member_id": f"{self.member_id:x}",
            "members": {f"{m[0]:x}": m[1] for m in self.members.members} if self.members is not None else {},
            "commit_index": known.commit,
            "local_reads_from": known.read_index,
            "applied_index": self.applies.applied_index,
            "snapshot_index": self.trimming.snapshot_index,
            "first_index": self.storage.first_index(),
            "last_index": self.storage.last_index(),
            "appends_in_flight": len(self.appends),
            "append_bytes_in_flight": self.appends.bytes,
            "applies_in_flight": len(self.applies),
            "proposals_held": len(self.proposals.waiting),
            "flushing": self.trimming.is_flushing,
            "messages_unsent": self.outgoing.unsent,
        }

    def metrics(self) -> dict[str, Any]:
        known = self.leadership.known
        return {
            "has_leader": int(known.leader != 0),
            "is_leader": int(known.leader != 0 and known.leader == self.member_id),
            "leader_changes": self.leadership.changes,
            "late_heartbeats": self.ticks.late_heartbeats,
            "read_indexes_slow": self.read_indexes.slow,
            "commit_index": known.commit,
        }


class RaftLog:
    """The core's logger (etcdz.raft.errors.Logger): its lines go to the member's log."""

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
