"""The log of a member on disk: what was appended and synced is there after any crash, and nothing is half there.

Appending only collects frames; `sync` makes all of them durable with one write and one fdatasync, so that everything
that arrived during one sync shares the next. Until then the log can go back: a full disk leaves it as it was.

Order of events on disk. A new log: temporary directory, first segment written and synced, renamed, parent synced. A
cut: the next segment prepared as a temporary file with its head (crc, metadata, hard state) and synced, the old one
truncated to its end and synced, the new one renamed, directory synced. So whatever has a segment's name is whole up to
its last synced record.

Source: etcd 3.5 server/wal (Create, Open, Save, cut, ReleaseLockTo); format in record.py.
"""

import contextlib
import posixpath
from typing import NamedTuple

from etcdz.wal import record as rec
from etcdz.wal.files import Disk, File, WalCorrupt, WalExists, WalFull, WalMismatch
from etcdz.wal.offsets import POINT_EVERY, Offsets, Place, Span
from etcdz.wal.record import Marker
from etcdz.wal.resume_point import BEFORE_BYTES, ResumePoint
from etcdz.wal.scan import SECTOR_BYTES, Scan, Torn, live_entries
from etcdz.wal.segment import Segment, list_segments, parse_name, select_segments

SEGMENT_BYTES = 64_000_000
CUT_RETRY_BYTES = 1 << 20
TEMPORARY_SEGMENT = "0.tmp"
AFTER_RESUME_BYTES = 16 << 20
"""How much of the last segment is read after a resume point, unless more than that follows it."""
SYNC_BYTES_MAX = 8 << 20
"""How much one fdatasync covers at most; more goes to disk in steps. So no more than this can be in the page cache but
not on the disk once a sync has failed, and no more has to be written again by the next process."""
WRITE_AGAIN_BYTES = 1 << 20
"""Of these, at a time."""
CLEAR = -1


class LogOptions(NamedTuple):
    """segment_bytes: preallocated, and cut once reached. no_fsync: --unsafe-no-fsync, a power loss loses data."""

    segment_bytes: int = SEGMENT_BYTES
    no_fsync: bool = False


DEFAULTS = LogOptions()


class Recovered(NamedTuple):
    """What opening found. first_index..last_index can be read by `Log.read_entries`; nothing if last < first.

    hard_state    encoded raftpb.HardState, empty if there is none yet
    markers       of snapshots, oldest first, only those that the hard state has committed
    torn          what was cut off, or None
    """

    metadata: bytes
    hard_state: bytes
    first_index: int
    last_index: int
    last_term: int
    markers: list[Marker]
    torn: Torn | None


class OpenSegment(NamedTuple):
    """A segment whose lock is held."""

    segment: Segment
    file: File


class SyncedState(NamedTuple):
    """The state after the last sync, to which a sync that finds the disk full goes back."""

    crc: int
    hard_state: bytes
    last_index: int
    last_term: int
    marker: Marker


