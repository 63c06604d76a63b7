"""The raft actor: drives the consensus core, ticks, keeps what is not yet durable.

    only voter      (the wal appends by itself, on a loan)  Written -> core;  see actors/loan.py
    otherwise       Propose -> core -> Append -> wal -> Appended -> core commits -> Apply -> backend

It starts without state: the backend says how far it has applied, the wal what it holds, and the core is built from
these. Until then, and while there is no leader, proposals wait. A proposal whose request id is in the recent log is
dropped: its answer comes from the backend, so an offer that is made twice enters the log once.
"""

import random
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from actors.link import Peer
from actors.loan import Loan
from actors.loop import Actor, FatalError, run_actor
from actors.recovery import DoNotBelongTogether, check_identity, led, recover
from actors.request_window import RequestWindow, request_id_of
from etcdz import CLUSTER_VERSION, ids, limits
from etcdz.boot import Boot
from etcdz.config import MemberConfig
from etcdz.ids import RequestIds
from etcdz.membership import attributes_request, bootstrap_peers, version_request
from etcdz.messages import (
    RAFT,
    Append,
    Appended,
    Applied,
    Apply,
    BackendHello,
    BackendState,
    Flush,
    Flushed,
    Leadership,
    Lend,
    Propose,
    ReadIndex,
    ReadStates,
    Recall,
    Refused,
    Returned,
    SaveSnapshot,
    WalHello,
    WalState,
    Write,
    Written,
)
from etcdz.raft import (
    Config,
    Entry,
    HardState,
    MemoryStorage,
    Message,
    ProposalDropped,
    RawNode,
    codec,
)
from etcdz.raft.entry import ENTRY_NORMAL, decode_entries
from etcdz.raft.messages import APPEND_THREAD, APPLY_THREAD, FOLLOWER, LEADER

OWN_SLOT = 31
"""Slot in the ids of what this actor proposes by itself; no listener has it, so no one waits for the reply."""
_TOLD_OF_LEADERS = ("listener", "lessor", "compactor")


