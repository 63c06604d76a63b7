"""One frame of a log segment: bytes <-> values.

    segment  := frame* zeros
    frame    := length field (8 bytes, little endian), record, padding
    length   := low 56 bits: bytes of the record; top byte: 0, or 0x80 | bytes of padding
    padding  := 0-7 zero bytes, so that a frame's length is a multiple of 8
    record   := 08 type 10 varint(crc) [1a varint(len) data]       walpb.Record; no data in a CRC record
    type     := 1 metadata | 2 entry | 3 hard state | 4 crc | 5 snapshot

A length field of 0 is the end: it is what preallocated space holds. The crc is CRC-32C over the data of all records
so far, of all segments; a CRC record opens each segment with the value that it starts from.

    20 00 00 00 00 00 00 00                 32 bytes of record, no padding
    08 01                                   metadata
    10 bb 81 c7 fc 05                       crc 0x5f91c0bb
    1a 16 08 cd d2 91 8b d2 b8 81 cf 8e ..  22 bytes of data

A length field never straddles a sector, so it is written whole or not at all. Everything here is written by hand
rather than through protobuf: a record is made and read once for each entry of the log, and upb would cost several times
as much.

Source: etcd 3.5 wal encoder and decoder; raftpb.Entry, raftpb.HardState and walpb.Snapshot.
"""

import struct
from typing import NamedTuple

import google_crc32c

from etcdz.proto.fields import decode_varint, encode_varint, message_field
from etcdz.proto.tags import (
    ENTRY_DATA,
    ENTRY_INDEX,
    ENTRY_TERM,
    ENTRY_TYPE,
    HARD_STATE_COMMIT,
    HARD_STATE_TERM,
    HARD_STATE_VOTE,
    MARKER_CONF_STATE,
    MARKER_INDEX,
    MARKER_TERM,
    RECORD_CRC,
    RECORD_DATA,
    RECORD_TYPE,
)

METADATA = 1
ENTRY = 2
HARD_STATE = 3
CRC = 4
SNAPSHOT = 5

LENGTH_MASK = (1 << 56) - 1
_two_words = struct.Struct("<QQ")
_word = struct.Struct("<Q")
_crc_extend = google_crc32c.extend
PADDING = [bytes(n) for n in range(8)]
PADDED = [0] + [(0x80 | n) << 56 for n in range(1, 8)]  # what padding adds to a length field
ZEROS = bytes(1 << 16)
_HARD_STATE = (HARD_STATE_TERM, HARD_STATE_VOTE, HARD_STATE_COMMIT)


class BadRecord(ValueError):
    """The bytes of a frame do not hold a record, or a record's data does not hold what its type says."""


class HardState(NamedTuple):
    """What a raft node must not forget: raftpb.HardState."""

    term: int
    vote: int
    commit: int


class Marker(NamedTuple):
    """Position of a snapshot, as told to the log."""

    snapshot_index: int
    snapshot_term: int


def _number(buf: bytes, at: int) -> tuple[int, int]:
    """decode_varint. raises BadRecord: it does not end, within buf or at all"""
    try:
        return decode_varint(buf, at)
    except IndexError:
        raise BadRecord("ends inside a varint") from None
    except ValueError as error:
        raise BadRecord(str(error)) from None


def frame_of(record: bytes) -> bytes:
    """An encoded record between its length field and its padding."""
    pad = -len(record) & 7
    return _word.pack(len(record) | PADDED[pad]) + record + PADDING[pad]


def encode_crc_frame(crc: int) -> bytes:
    """The frame that a segment begins with. crc: the running crc at the end of the segment before"""
    return frame_of(RECORD_TYPE + bytes((CRC,)) + RECORD_CRC + encode_varint(crc))


# What depends on the length of a record's data alone: (length field, tag and length of the data, padding). Entries come
# in few lengths, so this is worked out once for each.
_shapes: dict[int, tuple[int, bytes, bytes]] = {}
SHAPES_MAX = 4096


def _shape(length: int) -> tuple[int, bytes, bytes]:
    """For a record whose crc takes five bytes."""
    prefix = RECORD_DATA + encode_varint(length)
    size = 8 + len(prefix) + length
    pad = -size & 7
    if len(_shapes) >= SHAPES_MAX:
        _shapes.clear()
    shape = _shapes[length] = (size | PADDED[pad], prefix, PADDING[pad])
    return shape


