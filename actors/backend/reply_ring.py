"""The replies of the last batches, in memory that outlives this process: what it cannot send the next one sends.

    file    = two halves, of limits.REPLY_RING_BYTES together, which are filled in turn
    half    = record*, then a record of size 0, or what is left of older ones
    record  = crc (4) size (4) applied index (8) body     integers little endian
    crc     = CRC-32C over the rest of the record
    body    = frame*, `size` bytes together
    frame   = slot of a listener or the lessor (4) size (4) encoded frame of one Replies

A batch's record is written before the batch is, so one whose index the store does not have is of a batch that never
was. A half holds limits.REPLY_RING_BATCHES at most; a record whose index is below that of the one in front of it is
left from the time before. What does not fit is not kept: should the backend be killed before it has sent that, its
client waits in vain, and sees etcd's timeout. Receivers drop replies that they have had.

The file ends with the member: no client waits for anything of one that has ended. It is not in the store, with the
batch: there replies count as data, and are written three times. Only a part of it is written through the mapping: where
there is no memory for a mapped page, a write to it ends the process. What is reserved is there, and beyond that a
system call says so.
"""

import mmap
import os
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from struct import Struct
from typing import Any, Final

import google_crc32c

from etcdz import limits
from etcdz.ipc import request_ids
from etcdz.ipc.boot import Boot
from etcdz.store import buckets
from etcdz.store.interface import Store

HALF_BYTES: Final = limits.REPLY_RING_BYTES // 2
RESERVED_BYTES: Final = limits.REPLY_RING_RESERVED_BYTES // 2
"""At the begin of each half."""
FILE_NAME: Final = "backend.replies"
"""In the run directory, under a supervisor of a version that hands out no memory."""

Frames = dict[int, bytes]
"""Encoded frames by the slot of their receiver."""
Reply = tuple[int, int, bytes]
"""As in Replies.items."""

REPLY_OVERHEAD_BYTES: Final = 64
"""What a reply costs beside its body, at most: id, code, lengths. As much for a frame, and for a record."""
FRAMES_BYTES_MAX: Final = HALF_BYTES - 2 * len(request_ids.LISTENER_SLOTS) * REPLY_OVERHEAD_BYTES
"""Frames of a batch that take up more together do not fit into a half."""

_CRC: Final = Struct("<I")
_HEAD: Final = Struct("<IQ")
_FRAME: Final = Struct("<II")
_BODY_AT: Final = _CRC.size + _HEAD.size
_ROWS: Final = b"etcdz_replies\0"
_ROWS_MAX: Final = 64