class Log:
    """A log that is open for appending; make one with `create` or `open`.

    hard_state, last_index, last_term and marker tell of everything appended, synced or not.

    cut_failure    why the tail could not be cut when it was due (it grows on, and a cut is tried again), or None

    Invariant: the tail segment up to _offset is synced; _pending holds what follows it, framed and summed into _crc.
    Invariant: _offsets covers what is synced; _points, (index, last index before it, offset), what of _pending may
    become a point of it.
    Requires: no call after one that raised anything but WalFull.
    """

    __slots__ = (
        "directory",
        "metadata",
        "hard_state",
        "last_index",
        "last_term",
        "marker",
        "cut_failure",
        "written_bytes",
        "_disk",
        "_options",
        "_segments",
        "_older",
        "_offset",
        "_cut_at",
        "_crc",
        "_pending",
        "_pending_bytes",
        "_points",
        "_offsets",
        "_synced",
    )

    def __init__(self, disk: Disk, directory: str, metadata: bytes, options: LogOptions) -> None:
        self.directory = directory
        self.metadata = metadata
        self.hard_state = b""
        self.last_index = 0
        self.last_term = 0
        self.marker = Marker(0, 0)
        self.cut_failure: WalFull | None = None
        self._disk = disk
        self._options = options
        self._segments: list[OpenSegment] = []
        self._older: list[Segment] = []
        self._offset = 0
        self._cut_at = options.segment_bytes
        self._crc = 0
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self.written_bytes = 0
        self._points: list[tuple[int, int, int]] = []
        self._offsets = Offsets()
        self._synced = SyncedState(0, b"", 0, 0, self.marker)

    # ---- creating and opening ----

    @classmethod
    def create(cls, disk: Disk, directory: str, metadata: bytes, options: LogOptions = DEFAULTS) -> "Log":
        """A new, empty log that begins at entry 1.

        metadata  encoded etcdserverpb.Metadata
        raises    WalExists: there are segments in directory. WalFull: nothing is left behind
        """
        directory = posixpath.normpath(directory)
        if has_log(disk, directory):
            raise WalExists(f"wal: '{directory}' holds a log already")
        log = cls(disk, directory, metadata, options)
        first = Segment(0, 0)
        head, crc = log._head(0)
        marker, log._crc = rec.encode_frame(rec.SNAPSHOT, rec.encode_marker(log.marker, None), crc)
        temporary = directory + ".tmp"
        disk.remove_tree(temporary)
        try:
            disk.make_directory(temporary)
            file = log._prepare(posixpath.join(temporary, first.name), head + marker)
        except WalFull:
            disk.remove_tree(temporary)
            raise
        if not options.no_fsync:
            disk.sync_directory(temporary)
        disk.remove_tree(directory)
        disk.rename(temporary, directory)
        if not options.no_fsync:
            disk.sync_directory(posixpath.dirname(directory) or ".")
        file.path = posixpath.join(directory, first.name)
        log._segments.append(OpenSegment(first, file))
        log._offset = len(head) + len(marker)
        log._remember()
        return log

    @classmethod
    def open(
        cls,
        disk: Disk,
        directory: str,
        snapshot: tuple[int, int] | None = (0, 0),
        options: LogOptions = DEFAULTS,
        resume: ResumePoint | None = None,
    ) -> "tuple[Log, Recovered]":
        """The log from a snapshot's marker (index, term) on; None: all of it, whatever its markers. Every sum is
        checked, a torn tail is cut off, and the log is ready for appending.

        resume  what lies before this point is not read again
        raises  WalCorrupt, WalMismatch, WalInUse; with a resume point the first two may only mean that it does not fit
        """
        directory = posixpath.normpath(directory)
        names = disk.list(directory)
        segments = list_segments(names)
        chosen = select_segments(segments, snapshot[0] if snapshot else None)
        log = cls(disk, directory, b"", options)
        log._older = segments[: -len(chosen)]
        try:
            log._lock(chosen)
            scan = log._scan() if resume is None else log._scan_from(resume)
            _check(scan, snapshot, log._segments[-1].file.path)
            log._adopt(scan, resume)
        except BaseException:
            log.close()
            raise
        for name in names:
            if name.endswith(".tmp"):
                disk.remove(posixpath.join(directory, name))
        markers = [m for m in scan.markers if m.snapshot_index <= scan.commit]
        return log, Recovered(
            log.metadata, log.hard_state, log.first_index, log.last_index, log.last_term, markers, scan.torn
        )

    def _lock(self, chosen: list[Segment]) -> None:
        for segment in chosen:
            file = self._disk.open(posixpath.join(self.directory, segment.name), write=True)
            self._segments.append(OpenSegment(segment, file))
            file.lock()

    def _scan(self) -> Scan:
        scan = Scan(self._segments[0].segment.first_index)
        for segment, file in self._segments:
            scan.feed(file.read(0, file.size()), file.path, segment.sequence, segment is self._segments[-1].segment)
        return scan

    def _scan_from(self, point: ResumePoint) -> Scan:
        """raises WalMismatch: it does not lie in this log"""
        rest = [opened for opened in self._segments if opened.segment.sequence >= point.sequence]
        found = bool(rest) and rest[0].segment.sequence == point.sequence
        if not found or _before(rest[0].file, point.offset) != point.before:
            raise WalMismatch("wal: the resume point lies in none of the segments")
        scan = self._feed_first(point, rest[0].file, len(rest) == 1)
        for segment, file in rest[1:]:
            scan.feed(file.read(0, file.size()), file.path, segment.sequence, segment is rest[-1].segment)
        return scan

    def _feed_first(self, point: ResumePoint, file: File, is_last: bool) -> Scan:
        """What follows a resume point in its segment. Mostly little, and then zeros, not all of which are read."""
        base = point.offset - point.offset % SECTOR_BYTES
        size = file.size()
        for upto in (min(size, base + AFTER_RESUME_BYTES) if is_last else size, size):
            scan = Scan.resume(point)
            scan.offsets.drop_below(self._segments[0].segment.sequence)
            buf = file.read(base, upto - base)
            try:
                scan.feed_rest(buf, base, point.offset, file.path, point.sequence, is_last)
            except WalCorrupt:
                if upto == size:
                    raise
            else:
                if scan.torn is None and scan.end + SECTOR_BYTES <= upto:
                    break
        return scan

    def resume_point(self) -> ResumePoint:
        """Where the log stands after its last sync."""
        crc, hard_state, last_index, last_term, marker = self._synced
        indexes, places = list(self._offsets.indexes), list(self._offsets.places)
        segment, file = self._segments[-1]
        return ResumePoint(
            segment.sequence,
            self._offset,
            _before(file, self._offset),
            crc,
            self.metadata,
            hard_state,
            last_index,
            last_term,
            marker,
            indexes,
            places,
        )

    @property
    def position(self) -> tuple[int, int]:
        """(sequence of the last segment, offset of its end) of what is synced."""
        return self._segments[-1].segment.sequence, self._offset

    def _adopt(self, scan: Scan, resume: ResumePoint | None) -> None:
        """Requires: _check has passed."""
        self.metadata = scan.metadata or b""
        self.hard_state = scan.hard_state
        self.last_index = scan.last_index
        self.last_term = scan.last_term
        self.marker = scan.markers[-1] if scan.markers else Marker(0, 0)
        self._offsets = scan.offsets
        self._crc = scan.crc
        self._offset = scan.end
        self._remember()
        tail = self._segments[-1].file
        if scan.torn:
            tail.truncate(scan.end)
        # On a full disk the tail stays short: it still can be read, and grows once there is space.
        with contextlib.suppress(WalFull):
            tail.preallocate(self._options.segment_bytes)
        # What was read may be in the page cache alone, if a process was killed before its sync. The member takes it
        # for durable, so it has to be: the records, and the name of a segment that was just cut.
        if not self._options.no_fsync:
            self._write_again(resume)
            tail.sync()
            self._disk.sync_directory(self.directory)

    def _write_again(self, resume: ResumePoint | None) -> None:
        """What an earlier process's last sync may have failed for: the page cache has it as clean then, and another
        sync would succeed without writing it. What lies before a resume point was synced.

        NB: a full disk that never writes in place has no room for this. What is still unwritten is synced all the same.
        """
        segment, tail = self._segments[-1]
        first = max(0, self._offset - SYNC_BYTES_MAX)
        if resume is not None and resume.sequence == segment.sequence:
            first = max(first, resume.offset)
        with contextlib.suppress(WalFull):
            for at in range(first, self._offset, WRITE_AGAIN_BYTES):
                tail.write(at, tail.read(at, min(WRITE_AGAIN_BYTES, self._offset - at)))

    def close(self) -> None:
        """Closes the segments, which releases their locks. What is not synced is lost."""
        for _, file in self._segments:
            file.close()
        self._segments.clear()

    # ---- appending ----

    def append(self, entries: list[bytes], first_index: int, hard_state: bytes | None = None) -> None:
        """Collects records; `sync` makes them durable.

        entries       encoded raftpb.Entry, of indexes first_index, first_index + 1, ...; they rewrite what is there
                      from first_index on
        hard_state    encoded raftpb.HardState, to be written after them; None or empty: as before
        """
        if entries:
            if first_index > self.last_index + 1:
                raise ValueError(f"wal: entry {first_index} cannot follow entry {self.last_index}")
            count = len(entries)
            for lo in range(0, count, POINT_EVERY):
                before = self.last_index if lo == 0 else first_index + lo - 1
                self._points.append((first_index + lo, before, self._offset + self._pending_bytes))
                pieces: list[bytes] = []
                batch = entries if count <= POINT_EVERY else entries[lo : lo + POINT_EVERY]
                self._crc = rec.encode_frames(rec.ENTRY, batch, self._crc, pieces)
                self._push(b"".join(pieces))
            self.last_term = rec.decode_position(entries[-1])[0]
            self.last_index = first_index + count - 1
        if hard_state:
            frame, self._crc = rec.encode_frame(rec.HARD_STATE, hard_state, self._crc)
            self._push(frame)
            self.hard_state = hard_state

    def save_snapshot_marker(self, index: int, term: int, conf_state: bytes) -> None:
        """Notes, durably, that there is a .snap of this position. Beyond the last index (a leader sent it), the log
        goes on after it. raises WalFull, as sync does

        A marker counts only once the commit index covers it, and what lies before it may be released right away. So
        where the hard state lags behind, one that covers it follows, in the same sync.

        Requires: a hard state, if index lies beyond the last
        """
        if index > self.last_index and not self.hard_state:
            raise ValueError(f"wal: snapshot {index} beyond entry {self.last_index}, but no hard state")
        self._push_marker(Marker(index, term), conf_state)
        if index > self.last_index:
            self._jump()
        if self.hard_state:
            self._push_commit(self.hard_state, index)
        self.sync()

    def save_received_marker(self, index: int, term: int, conf_state: bytes, hard_state: bytes) -> None:
        """Notes, durably, that there is a .snap of this position that a leader has sent: the log goes on after it, and
        holds none of the entries that it had. raises WalFull, as sync does

        It is written twice: of entries that the log has, up to there or further, nothing else says that they are gone.

        hard_state   to go with it; empty: as before. Its commit index is made to cover index
        raises       ValueError: there is none yet
        """
        hard_state = hard_state or self.hard_state
        if not hard_state:
            raise ValueError(f"wal: snapshot {index} was received, but there is no hard state")
        for _ in range(2):
            self._push_marker(Marker(index, term), conf_state)
        self._jump()
        self.append([], 0, hard_state)
        self._push_commit(hard_state, index)
        self.sync()

    def _push_marker(self, marker: Marker, conf_state: bytes) -> None:
        self.marker = marker
        frame, self._crc = rec.encode_frame(rec.SNAPSHOT, rec.encode_marker(marker, conf_state), self._crc)
        self._push(frame)

    def _jump(self) -> None:
        """The log goes on after its marker."""
        self.last_index, self.last_term = self.marker
        self._points.append((CLEAR, 0, 0))

    def _push_commit(self, hard_state: bytes, index: int) -> None:
        """A hard state that commits index, if this one does not."""
        state = rec.decode_hard_state(hard_state)
        if state.commit < index:
            self.append([], 0, rec.encode_hard_state(state._replace(commit=index)))

    def _push(self, data: bytes) -> None:
        self._pending.append(data)
        self._pending_bytes += len(data)

    def sync(self) -> None:
        """Makes durable what was appended, and cuts the segment if it is full.

        raises WalFull: nothing of what was appended since the last sync is in the log; try again when there is space.
               SyncFailed or any other OSError: the process must end.
        """
        pending = self._pending
        if pending:
            tail = self._segments[-1].file
            offset, data = self._offset, pending[0] if len(pending) == 1 else b"".join(pending)
            try:
                if len(data) > SYNC_BYTES_MAX:
                    offset, data = self._sync_first_steps(tail, data)
                tail.write(offset, data)
            except WalFull:
                self._go_back(tail)
                raise
            if not self._options.no_fsync:
                tail.sync()
            self._place_points()
            self._offset += self._pending_bytes
            self.written_bytes += self._pending_bytes
            self._remember()
        if self._offset >= self._cut_at:
            self._maybe_cut()

    def _sync_first_steps(self, tail: File, data: bytes) -> tuple[int, bytes]:
        """Puts more than one sync may cover on disk, but for the last step. return that step: (offset, data)

        NB: each step ends where a sector does. What is killed between two leaves a frame whose rest is missing, which
        is told from damage by sectors of it that hold nothing.
        """
        offset = self._offset
        while len(data) > SYNC_BYTES_MAX:
            step = SYNC_BYTES_MAX - offset % SECTOR_BYTES
            tail.write(offset, data[:step])
            if not self._options.no_fsync:
                tail.sync()
            offset, data = offset + step, data[step:]
        return offset, data

    def _place_points(self) -> None:
        """Moves what _points says into the offsets, now that it is on disk."""
        offsets = self._offsets
        sequence = self._segments[-1].segment.sequence
        for index, last_index, offset in self._points:
            place = Place(sequence, offset)
            if index == CLEAR:
                offsets.clear()
            elif offsets.is_due(index, place, last_index):
                offsets.add(index, place)

    def _remember(self) -> None:
        self._synced = SyncedState(self._crc, self.hard_state, self.last_index, self.last_term, self.marker)
        self._pending = []
        self._pending_bytes = 0
        self._points = []

    def _go_back(self, tail: File) -> None:
        self._crc, self.hard_state, self.last_index, self.last_term, self.marker = self._synced
        self._remember()
        size = tail.size()
        tail.truncate(self._offset)
        with contextlib.suppress(WalFull):
            tail.preallocate(min(size, self._options.segment_bytes))
        # Or what was given up could come back in a crash, sector by sector among what is written in its place.
        if not self._options.no_fsync:
            tail.sync()

    # ---- segments ----

    def _head(self, crc: int) -> tuple[bytes, int]:
        """What a segment begins with, and the running crc after it."""
        metadata, after = rec.encode_frame(rec.METADATA, self.metadata, crc)
        head = rec.encode_crc_frame(crc) + metadata
        if self.hard_state:
            state, after = rec.encode_frame(rec.HARD_STATE, self.hard_state, after)
            head += state
        return head, after

    def _prepare(self, path: str, head: bytes) -> File:
        """A locked, preallocated, synced file that begins with head. raises WalFull: the file is gone again"""
        file = self._disk.create(path)
        try:
            file.lock()
            file.preallocate(self._options.segment_bytes)
            file.write(0, head)
        except WalFull:
            self._discard(file, path)
            raise
        if not self._options.no_fsync:
            file.sync()
        return file

    def _discard(self, file: File, *paths: str) -> None:
        """A file that came to nothing, under whichever of these names. A temporary one that stays is in nobody's way:
        the next takes its name."""
        file.close()
        for path in paths:
            with contextlib.suppress(OSError):
                self._disk.remove(path)

    def _maybe_cut(self) -> bool:
        """Begins the next segment, or, for want of space, notes why not. Requires: everything is synced."""
        before = self._segments[-1]
        segment = Segment(before.segment.sequence + 1, self.last_index + 1)
        head, crc = self._head(self._crc)
        temporary = posixpath.join(self.directory, TEMPORARY_SEGMENT)
        path = posixpath.join(self.directory, segment.name)
        try:
            file = self._prepare(temporary, head)
            before.file.truncate(self._offset)
            if not self._options.no_fsync:
                before.file.sync()
            try:
                self._disk.rename(temporary, path)
            except WalFull:
                self._discard(file, temporary, path)  # over a network a rename may be done and fail all the same
                raise
        except WalFull as e:
            self.cut_failure = e
            self._cut_at = self._offset + CUT_RETRY_BYTES
            return False
        if not self._options.no_fsync:
            self._disk.sync_directory(self.directory)
        file.path = path
        self._segments.append(OpenSegment(segment, file))
        self.cut_failure = None
        self._cut_at = self._options.segment_bytes
        self._offset = len(head)
        self._crc = crc
        self._remember()
        return True

    @property
    def segments(self) -> list[Segment]:
        """On disk, oldest first."""
        return self._older + [s.segment for s in self._segments]

    def release(self, index: int, keep: int = 5) -> list[str]:
        """Removes the segments that hold nothing after index, oldest first, as long as more than keep remain.

        keep    --max-wals; 0: remove none
        return  the names that are gone
        raises  OSError: one cannot be removed; it stays one of the log, as do those after it
        """
        removed: list[str] = []
        try:
            while keep and len(segments := self.segments) > keep and segments[1].first_index <= index:
                self._disk.remove(posixpath.join(self.directory, segments[0].name))
                removed.append(segments[0].name)
                if self._older:
                    self._older.pop(0)
                else:
                    self._segments.pop(0).file.close()
        finally:
            if removed:
                self._offsets.drop_below(self.segments[0].sequence)
        return removed

    # ---- reading back ----

    @property
    def first_index(self) -> int:
        """The first entry that `read_entries` can give; the one after the last if there is none."""
        return self._offsets.indexes[0] if self._offsets.indexes else self._synced.last_index + 1

    def read_entries(self, lo: int, hi: int | None = None, max_bytes: int | None = None) -> list[bytes]:
        """Encoded raftpb.Entry of lo <= index < hi, of what is synced.

        hi           None: to the last
        max_bytes    stop before the sum exceeds this, but give one entry at least
        raises       WalMismatch: lo lies before first_index. WalCorrupt: the disk changed since it was written
        """
        hi = self._synced.last_index + 1 if hi is None else min(hi, self._synced.last_index + 1)
        if lo < self.first_index:
            raise WalMismatch(f"wal: entry {lo} is not in the log any more, it begins at {self.first_index}")
        out: list[bytes] = []
        left = max_bytes
        for span in self._offsets.spans(lo, hi) if lo < hi else ():
            for entry in self._read_span(span, max(lo, span.lo)):
                if left is not None:
                    left -= len(entry)
                    if left < 0 and out:
                        return out
                out.append(entry)
        return out

    def _read_span(self, span: Span, lo: int) -> list[bytes]:
        """The entries of a span from lo on."""
        file = next(s.file for s in self._segments if s.segment.sequence == span.place.sequence)
        end = span.end
        if end is None:
            end = self._offset if file is self._segments[-1].file else file.size()
        begin = span.place.offset
        return live_entries(file.read(begin, end - begin), span, lo, file.path)


