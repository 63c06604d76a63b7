"""The wal actor: log segments, fsync, .snap files. One write and one fdatasync for all that arrived meanwhile.

It acknowledges only what is durable. Entries of a raft incarnation older than the newest that said WalHello are
ignored: they may still lie in the mailbox after that process died.

While this member is the only voter, raft delegates it the end of the log: it gives listeners' writes their index, hands
them to the backend once they are durable, which then means committed, and tells raft a little later what it has
appended in its name. See actors/raft/delegation.py for the other side.
"""

import posixpath
import time
from pathlib import Path
from typing import Any, NamedTuple

from actors.runtime.founding import check_present
from actors.runtime.link import Peer
from actors.runtime.loop import Actor, FatalError, run_actor
from actors.wal import resume_points
from etcdz import limits
from etcdz.config import MemberConfig
from etcdz.ipc.boot import Boot
from etcdz.ipc.messages import (
    APPENDED,
    RAFT,
    Append,
    Appended,
    Delegate,
    DelegatedAppends,
    DelegationReturned,
    Durable,
    Leadership,
    RecallDelegation,
    Refused,
    SaveSnapshot,
    Send,
    WalHello,
    WalState,
    Write,
)
from etcdz.proto import etcdserverpb as pb
from etcdz.proto import raftpb
from etcdz.raft.entry import make_entries
from etcdz.store import ballast
from etcdz.store.disk import RealDisk
from etcdz.telemetry.histogram import Doublings, Histogram
from etcdz.wal import snap
from etcdz.wal.files import Disk, WalCorrupt, WalFull, WalInUse, WalMismatch
from etcdz.wal.log import Log, LogOptions, has_log
from etcdz.wal.snap import Snap
from etcdz.wal.start import Start, open_newest


class Own(NamedTuple):
    """Writes that this actor appends on a delegation: like an Append, with request ids and data beside."""

    first_index: int
    entries: list[bytes]
    ids: list[int]
    data: list[bytes]