class ReplyRing:
    """Invariant: the next record goes to _at, into the half that begins at _start and holds _count records."""

    def __init__(self, path: str, applied_index: int, log: Any) -> None:
        """path: of the file; if that cannot be used nothing is kept. applied_index: of the last committed batch"""
        self._log = log
        self._is_told = False
        self._fd = -1
        self._start, self._at, self._count = 0, 0, 0
        try:
            self._map = self._open(path)
            halves = [self._cut(start, applied_index) for start in (0, HALF_BYTES)]
        except (OSError, ValueError) as error:
            self._warn(error)
            self.close()
        else:
            _, self._start, self._at, self._count = max(halves, key=lambda half: half[0])

    def _open(self, path: str) -> mmap.mmap:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.ftruncate(self._fd, 2 * HALF_BYTES)
        for start in (0, HALF_BYTES):
            os.posix_fallocate(self._fd, start, RESERVED_BYTES)
        return mmap.mmap(self._fd, 2 * HALF_BYTES)

    def _warn(self, error: Exception) -> None:
        if not self._is_told:
            self._is_told = True
            self._log.warn("replies cannot be kept for a next backend", error=str(error))

    def _cut(self, start: int, applied_index: int) -> tuple[int, int, int, int]:
        """Ends a half behind its last record of a committed batch. return (its index, start, its end, how many)"""
        index, at, count = 0, start, 0
        for found, _, after in self._records(start):
            if found > applied_index:
                break
            index, at, count = found, after, count + 1
        os.pwrite(self._fd, bytes(min(_BODY_AT, start + HALF_BYTES - at)), at)
        return index, start, at, count

    def _records(self, start: int) -> Iterator[tuple[int, Frames, int]]:
        """(applied index, frames, where the next one begins) of a half."""
        at, end, before = start, start + HALF_BYTES, 0
        while at + _BODY_AT <= end:
            head = os.pread(self._fd, _BODY_AT, at)
            after = at + record_bytes(head)
            record = decode_record(os.pread(self._fd, after - at, at)) if after <= end else None
            if record is None or record[0] < before:
                return
            yield *record, after
            at, before = after, record[0]

    def add(self, applied_index: int, frames: Frames) -> bool:
        """Keeps the frames of the batch that is about to be written. return False: they are too large for that"""
        if sum(map(len, frames.values())) > FRAMES_BYTES_MAX:
            return False
        if self._fd < 0 or not frames:
            return True  # NB: an empty record is where a half ends
        record = encode_record(applied_index, frames)
        size = sum(map(len, record))
        after = self._at + size
        if after > self._start + HALF_BYTES or self._count == limits.REPLY_RING_BATCHES:
            self._start = self._at = HALF_BYTES - self._start
            self._count = 0
            after = self._at + size
        if after <= self._start + RESERVED_BYTES:
            self._map[self._at : after] = b"".join(record)
        elif not self._wrote(record, size):
            return True  # nor would it be there for a smaller one
        self._at = after
        self._count += 1
        return True

    def _wrote(self, record: list[bytes], size: int) -> bool:
        """False: there is no memory for it, or not for all of it."""
        try:
            return os.pwritev(self._fd, record, self._at) == size
        except OSError as error:
            self._warn(error)
            return False

    def frames_for(self, slot: int) -> list[bytes]:
        """What there is for one receiver, oldest first."""
        halves = (0, HALF_BYTES) if self._fd >= 0 else ()
        records = [(index, frames) for start in halves for index, frames, _ in self._records(start)]
        return [frames[slot] for _, frames in sorted(records, key=lambda record: record[0]) if slot in frames]

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def ring_path(boot: Boot) -> str:
    """Where the ring of this member is; "": nowhere."""
    return boot.memory or (f"{boot.run_dir}/{FILE_NAME}" if boot.run_dir else "")


def encode_record(applied_index: int, frames: Frames) -> list[bytes]:
    """The bytes of one batch in the file, in parts: frames may be large, and are not copied."""
    parts = [b"", b""]
    size = 0
    for slot, frame in frames.items():
        parts += (_FRAME.pack(slot, len(frame)), frame)
        size += _FRAME.size + len(frame)
    parts[1] = _HEAD.pack(size, applied_index)
    crc = 0
    for part in parts:
        crc = google_crc32c.extend(crc, part)
    parts[0] = _CRC.pack(crc)
    return parts


def record_bytes(head: bytes) -> int:
    """How long a record is, by its first bytes."""
    return _BODY_AT + int(_HEAD.unpack_from(head, _CRC.size)[0])


def decode_record(record: bytes) -> tuple[int, Frames] | None:
    """(applied index, frames). None: these bytes are no record, or not whole"""
    size, index = _HEAD.unpack_from(record, _CRC.size)
    if not size or google_crc32c.value(record[_CRC.size :]) != _CRC.unpack_from(record)[0]:
        return None
    frames = {}
    at = _BODY_AT
    while at < len(record):
        slot, size = _FRAME.unpack_from(record, at)
        at += _FRAME.size + size
        frames[slot] = record[at - size : at]
    return index, frames


def smallest(replies: dict[int, list[Reply]]) -> dict[int, list[Reply]]:
    """Of replies that are too large together those that are not: one huge answer does not cost the others theirs."""
    bodies = sorted(len(reply[2]) + REPLY_OVERHEAD_BYTES for items in replies.values() for reply in items)
    fitting = bisect_right(list(accumulate(bodies)), FRAMES_BYTES_MAX - len(replies) * REPLY_OVERHEAD_BYTES)
    size_max = bodies[fitting] if fitting < len(bodies) else FRAMES_BYTES_MAX
    kept = {
        slot: [reply for reply in items if len(reply[2]) + REPLY_OVERHEAD_BYTES < size_max]
        for slot, items in replies.items()
    }
    return {slot: items for slot, items in kept.items() if items}


def drop_rows(store: Store) -> None:
    """Takes the ring of an earlier version out of a store, and has the space given back."""
    end = buckets.bucket_end(_ROWS)
    if next(store.iterate(_ROWS, end), None) is not None:
        store.write({_ROWS + bytes([place]): None for place in range(_ROWS_MAX)})
        store.reclaim(_ROWS, end)
