"""Where a log stood after a sync: what lets the next process of the same member's life go on from there.

    resume point := crc (4 bytes, little endian, CRC-32C over the rest), msgpack array of the fields below

A wal process that is restarted alone need not read again what its predecessor has read or written: the disk was not
asked to remember anything across a loss of power meanwhile, and a process that had lived on would not look either. The
records that follow are checked as always, and the first of them only fits if the resume point is true: the running crc
goes through all of them. A member's own start uses none, and reads everything.

NB: it is lost with the run directory, and need not survive more than processes.
"""

from typing import NamedTuple

import google_crc32c
import msgpack

from etcdz.wal.offsets import Place
from etcdz.wal.record import Marker

BEFORE_BYTES = 64


class ResumePoint(NamedTuple):
    """sequence, offset: where the next record goes; before: the last bytes before that. indexes, places: as in Offsets.
    The rest as in Log."""

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


def encode_resume_point(mark: ResumePoint) -> bytes:
    body: bytes = msgpack.packb(mark)
    return int(google_crc32c.value(body)).to_bytes(4, "little") + body


def decode_resume_point(data: bytes) -> ResumePoint | None:
    """None: these bytes are no resume point, or not whole"""
    if len(data) < 5 or google_crc32c.value(data[4:]) != int.from_bytes(data[:4], "little"):
        return None
    fields = msgpack.unpackb(data[4:])
    if len(fields) != len(ResumePoint._fields):
        return None
    mark = ResumePoint(*fields)
    return mark._replace(marker=Marker(*mark.marker), places=[Place(*place) for place in mark.places])
