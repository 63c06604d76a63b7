"""The backend actor: LevelDB, the MVCC index, apply, ranges.

All entries of a turn are applied and written as one LevelDB batch that also holds the consistent index, the term and
the packed replies; only then do the replies leave. So a restarted backend either finds an entry applied, and its reply
in the ring, or not applied, and raft sends it again.
"""

import heapq
import time
from collections import deque
from pathlib import Path
from typing import Any

import msgpack

from actors.backend.opening import NAME, Place, describe_damage, open_store
from actors.backend.publishing import Publisher
from actors.backend.quota import QuotaWatch
from actors.backend.upkeep import Upkeep, check_at_start, defragment_at_start
from actors.listener.slow_requests import is_slow, warn_apply, warn_read
from actors.runtime.link import Peer
from actors.runtime.loop import Actor, FatalError, run_actor
from etcdz import CLUSTER_VERSION, ETCD_VERSION, limits
from etcdz.api import errors
from etcdz.api.auth_info import AuthInfo
from etcdz.api.errors import Code
from etcdz.api.methods import (
    DOWNGRADE,
    HEALTH,
    LEASE_LEASES,
    LEASE_TIME_TO_LIVE,
    MEMBER_LIST,
    MOVE_LEADER,
    RANGE,
    RANGE_CHUNK,
    STATUS,
    TXN,
)
from etcdz.cluster import downgrade
from etcdz.cluster.membership import Membership
from etcdz.cluster.v2snapshot import V2Keys, v2_store_json
from etcdz.config import MemberConfig
from etcdz.ipc import request_ids
from etcdz.ipc.boot import Boot
from etcdz.ipc.messages import (
    Applied,
    Apply,
    BackendHello,
    BackendState,
    CompactSlice,
    Durable,
    Flush,
    Flushed,
    LeaseEvents,
    LeaseHello,
    LeaseNews,
    LeaseNewsEnd,
    LeaseTable,
    Read,
    Replies,
    WatchAsk,
    WatchHistory,
    encode_frame,
)
from etcdz.ipc.request_ids import LESSOR_SLOT
from etcdz.mvcc import alarms
from etcdz.mvcc.applier import FOREIGN, Applier, Result
from etcdz.mvcc.mvcc import Mvcc, Outcome
from etcdz.proto import etcdserverpb as pb
from etcdz.proto import raftpb
from etcdz.store import buckets, checkpoint
from etcdz.store.ballast import Ballast
from etcdz.store.leveldb import DAMAGED, SWITCH_BYTES, LevelStore

RING = b"etcdz_replies\0"
STORAGE_VERSION = buckets.META + b"storageVersion"
STORAGE_VERSION_MAX = (3, 6)
IDENTITY = buckets.IDENTITY
ENTRY_NORMAL, ENTRY_CONF_CHANGE, ENTRY_CONF_CHANGE_V2 = 0, 1, 2