class RaftActor(Actor):
    """One per member."""

    def __init__(self, boot: Boot) -> None:
        super().__init__(boot)
        self.config = MemberConfig.from_dict(boot.config)
        self.handlers |= {
            WalState: self.on_wal_state,
            Appended: self.on_appended,
            BackendState: self.on_backend_state,
            Applied: self.on_applied,
            Flushed: self.on_flushed,
            Propose: self.on_propose,
            ReadIndex: self.on_read_index,
            Written: self.on_written,
            Returned: self.on_returned,
        }
        self.loan = Loan(boot.incarnation)
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
        self.appends: deque[tuple[Append, tuple[Message, ...]]] = deque()
        """Not yet durable, with what to step into the core once they are."""
        self.append_bytes = 0
        self.lazy_hard_state = b""
        """A commit index that is not handed to the wal yet: it goes with the next entries, or with the next tick."""
        self.lazy_responses: list[Message] = []
        self.taking_over = False
        """Entries that the core hands out for writing are on disk already."""
        self.applies: deque[tuple[int, Message]] = deque()
        """(last index, what to step) of what was handed to the backend and is not yet applied."""
        self.seq = 0
        self.applied_index = 0
        self.handed_index = 0
        """Last entry handed to the backend."""
        self.term_of_handed = 0
        self.snapshot_index = 0
        self.flushing = False
        """The backend has been asked for a flush."""
        self.flushed: Flushed | None = None
        """Its answer, until the snapshot is saved."""
        self.refusal = ""
        self.leadership = Leadership(0, 0, 0, 0, None, 0, 0)
        self.leader_changes = 0
        """How often another leader was seen than before."""
        self.publishing: list[bytes] = []
        """What tells the cluster of this member, until it is in the log."""
        self.published = False
        self.publish_index = 0
        """Where it stands in the log; 0: nowhere yet."""
        self.tick_s = self.config.heartbeat_ms / 1000
        self.next_tick = time.monotonic() + self.tick_s

    # ---- resync with wal and backend ----

    def on_peer_up(self, peer: Peer) -> None:
        if peer.kind == "backend":
            self.links.send("backend", BackendHello(self.boot.incarnation))
        elif peer.kind == "wal":
            self._greet_wal()
        elif peer.kind in _TOLD_OF_LEADERS:
            self._tell_of_leader(peer)

    def on_peer_down(self, peer: Peer) -> None:
        if peer.kind == "listener":
            self.loan.owing.discard(peer.slot)

    def _greet_wal(self) -> None:
        if self.loan.number:
            self.loan.recalled = True  # the new wal says what its predecessor has appended on it
            self.links.send("wal", WalHello(self.boot.incarnation, self.storage.last_index() + 1))
        elif self.node is not None:
            # A new wal has cut what was torn; everything unacknowledged is sent again, in order. Rewriting is harmless.
            self.links.send("wal", WalHello(self.boot.incarnation, 1 << 62))
            self.links.send("wal", self.leadership)
            for append, _ in self.appends:
                self.links.send("wal", append)
        elif self.backend_state is not None:
            behind = max(limits.CATCH_UP_ENTRIES, limits.REQUEST_WINDOW)
            first = max(1, self.backend_state.applied_index - behind)
            self.links.send("wal", WalHello(self.boot.incarnation, first))

    def on_backend_state(self, state: BackendState) -> None:
        if state.raft_incarnation != self.boot.incarnation:
            return
        self.backend_state = state
        if self.node is None:
            self._greet_wal()
            return
        self.flushing = False  # a flush that the one before was asked for is not answered any more
        # A new backend: send again what it has not applied.
        self.handed_index = state.applied_index
        self.loan.hand_over = True
        self._recall()
        if state.applied_index < self._committed():  # else it is as far as we are, or ahead by what the wal appends
            self._hand_over(self.storage.entries(state.applied_index + 1, self._committed() + 1, 1 << 62))

    def on_wal_state(self, state: WalState) -> None:
        if state.raft_incarnation != self.boot.incarnation:
            return
        if self.node is not None:
            self._on_wal_back(self.node, state)
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
            self._take(message)
        self.unchecked = []
        self._campaign_if_alone()
        self._campaign_if_it_led(state)

    def _bootstrap(self) -> None:
        """A new cluster: its members are the first entries of every member's log, committed from the start."""
        self.log.info("starting a new cluster", member_id=f"{self.member_id:x}")
        self._build(applied=0)
        assert self.node is not None
        self.node.bootstrap(bootstrap_peers(self.config.initial_cluster, self.config.initial_cluster_token))

    def _recover(self, state: WalState, backend: BackendState) -> None:
        found = recover(state, backend)
        self.storage.apply_snapshot(found.base)
        self.storage.append(found.entries)
        self.storage.set_hard_state(found.hard_state)
        self.snapshot_index = state.snapshot_index
        for entry in found.read[-limits.REQUEST_WINDOW :]:
            self.window.add_data(entry.data)
        applied = backend.applied_index
        self._build(applied)
        self.log.info(
            "restarting member", commit_index=found.hard_state.commit, applied_index=applied, term=found.hard_state.term
        )

    def _build(self, applied: int) -> None:
        self.applied_index = self.handed_index = applied
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
        loan = self.loan
        if self.node is None:
            self.unchecked.append(message)
        elif loan.recalled:
            loan.held.append(message)
        elif not loan.number:
            loan.answered(message)
            self._take(message)
        elif message.fence == 0:
            self._pass_on(message)
        elif message.items:
            loan.held.append(message)
            self._recall()

    def _take(self, message: Propose) -> None:
        self.proposals += [data for _, data in self._new_of(message)]

    def _new_of(self, message: Propose) -> list[tuple[int, bytes]]:
        """Those that are not in the log yet, unless they are refused. Requires: the window holds what the log does."""
        refusal = self._why_refused()
        if not refusal:
            is_new = self.window.add
            return [item for item in message.items if is_new(item[0])]
        refused = [(item[0], refusal) for item in message.items if item[0] not in self.window]
        if refused and message.slot not in ids.DEAF_SLOTS:
            self.links.send(self.links.listener(message.slot), Refused(refused))
        return []

    # ---- the loan of the end of the log ----

    def _maybe_lend(self, node: RawNode) -> bool:
        """Lend the end of the log if that may be; says whether it only waits for what is under way."""
        log = node.raft.log
        if (
            self.loan.number
            or self.loan.owing
            or self.leadership.read_index is None
            or not self.leadership.ready_index
            or self.publishing
            or self.refusal
        ):
            return False
        last = log.last_index()
        if log.unstable.entries or log.committed < last or self.handed_index < last:
            return True
        if log.has_unapplied_conf_change():
            return False
        number = self.loan.begin()
        self.links.send("wal", Lend(self.boot.incarnation, number, node.raft.term, last))
        proposals, self.proposals = self.proposals, []
        self._forward([(request_id_of(data), data) for data in proposals])
        self._note_leadership(node)
        return False

    def _pass_on(self, message: Propose) -> None:
        """Proposals that came here while the wal appends: of who has not heard of the loan, or does not take part."""
        self._forward(self._new_of(message))

    def _forward(self, items: list[tuple[int, bytes]]) -> None:
        if items:
            self.loan.forwarded.update(items)
            self.links.send("wal", Write(RAFT, self.loan.number, items))

    def _recall(self) -> None:
        if self.loan.number and not self.loan.recalled:
            self.loan.recalled = True
            self.links.send("wal", Recall(self.loan.number))

    def on_written(self, message: Written) -> None:
        if message.loan == self.loan.number and self.node is not None:
            self._append_written(self.node, message.first_index, message.ids, message.entries)

    def on_returned(self, message: Returned) -> None:
        if message.loan == self.loan.number and self.node is not None:
            self._end_loan(self.node)

    def _on_wal_back(self, node: RawNode, state: WalState) -> None:
        """A new wal, in the middle of a loan: what it has read is durable."""
        if not self.loan.number:
            return
        if state.entries:
            data = [entry.data for entry in decode_entries(state.entries)]
            self._append_written(node, state.first_index, [request_id_of(one) for one in data], data)
        for append, _ in self.appends:
            self.links.send("wal", append)
        self._end_loan(node)

    def _end_loan(self, node: RawNode) -> None:
        slots = {peer.slot for peer in self.links.of_kind("listener")}
        held, forwarded = self.loan.end(slots)
        self.proposals += forwarded.values()
        for message in held:
            self._take(message)
        self._note_leadership(node)

    def _append_written(self, node: RawNode, first_index: int, ids: list[int], data: list[bytes]) -> None:
        """Entries that are durable, and handed to the backend unless that is a new one: they take no one's time."""
        if first_index != node.raft.log.last_index() + 1:
            raise RuntimeError(f"the wal has written from {first_index} on, behind {node.raft.log}")
        self.window.add_all(ids)
        forwarded = self.loan.forwarded
        if forwarded:
            for request_id in ids:
                forwarded.pop(request_id, None)
        node.propose_batch(data)
        if not self.loan.hand_over:
            self.handed_index = node.raft.log.last_index()
        self.taking_over = True
        while node.has_ready():
            self._handle_ready(node)
        self.taking_over = False

    def _why_refused(self) -> str:
        if self.refusal:
            return self.refusal
        if self.append_bytes > limits.APPEND_BYTES_IN_FLIGHT_MAX:
            return "RequestTooManyRequests"
        if self.node is not None and self.handed_index - self.applied_index > limits.APPLY_LAG_MAX:
            return "RequestTooManyRequests"
        return ""

    def on_read_index(self, message: ReadIndex) -> None:
        self.reads.append((message.slot, message.ids))

    def _ask_read_index(self, node: RawNode) -> None:
        """One quorum round for all reads that wait."""
        self.seq += 1
        context = self.seq.to_bytes(8, "big")
        self.read_batches[context] = self.reads
        self.reads = []
        node.read_index(context)

    # ---- the wal's answers ----

    def on_appended(self, message: Appended) -> None:
        if message.raft_incarnation != self.boot.incarnation:
            return
        if message.error != self.refusal:
            self.refusal = message.error
            self.log.warn("writes are refused" if message.error else "writes are taken again", reason=message.error)
        node = self.node
        while self.appends and self.appends[0][0].seq <= message.seq:
            append, responses = self.appends.popleft()
            self.append_bytes -= sum([len(entry) for entry in append.entries])
            if node is not None:
                for response in responses:
                    node.step(response)

    # ---- the backend's answers ----

    def on_applied(self, message: Applied) -> None:
        self.applied_index = max(self.applied_index, message.applied_index)
        node = self.node
        while self.applies and self.applies[0][0] <= self.applied_index:
            _, response = self.applies.popleft()
            if node is not None:
                node.step(response)
        if not self.leadership.leader:
            self._campaign_if_alone()
        if not self.flushing and self.applied_index - self.snapshot_index >= self.config.snapshot_count:
            self.flushing = True
            self.links.send("backend", Flush(self.boot.incarnation))

    def on_flushed(self, message: Flushed) -> None:
        self.flushing = False
        self.flushed = message

    def _maybe_save_snapshot(self, node: RawNode) -> None:
        """The backend no longer needs the log up to here: compact it, but for what slow followers may ask.

        NB: the backend applies what the wal appends before this process hears of it, so it may be ahead. A
        marker that the hard state on disk has not committed counts for nothing when the log is read again, and the
        segments before it are released: so first the commit index, then the marker.
        """
        message = self.flushed
        if message is None or node.raft.log.committed < message.applied_index:
            return
        self.flushed = None
        index = message.applied_index
        if index <= self.snapshot_index:
            return
        if self.lazy_hard_state:
            self._append(0, [], b"", ())
        self.applied_index = max(self.applied_index, index)
        self.snapshot_index = index
        term = self.storage.term(index)
        save = SaveSnapshot(
            self.boot.incarnation, index, term, message.conf_state, message.snapshot_data, keep_index=index
        )
        self.links.send("wal", save)
        conf_state = codec.decode_conf_state(message.conf_state)
        self.storage.create_snapshot(index, conf_state, b"")
        if index > limits.CATCH_UP_ENTRIES and index - limits.CATCH_UP_ENTRIES >= self.storage.first_index():
            self.storage.compact(index - limits.CATCH_UP_ENTRIES)

    # ---- the turn ----

    def next_deadline(self) -> float | None:
        return self.next_tick

    def on_deadline(self, now: float) -> None:
        while self.next_tick <= now:
            self.next_tick += self.tick_s
            if now - self.next_tick > 1.0:
                self.next_tick = now + self.tick_s  # the process was stopped: time that no one saw does not count
            if self.node is not None:
                self.node.tick()
        if self.lazy_hard_state:
            self._append(0, [], b"", ())

    def on_turn_end(self) -> None:
        node = self.node
        if node is None:
            return
        if self.leadership.leader:
            if self.publishing:
                self._propose_publishing(node)
            waits = self._maybe_lend(node)
            if self.proposals and not waits and not self.loan.number:
                self._propose(node)
            # NB: before an entry of its own term is committed, a leader does not know what was acknowledged.
            if self.reads and node.raft.committed_in_term:
                self._ask_read_index(node)
        while node.has_ready():
            self._handle_ready(node)
        if self.flushed is not None:
            self._maybe_save_snapshot(node)

    def _propose_publishing(self, node: RawNode) -> None:
        with suppress(ProposalDropped):
            node.propose_batch(self.publishing)
            self.publishing = []
            self.publish_index = node.raft.log.last_index()

    def _propose(self, node: RawNode) -> None:
        proposals = self.proposals
        try:
            node.propose_batch(proposals)
        except ProposalDropped:
            return  # they wait for the next leader, or the end of a leadership transfer
        if proposals:
            self.statistics.batches.add(len(proposals))
        self.proposals = []

    def _handle_ready(self, node: RawNode) -> None:
        ready = node.ready()
        if ready.soft_state is not None:
            self._note_leadership(node)
        for state in ready.read_states:
            for slot, request_ids in self.read_batches.pop(state.context, ()):
                self.links.send(self.links.listener(slot), ReadStates(state.index, request_ids))
        for message in ready.messages:
            if message.to == APPEND_THREAD:
                self._on_storage_append(message)
            elif message.to == APPLY_THREAD:
                self._on_storage_apply(node, message)
        if self.leadership.read_index is None or not self.leadership.ready_index:
            self._note_leadership(node)

    def _on_storage_append(self, message: Message) -> None:
        entries = message.entries
        hard_state = b""
        if message.term or message.vote or message.commit:
            state = HardState(message.term, message.vote, message.commit)
            before, _ = self.storage.initial_state()
            self.storage.set_hard_state(state)
            hard_state = codec.encode_hard_state(state)
            if not entries and (state.term, state.vote) == (before.term, before.vote):
                # Only the commit index rose: nothing depends on it being on disk, so it goes with the next append.
                self.lazy_hard_state = hard_state
                self.lazy_responses += message.responses
                return
        if entries:
            self.storage.append(entries)
            if self.taking_over:
                self._take_over(message, hard_state)
                return
            if self.loan.number:
                raise RuntimeError("raft has appended entries while the end of the log is lent")
        first = entries[0].index if entries else 0
        self._append(first, [entry.encoded for entry in entries], hard_state, tuple(message.responses))

    def _take_over(self, message: Message, hard_state: bytes) -> None:
        self.lazy_hard_state = hard_state or self.lazy_hard_state
        assert self.node is not None
        for response in message.responses:
            self.node.step(response)

    def _append(self, first: int, entries: list[bytes], hard_state: bytes, responses: tuple[Message, ...]) -> None:
        self.seq += 1
        if self.lazy_hard_state:
            hard_state, self.lazy_hard_state = hard_state or self.lazy_hard_state, b""
            responses, self.lazy_responses = (*self.lazy_responses, *responses), []
        append = Append(self.boot.incarnation, self.seq, first, entries, hard_state, bool(entries or responses))
        self.append_bytes += sum([len(entry) for entry in entries])
        self.appends.append((append, responses))
        self.links.send("wal", append)

    def _on_storage_apply(self, node: RawNode, message: Message) -> None:
        entries = message.entries
        for entry in entries:
            if entry.type != ENTRY_NORMAL:
                node.apply_conf_change(codec.decode_conf_change(entry.type, entry.data))
        for response in message.responses:
            self.applies.append((entries[-1].index, response))
        if entries[-1].index > self.handed_index:
            self._hand_over(entries[max(0, self.handed_index + 1 - entries[0].index) :])

    def _hand_over(self, entries: Any) -> None:
        """Committed entries go to the backend, one message per run of the same term."""
        start = 0
        count = len(entries)
        while start < count:
            term = entries[start].term
            end = count if entries[-1].term == term else start + 1
            while end < count and entries[end].term == term:
                end += 1
            self._hand_over_run(term, entries[start:end])
            start = end

    def _hand_over_run(self, term: int, run: Sequence[Entry]) -> None:
        kinds = b"" if all([entry[2] == ENTRY_NORMAL for entry in run]) else bytes([entry.type for entry in run])
        data = [entry[3][entry[4] :] for entry in run]
        self.links.send("backend", Apply(self.boot.incarnation, run[0].index, term, data, kinds))
        self.handed_index = run[-1].index

    # ---- leadership ----

    def _committed(self) -> int:
        node = self.node
        return node.raft.log.committed if node is not None else 0

    def _note_leadership(self, node: RawNode) -> None:
        """Tell the listeners when leader, term or the short way for reads change."""
        raft = node.raft
        commit = raft.log.committed
        leads_alone = raft.role == LEADER and raft.tracker.single_voter and raft.committed_in_term
        read_index = commit if leads_alone else None
        if leads_alone and self.leadership.read_index is not None and self.leadership.term == raft.term:
            read_index = self.leadership.read_index
        ready_index = self.publish_index if self.publish_index <= commit else 0
        lead_index = commit if raft.role == LEADER and raft.committed_in_term else 0
        if lead_index and self.leadership.lead_index and self.leadership.term == raft.term:
            lead_index = self.leadership.lead_index
        known = Leadership(
            self.boot.incarnation,
            raft.term,
            raft.lead,
            commit,
            read_index,
            ready_index,
            lead_index,
            0 if self.loan.recalled else self.loan.number,
            self.loan.fence,
        )
        before, self.leadership = self.leadership, known
        self.leader_changes += known.leader not in (0, before.leader)
        if known._replace(commit=before.commit) == before:
            return
        for kind in _TOLD_OF_LEADERS:
            for peer in self.links.of_kind(kind):
                self._tell_of_leader(peer)
        if (known.term, known.leader) != (before.term, before.leader):
            self.links.send("wal", known)
        if known.leader == self.member_id and not self.published:
            self.published = True
            self._publish()

    def _tell_of_leader(self, peer: Peer) -> None:
        fence = self.loan.fence_for(peer.slot) if peer.kind == "listener" else 0
        self.links.send(peer.name, self.leadership._replace(fence=fence))

    def _publish(self) -> None:
        """Make this member's name and client URLs, and the cluster version, known through the log."""
        config = self.config
        ids_ = RequestIds(self.member_id, OWN_SLOT, time.time_ns() // 1000)
        self.publishing.append(
            attributes_request(ids_.next(), self.member_id, config.name, config.advertise_client_urls)
        )
        if self.backend_state is not None and self.backend_state.cluster_version != CLUSTER_VERSION:
            self.publishing.append(version_request(ids_.next(), CLUSTER_VERSION))

    def summary(self) -> dict[str, Any]:
        known = self.leadership
        return {
            "term": known.term,
            "leader": f"{known.leader:x}",
            "handed_index": self.handed_index,
            "not_durable": len(self.appends),
            "log_entries": self.storage.last_index() - self.storage.first_index() + 1,
            "lent": bool(self.loan.number),
            "refusal": self.refusal,
        }

    def details(self) -> dict[str, Any]:
        known = self.leadership
        return {
            "member_id": f"{self.member_id:x}",
            "commit_index": known.commit,
            "short_reads_from": known.read_index,
            "applied_index": self.applied_index,
            "snapshot_index": self.snapshot_index,
            "first_index": self.storage.first_index(),
            "last_index": self.storage.last_index(),
            "appends_in_flight": len(self.appends),
            "append_bytes_in_flight": self.append_bytes,
            "applies_in_flight": len(self.applies),
            "proposals_held": len(self.proposals),
            "flushing": self.flushing,
        }

    def metrics(self) -> dict[str, Any]:
        known = self.leadership
        return {
            "has_leader": int(known.leader != 0),
            "is_leader": int(known.leader != 0 and known.leader == self.member_id),
            "leader_changes": self.leader_changes,
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
