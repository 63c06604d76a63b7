"""Reading segments back: every sum checked, every entry's place noted, damage judged.

A crash leaves a torn tail: of the bytes written after the last fdatasync, some sectors are on disk and others still
hold zeros. That is cut off: it was never reported as durable. Any other damage means that the disk lost or changed
what it had promised to keep, and the member must not start from it. The two are told apart by what a crash can do:

- it tears only the last segment: one is finished before the next gets its name;
- it leaves whole sectors (512 bytes), so that a torn frame within the file touches a sector that is zero from the
  frame's begin, or the sector's, to the sector's end; a length field, which never straddles sectors, is right or zero;
- it leaves the file short only inside the last frame.

etcd's repair is looser: it cuts where the part of a sector that a frame covers is zero (a few zeros at the end of a
value will do), and at any length that reaches beyond the file, so that one flipped byte in a length field drops all
that follows.

The sum does not cover a record's type, and an entry without data has the shape of a hard state. So that a flipped type
is found as well, what raft never does is refused: a term that falls, from an entry to the next in the log (not to one
that rewrites: that may be of a lower term) or from hard state to hard state.

Source: etcd 3.5 wal decoder (torn entries) and ReadAll (which records win).
"""

from typing import NamedTuple

import google_crc32c

from etcdz.wal import record as rec
from etcdz.wal.files import WalCorrupt
from etcdz.wal.offsets import POINT_EVERY, Offsets, Place, Span
from etcdz.wal.record import BadRecord, Marker
from etcdz.wal.resume_point import ResumePoint

SECTOR_BYTES = 512
RECORD_HEAD_MAX = 3 + 5 + 1 + 10  # type, crc, tag, length of the data
NO_LENGTH = bytes(8)


class Torn(NamedTuple):
    """A tail that was cut off."""

    path: str
    offset: int
    why: str