def _before(file: File, offset: int) -> bytes:
    """The bytes before an offset that a resume point is known by."""
    begin = max(0, offset - BEFORE_BYTES)
    return file.read(begin, offset - begin)


def has_log(disk: Disk, directory: str) -> bool:
    """Whether there are segments in a directory, which need not exist."""
    return disk.exists(directory) and any(parse_name(name) for name in disk.list(directory))


def _check(scan: Scan, snapshot: tuple[int, int] | None, path: str) -> None:
    """Whether what was read can be started from. raises WalCorrupt, WalMismatch"""
    if scan.commit > scan.last_index:
        raise WalCorrupt(path, scan.end, f"the log ends at {scan.last_index}, but {scan.commit} was committed")
    if snapshot is None:
        return
    index, term = snapshot
    terms = [m.snapshot_term for m in scan.markers if m.snapshot_index == index]
    if not terms:
        raise WalMismatch(f"wal: snapshot not found: index {index}, term {term}")
    if term not in terms:
        raise WalMismatch(f"wal: snapshot mismatch: index {index} has term {terms[-1]}, not {term}")
    first = scan.offsets.indexes[0] if scan.offsets.indexes else scan.last_index + 1
    if first > index + 1:
        raise WalMismatch(f"wal: entries {index + 1} to {first - 1} are missing")
