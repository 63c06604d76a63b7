"""The resume point of a log: where it stood after a sync, so that a restarted wal process goes on from there.

    resume point := crc (4 bytes, little endian, CRC-32C over the rest), msgpack array of the fields below

A wal process that is restarted alone need not read again what its predecessor has read or written: the power has not
failed meanwhile, so the files hold it, and a process that had gone on would not have read it again either. The records
behind the resume point are checked as always, and the first of them fits only if the resume point is right, because the
running crc goes through all of them. A start of the whole member uses no resume point, and reads everything.

NB: it lies in the run directory, which ends with the member: it need not survive a loss of power.
"""

from typing import NamedTuple

import google_crc32c
import msgpack

from etcdz.wal.offsets import Place
from etcdz.wal.record import Marker

BEFORE_BYTES = 64
"""How many bytes before the point it is recognized by."""


class ResumePoint(NamedTuple):
    """A log after a sync. What is not described here is as in Log.

    sequence, offset  where the next record goes
    before            the last BEFORE_BYTES bytes before that, or fewer
    indexes, places   as in Offsets
    """

    sequence: int
    offset: int
    before: bytes
    crc: int
    metadata: bytes
    hard_state: bytes
    last_index: int
    last_term: int
    marker: Marker
    indexes: list[int]
    places: list[Place]


def encode_resume_point(point: ResumePoint) -> bytes:
    """The bytes of the file that keeps it."""
    body: bytes = msgpack.packb(point)
    return int(google_crc32c.value(body)).to_bytes(4, "little") + body


def decode_resume_point(data: bytes) -> ResumePoint | None:
    """None: these bytes are no resume point, or not whole, or of a version with other fields"""
    if len(data) < 5 or google_crc32c.value(data[4:]) != int.from_bytes(data[:4], "little"):
        return None
    fields = msgpack.unpackb(data[4:])
    if len(fields) != len(ResumePoint._fields):
        return None
    point = ResumePoint(*fields)
    return point._replace(marker=Marker(*point.marker), places=[Place(*place) for place in point.places])