def _short_crc_frame(kind: int, data: bytes, crc: int) -> bytes:
    """For the one record in sixteen whose crc takes less than five bytes."""
    return frame_of(RECORD_TYPE + bytes((kind,)) + RECORD_CRC + encode_varint(crc) + message_field(RECORD_DATA, data))


def encode_frame(kind: int, data: bytes, crc: int) -> tuple[bytes, int]:
    """A frame of any kind but CRC, and the running crc after it."""
    out: list[bytes] = []
    crc = encode_frames(kind, [data], crc, out)
    return b"".join(out), crc


def encode_frames(kind: int, datas: list[bytes], crc: int, out: list[bytes]) -> int:
    """Appends the pieces of one frame per data to out; return the running crc after them.

    The hottest loop of the log. The type tag and a five-byte crc fill one word, packed together with the length field.
    """
    shapes = _shapes
    pack = _two_words.pack
    extend = _crc_extend
    push = out.extend
    tags = 0x100008 | kind << 8
    for data in datas:
        crc = extend(crc, data)
        if crc < 0x10000000:
            out.append(_short_crc_frame(kind, data, crc))
            continue
        shape = shapes.get(len(data))
        if shape is None:
            shape = _shape(len(data))
        field, prefix, padding = shape
        # The crc in groups of seven bits, the lowest first, each but the last with its top bit set.
        head = (
            tags
            | (crc & 0x7F | (crc & 0x3F80) << 1 | (crc & 0x1FC000) << 2 | (crc & 0xFE00000) << 3 | 0x80808080) << 24
            | (crc >> 28) << 56
        )
        push((pack(field, head), prefix, data, padding))
    return crc


class Frame(NamedTuple):
    """Where a record lies in the buffer that it was found in: its data at start:stop, the next frame at after."""

    kind: int
    crc: int
    start: int
    stop: int
    after: int


def decode_frame(buf: bytes, at: int) -> Frame:
    """The frame at an offset where no end of the log is, as etcd writes it: fields in order, each there but the data of
    a CRC record. The crc is not checked here.

    raises BadRecord. protobuf's own decoder would take more, and so take garbage for a record; the padding, which no
    sum covers, is checked as well.
    """
    if at + 8 > len(buf):
        raise BadRecord("ends inside a length field")
    field = _word.unpack_from(buf, at)[0]
    size = field & LENGTH_MASK
    pad = -size & 7
    stop = at + 8 + size
    after = stop + pad
    if field != size | PADDED[pad]:
        raise BadRecord("bad length field")
    if after > len(buf):
        raise BadRecord("ends inside a record")
    if pad and buf[stop:after] != PADDING[pad]:
        raise BadRecord("bad padding")
    kind, crc, start, end = decode_record_head(buf, at + 8)
    if end != stop:
        raise BadRecord("length field and record disagree")
    return Frame(kind, crc, start, stop, after)


def decode_record_head(buf: bytes, at: int) -> tuple[int, int, int, int]:
    """(type, crc, offset of the data, offset after it), as the record itself has them. raises BadRecord"""
    if buf[at : at + 1] != RECORD_TYPE or buf[at + 2 : at + 3] != RECORD_CRC:
        raise BadRecord("not a record")
    kind = buf[at + 1]
    at += 3
    word = int.from_bytes(buf[at : at + 5], "little")
    if word & 0xF080808080 == 0x80808080:
        crc = word & 0x7F | word >> 1 & 0x3F80 | word >> 2 & 0x1FC000 | word >> 3 & 0xFE00000 | word >> 4 & 0xF0000000
        at += 5
    else:
        crc, at = _number(buf, at)
    if kind == CRC:
        return kind, crc, at, at
    if buf[at : at + 1] != RECORD_DATA:
        raise BadRecord("record without data")
    length, at = _number(buf, at + 1)
    return kind, crc, at, at + length


