"""The backend actor: LevelDB, the MVCC index, apply, ranges.

All entries of a turn are applied and written as one LevelDB batch that also holds the consistent index and the term;
only then do the replies leave. Before that they are written to the reply ring. So a restarted backend either finds an
entry applied, and its reply in the ring, or not applied, and raft sends it again.

This file is the turn: take entries, apply them, commit, answer. What each other process is told, and what answers
reads, is in the files beside it.
"""

import resource
import sys
import time
import traceback
from collections import deque
from typing import Any, ClassVar, Final

from actors.backend import heap
from actors.backend.auth_barrier import AuthBarrier
from actors.backend.auth_news import AuthNews
from actors.backend.auth_reads import AuthReads
from actors.backend.ballast_watch import BallastWatch
from actors.backend.flushes import Flushes
from actors.backend.installing import Installing
from actors.backend.lease_link import LeaseLink
from actors.backend.long_reads import LongReads
from actors.backend.member_news import TOLD, MemberNews
from actors.backend.member_status import MemberStatus
from actors.backend.opening import (
    DAMAGED_IN_USE,
    check_format,
    check_version,
    describe_damage,
    identity,
    open_directory,
    open_store,
    store_path,
)
from actors.backend.peer_checks import PeerChecks
from actors.backend.publishing import Publisher
from actors.backend.quota import QuotaWatch
from actors.backend.raft_link import RaftLink
from actors.backend.reads import Reads
from actors.backend.reply_ring import Frames, Reply, ReplyRing, drop_rows, ring_path, smallest
from actors.backend.upkeep import Upkeep, check_at_start, defragment_at_start
from actors.backend.v2_expiry import V2Expiry
from actors.backend.v2_state import V2State
from actors.runtime.link import Peer
from actors.runtime.loop import Actor, FatalError, run_actor
from actors.runtime.slow_requests import is_slow, warn_apply
from etcdz import limits
from etcdz.api import errors
from etcdz.api.errors import Code
from etcdz.api.methods import V2_GET
from etcdz.auth.store import AuthStore
from etcdz.auth.tokens import TokenTable
from etcdz.cluster.membership import Membership, promoted_id
from etcdz.config import MemberConfig, auth_token
from etcdz.ipc import request_ids
from etcdz.ipc.boot import Boot
from etcdz.ipc.messages import (
    Apply,
    AuthHeard,
    BackendHello,
    CancelReads,
    CompactSlice,
    Durable,
    Flush,
    Install,
    Leadership,
    LeaseHello,
    LeaseNews,
    PeerAnswer,
    Read,
    ReadLong,
    ReadStates,
    Replies,
    TokensUsed,
    V2Guard,
    V2Watch,
    V2WatchEnd,
    WatchAsk,
    WatchHistory,
    encode_frame,
)
from etcdz.ipc.request_ids import LESSOR_SLOT, OwnOrigins
from etcdz.mvcc import alarms
from etcdz.mvcc.answer import Answer
from etcdz.mvcc.applier import FOREIGN, Applier, Result, UndecodableEntry
from etcdz.mvcc.mvcc import Mvcc, Reading
from etcdz.proto import raftpb
from etcdz.proto.text import encode_text
from etcdz.store import received
from etcdz.store.leveldb import LevelStore, StoreSyncFailed
from etcdz.telemetry.histogram import Doublings

ANSWER_SHARE: Final = 8
"""What an entry is answered with may take this part of the memory that the process is given."""
HASHED_BYTES_MAX: Final = 72
"""bcrypt looks at no more of a password, and etcd before 3.5.9 cuts what is longer."""
ENTRY_NORMAL, ENTRY_CONF_CHANGE, ENTRY_CONF_CHANGE_V2 = 0, 1, 2