class Scan:
    """What the segments read so far add up to.

    Invariant: crc is the sum over the data of all records fed (and of the segments before the first one).
    Invariant: offsets covers the live entries fed, the last one being last_index.
    Invariant: _jump is a marker of a snapshot that a leader has sent, after which the log is to go on, and that nothing
    has confirmed yet. It is known by lying beyond last_index, or by being there twice in a row: then entries up to and
    behind it, which are not the leader's, end with it. A hard state that commits it confirms that it was taken, or,
    beyond last_index, an entry that follows it. Where the power went before, the log goes on as if it had never come.
    """

    __slots__ = (
        "metadata",
        "hard_state",
        "markers",
        "offsets",
        "last_index",
        "last_term",
        "crc",
        "end",
        "torn",
        "_is_first",
        "_has_metadata",
        "_state_term",
        "_jump",
        "_marker_end",
        "_base",
    )

    def __init__(self, first_index: int) -> None:
        """first_index: from the name of the first segment that will be fed."""
        self.metadata: bytes | None = None
        self.hard_state = b""
        self.markers: list[Marker] = []
        self.offsets = Offsets()
        self.last_index = max(first_index - 1, 0)
        self.last_term = 0
        self.crc = 0
        self.end = 0
        self.torn: Torn | None = None
        self._is_first = True
        self._has_metadata = False
        self._state_term = 1
        self._jump: Marker | None = None
        self._marker_end = -1
        """Offset behind the last marker of the segment that is being fed."""
        self._base = 0
        """Offset of the buffer that is being fed, in its file."""

    @classmethod
    def resume(cls, point: ResumePoint) -> "Scan":
        """As if everything before the resume point had been fed; go on with `feed_rest`."""
        scan = cls(0)
        scan.metadata, scan.hard_state = point.metadata, point.hard_state
        scan.markers = [point.marker]
        scan.offsets.indexes, scan.offsets.places = list(point.indexes), list(point.places)
        scan.last_index, scan.last_term = point.last_index, point.last_term
        scan.crc = point.crc
        scan._is_first = False
        if point.hard_state:
            scan._state_term = rec.decode_hard_state(point.hard_state).term
        return scan

    @property
    def commit(self) -> int:
        """The commit index of the last hard state; 0 before the first."""
        return rec.decode_hard_state(self.hard_state).commit if self.hard_state else 0

    def feed(self, buf: bytes, path: str, sequence: int, is_last: bool) -> None:
        """The whole of the next segment. Afterwards `end` is the offset after its last good record.

        raises WalCorrupt
        """
        self.end = self._base = 0
        self._marker_end = -1
        self._has_metadata = False
        self._feed(buf, path, sequence, is_last)

    def feed_rest(self, buf: bytes, base: int, offset: int, path: str, sequence: int, is_last: bool) -> None:
        """What lies in a segment from offset on. buf begins at base, the sector's begin. Afterwards as with `feed`."""
        self.end, self._base = offset - base, base
        self._has_metadata = True
        self._feed(buf, path, sequence, is_last)
        self.end += base
        self._base = 0

    def _feed(self, buf: bytes, path: str, sequence: int, is_last: bool) -> None:
        try:
            self._take_all(buf, sequence)
            if is_last and not rec.is_zero(buf, self.end, len(buf)):
                raise BadRecord("bytes after the end")
        except BadRecord as e:
            at = self._base + self.end
            if not (is_last and at and is_torn(buf, self.end)):
                raise WalCorrupt(path, at, str(e)) from None
            self.torn = Torn(path, at, str(e))
        if not self._has_metadata:
            raise WalCorrupt(path, 0, "segment without metadata")
        self._is_first = False

    def _take_all(self, buf: bytes, sequence: int) -> None:
        """Takes records until the end of buf or a length field of 0; raises BadRecord with self.end at the bad one."""
        size = len(buf)
        while self.end < size:
            at = self.end
            if buf[at] == 0 and buf[at : at + 8] == NO_LENGTH:
                return
            kind, crc, start, stop, after = rec.decode_frame(buf, at)
            if kind == rec.CRC:
                self._take_crc(crc, self._base + at)
            else:
                data = buf[start:stop]
                self._check_sum(data, crc, self._base + at)
                if kind == rec.ENTRY:
                    self._take_entry(*rec.decode_position(data), Place(sequence, self._base + at))
                elif kind == rec.SNAPSHOT:
                    self._take_marker(rec.decode_marker(data), after)
                else:
                    self._take_other(kind, data)
                self.crc = crc
            self.end = after
            self._take_usual_entries(buf, sequence)

    def _check_sum(self, data: bytes, crc: int, at: int) -> None:
        if at == 0:
            raise BadRecord("segment does not begin with a crc record")
        if google_crc32c.extend(self.crc, data) != crc:
            raise BadRecord("crc mismatch")

    def _take_usual_entries(self, buf: bytes, sequence: int) -> None:
        """Takes entries, up to the first frame that is unusual, or wrong, which decode_frame judges."""
        if self._jump is not None:
            return
        decode = rec.decode_usual_entry
        extend = google_crc32c.extend
        total = self.crc
        last_index = self.last_index
        term = self.last_term
        at = self.end
        due = self.offsets.indexes[-1] + POINT_EVERY if self.offsets.has(sequence) else 0
        while (usual := decode(buf, at)) is not None:
            crc, start, stop, after, entry_term, index = usual
            if extend(total, buf[start:stop]) != crc:
                break
            if index > last_index and (index > last_index + 1 or entry_term < term):
                break
            if index >= due or index <= last_index:
                due = self._place(index, last_index, Place(sequence, self._base + at))
            term = entry_term
            last_index = index
            total = crc
            at = after
        self.crc = total
        self.last_index = last_index
        self.last_term = term
        self.end = at

    def _take_crc(self, crc: int, at: int) -> None:
        if at:
            raise BadRecord("crc record inside a segment")
        if not self._is_first and crc != self.crc:
            raise BadRecord("crc mismatch with the segment before")
        self.crc = crc

    def _take_entry(self, term: int, index: int, place: Place) -> None:
        if self._jump is not None and self.last_index < self._jump.snapshot_index == index - 1:
            self._take_jump(self._jump)
        self._jump = None
        if index > self.last_index + 1:
            raise BadRecord(f"entry {index} follows entry {self.last_index}")
        if term < self.last_term and index > self.last_index:
            raise BadRecord(f"entry of term {term} follows one of term {self.last_term}")
        self._place(index, self.last_index, place)
        self.last_index = index
        self.last_term = term

    def _place(self, index: int, last_index: int, place: Place) -> int:
        """Notes where an entry lies, if that is due; return the index at which to ask again."""
        if self.offsets.is_due(index, place, last_index):
            self.offsets.add(index, place)
        return self.offsets.indexes[-1] + POINT_EVERY

    def _take_other(self, kind: int, data: bytes) -> None:
        if kind == rec.HARD_STATE:
            term, _, commit = rec.decode_hard_state(data)
            if not 0 < self._state_term <= term:
                raise BadRecord(f"hard state of term {term} follows one of term {self._state_term}")
            self._state_term = term
            self.hard_state = data
            if self._jump is not None and commit >= self._jump.snapshot_index:
                self._take_jump(self._jump)
        elif kind == rec.METADATA:
            if self.metadata not in (None, data):
                raise BadRecord("conflicting metadata found")
            self.metadata = data
            self._has_metadata = True
        else:
            raise BadRecord(f"unexpected block type {kind}")

    def _take_marker(self, marker: Marker, after: int) -> None:
        is_repeated = self._marker_end == self.end and marker == self.markers[-1]
        self.markers.append(marker)
        self._marker_end = after
        self._jump = marker if is_repeated or marker.snapshot_index > self.last_index else None

    def _take_jump(self, marker: Marker) -> None:
        """What lies before belongs to no run of entries any more."""
        self.offsets.clear()
        self.last_index, self.last_term = marker
        self._jump = None