class BackendActor(Actor):
    """Owns `member/snap/leveldb`."""

    def __init__(self, boot: Boot) -> None:
        super().__init__(boot)
        self.config = MemberConfig.from_dict(boot.config)
        self.publisher = Publisher(self)
        self.handlers |= {
            Apply: self.on_apply,
            Durable: self.on_durable,
            Read: self.on_read,
            Flush: self.on_flush,
            BackendHello: self.on_hello,
            LeaseHello: self.on_lease_hello,
            LeaseNews: self.on_lease_news,
            CompactSlice: self.on_compact_slice,
            WatchAsk: self.publisher.on_ask,
            WatchHistory: self.publisher.on_history,
        }
        self.readers = {
            RANGE: self.read_range,
            RANGE_CHUNK: self.read_range_chunk,
            TXN: self.read_txn,
            STATUS: self.read_status,
            MEMBER_LIST: self.read_member_list,
            HEALTH: self.read_health,
            LEASE_TIME_TO_LIVE: self.read_lease_time_to_live,
            LEASE_LEASES: self.read_lease_leases,
            MOVE_LEADER: self.read_move_leader,
            DOWNGRADE: self.read_downgrade,
        }
        self.applied_index = 0
        self.applied_term = 0
        self.reported_index = 0
        self.uncommitted = 0
        """Entries applied in this turn and not yet written."""
        self.early: deque[Apply] = deque()
        """What the wal has handed over before raft's entries in front of it came. Invariant: of raft_incarnation."""
        self.replies: dict[int, list[tuple[int, int, bytes]]] = {}
        """Replies of this turn to proposals, by listener slot."""
        self.answers: dict[int, list[tuple[int, int, bytes]]] = {}
        """Replies of this turn to reads, by listener slot."""
        self.parked: list[tuple[int, int, int, int, bytes, AuthInfo | None]] = []
        """Reads that wait for an index: a heap of (index, request id, slot, method, body, who asks)."""
        self.lease_hellos: list[int] = []
        """Indices from which on the lessor wants to know all leases."""
        self.lease_news: list[int] = []
        """Numbers that the lessor gets at the end of this turn."""
        self.report_soon = False
        self.applied_bytes = 0
        self.untended_bytes = 0
        self.next_ballast_check = 0.0
        self.next_applied = 0.0
        self.raft_incarnation = 0

    # ---- start ----

    def on_start(self) -> dict[str, Any]:
        directory = Path(self.config.data_dir) / "member" / "snap"
        began = time.monotonic()
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.ballast = Ballast(directory)
            self.ballast.check()
            checkpoint.remove_stale(directory)
        except OSError as error:
            raise FatalError(f"cannot open the backend in {directory}: {error}") from error
        self.place = Place(
            directory / NAME, self.config.wal_path, self.boot.run_dir, _switch_bytes(self.config.quota_bytes)
        )
        self.mvcc = open_store(self.place, self._load, self.log)
        self.applier = Applier(self.mvcc, self.config.quota_bytes)
        self.quota = QuotaWatch(self.applier, self.links, self.log, self.member_id)
        self.upkeep = Upkeep(self, self.config.corrupt_check_s)
        self.applied_index, self.applied_term = self.mvcc.consistent_index, self.mvcc.raft_term
        self.reported_index = self.applied_index
        self.membership = Membership.load(self.store, self.member_id, self.cluster_id)
        kept = self.store.get(buckets.V2_KEYS)
        self.v2_keys = V2Keys.decode(kept) if kept else None
        self.ring_slot = self._next_ring_slot()
        defragment_at_start(self.store, self.config.bootstrap_defrag_mb, self.log)
        if self.mvcc.compaction.running:
            self.log.info("a compaction goes on", revision=self.mvcc.compact_revision)
        if self.config.initial_corrupt_check:
            try:
                check_at_start(self.mvcc, self.config.request_timeout_s, self.log)
            except OSError as error:
                raise FatalError(f"{self.member_id:x} found data inconsistency: {error}") from error
        return {"applied_index": self.applied_index, "load_s": round(time.monotonic() - began, 3)}

    def _load(self, store: LevelStore) -> Mvcc:
        """The state that a store holds; all of it is read. raises StoreDamaged, StoreCorrupt, FatalError"""
        self.store = store
        self._check_format(store.path.parent)
        self.member_id, self.cluster_id = self._identity()
        return Mvcc(
            store,
            self.member_id,
            self.cluster_id,
            lease_ttl_min_s=self.config.lease_ttl_min_s,
            checkpoint_persist=self.config.lease_checkpoint_persist,
        )

    def _check_format(self, directory: Path) -> None:
        """etcd marks a store so from 3.6 on; one that is newer than all we know may mean anything."""
        text = (self.store.get(STORAGE_VERSION) or b"").decode("ascii", "replace")
        numbers = tuple(int(part) if part.isdigit() else 1 << 31 for part in text.split(".")[:2] if text)
        if numbers > STORAGE_VERSION_MAX:
            known = ".".join(map(str, STORAGE_VERSION_MAX))
            raise FatalError(
                f"the backend in {directory} is of storage version {text}, newer than {known}, which this is for"
            )

    def _identity(self) -> tuple[int, int]:
        """(member id, cluster id): worked out of the flags once, at the first start, then kept."""
        row = self.store.get(IDENTITY)
        if row is not None:
            member_id, cluster_id = msgpack.unpackb(row)
            return member_id, cluster_id
        member_id, cluster_id = self.config.member_id, self.config.cluster_id
        self.store.write({IDENTITY: msgpack.packb((member_id, cluster_id))}, sync=True)
        return member_id, cluster_id

    # ---- reply ring ----

    def _ring(self) -> list[tuple[int, dict[int, bytes]]]:
        """(applied index, packed frames by slot) of what the ring holds, oldest first."""
        return sorted(msgpack.unpackb(value, strict_map_key=False) for _, value in self._ring_rows())

    def _ring_rows(self) -> list[tuple[bytes, bytes]]:
        return list(self.store.iterate(RING, buckets.bucket_end(RING)))

    def _next_ring_slot(self) -> int:
        """Slots are used in turn; the newest row is the one with the highest applied index."""
        newest = max(
            ((msgpack.unpackb(value, strict_map_key=False)[0], key[-1]) for key, value in self._ring_rows()),
            default=(0, -1),
        )
        return (newest[1] + 1) % limits.REPLY_RING_SLOTS

    def on_peer_up(self, peer: Peer) -> None:
        """A listener that we have not met may still wait for answers that a former incarnation of this actor wrote
        but did not send. It drops what it already has."""
        slot = LESSOR_SLOT if peer.kind == "lessor" else peer.slot
        if peer.kind == "wal" and self.raft_incarnation:
            # The one before may have written entries that it did not hand over any more.
            self.links.send("raft", self._state())
        if peer.kind not in ("listener", "lessor"):
            return
        if peer.kind == "listener":
            self.quota.greet(peer.name)
        for _, frames in self._ring():
            frame = frames.get(slot)
            if frame is not None:
                self.links.send_frame(peer.name, frame)

    def on_peer_down(self, peer: Peer) -> None:
        if peer.kind == "listener":
            self.publisher.forget(peer.slot)

    # ---- raft ----

    def on_hello(self, hello: BackendHello) -> None:
        self.raft_incarnation = hello.incarnation
        self.early.clear()
        self.links.send("raft", self._state())

    def _state(self) -> BackendState:
        return BackendState(
            raft_incarnation=self.raft_incarnation,
            member_id=self.member_id,
            cluster_id=self.cluster_id,
            applied_index=self.applied_index,
            applied_term=self.applied_term,
            flushed_index=self.mvcc.flushed_index,
            conf_state=self.membership.conf_state(),
            cluster_version=self.membership.version or "",
        )

    def on_apply(self, message: Apply) -> None:
        if message.first_index > self.applied_index + 1:
            # A frame of a raft that is gone may have been lost on the way: say where we stand, it starts from there.
            self.links.send("raft", self._state())
            return
        self._apply(message)
        self._apply_early()

    def on_durable(self, message: Durable) -> None:
        """Entries that need nobody's word but the wal's."""
        if message.raft_incarnation != self.raft_incarnation:
            return  # of a raft that is gone: its successor has read them off the log, and hands them over
        self.early.append(Apply(message.raft_incarnation, message.first_index, message.term, message.entries, b""))
        self._apply_early()

    def _apply_early(self) -> None:
        """NB: what the wal hands over may overtake what raft has handed over before: it waits for it."""
        early = self.early
        while early and early[0].first_index <= self.applied_index + 1:
            self._apply(early.popleft())

    def _apply(self, message: Apply) -> None:
        skip = self.applied_index + 1 - message.first_index
        entries = message.entries[skip:] if skip else message.entries
        if not entries:
            self.report_soon = True  # whoever hands it over does not know
            return
        self.mvcc.raft_term = self.applied_term = message.term
        began = time.monotonic()
        if message.kinds:
            for kind, data in zip(message.kinds[skip:], entries, strict=True):
                self.applied_index += 1
                if kind == ENTRY_NORMAL:
                    self._take(self.applier.apply(data))
                else:
                    self._apply_conf_change(kind, data)
        else:
            apply, take = self.applier.apply, self._take
            for data in entries:
                self.applied_index += 1
                take(apply(data))
        took = time.monotonic() - began
        if is_slow(took, len(entries), self.config.warning_apply_s):
            replies = [reply for slot in self.replies.values() for reply in slot]
            warn_apply(self.log, took, self.config.warning_apply_s, entries, replies)
        self.uncommitted += len(entries)
        size = sum([len(data) for data in entries])
        self.applied_bytes += size
        self.untended_bytes += size
        if self.applied_bytes >= limits.APPLIED_EVERY_BYTES:
            self.report_soon = True

    def _apply_conf_change(self, kind: int, data: bytes) -> None:
        """Raft waits for the verdict; so may a client, if the change carries a request id."""
        error = self.membership.apply_conf_change(data, v2=kind == ENTRY_CONF_CHANGE_V2)
        request_id = raftpb.ConfChange.FromString(data).id
        if request_id:
            answer = self.read_member_list(b"", None) if error is None else (error.code, error.text.encode())
            self.replies.setdefault(request_ids.slot_of(request_id), []).append((request_id, *answer))
        if error is not None:
            self.log.warn("configuration change refused", index=self.applied_index, error=error.text)
        self.report_soon = True

    def _take(self, result: Result | None) -> None:
        """What an entry has brought about: mostly a reply for the listener whose slot the request id carries."""
        if result is None:
            return
        request_id, code, text, body = result
        if code == FOREIGN:
            self.membership.apply_entry(body)
            if text != "downgrade_info_set":
                return
            code, text, body = Code.OK, None, self._downgrade_answer()
        slot = request_ids.slot_of(request_id)
        reply = (request_id, code, body if text is None else text.encode())
        waiting = self.replies.get(slot)
        if waiting is None:
            self.replies[slot] = [reply]
        else:
            waiting.append(reply)

    def on_flush(self, message: Flush) -> None:
        self._commit(sync=True)
        flushed = Flushed(
            applied_index=self.applied_index,
            applied_term=self.applied_term,
            conf_state=self.membership.conf_state(),
            snapshot_data=v2_store_json(self.membership, self.v2_keys),
        )
        self.links.send("raft", flushed)

    # ---- reads: each is given its request, and who asks ----

    def on_read(self, message: Read) -> None:
        slot = message.slot
        applied = self.applied_index
        long = self.upkeep.long
        answers = self.answers.setdefault(slot, [])
        before = len(answers)
        began = time.monotonic()
        askers = (
            {asked: AuthInfo(name, revision) for asked, name, revision in message.askers} if message.askers else None
        )
        for request_id, method, body, index in message.items:
            auth = askers.get(request_id) if askers else None
            if method in long:
                long[method](slot, request_id, body)
            elif index > applied:
                heapq.heappush(self.parked, (index, request_id, slot, method, body, auth))
            else:
                code, answer = self.readers[method](body, auth)
                answers.append((request_id, code, answer))
        took = time.monotonic() - began
        if is_slow(took, len(message.items), self.config.warning_apply_s):
            warn_read(self.log, took, self.config.warning_apply_s, message.items, answers[before:])

    def _unpark(self) -> None:
        while self.parked and self.parked[0][0] <= self.applied_index:
            _, request_id, slot, method, body, auth = heapq.heappop(self.parked)
            code, answer = self.readers[method](body, auth)
            self.answers.setdefault(slot, []).append((request_id, code, answer))

    def read_range(self, body: bytes, auth: AuthInfo | None) -> tuple[int, bytes]:
        code, text, answer = self.mvcc.range_bytes(body)
        return code, answer if text is None else text.encode()

    def read_range_chunk(self, body: bytes, auth: AuthInfo | None) -> tuple[int, bytes]:
        return _answer(self.mvcc.range_chunk(pb.RangeRequest.FromString(body)))

    def read_txn(self, body: bytes, auth: AuthInfo | None) -> tuple[int, bytes]:
        return _answer(self.mvcc.txn(pb.TxnRequest.FromString(body)))

    def read_member_list(self, body: bytes, auth: AuthInfo | None) -> tuple[int, bytes]:
        """NB: etcd's answers about members carry no revision."""
        header = pb.ResponseHeader(cluster_id=self.cluster_id, member_id=self.member_id, raft_term=self.mvcc.raft_term)
        members = self.membership.members()
        return Code.OK, pb.MemberListResponse(header=header, members=members).SerializeToString()

    def read_status(self, body: bytes, auth: AuthInfo | None) -> tuple[int, bytes]:
        """All but what raft knows (leader, raftIndex), which the listener fills in."""
        known, membership = self.mvcc, self.membership
        status = pb.StatusResponse(
            version=ETCD_VERSION,
            dbSize=known.db_size(),
            dbSizeInUse=known.db_size_in_use(),
            raftIndex=self.applied_index,
            raftTerm=self.applied_term,
            raftAppliedIndex=self.applied_index,
            errors=[f"memberID:{member_id} alarm:{kind} " for kind, member_id in self._alarms()],
            isLearner=membership.is_learner,
            storageVersion=(self.store.get(STORAGE_VERSION) or b"").decode(),
            dbSizeQuota=self.config.quota_backend_bytes or limits.QUOTA_DEFAULT_BYTES,
            downgradeInfo=pb.DowngradeInfo(enabled=bool(membership.downgrade), targetVersion=membership.downgrade),
        )
        return Code.OK, known.header() + status.SerializeToString()

    def _alarms(self) -> list[tuple[str, int]]:
        """(name, member id) of what is raised."""
        return [(alarms.name_of(kind), member_id) for kind, member_id in self.applier.alarms.listed(alarms.NONE)]

    def read_health(self, body: bytes, auth: AuthInfo | None) -> tuple[int, bytes]:
        """The names of the alarms that are raised."""
        return Code.OK, " ".join([name for name, _ in self._alarms()]).encode()

    def read_move_leader(self, body: bytes, auth: AuthInfo | None) -> tuple[int, bytes]:
        """NB: whoever leads alone can hand over to itself, and to nobody else."""
        target = pb.MoveLeaderRequest.FromString(body).targetID
        if target == self.member_id and not self.membership.is_learner:
            return Code.OK, b""
        return errors.BAD_LEADER_TRANSFEREE.code, errors.BAD_LEADER_TRANSFEREE.text.encode()

    def read_downgrade(self, body: bytes, auth: AuthInfo | None) -> tuple[int, bytes]:
        """Whether a downgrade may begin or end; the listener proposes it then."""
        request, known = pb.DowngradeRequest.FromString(body), self.membership
        error = downgrade.check(request.action, request.version, known.version, known.downgrade)
        if error is None:
            return Code.OK, self._downgrade_answer()
        if request.action == downgrade.ENABLE:
            self.log.warn("reject downgrade request", error=error.text)
        return error.code, error.text.encode()

    def _downgrade_answer(self) -> bytes:
        version = pb.DowngradeResponse(version=self.membership.version or "").SerializeToString()
        return self.mvcc.header() + version

    # ---- long work ----

    def on_compact_slice(self, message: CompactSlice) -> None:
        self.upkeep.on_compact_slice(message)

    def commit_pending(self) -> None:
        if self.uncommitted:
            self._commit()

    def raise_corrupt(self) -> None:
        self.quota.raise_alarm(alarms.CORRUPT)

    # ---- leases ----

    def on_lease_hello(self, message: LeaseHello) -> None:
        self.lease_hellos.append(message.at_index)

    def on_lease_news(self, message: LeaseNews) -> None:
        self.lease_news.append(message.number)

    def _tell_lessor(self) -> None:
        """At the end of a turn: all that is applied is written, and its lease events are queued."""
        send = self.links.send
        for number in self.lease_news:
            send("lessor", LeaseNewsEnd(number))
        self.lease_news = []
        due = [index for index in self.lease_hellos if index <= self.applied_index]
        if due:
            self.lease_hellos = [index for index in self.lease_hellos if index > self.applied_index]
            rows = self.mvcc.leases.rows()
            send("lessor", LeaseTable(max(due), self.cluster_id, self.member_id, self.mvcc.revision, rows))

    def read_lease_time_to_live(self, body: bytes, auth: AuthInfo | None) -> tuple[int, bytes]:
        return Code.OK, self.mvcc.lease_time_to_live(body)

    def read_lease_leases(self, body: bytes, auth: AuthInfo | None) -> tuple[int, bytes]:
        return Code.OK, self.mvcc.lease_leases(body)

    # ---- the turn ----

    def on_turn_end(self) -> None:
        if self.uncommitted:
            self._commit()
            if self.parked:
                self._unpark()
        if self.lease_hellos or self.lease_news:
            self._tell_lessor()
        if self.answers:
            self._send_answers()
        upkeep = self.upkeep
        if self.mvcc.compaction.running is not upkeep.is_told:
            upkeep.tell_compactor()
        if upkeep.next_at is not None and upkeep.next_at <= (now := time.monotonic()):
            self.links.flush()
            upkeep.work(now)
            self._send_answers()
        if self.publisher.is_asked:
            self.publisher.end_turn()
        if self.report_soon or self.applied_index - self.reported_index >= limits.APPLIED_EVERY_ENTRIES:
            self._report_applied()

    def _send_answers(self) -> None:
        incarnation = self.boot.incarnation
        for slot, items in self.answers.items():
            self.links.send(self.links.listener(slot), Replies(incarnation, 0, items, self.mvcc.revision))
        self.answers = {}

    def _commit(self, sync: bool = False) -> None:
        """Write what this turn applied; then send the replies."""
        if self.applier.exceeded or self.applier.alarm_news:
            self.quota.note(self.replies)
        frames = {
            slot: encode_frame([Replies(self.boot.incarnation, self.applied_index, items, self.mvcc.revision)])
            for slot, items in self.replies.items()
        }
        extra = list(self.membership.take_rows())
        if frames:
            row = msgpack.packb((self.applied_index, frames))
            extra.append((RING, bytes([self.ring_slot]), row))
            self.ring_slot = (self.ring_slot + 1) % limits.REPLY_RING_SLOTS
        if (
            self.untended_bytes >= limits.BALLAST_CHECK_BYTES or time.monotonic() >= self.next_ballast_check
        ) and self._check_ballast():
            self.log.warn("free disk space", ballast_held=self.ballast.held, reserve_bytes=limits.BALLAST_BYTES)
        published = self.publisher.take_frames() if self.publisher.wants else None
        self.mvcc.commit(self.applied_index, self.applied_term, extra, sync=sync)
        if self.uncommitted:
            self.statistics.batches.add(self.uncommitted)
        self.uncommitted = 0
        if self.mvcc.leases.events:
            # NB: before the replies: whoever has heard of a change finds that the lessor has.
            self.links.send("lessor", LeaseEvents(self.mvcc.revision, self.mvcc.leases.take_events()))
            self.links.flush()
        for slot, frame in frames.items():
            self.links.send_frame(self.links.listener(slot), frame)
        if published:
            self.publisher.publish(published)
        self.replies = {}

    def _check_ballast(self) -> bool:
        """Look at the reserve: often enough for what this process writes, and seldom enough to cost nothing."""
        self.untended_bytes = 0
        self.next_ballast_check = time.monotonic() + limits.DISK_CHECK_S
        return self.ballast.check()

    def _report_applied(self) -> None:
        self.reported_index = self.applied_index
        self.report_soon = False
        self.applied_bytes = 0
        self.links.send("raft", Applied(self.applied_index, self.mvcc.flushed_index, self.membership.conf_state()))
        self.quota.announce()

    # ---- timers ----

    def next_deadline(self) -> float | None:
        deadline = self.upkeep.next_at
        if self.reported_index != self.applied_index and (deadline is None or self.next_applied < deadline):
            deadline = self.next_applied
        quota = self.quota.next_at
        return deadline if quota is None or (deadline is not None and deadline < quota) else quota

    def on_deadline(self, now: float) -> None:
        if self.reported_index != self.applied_index and now >= self.next_applied:
            self.next_applied = now + limits.APPLIED_EVERY_S
            self._report_applied()
        if self.quota.next_at is not None and now >= self.quota.next_at:
            for slot, items in self.quota.on_deadline(now).items():
                self.answers.setdefault(slot, []).extend(items)

    def loop(self) -> None:
        """NB: one guard around the whole loop, so that no read pays for it."""
        try:
            super().loop()
        except DAMAGED as error:
            raise FatalError(describe_damage(self.place.store, error)) from error

    def on_stop(self) -> None:
        self._commit(sync=True)
        self.store.close()

    def summary(self) -> dict[str, Any]:
        return {"applied_index": self.applied_index, "revision": self.mvcc.revision, "parked": len(self.parked)}

    def details(self) -> dict[str, Any]:
        return {
            "applied_term": self.applied_term,
            "flushed_index": self.mvcc.flushed_index,
            "raft_incarnation": self.raft_incarnation,
            "compacted_revision": self.mvcc.compact_revision,
            "scrubbing": self.mvcc.compaction.running,
            "early_applies": len(self.early),
            "db_bytes": self.mvcc.db_size(),
            "db_bytes_in_use": self.mvcc.db_size_in_use(),
        }

    def metrics(self) -> dict[str, Any]:
        return {
            "server_version": ETCD_VERSION,
            "cluster_version": (self.membership.version or CLUSTER_VERSION).rpartition(".")[0],
            "is_learner": int(self.membership.is_learner),
            "member_id": f"{self.member_id:x}",
            "applied_index": self.applied_index,
            "quota_bytes": self.config.quota_bytes,
            "db_bytes": self.mvcc.db_size(),
            "db_bytes_in_use": self.mvcc.db_size_in_use(),
            "keys": self.mvcc.index.count_live(b"", None),
            "revision": self.mvcc.revision,
            "compact_revision": self.mvcc.compact_revision or -1,
        }


def _switch_bytes(quota_bytes: int) -> int:
    """How large LevelDB's log may get. What is overwritten counts until the log goes into tables: under a small quota
    that must not be much."""
    return min(SWITCH_BYTES, max(1 << 20, quota_bytes // 8)) if quota_bytes else SWITCH_BYTES


def _answer(outcome: Outcome) -> tuple[int, bytes]:
    code, text, body = outcome
    return code, body if text is None else text.encode()


def run(boot: Boot) -> int:
    return run_actor(BackendActor, boot)
