"""The store on LevelDB, through plyvel, with the moments at which its log switches in our hands.

LevelDB collects writes in memory and in a log file; when memory is full it begins a new log, and dumps the old memory
to a table in the background. It never syncs the old log before that: after a power loss the tail of the *old* log may
be gone while the new one is there, which is a hole in the middle of history. So LevelDB must never switch by itself.
Its write buffer is larger than we let it get; after SWITCH_BYTES we sync the log and ask for the switch (compacting
an empty range does nothing else). That call returns only when the dump is done, so a thread makes it, and we go on as
soon as the new log file is there: no write may land in the old one behind its sync.

What power loss leaves is then: all tables, all of every log but the newest, and of that one at least what was synced.
"""

import fcntl
import os
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import plyvel

from etcdz.mvcc.log_tail import cut_torn_tail

#: LevelDB's own limit, counted in arena bytes; ours must come first however small the records are.
WRITE_BUFFER_BYTES = 64 << 20
SWITCH_BYTES = 24 << 20
#: What a change costs in LevelDB's memory beside its value, about: store key, sequence number, skip list node.
CHANGE_OVERHEAD_BYTES = 80
BLOCK_CACHE_BYTES = 32 << 20
OPEN_FILES_MAX = 500
#: After so many bytes the log is synced in the background. A switch that had it all to do took 30 to 50 ms, so it takes
#: 10 to 20; every 2 MiB was worse than never: a write waits while its file is being synced.
SYNC_AHEAD_BYTES = 8 << 20
#: The new log is there within a millisecond, unless the last dump is still under way; then we wait for the disk.
SWITCH_POLL_S = 0.0005

assert SWITCH_BYTES * 2 < WRITE_BUFFER_BYTES

_NOWHERE = b"\0"  # before every bucket


class StoreBroken(OSError):
    """LevelDB failed: the process has to end."""