def live_entries(buf: bytes, span: Span, lo: int, path: str) -> list[bytes]:
    """The entries lo <= index < span.hi of a span whose bytes are buf. Each sum is checked against the one before.

    raises WalCorrupt: the disk has changed since they were written
    """
    out = []
    at = 0
    wanted = span.lo
    crc = None
    try:
        while wanted < span.hi:
            usual = rec.decode_usual_entry(buf, at)
            if usual is not None:
                total, start, stop, after, _, index = usual
                data = buf[start:stop]
            else:
                kind, total, start, stop, after = rec.decode_frame(buf, at)
                data = buf[start:stop]
                index = rec.decode_position(data)[1] if kind == rec.ENTRY else -1
            if crc is not None and google_crc32c.extend(crc, data) != total:
                raise BadRecord("crc mismatch")
            crc = total
            if index == wanted:
                if index >= lo:
                    out.append(data)
                wanted += 1
            at = after
    except BadRecord as e:
        raise WalCorrupt(path, span.place.offset + at, str(e)) from None
    return out


def is_torn(buf: bytes, at: int) -> bool:
    """Whether damage at this offset of the last segment is what a crash leaves; see the top of this file."""
    body = at + 8
    if body > len(buf):
        return True
    size = int.from_bytes(buf[at:body], "little") & rec.LENGTH_MASK
    if size == 0:
        return _has_lost_sector(buf, at, body)
    after = body + size + (-size & 7)
    is_short = len(buf) < after
    stop = min(after, len(buf))
    try:
        _, _, start, end = rec.decode_record_head(buf, body)
    except BadRecord:
        return (is_short and len(buf) - body < RECORD_HEAD_MAX) or _has_lost_sector(buf, at, stop)
    if end != body + size:  # a head that reaches into a lost sector: the zeros there are read as its length
        return _has_lost_sector(buf, at, min(start, stop))
    return is_short or _has_lost_sector(buf, at, stop)


def _has_lost_sector(buf: bytes, at: int, stop: int) -> bool:
    """Whether a sector that the frame touches holds nothing but zeros, from the frame's begin to its own end."""
    while at < stop:
        sector_end = at - at % SECTOR_BYTES + SECTOR_BYTES
        if rec.is_zero(buf, at, min(sector_end, len(buf))):
            return True
        at = sector_end
    return False
