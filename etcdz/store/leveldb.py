"""The store on LevelDB, through plyvel, which decides when LevelDB switches its log.

LevelDB collects writes in memory and in a log file; when memory is full it begins a new log, and dumps the old memory
to a table in the background. It never syncs the old log before that: after a power loss the tail of the *old* log may
be gone while the new one is there, which is a hole in the middle of history. So LevelDB must never switch by itself.
Its write buffer is larger than it is allowed to get; after SWITCH_BYTES the log is synced and a switch asked for
(compacting an empty range does nothing else). That call returns only when the dump is done, so a thread makes it, and
writes go on as soon as the new log file is there: no write may land in the old one behind its sync.

What power loss leaves is then: all tables, all of every log but the newest, and of that one at least what was synced.

Compactions of a range begin with such a switch, so they are made by its thread too: piece by piece, one at a time,
since LevelDB does none of its own meanwhile, and stops all writes once a dozen tables wait for one.
"""

import fcntl
import os
import threading
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import plyvel

from etcdz.store import buckets
from etcdz.store.inspection import Damage, inspect, is_new
from etcdz.store.log_tail import cut_log

WRITE_BUFFER_BYTES = 64 << 20
"""LevelDB's own limit, counted in arena bytes; SWITCH_BYTES must come first however small the records are."""
SWITCH_BYTES = 24 << 20
CHANGE_OVERHEAD_BYTES = 80
"""What a change costs in LevelDB's memory beside its value, about: store key, sequence number, skip list node."""
BLOCK_CACHE_BYTES = 32 << 20
OPEN_FILES_MAX = 500
SYNC_AHEAD_BYTES = 8 << 20
"""After so many bytes the log is synced in the background. A switch that had it all to do took 30 to 50 ms, so it takes
10 to 20; every 2 MiB was worse than never: a write waits while its file is being synced."""
SWITCH_POLL_S = 0.0005
"""The new log is there within a millisecond, unless the last dump is still under way; then the disk is waited for."""

assert SWITCH_BYTES * 2 < WRITE_BUFFER_BYTES

WRITE_BACK_S = 0.05
"""What is written back meanwhile needs no waiting for."""

_NOWHERE = b"\0"  # before every bucket
_EVERYWHERE = b"\xff"  # behind every bucket
PIECE_BYTES = 64 << 20
"""A range is compacted in pieces of about so many bytes of tables, with room for LevelDB's own work in between."""
LOOSE_TABLES_MAX = 4
"""With so many tables that no compaction has taken up yet, LevelDB's own goes first."""
FREED = b"etcdz_meta\0freed"
"""8 bytes: how much deleted records still take up in tables. It is in no hash."""
_IN_USE_MIN = 4096


class StoreBroken(OSError):
    """LevelDB failed: the process has to end."""


class StoreSyncFailed(StoreBroken):
    """The log could not be synced: the page cache may hold what the disk does not, and a second sync would hide it."""


class StoreDamaged(StoreBroken):
    """The files of a store do not hold what was written to them.

    damage    what is wrong; its path is the directory if LevelDB did not say which file
    """

    def __init__(self, damage: Damage) -> None:
        super().__init__(str(damage))
        self.damage = damage


DAMAGED = (StoreDamaged, plyvel.Error)
"""What reads raise for data that is not as it was written: `get` and unverified iterators leave LevelDB's errors as
they are."""
_NOWHERE_IN_FILE = "Invalid argument"
"""The errno with which a read fails whose place is in no file: LevelDB has it from a damaged block."""