def decode_usual_entry(buf: bytes, at: int) -> tuple[int, int, int, int, int, int] | None:
    """(crc, start, stop, after, term, index) of an entry's frame of the shape that nearly all have: a crc of five
    bytes, less than 16 KiB, a term of one byte, an index of up to four. None for anything else, be it unusual or wrong:
    the general decoders see to that. This one is for reading logs of a million entries in seconds.
    """
    if at + 32 > len(buf):
        return None
    field, head = _two_words.unpack_from(buf, at)
    if head & 0xF080808080FFFFFF != 0x80808080100208 or buf[at + 16] != 0x1A:
        return None
    length = buf[at + 17]
    start = at + 18
    if length > 0x7F:
        if buf[start] > 0x7F:
            return None
        length = length & 0x7F | buf[start] << 7
        start += 1
    stop = start + length
    size = stop - at - 8
    pad = -size & 7
    after = stop + pad
    if field != size | PADDED[pad] or (pad and buf[stop:after] != PADDING[pad]) or length < 10 or after > len(buf):
        return None
    # 08 type 10 term 18, then up to four bytes of index
    tags, i = _two_words.unpack_from(buf, start - 3)
    if tags & 0xFF80FF00FF000000 != 0x1800100008000000:
        return None
    if i & 0x80:
        if not i & 0x8000:
            i = i & 0x7F | i >> 1 & 0x3F80
        elif not i & 0x800000:
            i = i & 0x7F | i >> 1 & 0x3F80 | i >> 2 & 0x1FC000
        elif not i & 0x80000000:
            i = i & 0x7F | i >> 1 & 0x3F80 | i >> 2 & 0x1FC000 | i >> 3 & 0xFE00000
        else:
            return None
    else:
        i &= 0x7F
    head >>= 24
    crc = head & 0x7F | head >> 1 & 0x3F80 | head >> 2 & 0x1FC000 | head >> 3 & 0xFE00000 | head >> 4 & 0xF0000000
    return crc, start, stop, after, tags >> 48 & 0x7F, i


def is_zero(buf: bytes, lo: int, hi: int) -> bool:
    """Whether all of buf[lo:hi] is zero; by comparing, which runs at the speed of memory."""
    while lo < hi:
        upto = min(lo + len(ZEROS), hi)
        if buf[lo:upto] != (ZEROS if upto - lo == len(ZEROS) else ZEROS[: upto - lo]):
            return False
        lo = upto
    return True


def decode_position(entry: bytes) -> tuple[int, int]:
    """(term, index) of an encoded raftpb.Entry, fields in order: type, term, index, data.

    From etcd 3.7 on a type of zero, that of a normal entry, is left out: then it begins with the term.

    raises BadRecord: also for a ConfChange without data, which no member writes, but which a hard state looks like. A
    ConfChangeV2 without data is how a leader leaves a joint configuration
    """
    kind, at = 0, 0
    if entry[:1] == ENTRY_TYPE and len(entry) > 1:
        kind, at = entry[1], 2
    if entry[at : at + 1] != ENTRY_TERM or kind > 2:
        raise BadRecord("not an entry")
    term, at = _number(entry, at + 1)
    if entry[at : at + 1] != ENTRY_INDEX:
        raise BadRecord("not an entry")
    index, at = _number(entry, at + 1)
    if entry[at : at + 1] != ENTRY_DATA and (at != len(entry) or kind == 1):
        raise BadRecord("not an entry")
    return term, index


def encode_hard_state(state: HardState) -> bytes:
    """raftpb.HardState with all of its fields, zeros too, as etcd writes it."""
    return b"".join([tag + encode_varint(value) for tag, value in zip(_HARD_STATE, state, strict=True)])


def decode_hard_state(data: bytes) -> HardState:
    """raises BadRecord: no hard state, or fields missing or in another order than etcd's"""
    values = []
    at = 0
    for tag in _HARD_STATE:
        if data[at : at + 1] != tag:
            raise BadRecord("no hard state")
        value, at = _number(data, at + 1)
        values.append(value)
    if at != len(data):
        raise BadRecord("no hard state")
    return HardState(*values)


def encode_marker(marker: Marker, conf_state: bytes | None) -> bytes:
    """conf_state: encoded raftpb.ConfState, or None as in the one that a new log begins with."""
    data = MARKER_INDEX + encode_varint(marker.snapshot_index) + MARKER_TERM + encode_varint(marker.snapshot_term)
    if conf_state is not None:
        data += message_field(MARKER_CONF_STATE, conf_state)
    return data


def decode_marker(data: bytes) -> Marker:
    """raises BadRecord: no walpb.Snapshot as etcd writes it"""
    if data[:1] != MARKER_INDEX:
        raise BadRecord("no snapshot marker")
    index, at = _number(data, 1)
    if data[at : at + 1] != MARKER_TERM:
        raise BadRecord("no snapshot marker")
    term, at = _number(data, at + 1)
    if data[at : at + 1] not in (b"", MARKER_CONF_STATE):
        raise BadRecord("no snapshot marker")
    return Marker(index, term)