class LevelStore:
    """A Store in a directory of its own. One process at a time; LevelDB's LOCK file sees to that.

    Invariant: LevelDB's memory holds what was written since the last switch, about `_log_bytes`.
    Invariant: `_dumps` are the threads of switches that may not have ended.
    Invariant: `_reclaim` is a range that the next switch compacts as well: deleted records stay in tables, and each
    walk over them skips one after the other, until a compaction comes by.
    """

    def __init__(
        self, path: str | Path, *, switch_bytes: int = SWITCH_BYTES, sync_ahead_bytes: int = SYNC_AHEAD_BYTES
    ) -> None:
        """raises StoreBroken: the directory is in use, damaged, or cannot be written."""
        self.path = Path(path)
        self._switch_bytes = switch_bytes
        self._sync_ahead_bytes = sync_ahead_bytes
        self._log_bytes = 0
        self._synced = True  # LevelDB writes what it finds in logs to tables, and syncs those, before it opens
        self._dumps: list[threading.Thread] = []
        self._thread_error: Exception | None = None
        self._ahead: threading.Thread | None = None
        self._ahead_bytes = 0
        self._reclaim = (_NOWHERE, _NOWHERE)
        self._db = self._open()
        self.get = self._db.get

    def _open(self) -> "plyvel.DB":
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._cut_torn_tail()
            return plyvel.DB(
                str(self.path),
                create_if_missing=True,
                paranoid_checks=True,  # else LevelDB skips over damage, and the member goes on with a hole
                write_buffer_size=WRITE_BUFFER_BYTES,
                lru_cache_size=BLOCK_CACHE_BYTES,
                max_open_files=OPEN_FILES_MAX,
            )
        except (plyvel.Error, OSError) as error:
            raise StoreBroken(f"{self.path}: {error}") from error

    def _cut_torn_tail(self) -> None:
        """NB: only under LevelDB's own lock: another process's log has a tail that is merely unfinished.

        The lock is let go before LevelDB takes it again, since a process has one lock on a file whatever the handle.
        """
        logs = self._logs()
        if logs:
            with open(self.path / "LOCK", "ab") as lock:
                fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                cut_torn_tail(self.path / f"{logs[-1]:06d}.log")

    def iterate(self, lo: bytes, hi: bytes, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        rows: Iterator[tuple[bytes, bytes]] = self._db.iterator(start=lo, stop=hi, reverse=reverse)
        return rows

    def write(self, batch: Mapping[bytes, bytes | None], sync: bool = False) -> bool:
        """raises StoreBroken"""
        size = CHANGE_OVERHEAD_BYTES * len(batch)
        try:
            native = self._db.write_batch(sync=sync)
            put = native.put
            for key, value in batch.items():
                if value is None:
                    native.delete(key)
                else:
                    put(key, value)
                    size += len(value)
            native.write()
        except plyvel.Error as error:
            raise StoreBroken(f"{self.path}: {error}") from error
        self._log_bytes += size
        self._synced = sync
        if self._log_bytes >= self._switch_bytes:
            self._switch()
        elif self._log_bytes >= self._ahead_bytes + self._sync_ahead_bytes:
            self._sync_ahead()
        return self._synced

    def sync(self) -> None:
        """raises StoreBroken"""
        if self._synced:
            return
        try:
            self._db.write_batch(sync=True).write()  # an empty batch; a sync covers the whole log
        except plyvel.Error as error:
            raise StoreBroken(f"{self.path}: {error}") from error
        self._synced = True

    def _sync_ahead(self) -> None:
        """Has a thread sync what is in the log so far, unless one is still at it: little is left for the switch."""
        if self._ahead is None or not self._ahead.is_alive():
            log = self.path / f"{self._logs()[-1]:06d}.log"
            self._ahead = threading.Thread(target=self._run_sync, args=[log], name="leveldb-sync", daemon=True)
            self._ahead_bytes = self._log_bytes
            self._ahead.start()

    def _run_sync(self, log: Path) -> None:
        try:
            handle = os.open(log, os.O_RDONLY)
            try:
                os.fdatasync(handle)
            finally:
                os.close(handle)
        except FileNotFoundError:
            pass  # dumped and gone meanwhile
        except OSError as error:
            self._thread_error = error

    def _switch(self) -> None:
        """Syncs the log, then has LevelDB begin the next one. On return writes go there."""
        self.sync()
        self._reap_dumps()
        before = self._logs()[-1]
        dump = threading.Thread(target=self._run_dump, args=self._reclaim, name="leveldb-dump", daemon=True)
        self._dumps.append(dump)
        self._reclaim = (_NOWHERE, _NOWHERE)
        dump.start()
        while self._logs()[-1] == before:
            if not dump.is_alive() and self._logs()[-1] == before:
                raise StoreBroken(f"{self.path}: no new log: {self._thread_error}")
            time.sleep(SWITCH_POLL_S)
        self._log_bytes = self._ahead_bytes = 0

    def _run_dump(self, lo: bytes, hi: bytes) -> None:
        """NB: a dump goes before any compaction, so a long one of an earlier switch holds up none."""
        try:
            self._db.compact_range(start=lo, stop=hi)
        except Exception as error:  # a thread has no one above it: whoever comes by next reports
            self._thread_error = error

    def _reap_dumps(self) -> None:
        self._dumps = [dump for dump in self._dumps if dump.is_alive()]
        if self._thread_error is not None:
            raise StoreBroken(f"{self.path}: {self._thread_error}")

    def reclaim(self, lo: bytes, hi: bytes) -> None:
        """Waits for the next switch, since a compaction of its own would switch the log unsynced."""
        before = self._reclaim
        self._reclaim = (lo, hi) if before[0] == _NOWHERE else (min(lo, before[0]), max(hi, before[1]))

    def _logs(self) -> list[int]:
        """Numbers of the log files, ascending."""
        return sorted(int(name[:-4]) for name in os.listdir(self.path) if name.endswith(".log"))

    def size(self) -> int:
        """Bytes of all files; a look at the directory (tens of microseconds)."""
        total = 0
        with os.scandir(self.path) as entries:
            for entry in entries:
                try:
                    total += entry.stat().st_size
                except FileNotFoundError:  # LevelDB removes tables at any time
                    continue
        return total

    def size_in_use(self) -> int:
        """LevelDB's estimate of what tables hold, and what the log holds."""
        return min(int(self._db.approximate_size(b"", b"\xff")) + self._log_bytes, self.size())

    def compact(self) -> None:
        """Rewrites all tables without what was deleted or overwritten, in the background."""
        self._reclaim = (b"", b"\xff")
        self._switch()

    def close(self) -> None:
        """raises StoreBroken"""
        self.sync()
        for thread in [*self._dumps, self._ahead]:
            if thread is not None:
                thread.join()
        self._reap_dumps()
        self._db.close()