class BackendActor(Actor):
    """Owns `member/snap/leveldb`."""

    fatal_errors: ClassVar[dict[type[Exception], str]] = {StoreSyncFailed: "failed to commit to the backend"}

    def __init__(self, boot: Boot) -> None:
        super().__init__(boot)
        self.config = MemberConfig.from_dict(boot.config)
        self.uncommitted = 0
        """Entries applied in this turn and not yet written."""
        self.early: deque[Apply] = deque()
        """What the wal has handed over before raft's entries in front of it came. Invariant: of raft.incarnation."""
        self.replies: dict[int, list[Reply]] = {}
        """Replies of this turn to entries, by the origin that their request ids carry: of all members."""
        self.waiting_hello: BackendHello | None = None
        """Raft's, while the check at the start is under way."""

    def gives_up(self, error: Exception) -> bool:
        """A read has ended this process: its listener gives it up (actors/listener/poison_reads.py)."""
        readers = {reader.__code__ for reader in (Reads.on_read, Reads.unpark, Reads.work, LongReads.work)}
        return any(frame.f_code in readers for frame, _ in traceback.walk_tb(error.__traceback__))

    # ---- start ----

    def on_start(self) -> dict[str, Any]:
        began = time.monotonic()
        config, log = self.config, self.log
        self.ballast = BallastWatch(open_directory(config, self.boot), log)
        self.mvcc = open_store(config, self.boot, self._read_store, log)
        self.mvcc.state.breathe = self._breathe
        self.mvcc.answer_bytes_max = min(self.mvcc.answer_bytes_max, _memory_max() // ANSWER_SHARE)
        self.store = self.mvcc.state.store
        self.membership = Membership.load(self.store, self.mvcc.member_id, self.mvcc.cluster_id)
        self.membership.learners_max = config.max_learners
        check_version(self.membership)
        self.tokens = TokenTable(self.store, config.auth_token_ttl_s, time.monotonic)
        self.auth = AuthStore(
            self.store,
            self.tokens,
            gives_tokens=auth_token.parse(config.auth_token).kind == auth_token.SIMPLE,
            hash_password=self._hash_password,
            applied_index=lambda: self.raft.applied_index,
            log=log,
        )
        self.applier = Applier(self.mvcc, config.quota_bytes, self.auth, time.monotonic_ns)
        self.commits = Doublings()
        self.slow_applies = 0
        self.promotions = 0
        """Learners that were promoted while this member led."""
        drop_rows(self.store)
        self.ring = ReplyRing(ring_path(self.boot), self.mvcc.state.consistent_index, log)
        self._make_links()
        received.remove_up_to(store_path(self.config), self.raft.applied_index)
        defragment_at_start(self.store, config.bootstrap_defrag_mb, log)
        if self.mvcc.compaction.running:
            log.info("a compaction goes on", revision=self.mvcc.compaction.target)
        self._check_data()
        return {"applied_index": self.raft.applied_index, "load_s": round(time.monotonic() - began, 3)}

    def _make_links(self) -> None:
        """What this process tells and answers others, each by a part of its own."""
        config, links, log, mvcc = self.config, self.links, self.log, self.mvcc
        self.origins = OwnOrigins((mvcc.member_id, config.advertised_member_id))
        self.raft = RaftLink(links, mvcc, self.membership)
        self.v2 = V2State(mvcc.state, self.membership, self.raft, self.applier.times, mvcc.answer_bytes_max)
        if self.v2.has_keys and config.v2_deprecation != "not-yet":
            stage = config.v2_deprecation
            raise FatalError(f"detected disallowed custom content in v2store for stage --v2-deprecation={stage}")
        self.auth_news = AuthNews(links, self.auth, self.tokens, self.raft, self.boot.incarnation)
        self.auth_barrier = AuthBarrier(links)
        self.member_news = MemberNews(links, self.membership, self.raft)
        self.installing = Installing(self.raft, store_path(config), log)
        self.leases = LeaseLink(links, mvcc)
        self.quota = QuotaWatch(self.applier, links, log, mvcc.member_id)
        self.status = MemberStatus(config, self.applier, self.membership, self.raft, log)
        self.reads = Reads(
            links,
            mvcc,
            self.raft,
            self.status.readers() | self.v2.readers(),
            self.v2.gets.begin(),
            incarnation=self.boot.incarnation,
            log=log,
            warning_s=config.warning_apply_s,
        )
        self.is_v2_guard_new = False
        """Whether listeners are to be told that users of the v2 API are in force, or are not any more."""
        self.flushes = Flushes(self.v2.store, self.raft, links)
        self.v2_expiry = V2Expiry(self.v2.store, links, mvcc.member_id)
        self.auth_reads = AuthReads(self.applier, self.raft)
        self.reads.guard(self.auth_reads)
        self.long_reads = LongReads(
            links,
            self.raft,
            self.reads,
            incarnation=self.boot.incarnation,
            log=log,
            warning_s=config.warning_apply_s,
        )
        self.upkeep = Upkeep(self, self.reads.answer, config.corrupt_check_s)
        self.reads.long = self.upkeep.long
        self.peer_checks = PeerChecks(self, config, self.upkeep.hash_at, self.boot.name)
        self.publisher = Publisher(links, mvcc)
        self.handlers |= {
            Apply: self.on_apply,
            Durable: self.on_durable,
            Read: self.reads.on_read,
            ReadLong: self.long_reads.on_read_long,
            CancelReads: self.on_cancel_reads,
            Flush: self.on_flush,
            Install: self.on_install,
            BackendHello: self.on_hello,
            LeaseHello: self.leases.on_hello,
            LeaseNews: self.leases.on_news,
            CompactSlice: self.upkeep.on_compact_slice,
            Leadership: self.on_leadership,
            PeerAnswer: self.peer_checks.on_peer_answer,
            ReadStates: self.peer_checks.on_read_states,
            WatchAsk: self.publisher.on_ask,
            WatchHistory: self.publisher.on_history,
            TokensUsed: self.on_tokens_used,
            AuthHeard: self.auth_barrier.on_heard,
            V2Watch: self.v2.watches.on_watch,
            V2WatchEnd: self.v2.watches.on_end,
        }

    def _hash_password(self, password: str) -> bytes:
        """For entries of etcd 3.4, which hold the password: each member hashes it with a salt of its own, as there."""
        import bcrypt  # seldom needed, and not by those who have no users

        salt = bcrypt.gensalt(self.config.bcrypt_cost, b"2a")
        return bcrypt.hashpw(encode_text(password)[:HASHED_BYTES_MAX], salt)

    def _breathe(self) -> None:
        """An entry that takes long is being applied: the supervisor is told, else it would take this for a loop."""
        now = time.monotonic()
        if now >= self._next_heartbeat:
            self.heartbeat(now)

    def _check_data(self) -> None:
        if not self.config.initial_corrupt_check:
            return
        try:
            found = check_at_start(self.mvcc, self.config.request_timeout_s, self.log)
        except OSError as error:
            raise FatalError(f"{self.mvcc.member_id:x} found data inconsistency: {error}") from error
        if self.boot.may_found and self.raft.applied_index:
            self.peer_checks.begin_initial(found)
        else:
            self.end_initial_check(is_sound=True)

    def end_initial_check(self, is_sound: bool) -> None:
        """Raft is answered from now on. raises FatalError: other members have other data"""
        member_id = f"{self.mvcc.member_id:x}"
        if not is_sound:
            raise FatalError(f"{member_id} found data inconsistency with peers")
        self.log.info("initial corruption checking passed; no corruption", **{"local-member-id": member_id})
        if self.waiting_hello is not None:
            self.on_hello(self.waiting_hello)

    def _read_store(self, store: LevelStore) -> Mvcc:
        """The state that a store holds. raises StoreDamaged, StoreCorrupt, FatalError"""
        config = self.config
        check_format(store, store.path.parent)
        member_id, cluster_id = identity(store, config)
        return Mvcc(
            store,
            member_id,
            cluster_id,
            lease_ttl_min_s=config.lease_ttl_min_s,
            checkpoint_persist=config.lease_checkpoint_persist,
            reads_all=self.boot.may_found,
        )

    # ---- peers ----

    def on_peer_up(self, peer: Peer) -> None:
        """A new peer may still wait for replies that a former incarnation of this actor wrote but did not send. It
        drops what it already has."""
        if peer.kind == "wal" and self.raft.incarnation:
            # The wal before it may have written entries that it did not hand over any more.
            self.raft.send_state()
        if peer.kind in TOLD:
            self.commit_pending()
            self.member_news.greet(peer.name)
        if peer.kind == "peer":
            self.peer_checks.on_new_peer_actor()
        if peer.kind not in ("listener", "lessor"):
            return
        if peer.kind == "listener":
            self.quota.greet(peer.name)
            self.auth_news.greet(peer.name)
            self._tell_v2_guard([peer.name])
        frames = self.ring.frames_for(LESSOR_SLOT if peer.kind == "lessor" else peer.slot)
        if peer.kind == "listener" and self.auth.access.enabled:
            # An earlier backend may have ended before all listeners had heard of what these answers are about.
            self.auth_barrier.hold([(peer.slot, frame) for frame in frames])
            return
        for frame in frames:
            self.links.send_frame(peer.name, frame)

    def _tell_v2_guard(self, listeners: list[str]) -> None:
        if self.config.enable_v2:
            for name in listeners:
                self.links.send(name, V2Guard(self.v2.is_guarded, self.raft.applied_index))

    def on_peer_down(self, peer: Peer) -> None:
        if peer.kind == "listener":
            self.publisher.forget(peer.slot)
            self.auth_barrier.forget(peer.incarnation)
            self.reads.forget(peer.slot)
            self.long_reads.forget(peer.slot)
            self.v2.watches.forget(peer.slot)

    def on_hello(self, hello: BackendHello) -> None:
        self.waiting_hello = hello if self.peer_checks.is_initial else None
        if self.waiting_hello is not None:
            return  # nothing is applied before the check at the start is through
        self.early.clear()
        self.raft.greet(hello.incarnation)

    # ---- take ----

    def on_apply(self, message: Apply) -> None:
        if message.first_index > self.raft.applied_index + 1:
            # A frame of a raft that is gone may have been lost on the way: the new one goes on where this one stands.
            self.raft.send_state()
            return
        self._apply(message)
        self._apply_early()

    def on_durable(self, message: Durable) -> None:
        """Entries of an append delegation: durable on the only voter, they are committed."""
        if message.raft_incarnation != self.raft.incarnation:
            return  # of a raft that is gone: its successor has read them off the log, and hands them over
        self.early.append(Apply(message.raft_incarnation, message.first_index, message.term, message.entries, b""))
        self._apply_early()

    def _apply_early(self) -> None:
        """NB: what the wal hands over may overtake what raft has handed over before: it waits for it."""
        early, raft = self.early, self.raft
        while early and early[0].first_index <= raft.applied_index + 1:
            self._apply(early.popleft())

    # ---- apply ----

    def _apply(self, message: Apply) -> None:
        raft = self.raft
        skip = raft.applied_index + 1 - message.first_index
        entries = message.entries[skip:] if skip else message.entries
        if not entries:
            raft.is_report_due = True  # the sender does not know that they are applied
            return
        self.mvcc.raft_term = raft.applied_term = message.term
        times = self.applier.times
        others, plain_txns = times.others, times.plain_txns
        began = time.monotonic()
        try:
            self._apply_entries(message.kinds[skip:], entries)
        except UndecodableEntry as error:
            # To go on without it would be to differ from the members that can decode it; etcd panics here.
            raise FatalError(
                f"cannot apply entry {raft.applied_index} of term {message.term}, which is committed: {error}. It and "
                "what follows stay in the log: start a version that applies it, or restore an earlier snapshot with "
                "`etcdzutl snapshot restore`"
            ) from error
        took = time.monotonic() - began
        times.add_run(len(entries), times.others - others, times.plain_txns - plain_txns, int(took * 1e9))
        if is_slow(took, len(entries), self.config.warning_apply_s):
            self.slow_applies += 1
            replies = [reply for items in self.replies.values() for reply in items]
            warn_apply(self.log, took, self.config.warning_apply_s, entries, replies)
        self.uncommitted += len(entries)
        size = sum([len(data) for data in entries])
        self.ballast.unchecked_bytes += size
        raft.unreported_bytes += size
        if raft.unreported_bytes >= limits.APPLIED_EVERY_BYTES:
            raft.is_report_due = True

    def _apply_entries(self, kinds: bytes, entries: list[bytes]) -> None:
        """kinds: of the entries; empty: all are normal. raises UndecodableEntry: applied_index is the entry's"""
        raft = self.raft
        if kinds:
            for kind, data in zip(kinds, entries, strict=True):
                raft.applied_index += 1
                if kind == ENTRY_NORMAL:
                    self._take(self.applier.apply(data))
                else:
                    self._apply_conf_change(kind, data)
        else:
            apply, take = self.applier.apply, self._take
            for data in entries:
                raft.applied_index += 1
                take(apply(data))

    def _apply_conf_change(self, kind: int, data: bytes) -> None:
        """Raft waits for the verdict; so may a client, if the change carries a request id. raises UndecodableEntry"""
        self.applier.times.others += 1
        try:
            error = self.membership.apply_conf_change(data, v2=kind == ENTRY_CONF_CHANGE_V2)
        except ValueError as problem:
            raise UndecodableEntry(f"it is no change of the configuration: {problem}") from problem
        self.v2.follow_membership()
        request_id = raftpb.ConfChange.FromString(data).id
        if request_id:
            answer = self.status.member_list() if error is None else (error.code, error.text.encode())
            self.replies.setdefault(request_ids.origin_of(request_id), []).append((request_id, *answer))
        if error is not None:
            self.log.warn("configuration change refused", index=self.raft.applied_index, error=error.text)
        elif self.peer_checks.leads and promoted_id(raftpb.ConfChange.FromString(data)):
            self.promotions += 1
        self.raft.is_report_due = True

    def _take(self, result: Result | None) -> None:
        """The result of an entry: mostly a reply, for who has proposed it if that was a process of this member.

        NB: whether it was is looked at once per origin and turn (`_commit`), not for each entry.
        """
        if result is None:
            return
        request_id, code, text, body = result
        if type(body) is Answer:
            if not self.origins.has(request_id):
                return
            if self.long_reads.take_made(request_ids.slot_of(request_id), request_id, body):
                return
            code, text, body = errors.TIMEOUT.code, errors.TIMEOUT.text, b""  # it may have been made, as it has
        if code == FOREIGN:
            answered = self._apply_foreign(text, body)
            if isinstance(answered, Reading):
                self._take_reading(request_id, answered)
                return
            if answered is None:
                return
            code, text, body = Code.OK, None, answered
        origin = request_id >> request_ids.SLOT_SHIFT
        reply = (request_id, code, body if text is None else text.encode())
        waiting = self.replies.get(origin)
        if waiting is None:
            self.replies[origin] = [reply]
        else:
            waiting.append(reply)

    def _take_reading(self, request_id: int, reading: Reading) -> None:
        """An entry is a read, of which this is left to be read, if its client is one of this member's."""
        if not self.origins.has(request_id):
            return
        slot = request_ids.slot_of(request_id)
        if not self.long_reads.take_reading(slot, request_id, V2_GET, reading):
            error = errors.REQUEST_TOO_MANY_REQUESTS
            self.reads.answer(slot, request_id, error.code, error.text.encode())

    def _apply_foreign(self, kind: str | None, data: bytes) -> bytes | Reading | None:
        """What the applier leaves to the membership and to the v2 store.

        return  what its client is answered, or what is left to be read of that; None: nobody asks
        raises  UndecodableEntry
        """
        try:
            is_v2 = kind == "v2"
            is_applied = self.membership.apply_bare_v2(data) if is_v2 else self.membership.apply_entry(data)
            if is_v2 and is_applied:
                self.applier.times.count_v2("PUT", True)
            elif is_v2:
                answered = self.v2.apply(data)
                self.v2_expiry.look()
                self.is_v2_guard_new |= self.v2.has_guard_changed() and self.config.enable_v2
                return answered
        except ValueError as problem:
            raise UndecodableEntry(f"it is nothing that a member says of itself: {problem}") from problem
        self.v2.follow_membership()
        check_version(self.membership)
        return self.status.downgrade_response() if kind == "downgrade_info_set" else None

    # ---- commit ----

    def _commit(self, sync: bool = False) -> None:
        """Write what this turn applied; then send the replies."""
        replies = self.origins.by_slot(self.replies)
        if self.applier.exceeded or self.applier.alarm_news:
            self.quota.note(replies)
        raft, links, state = self.raft, self.links, self.mvcc.state
        applied_index = raft.applied_index
        frames = self._encode(replies)
        extra = self.membership.take_rows()
        self.v2.keep()
        is_auth_changed = self.auth.is_changed
        if self.auth.has_rows:
            state.pending |= self.auth.take_rows()
        if frames and max(map(len, frames.values())) >= heap.LARGE_BYTES:
            heap.keep_large_blocks()
        if frames and not self.ring.add(applied_index, frames):
            self.ring.add(applied_index, self._encode(smallest(replies)))
        if self.ballast.unchecked_bytes >= limits.BALLAST_CHECK_BYTES or time.monotonic() >= self.ballast.next_check_at:
            self.ballast.check()
        published = self.publisher.take_frames() if self.publisher.wants else None
        began_ns = time.monotonic_ns()
        state.commit(applied_index, raft.applied_term, extra, sync=sync)
        self.commits.add(max(1, time.monotonic_ns() - began_ns))
        if self.uncommitted:
            self.statistics.batches.add(self.uncommitted)
        self.uncommitted = 0
        if state.leases.events:
            self.leases.send_events()
        if extra:
            self.member_news.tell()
        if is_auth_changed:
            self.reads.guard(self.auth_reads)
            self.auth_news.tell()
        is_revoked = self.tokens.has_news and self.auth_news.tell_tokens()
        if self.is_v2_guard_new:
            self._tell_v2_guard([peer.name for peer in links.of_kind("listener")])
        if is_auth_changed or is_revoked or self.is_v2_guard_new:
            self.is_v2_guard_new = False
            links.flush()
            self.auth_barrier.note_told(applied_index)
            self.auth_barrier.hold(frames.items())
        else:
            for slot, frame in frames.items():
                links.send_frame(links.listener(slot), frame)
        if published:
            self.publisher.publish(published)
        self.replies = {}
        if self.long_reads.made:
            self.long_reads.release_made()

    def _encode(self, replies: dict[int, list[Reply]]) -> Frames:
        incarnation, index, revision = self.boot.incarnation, self.raft.applied_index, self.mvcc.state.revision
        return {slot: encode_frame([Replies(incarnation, index, items, revision)]) for slot, items in replies.items()}

    def commit_pending(self) -> None:
        """What this turn has applied so far."""
        if self.uncommitted:
            self._commit()

    def on_leadership(self, message: Leadership) -> None:
        self.peer_checks.on_leadership(message)
        self.v2_expiry.on_leadership(message)

    def on_tokens_used(self, message: TokensUsed) -> None:
        self.tokens.use(message.tokens)

    def on_cancel_reads(self, message: CancelReads) -> None:
        self.reads.cancel(message.ids)
        self.long_reads.on_cancel(message)

    def on_flush(self, message: Flush) -> None:
        self._commit(sync=True)
        self.flushes.begin()
        received.remove_up_to(store_path(self.config), self.raft.applied_index)

    def on_install(self, message: Install) -> None:
        """The store is another's from the end of this turn on, and so is the process that serves it."""
        self.stopping = self.installing.on_install(message) or self.stopping

    # ---- answer ----

    def on_turn_end(self) -> None:
        reads, leases, raft = self.reads, self.leases, self.raft
        if self.uncommitted:
            self._commit()
            if reads.parked:
                reads.unpark()
        if reads.short:
            reads.work()
        if leases.tables or leases.news:
            leases.end_turn(raft.applied_index)
        if reads.answers or reads.deferred:
            reads.send()
        upkeep = self.upkeep
        if self.mvcc.compaction.running is not upkeep.is_told:
            upkeep.tell_compactor()
        if upkeep.next_at is not None and upkeep.next_at <= (now := time.monotonic()):
            self.links.flush()
            upkeep.work(now)
            reads.send()
        if self.publisher.is_asked:
            self.publisher.end_turn()
        if self.v2.watches.news:
            self.v2.watches.end_turn(self.links)
        if raft.is_report_due or raft.applied_index - raft.reported_index >= limits.APPLIED_EVERY_ENTRIES:
            raft.report()
            self.quota.announce()
        if self.long_reads.has_work:
            self.links.flush()
            self.long_reads.work()
        if self.flushes.has_work:
            self.links.flush()
            self.flushes.work()

    def raise_corrupt(self) -> None:
        """Data is not as it was written: the alarm goes through the log."""
        self.quota.raise_alarm(alarms.CORRUPT)

    def raise_corrupt_of(self, member_id: int) -> None:
        """The same for another member; peer_hashes.NOBODY: for one that is not known."""
        self.quota.raise_alarm(alarms.CORRUPT, member_id)

    # ---- timers ----

    def next_deadline(self) -> float | None:
        if self.long_reads.has_work or self.reads.short or self.flushes.has_work:
            return 0.0
        deadline, report_at, quota_at = self.upkeep.next_at, self.raft.next_report_at(), self.quota.next_at
        if report_at is not None and (deadline is None or report_at < deadline):
            deadline = report_at
        check_at = self.peer_checks.next_at
        if check_at is not None and (deadline is None or check_at < deadline):
            deadline = check_at
        expiry_at = self.tokens.next_expiry_s()
        if expiry_at is not None and (deadline is None or expiry_at < deadline):
            deadline = expiry_at
        silent_at = self.auth_barrier.next_at
        if silent_at is not None and (deadline is None or silent_at < deadline):
            deadline = silent_at
        sync_at = self.v2_expiry.next_at
        if sync_at is not None and (deadline is None or sync_at < deadline):
            deadline = sync_at
        return deadline if quota_at is None or (deadline is not None and deadline < quota_at) else quota_at

    def on_deadline(self, now: float) -> None:
        if self.raft.report_if_due(now):
            self.quota.announce()
        if self.peer_checks.next_at is not None and now >= self.peer_checks.next_at:
            self.peer_checks.work(now)
        expiry_at = self.tokens.next_expiry_s()
        if expiry_at is not None and now >= expiry_at:
            self.tokens.expire()
            self._commit()
        if self.auth_barrier.next_at is not None and now >= self.auth_barrier.next_at:
            self.auth_barrier.expire(now)
        if self.v2_expiry.next_at is not None and now >= self.v2_expiry.next_at:
            self.v2_expiry.work(now)
        if self.quota.next_at is not None and now >= self.quota.next_at:
            for slot, items in self.quota.on_deadline(now).items():
                for item in items:
                    self.reads.answer(slot, *item)

    def loop(self) -> None:
        """NB: one guard around the whole loop, so that no read pays for it."""
        try:
            super().loop()
        except DAMAGED_IN_USE as error:
            raise FatalError(describe_damage(store_path(self.config), error)) from error

    def on_stop(self) -> None:
        self._commit(sync=True)
        self.store.close()
        self.installing.finish(self.auth.logins())

    # ---- what others see of it ----

    def summary(self) -> dict[str, Any]:
        state = self.mvcc.state
        return {
            "applied_index": self.raft.applied_index,
            "revision": state.revision,
            "parked": len(self.reads.parked),
            "long_reads": len(self.long_reads),
        }

    def details(self) -> dict[str, Any]:
        mvcc = self.mvcc
        return {
            "applied_term": self.raft.applied_term,
            "flushed_index": mvcc.state.flushed_index,
            "raft_incarnation": self.raft.incarnation,
            "compacted_revision": mvcc.state.compact_revision,
            "compacting": mvcc.compaction.running,
            "early_applies": len(self.early),
            "db_bytes": mvcc.db_size(),
            "db_bytes_in_use": mvcc.db_size_in_use(),
        }

    def metrics(self) -> dict[str, Any]:
        return {
            **self.status.metrics(),
            **self.upkeep.metrics(),
            **self.mvcc.state.tally.show(),
            "applies": self.applier.times.figure(),
            "applies_slow": self.slow_applies,
            "commits": self.commits.figure(),
            **self.v2.metrics(),
            **self.flushes.metrics(),
            "installing": int(self.installing.index > 0),
            "learners_promoted": self.promotions,
            "long_reads": len(self.long_reads),
        }


def _memory_max() -> int:
    """Bytes that this process is given: of the rule memory-max."""
    soft, _ = resource.getrlimit(resource.RLIMIT_DATA)
    return soft if soft != resource.RLIM_INFINITY else sys.maxsize


def run(boot: Boot) -> int:
    return run_actor(BackendActor, boot)