class WalActor(Actor):
    """Owns `member/wal` and `member/snap/*.snap`.

    The log is trusted only as far as every call on it has succeeded: after an error other than a full disk the member
    ends, as with etcd. NB: above all after a failed sync, since the page cache holds what the disk may not, and says
    that it is clean. A successor would read it there, sync nothing, and vouch for it. A .snap file is another matter:
    as long as there is none, the log keeps all that it stands for.
    """

    def __init__(self, boot: Boot) -> None:
        super().__init__(boot)
        self.config = MemberConfig.from_dict(boot.config)
        self.wal_dir, self.snap_dir = self.config.wal_path, self.config.snap_dir
        self.disk: Disk = RealDisk()
        self.log_file: Log
        """From on_start on; no message comes before."""
        self.handlers |= {
            WalHello: self.on_hello,
            Append: self.on_append,
            SaveSnapshot: self.on_save_snapshot,
            Delegate: self.on_delegate,
            Write: self.on_write,
            RecallDelegation: self.on_recall_delegation,
            Leadership: self.on_leadership,
        }
        self.raft_incarnation = 0
        self.leadership: Leadership | None = None
        """What raft said last, for a successor that may want to lead on."""
        self.waiting: list[Append | Own] = []
        """Not yet durable, in order. On a full disk they stay here and are tried again."""
        self.delegation = 0
        """0: the end of the log is raft's."""
        self.newest_delegation = 0
        """The highest that there was."""
        self.returning = 0
        """What is given back as soon as nothing waits for the disk."""
        self.term = 0
        self.next_index = 0
        """Of the next entry to be appended on the delegation."""
        self.early: dict[int, list[Write]] = {}
        """By delegation: what came before its Delegate did."""
        self.untold: list[bytes] = []
        """Data that is durable and that raft has not been told of. No call waits for that, and raft's work on it would
        be in the way of the calls under way: it goes out at tell_at, or when it is many bytes."""
        self.untold_ids: list[int] = []
        self.untold_index = 0
        self.untold_bytes = 0
        self.tell_at = 0.0
        self.retry_at: float | None = None
        """None: the log takes what comes."""
        self.is_log_full = False
        """It did not take what came last."""
        self.disk_full = False
        """There is less space than the reserve, or none for the log."""
        self.next_disk_check = 0.0
        self.written_since_check = True
        self.fsyncs = self.statistics.times["fsync"] = Histogram()
        self.all_fsyncs = Doublings()
        self.writes = Doublings()
        self.snap_saves = Doublings()
        self.marked = (0, 0)
        """Position of the resume point."""
        self.snapshot_index = self.snapshot_term = 0
        self.cut_failure: OSError | None = None
        """Why the last segment could not be cut when it was due, as it was told."""

    # ---- start ----

    def on_start(self) -> dict[str, Any]:
        """Open the log. raises FatalError"""
        try:
            check_present(self.boot, "the log", Path(self.wal_dir), has_log(self.disk, self.wal_dir))
            self.disk.make_directory(self.snap_dir)
            self._open_log()
            if self.boot.may_found and not self.config.unsafe_no_fsync:
                self._sync_names()
        except (WalCorrupt, WalMismatch) as error:
            raise FatalError(
                f"cannot open the log in {self.wal_dir}: {error}. Put back what is missing, or restore a snapshot with "
                "`etcdzutl snapshot restore`"
            ) from error
        except (WalInUse, OSError) as error:
            raise FatalError(f"cannot open the log: {error}") from error
        return {"last_index": self.log_file.last_index, "snapshot_index": self.snapshot_index}

    def _open_log(self) -> None:
        options = LogOptions(no_fsync=self.config.unsafe_no_fsync)
        if not has_log(self.disk, self.wal_dir):
            metadata = pb.Metadata(NodeID=self.config.member_id, ClusterID=self.config.cluster_id).SerializeToString()
            self.log_file = Log.create(self.disk, self.wal_dir, metadata, options)
            self._mark()
            return
        start = self._open_newest(options)
        self.log_file = start.log
        self._mark()
        if start.snap is not None:
            self.snapshot_index, self.snapshot_term = start.snap.index, start.snap.term
        for name, why in start.skipped:
            self.log.warn("passed over a snapshot file", name=name, reason=why)
        if start.recovered.torn is not None:
            self.log.warn("cut off the torn end of the log", torn=str(start.recovered.torn))

    def _sync_names(self) -> None:
        """Directories that were made by this start, or by one that ended before it had synced them, have their names
        only in memory; without them nothing that is synced below them would be found."""
        for path in sorted({posixpath.dirname(self.wal_dir), posixpath.dirname(self.snap_dir), self.config.data_dir}):
            self.disk.sync_directory(path)

    def _open_newest(self, options: LogOptions) -> Start:
        """From the newest .snap on, or where none fits all of it: raft sees whether the store has what comes before."""
        try:
            return open_newest(self.disk, self.wal_dir, self.snap_dir, options, resume_points.load(self.boot.run_dir))
        except WalMismatch as error:
            log, recovered = Log.open(self.disk, self.wal_dir, None, options)
            self.log.warn("no snapshot file fits the log, all of the log is read", reason=str(error))
            return Start(log, recovered, None, [])

    def _reach_back(self, index: int) -> None:
        """The store is behind the .snap that the log was opened from, and older segments hold what it lacks."""
        if self.log_file.segments[0].first_index > index:
            return
        self.log.warn("the store is behind the newest snapshot file, all of the log is read", needed_index=index)
        self.log_file.close()
        self.log_file, _ = Log.open(self.disk, self.wal_dir, None, LogOptions(no_fsync=self.config.unsafe_no_fsync))
        self._mark()

    def _mark(self) -> None:
        """Note for a successor where the log stands."""
        self.marked = self.log_file.position
        try:
            point = self.log_file.resume_point()
        except OSError as error:
            raise self._unreadable(error) from error
        resume_points.save(self.boot.run_dir, point)

    # ---- messages ----

    def on_peer_up(self, peer: Peer) -> None:
        """Nothing is said first: a new raft presents itself with WalHello."""

    def on_leadership(self, known: Leadership) -> None:
        """Remember it for a raft that begins anew."""
        if known.incarnation >= self.raft_incarnation:
            self.leadership = known

    def on_hello(self, hello: WalHello) -> None:
        """Answer with what the log holds. From now on only this raft incarnation counts."""
        self._sync_waiting()
        self._drop_delegation()
        self.raft_incarnation = hello.incarnation
        if 0 < hello.needed_index < self.log_file.first_index:
            self._reach_back(hello.needed_index)
        log = self.log_file
        first = max(hello.first_index, log.first_index)
        try:
            entries = log.read_entries(first) if first <= log.last_index else []
        except (WalCorrupt, OSError) as error:
            raise self._unreadable(error) from error
        state = WalState(
            raft_incarnation=hello.incarnation,
            metadata=log.metadata,
            fresh=log.last_index == 0,
            hard_state=log.hard_state,
            snapshot_index=self.snapshot_index,
            snapshot_term=self.snapshot_term,
            first_index=first,
            entries=entries,
            last_index=log.last_index,
            term=self.leadership.term if self.leadership is not None else 0,
            leader=self.leadership.leader if self.leadership is not None else 0,
            says_acknowledgements=True,
        )
        self.links.send("raft", state)

    def on_append(self, append: Append) -> None:
        """Written at the end of the turn. Of an earlier raft: it is ignored, the new one has not seen it."""
        if append.incarnation == self.raft_incarnation:
            self.waiting.append(append)

    # ---- the delegation ----

    def on_delegate(self, delegate: Delegate) -> None:
        """NB: raft delegates only what it knows to be durable and handed over, so nothing of raft's is under way."""
        if delegate.raft_incarnation != self.raft_incarnation:
            return
        if delegate.last_index != self.log_file.last_index:
            raise RuntimeError(f"delegated from {delegate.last_index} on, the log ends at {self.log_file.last_index}")
        if delegate.backend != self.links.incarnation_of("backend"):
            # What goes to a backend that is gone is lost, while raft takes it as handed over to its successor.
            self.newest_delegation = delegate.delegation
            self.early.pop(delegate.delegation, None)
            self.links.send("raft", DelegationReturned(delegate.delegation))
            return
        self.delegation = self.newest_delegation = delegate.delegation
        self.term, self.next_index = delegate.term, delegate.last_index + 1
        early, self.early = self.early.pop(delegate.delegation, []), {}
        for write in early:
            self.on_write(write)

    def on_write(self, write: Write) -> None:
        """Of an earlier delegation: it is dropped, raft asks the listener for what is unanswered. Of a later one: it
        waits for that."""
        if write.delegation != self.delegation:
            if write.delegation > self.newest_delegation:
                self.early.setdefault(write.delegation, []).append(write)
            return
        if self.disk_full and write.slot != RAFT:
            refused = Refused([(item[0], "NoSpace") for item in write.items])
            self.links.send(self.links.listener(write.slot), refused)
            return
        ids, data = [item[0] for item in write.items], [item[1] for item in write.items]
        first = self.next_index
        self.next_index = first + len(data)
        self.waiting.append(Own(first, [entry[3] for entry in make_entries(self.term, first, data)], ids, data))

    def on_recall_delegation(self, recall: RecallDelegation) -> None:
        """NB: on a full disk what waits has to be written first, and raft waits as well."""
        if recall.delegation == self.delegation:
            self.delegation = 0
            self.returning = recall.delegation
            self._sync_waiting()
            self._maybe_return()

    def _maybe_return(self) -> None:
        if self.returning and not self.waiting:
            self._tell()
            self.links.send("raft", DelegationReturned(self.returning))
            self.returning = 0

    def _drop_delegation(self) -> None:
        """It is of a raft that is gone, and so is what waits for the disk: listeners offer it to the new one."""
        self.delegation = self.returning = 0
        self.waiting.clear()
        self.early.clear()
        self.untold, self.untold_ids = [], []
        self.untold_bytes = 0

    def on_save_snapshot(self, message: SaveSnapshot) -> None:
        """Write the .snap file and its marker, then release what they stand for. If that cannot be done, nothing is
        released: the log stays as long as it is until the next one."""
        if message.incarnation != self.raft_incarnation:
            return
        self._sync_waiting()
        index, term = message.snapshot_index, message.snapshot_term
        began_ns = time.monotonic_ns()
        try:
            snap.save(self.disk, self.snap_dir, Snap(index, term, message.conf_state, message.data))
            self.snap_saves.add(time.monotonic_ns() - began_ns)
        except OSError as error:
            self.log.error("failed to save a snapshot, the log keeps what it stands for", index=index, error=str(error))
            return
        try:
            self.log_file.save_snapshot_marker(index, term, message.conf_state)
        except WalFull as error:
            self.log.error("no space left for a snapshot", index=index, error=str(error))
            return
        except OSError as error:
            raise self._log_failed(error) from error
        self._note_cuts()
        self.snapshot_index, self.snapshot_term = index, term
        self._mark()
        released = self._release(message.keep_index)
        self.log.info("saved snapshot", snapshot_index=index, released_segments=released)

    def _release(self, index: int) -> int:
        """Remove the segments and .snap files that are not needed any more. return how many segments. Those that
        cannot be removed only take up space."""
        released = 0
        try:
            released = len(self.log_file.release(index, keep=self.config.max_wals))
            snap.purge(self.disk, self.snap_dir, keep=self.config.max_snapshots)
        except OSError as error:
            self.log.warn("failed to purge files that are not needed any more", error=str(error))
        return released

    # ---- durability ----

    def on_turn_end(self) -> None:
        if self.waiting and self.retry_at is None:
            self._sync_waiting()

    def _sync_waiting(self) -> None:
        """Everything that waits goes to disk with one fdatasync, then is acknowledged."""
        batch = self.waiting
        if not batch:
            return
        self.written_since_check = True
        log = self.log_file
        writing_ns = time.monotonic_ns()
        try:
            sync = False
            for append in batch:
                if isinstance(append, Own):
                    log.append(append.entries, append.first_index)
                    sync = True
                elif append.snapshot:
                    self._take_snapshot(append)
                    sync = True
                else:
                    log.append(append.entries, append.first_index, append.hard_state or None)
                    sync = sync or append.sync
            if sync:
                began_ns = time.monotonic_ns()
                log.sync()
                took_ns = time.monotonic_ns() - began_ns
                self.fsyncs.add(took_ns)
                self.all_fsyncs.add(took_ns)
                self.writes.add(began_ns - writing_ns)
        except WalFull as error:
            self._on_full(error)
            return
        except OSError as error:
            raise self._log_failed(error) from error
        if log.cut_failure is not self.cut_failure:
            self._note_cuts()
        self.statistics.batches.add(sum([len(append.entries) for append in batch]))
        self.waiting = []
        self.retry_at = None
        own = [append for append in batch if isinstance(append, Own)]
        if own:
            self._hand_over(own)
        if len(own) < len(batch):
            self._answer([append for append in batch if isinstance(append, Append)])
        sequence, offset = log.position
        if sequence != self.marked[0] or offset - self.marked[1] >= limits.RESUME_POINT_BYTES:
            self._mark()

    def _answer(self, appends: list[Append]) -> None:
        """These are durable: raft is told, and other members, each one's newest acknowledgement."""
        newest: dict[int, tuple[int, int, int, bytes]] = {}
        for append in appends:
            for one in append.acknowledgements:
                before = newest.get(one[0])
                if before is None or one[1:3] >= before[1:3]:
                    newest[one[0]] = one
        if newest and self.links.incarnation_of("peer"):
            said = [(to, encoded) for to, _, _, encoded in newest.values()]
            self.links.send("peer", Send(self.raft_incarnation, said, []))
        appended = Appended(self.raft_incarnation, appends[-1].seq, self._space_error())
        if appended.error:
            self.links.send("raft", appended)
        else:
            self.links.send_deferred("raft", APPENDED, appended)

    def _take_snapshot(self, append: Append) -> None:
        """What a leader has sent takes the place of the log, durably; the entries of this append follow it.

        NB: on a full disk only what was not done of the batch is tried again: the entries in front are not the log's
        any more. raises WalFull, OSError
        """
        log, received = self.log_file, raftpb.Snapshot.FromString(append.snapshot)
        log.sync()
        self.waiting = self.waiting[next(at for at, one in enumerate(self.waiting) if one is append) :]
        metadata = received.metadata
        conf_state = metadata.conf_state.SerializeToString()
        snap.save(self.disk, self.snap_dir, Snap(metadata.index, metadata.term, conf_state, received.data))
        log.save_received_marker(metadata.index, metadata.term, conf_state, append.hard_state)
        self.waiting[0] = append._replace(snapshot=b"", hard_state=b"")
        self.snapshot_index, self.snapshot_term = metadata.index, metadata.term
        self._mark()
        released = self._release(metadata.index)
        self.log.info("saved a snapshot of the leader's", snapshot_index=metadata.index, released_segments=released)
        log.append(append.entries, append.first_index)

    def _log_failed(self, error: OSError) -> FatalError:
        return FatalError(f"failed to save Raft hard state and entries: {error}")

    def _unreadable(self, error: Exception) -> FatalError:
        return FatalError(f"cannot read the log: {error}")

    def _note_cuts(self) -> None:
        """Say once why the log's last segment grows beyond its size, and once that it was cut after all."""
        before, self.cut_failure = self.cut_failure, self.log_file.cut_failure
        if self.cut_failure is not None and before is None:
            self.log.warn("failed to cut the log, its last segment grows on", error=str(self.cut_failure))
        elif self.cut_failure is None and before is not None:
            self.log.info("cut the log after all", segment=self.log_file.segments[-1].name)

    def _hand_over(self, own: list[Own]) -> None:
        """These writes are committed: tell the backend at once, raft a little later."""
        if not self.untold:
            self.untold_index = own[0].first_index
            self.tell_at = time.monotonic() + limits.LAZY_ACK_S
        for first_index, _, ids, data in own:
            self.links.send("backend", Durable(self.raft_incarnation, first_index, self.term, data))
            self.untold_ids += ids
            self.untold += data
            self.untold_bytes += sum([len(one) for one in data])
        if self.untold_bytes >= limits.LAZY_ACK_BYTES:
            self._tell()

    def _tell(self) -> None:
        if self.untold:
            self.links.send(
                "raft", DelegatedAppends(self.newest_delegation, self.untold_index, self.untold_ids, self.untold)
            )
            self.untold, self.untold_ids = [], []
            self.untold_bytes = 0

    def _retry(self) -> None:
        """The first that waits alone, and all others if it could be written: they may be many megabytes."""
        self.retry_at = None
        self.waiting, others = self.waiting[:1], self.waiting[1:]
        self._sync_waiting()
        self.waiting += others
        if self.retry_at is None:
            self.is_log_full = False
            self.log.warn("there is space for the log again", appends=1 + len(others))
            self._sync_waiting()

    def _on_full(self, error: Exception) -> None:
        """Nothing of the batch counts as written. It is tried again until there is space, and told of once."""
        if not self.is_log_full:
            self.log.error("no space left for the log, trying again", error=str(error))
        self.is_log_full = self.disk_full = True
        self.retry_at = time.monotonic() + limits.DISK_CHECK_S
        self.links.send("raft", Appended(self.raft_incarnation, 0, "NoSpace"))

    # ---- free space ----

    def _space_error(self) -> str:
        return "NoSpace" if self.disk_full else ""

    def next_deadline(self) -> float | None:
        deadline = self.retry_at if self.retry_at is not None else self.next_disk_check
        if not (self.written_since_check or self.disk_full):
            deadline += limits.DISK_CHECK_IDLE_S - limits.DISK_CHECK_S
        return min(deadline, self.tell_at) if self.untold else deadline

    def on_deadline(self, now: float) -> None:
        if now >= self.tell_at:
            self._tell()
        if now < self.next_disk_check and self.retry_at is None:
            return
        self._check_space()
        self.next_disk_check = now + limits.DISK_CHECK_S
        self.written_since_check = False
        if self.retry_at is not None:
            self._retry()
            self._maybe_return()

    def _check_space(self) -> None:
        """Tell raft when free space falls below the reserve, and when it is back; the backend's disk may be another."""
        log_free = ballast.free_bytes(self.wal_dir)
        store_free = ballast.free_bytes(self.snap_dir) - ballast.missing_bytes(self.snap_dir)
        full = min(log_free, store_free) < limits.DISK_RESERVE_BYTES
        if full != self.disk_full:
            self.disk_full = full
            self.log.warn("free disk space", enough=not full, reserve_bytes=limits.DISK_RESERVE_BYTES)
            self.links.send("raft", Appended(self.raft_incarnation, 0, self._space_error()))

    def on_stop(self) -> None:
        self._sync_waiting()
        self.log_file.close()

    def summary(self) -> dict[str, Any]:
        return {"last_index": self.log_file.last_index, "disk_full": self.disk_full}

    def details(self) -> dict[str, Any]:
        return {
            "snapshot_index": self.snapshot_index,
            "waiting_appends": len(self.waiting),
            "raft_incarnation": self.raft_incarnation,
            "retrying": self.retry_at is not None,
            "cut_failure": str(self.cut_failure or ""),
        }

    def metrics(self) -> dict[str, Any]:
        return {
            "fsync": self.all_fsyncs.figure(),
            "wal_writes": self.writes.figure(),
            "snap_saves": self.snap_saves.figure(),
            "wal_bytes": self.log_file.written_bytes,
        }


def run(boot: Boot) -> int:
    return run_actor(WalActor, boot)