class LevelStore:
    """A Store in a directory of its own. One process at a time; LevelDB's LOCK file sees to that.

    Invariant: LevelDB's memory holds what was written since the last switch, about `_log_bytes`.
    Invariant: `_dumps` are the threads of switches that may not have ended, with what each of them frees.
    Invariant: `_ranges` are to be compacted, one with each switch: deleted records stay in tables, and each walk over
    them skips one after the other, until a compaction comes by. (lo, hi, bytes that this frees)
    Invariant: `_freed` is how much of `size` deleted records take up, about; the same as the row FREED.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        switch_bytes: int = SWITCH_BYTES,
        sync_ahead_bytes: int = SYNC_AHEAD_BYTES,
        prepare: Callable[[Path], None] | None = None,
    ) -> None:
        """prepare   called with path before anything of a store that is there and looks whole is changed
        raises    StoreDamaged: nothing has been changed, unless LevelDB found the damage. StoreBroken: the directory is
                  in use, or cannot be written
        """
        self.path = Path(path)
        self._switch_bytes = switch_bytes
        self._sync_ahead_bytes = sync_ahead_bytes
        self._log_bytes = self.written_bytes = 0
        self._synced = True  # LevelDB writes what it finds in logs to tables, and syncs those, before it opens
        self._dumps: list[tuple[threading.Thread, int]] = []
        self._thread_error: Exception | None = None
        self._ahead: threading.Thread | None = None
        self._ahead_bytes = 0
        self._synced_for_switch = False
        self.was_cut = False
        """Whether a torn end of a log or of the manifest was cut off at the opening."""
        self._db = self._open(prepare)
        self.get = partial(self._db.get, verify_checksums=True)
        self._ranges: deque[tuple[bytes, bytes, int]] = deque()
        try:
            self._freed = int.from_bytes(self.get(FREED) or b"", "big")
        except plyvel.Error as error:
            self._db.close()
            raise self._broken(error) from error
        if self._freed:
            self._plan(buckets.KEY, buckets.bucket_end(buckets.KEY), self._freed)

    def _open(self, prepare: Callable[[Path], None] | None) -> "plyvel.DB":
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._inspect(prepare)
            return plyvel.DB(
                os.fsencode(self.path),  # as text it would have to be UTF-8
                create_if_missing=True,
                paranoid_checks=True,  # else LevelDB skips over damage, and the member goes on with a hole
                write_buffer_size=WRITE_BUFFER_BYTES,
                lru_cache_size=BLOCK_CACHE_BYTES,
                max_open_files=OPEN_FILES_MAX,
            )
        except StoreBroken:
            raise
        except (plyvel.Error, OSError) as error:
            raise self._broken(error) from error

    def _broken(self, error: Exception, kind: type[StoreBroken] = StoreBroken) -> StoreBroken:
        """What this module raises for an error of LevelDB's: StoreDamaged, or one of a kind."""
        if is_damage(error):
            return StoreDamaged(Damage(self.path, describe(error)))
        return kind(f"{self.path}: {describe(error)}")

    def _inspect(self, prepare: Callable[[Path], None] | None) -> None:
        """Cuts torn ends. NB: only under LevelDB's own lock: another's log has a tail that is merely unfinished.

        The lock is let go before LevelDB takes it again, since a process has one lock on a file whatever the handle.
        Where there is no LOCK yet, nobody holds it.

        raises StoreDamaged
        """
        with ExitStack() as stack:
            with suppress(FileNotFoundError):
                lock = stack.enter_context(open(self.path / "LOCK", "r+b"))
                fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if is_new(self.path):
                return
            found = inspect(self.path)
            if found.damage is not None:
                raise StoreDamaged(found.damage)
            if prepare is not None:
                prepare(self.path)
            for path, size in found.cuts:
                cut_log(path, size)
            self.was_cut = bool(found.cuts)

    def iterate(
        self, lo: bytes, hi: bytes, reverse: bool = False, verify: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        found = self._db.iterator(start=lo, stop=hi, reverse=reverse, verify_checksums=True, fill_cache=not verify)
        rows = chain(found, self._raise_skipped(found, lo))
        return self._verified(rows) if verify else rows

    def _raise_skipped(self, rows: Any, lo: bytes) -> Iterator[tuple[bytes, bytes]]:
        """No rows, but LevelDB's error if it has skipped over damage at the end of rows, a plyvel iterator from lo on.

        NB: plyvel looks for that with each row that it gives out and not at the end, so one more is asked for; where
        there is none, only a raw iterator says why.
        """
        rows.seek(lo)
        if next(rows, None) is None:
            self._db.raw_iterator(verify_checksums=True).seek(lo)
        yield from ()

    def _verified(self, rows: Iterator[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
        """raises StoreDamaged, StoreBroken"""
        try:
            yield from rows
        except plyvel.Error as error:
            raise self._broken(error) from error

    def write(self, batch: Mapping[bytes, bytes | None], sync: bool = False) -> bool:
        """raises StoreBroken; with sync StoreSyncFailed"""
        if self._thread_error is not None:
            self._raise_thread_error()
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
            raise self._broken(error, StoreSyncFailed if sync else StoreBroken) from error
        self._log_bytes += size
        self.written_bytes += size
        self._synced = sync
        if self._log_bytes >= self._switch_bytes:
            self._switch()
        elif self._log_bytes >= self._ahead_bytes + self._sync_ahead_bytes:
            self._sync_ahead()
        return self._synced

    def sync(self) -> None:
        """raises StoreSyncFailed; StoreBroken: another error of LevelDB's, in a thread"""
        self._raise_thread_error()  # NB: a sync that has failed in a thread may seem to succeed when made again
        if self._synced:
            return
        try:
            self._db.write_batch(sync=True).write()  # an empty batch; a sync covers the whole log
        except plyvel.Error as error:
            raise self._broken(error, StoreSyncFailed) from error
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
                # Begun without waiting: a write waits while its file is being synced, and little is left for that then.
                os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
                time.sleep(WRITE_BACK_S)
                os.fdatasync(handle)
            finally:
                os.close(handle)
        except FileNotFoundError:
            pass  # dumped and gone meanwhile
        except OSError as error:
            self._thread_error = StoreSyncFailed(error.errno, f"fdatasync: {error.strerror}", str(log))

    def _switch(self) -> None:
        """Syncs the log, then has LevelDB begin the next one. On return writes go there."""
        self._reap_dumps()  # NB: it may write, and nothing may be written behind the sync
        self.sync()
        before = self._logs()[-1]
        lo, hi, freed = self._ranges.popleft() if self._ranges and not self._dumps else (_NOWHERE, _NOWHERE, 0)
        dump = threading.Thread(target=self._run_dump, args=(lo, hi), name="leveldb-dump", daemon=True)
        self._dumps.append((dump, freed))
        dump.start()
        while self._logs()[-1] == before:
            if not dump.is_alive() and self._logs()[-1] == before:
                self._raise_write_error()
                raise StoreBroken(f"{self.path}: no new log: {self._thread_error}")
            time.sleep(SWITCH_POLL_S)
        self._log_bytes = self._ahead_bytes = 0
        self._synced_for_switch = False

    def _raise_write_error(self) -> None:
        """An error that LevelDB has met in a thread of its own is what every write fails with from then on."""
        try:
            self._db.write_batch().write()
        except plyvel.Error as error:
            raise self._broken(error) from error

    def _run_dump(self, lo: bytes, hi: bytes) -> None:
        """NB: a dump goes before any compaction, so a long one of an earlier switch holds up none."""
        try:
            self._db.compact_range(start=lo, stop=hi)
        except Exception as error:  # nothing catches it above a thread: the next call reports it
            self._thread_error = error

    def _raise_thread_error(self) -> None:
        error = self._thread_error
        if error is not None:
            kind = StoreSyncFailed if isinstance(error, StoreSyncFailed) else StoreBroken
            raise kind(f"{self.path}: {error}") from error

    def _reap_dumps(self) -> None:
        ended = [dump for dump in self._dumps if not dump[0].is_alive()]
        self._raise_thread_error()
        if ended:
            self._dumps = [dump for dump in self._dumps if dump not in ended]
            self._note_freed(-sum(freed for _, freed in ended))

    def reclaim(self, lo: bytes, hi: bytes, freed: int = 0) -> None:
        """Waits for the next switches, since a compaction of its own would switch the log unsynced."""
        self._note_freed(freed)
        self._plan(lo, hi, freed)

    def _note_freed(self, change: int) -> None:
        if change:
            self._freed = max(0, self._freed + change)
            try:
                self._db.put(FREED, self._freed.to_bytes(8, "big"))
            except plyvel.Error as error:
                raise StoreBroken(f"{self.path}: {error}") from error
            self._log_bytes += CHANGE_OVERHEAD_BYTES
            self._synced = False

    def _plan(self, lo: bytes, hi: bytes, freed: int) -> None:
        """Queues a range of revisions in pieces, of which the last stands for all that is freed; small ones join up."""
        last = self._ranges[-1] if self._ranges else (_EVERYWHERE, b"", 0)
        if last[0] <= lo and last[1] <= hi and int(self._db.approximate_size(last[0], hi)) <= PIECE_BYTES:
            self._ranges.pop()
            lo, freed = last[0], last[2] + freed
        size = int(self._db.approximate_size(lo, hi))
        count = size // PIECE_BYTES + 1
        bounds = [lo, *[self._revision_at(lo, size * i // count) for i in range(1, count)], hi]
        self._ranges.extend([(bounds[i], bounds[i + 1], freed * (i == count - 1)) for i in range(count)])

    def _revision_at(self, lo: bytes, size: int) -> bytes:
        """Store key of the first revision with so many bytes of tables between lo and it; 64 looks of 10 us.

        NB: not by an iterator: it would pass over all that was deleted.
        """
        newest = 1 << 62
        main = bisect_left(
            range(newest), size, hi=newest, key=lambda main: self._db.approximate_size(lo, buckets.put_key(main, 0))
        )
        return buckets.put_key(main, 0)

    def _logs(self) -> list[int]:
        """Numbers of the log files, ascending."""
        names = os.listdir(self.path)
        return sorted(int(name[:-4]) for name in names if name.endswith(".log") and name[:-4].isdecimal())

    def size(self) -> int:
        """Bytes of the tables that hold the data, and of the log that is not in tables yet; takes 10 us.

        NB: not what lies in the directory: that has the tables that a compaction is about to replace too, and for a
        moment would be twice as much.
        """
        return int(self._db.approximate_size(b"", _EVERYWHERE)) + self._log_bytes

    def size_in_use(self) -> int:
        """The same without what deleted records take up: an estimate, and never nothing, as no store is empty."""
        size = self.size()
        return max(min(size, _IN_USE_MIN), size - self._freed)

    def size_between(self, lo: bytes, hi: bytes) -> int:
        """Of tables alone; takes 10 us."""
        return int(self._db.approximate_size(lo, hi))

    def defragment(self) -> None:
        """Begins to rewrite all tables without what was deleted or overwritten; `defragment_step` goes on with it."""
        self._ranges.clear()
        self._ranges.append((b"", buckets.KEY, 0))
        self._plan(buckets.KEY, buckets.bucket_end(buckets.KEY), 0)
        self._ranges.append((buckets.bucket_end(buckets.KEY), _EVERYWHERE, self._freed))

    def defragment_step(self) -> bool:
        """Looks after the ranges that are to be compacted; returns soon. return whether none is left.

        raises StoreBroken
        """
        self._reap_dumps()
        if self._dumps:
            return False
        if not self._ranges:
            return True
        if int(self._db.get_property(b"leveldb.num-files-at-level0")) < LOOSE_TABLES_MAX and self._is_synced_ahead():
            self._switch()
        return False

    def _is_synced_ahead(self) -> bool:
        """Whether little is left to be synced, so that a switch takes little time; if not, a sync ahead is begun."""
        if self._log_bytes > self._ahead_bytes and not self._synced_for_switch:
            self._sync_ahead()
            self._synced_for_switch = True
        return self._ahead is None or not self._ahead.is_alive()

    def close(self) -> None:
        """raises StoreBroken: not all that was written survives power loss; it is closed nevertheless"""
        try:
            self.sync()
            for thread in [*[dump for dump, _ in self._dumps], self._ahead]:
                if thread is not None:
                    thread.join()
            self._reap_dumps()
        finally:
            self._db.close()


def is_damage(error: BaseException) -> bool:
    """Whether it says that data is not as it was written; else the system has failed, or somebody has the store."""
    is_nowhere = isinstance(error, plyvel.IOError) and _NOWHERE_IN_FILE in describe(error)
    return is_nowhere or isinstance(error, (StoreDamaged, plyvel.CorruptionError))


def describe(error: BaseException) -> str:
    """LevelDB's own text comes as bytes."""
    said = error.args[0] if error.args else error
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else str(error)
