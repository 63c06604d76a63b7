"""The wal actor: log segments, fsync, .snap files. One write and one fdatasync for all that arrived meanwhile.

It acknowledges only what is durable. Entries of a raft incarnation older than the newest that said WalHello are
ignored: they may still lie in the mailbox after that process died.
"""

import time
from pathlib import Path
from typing import Any

from actors import reserve
from actors.link import Peer
from actors.loop import Actor, FatalError, run_actor
from etcdz import limits
from etcdz.boot import Boot
from etcdz.config import MemberConfig
from etcdz.histogram import Histogram
from etcdz.messages import Append, Appended, Durable, SaveSnapshot, WalHello, WalState
from etcdz.proto import etcdserverpb as pb
from etcdz.wal import snap
from etcdz.wal.disk import RealDisk
from etcdz.wal.files import WalCorrupt, WalFull, WalInUse, WalMismatch
from etcdz.wal.log import Log, LogOptions
from etcdz.wal.segment import list_segments
from etcdz.wal.snap import Snap
from etcdz.wal.start import open_newest


class WalActor(Actor):
    """Owns `member/wal` and `member/snap/*.snap`."""

    def __init__(self, boot: Boot) -> None:
        super().__init__(boot)
        self.config = MemberConfig.from_dict(boot.config)
        self.handlers |= {WalHello: self.on_hello, Append: self.on_append, SaveSnapshot: self.on_save_snapshot}
        self.raft_incarnation = 0
        self.waiting: list[Append] = []
        """Appends not yet durable, in order. On a full disk they stay here and are tried again."""
        self.retry_at: float | None = None
        self.ack: Appended | None = None
        """What raft is not told yet. Nobody waits for it while entries are staged, and raft's work on it would be in
        the way of the calls under way: it goes out at ack_at, or when it stands for many bytes."""
        self.ack_bytes = 0
        self.ack_at = 0.0
        self.disk_full = False
        self.next_disk_check = 0.0
        self.fsyncs = self.statistics.times["fsync"] = Histogram()
        self.log_file: Any = None
        self.snapshot_index = self.snapshot_term = 0

    # ---- start ----

    def on_start(self) -> dict[str, Any]:
        self.wal_dir, self.snap_dir = self.config.wal_path, self.config.snap_dir
        self.disk = RealDisk()
        try:
            Path(self.snap_dir).mkdir(mode=0o700, parents=True, exist_ok=True)
            self._open_log()
        except (WalCorrupt, WalMismatch, WalInUse, OSError) as error:
            raise FatalError(f"cannot open the log: {error}") from error
        return {"last_index": self.log_file.last_index, "snapshot_index": self.snapshot_index}

    def _open_log(self) -> None:
        options = LogOptions(no_fsync=self.config.unsafe_no_fsync)
        if not list_segments(self.disk.list(self.wal_dir) if self.disk.exists(self.wal_dir) else []):
            metadata = pb.Metadata(NodeID=self.config.member_id, ClusterID=self.config.cluster_id).SerializeToString()
            self.log_file = Log.create(self.disk, self.wal_dir, metadata, options)
            return
        start = open_newest(self.disk, self.wal_dir, self.snap_dir, options)
        self.log_file = start.log
        if start.snap is not None:
            self.snapshot_index, self.snapshot_term = start.snap.index, start.snap.term
        for name, why in start.skipped:
            self.log.warn("passed over a snapshot file", name=name, reason=why)
        if start.recovered.torn is not None:
            self.log.warn("cut off the torn end of the log", torn=str(start.recovered.torn))

    # ---- messages ----

    def on_peer_up(self, peer: Peer) -> None:
        """Nothing: a new raft presents itself with WalHello."""

    def on_hello(self, hello: WalHello) -> None:
        self._sync_waiting()
        self.ack = None
        self.raft_incarnation = hello.incarnation
        log = self.log_file
        first = max(hello.first_index, log.first_index)
        entries = log.read_entries(first) if first <= log.last_index else []
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
        )
        self.links.send("raft", state)

    def on_append(self, append: Append) -> None:
        if append.incarnation == self.raft_incarnation:
            self.waiting.append(append)

    def on_save_snapshot(self, message: SaveSnapshot) -> None:
        if message.incarnation != self.raft_incarnation:
            return
        self._sync_waiting()
        index, term = message.snapshot_index, message.snapshot_term
        try:
            snap.save(self.disk, self.snap_dir, Snap(index, term, message.conf_state, message.data))
            self.log_file.save_snapshot_marker(index, term, message.conf_state)
        except WalFull as error:
            self.log.error("no space left for a snapshot", error=str(error))
            return  # the log stays as long as it is until the next one
        self.snapshot_index, self.snapshot_term = index, term
        removed = self.log_file.release(message.keep_index, keep=self.config.max_wals)
        snap.purge(self.disk, self.snap_dir, keep=self.config.max_snapshots)
        self.log.info("saved snapshot", snapshot_index=index, released_segments=len(removed))

    # ---- durability ----

    def on_turn_end(self) -> None:
        if self.waiting and self.retry_at is None:
            self._sync_waiting()

    def _sync_waiting(self) -> None:
        """Everything that waits goes to disk with one fdatasync, then is acknowledged."""
        batch = self.waiting
        if not batch:
            return
        log = self.log_file
        try:
            for append in batch:
                log.append(append.entries, append.first_index, append.hard_state or None)
            if any(append.sync for append in batch):
                began = time.monotonic_ns()
                log.sync()
                self.fsyncs.add(time.monotonic_ns() - began)
        except WalFull as error:
            self._on_full(error)
            return
        self.statistics.batches.add(sum([len(append.entries) for append in batch]))
        self.waiting = []
        self.retry_at = None
        self.ack = Appended(self.raft_incarnation, batch[-1].seq, self._space_error())
        acked_bytes = 0
        for append in batch:
            if append.term:
                entries = append.entries
                self.links.send("backend", Durable(self.raft_incarnation, append.first_index, append.term, entries))
                acked_bytes += sum([len(entry) for entry in entries])
            elif append.entries:
                acked_bytes = limits.LAZY_ACK_BYTES
        if self.ack_bytes == 0:
            self.ack_at = time.monotonic() + limits.LAZY_ACK_S
        self.ack_bytes += acked_bytes
        if self.ack_bytes >= limits.LAZY_ACK_BYTES or self.disk_full:
            self._send_ack()

    def _send_ack(self) -> None:
        if self.ack is not None:
            self.links.send("raft", self.ack)
            self.ack = None
            self.ack_bytes = 0

    def _on_full(self, error: Exception) -> None:
        """Nothing of the batch counts as written; it is tried again until there is space."""
        self.log.error("no space left for the log, trying again", error=str(error))
        self.disk_full = True
        self.retry_at = time.monotonic() + limits.DISK_CHECK_S
        self.links.send("raft", Appended(self.raft_incarnation, 0, "NoSpace"))

    # ---- free space ----

    def _space_error(self) -> str:
        return "NoSpace" if self.disk_full else ""

    def next_deadline(self) -> float | None:
        deadline = self.retry_at if self.retry_at is not None else self.next_disk_check
        return min(deadline, self.ack_at) if self.ack is not None else deadline

    def on_deadline(self, now: float) -> None:
        if now >= self.ack_at:
            self._send_ack()
        if now < self.next_disk_check and self.retry_at is None:
            return
        self._check_space()
        self.next_disk_check = now + limits.DISK_CHECK_S
        if self.retry_at is not None:
            self.retry_at = None
            self._sync_waiting()

    def _check_space(self) -> None:
        """Tell raft when free space falls below the reserve, and when it is back; the backend's disk may be another."""
        log_free = reserve.free_bytes(self.wal_dir)
        store_free = reserve.free_bytes(self.snap_dir) - reserve.missing_bytes(self.snap_dir)
        full = min(log_free, store_free) < limits.DISK_RESERVE_BYTES
        if full != self.disk_full:
            self.disk_full = full
            self.log.warn("free disk space", enough=not full, reserve_bytes=limits.DISK_RESERVE_BYTES)
            self.links.send("raft", Appended(self.raft_incarnation, 0, self._space_error()))

    def on_stop(self) -> None:
        self._sync_waiting()
        self.log_file.close()

    def summary(self) -> dict[str, Any]:
        last = self.log_file.last_index if self.log_file else 0
        return {"last_index": last, "disk_full": self.disk_full}

    def details(self) -> dict[str, Any]:
        return {
            "snapshot_index": self.snapshot_index,
            "waiting_appends": len(self.waiting),
            "raft_incarnation": self.raft_incarnation,
            "retrying": self.retry_at is not None,
        }


def run(boot: Boot) -> int:
    return run_actor(WalActor, boot)
