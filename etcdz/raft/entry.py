"""A log entry and its wire form, which is made once and used for the WAL and for every peer.

    entry  = 0x08 type  0x10 term  0x18 index  [0x22 length data]      (numbers are varints)

Type, term and index are always written, as etcd 3.5 does for fields that are not nullable; empty data is left out.
Data comes last, so the encoding ends in it and the payload is not kept a second time.
Source: raftpb.Entry.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from etcdz.proto import raftpb
from etcdz.proto.fields import decode_varint, encode_varint
from etcdz.proto.tags import ENTRY_DATA, ENTRY_INDEX, ENTRY_TERM, ENTRY_TYPE

ENTRY_NORMAL = 0
ENTRY_CONF_CHANGE = 1
ENTRY_CONF_CHANGE_V2 = 2
ENTRY_TYPE_NAMES = ("EntryNormal", "EntryConfChange", "EntryConfChangeV2")

NO_LIMIT = (1 << 64) - 1

_TYPE, _TERM, _INDEX, _DATA = ENTRY_TYPE[0], ENTRY_TERM[0], ENTRY_INDEX[0], ENTRY_DATA[0]


class Entry(NamedTuple):
    """One position of the log. Immutable; made by make_entry, make_entries or decode_entry.

    term     of the leader that appended it, 0 while it is only proposed
    index    position in the log, 0 while it is only proposed
    type     one of ENTRY_*
    encoded  the whole wire form, see the grammar above; its length is the entry's size for every limit
    data_at  offset of the payload in encoded
    """

    term: int
    index: int  # type: ignore[assignment]  # hides tuple.index, on purpose: the thesis's word
    type: int
    encoded: bytes
    data_at: int

    @property
    def data(self) -> bytes:
        return self.encoded[self.data_at :]

    @property
    def payload_bytes(self) -> int:
        return len(self.encoded) - self.data_at


_MORE = [bytes([n | 0x80]) for n in range(0x80)]  # a low group that others follow


def _head(entry_type: int, term: int) -> bytes:
    return ENTRY_TYPE + encode_varint(entry_type) + ENTRY_TERM + encode_varint(term) + ENTRY_INDEX


def _data_tag(length: int) -> bytes:
    return ENTRY_DATA + encode_varint(length) if length else b""


def make_entry(entry_type: int, term: int, index: int, data: bytes) -> Entry:
    before = _head(entry_type, term) + encode_varint(index) + _data_tag(len(data))
    return Entry(term, index, entry_type, before + data, len(before))


def make_entries(term: int, index: int, payloads: Iterable[bytes]) -> list[Entry]:
    """Normal entries for payloads at index, index + 1, ... of one term: the hot path of every proposal.

    Neighbours share type, term, the high groups of the index and mostly the length, so only the low group of the
    index is new for each; the tuple is built directly because the generated __new__ costs as much as all the rest.
    """
    head = _head(ENTRY_NORMAL, term)
    new, more = tuple.__new__, _MORE
    entries: list[Entry] = []
    append = entries.append
    high = -1
    length = -1
    tail = tag = b""
    head_bytes = before_bytes = 0
    for data in payloads:
        if index < 0x80:
            append(make_entry(ENTRY_NORMAL, term, index, data))
            index += 1
            continue
        if index >> 7 != high or len(data) != length:
            high, length = index >> 7, len(data)
            tag = _data_tag(length)
            tail = encode_varint(high) + tag
            head_bytes = len(head) + 1
            before_bytes = head_bytes + len(tail)
        append(new(Entry, (term, index, ENTRY_NORMAL, head + more[index & 0x7F] + tail + data, before_bytes)))
        index += 1
    return entries


def encode_entry(entry: Entry) -> bytes:
    return entry.encoded


def _decode_canonical(buf: bytes) -> Entry | None:
    """The entry if buf is exactly in the form that this file writes, else None."""
    try:
        if buf[0] != _TYPE or buf[1] > 2 or buf[2] != _TERM:
            return None
        entry_type = buf[1]
        term, at = decode_varint(buf, 3)
        if buf[at] != _INDEX:
            return None
        index, at = decode_varint(buf, at + 1)
        if at == len(buf):
            return Entry(term, index, entry_type, buf, at)
        if buf[at] != _DATA:
            return None
        length, at = decode_varint(buf, at + 1)
    except (IndexError, ValueError):
        return None
    return Entry(term, index, entry_type, buf, at) if length and at + length == len(buf) else None


def decode_entry(buf: bytes) -> Entry:
    """Entry of its wire form; buf is kept as the entry's encoding if it is in canonical form.

    raises  google.protobuf.message.DecodeError: not a raftpb.Entry
    """
    entry = _decode_canonical(buf)
    if entry is not None:
        return entry
    # Newer members leave out what is zero; such an entry is written anew in our form.
    parsed = raftpb.Entry.FromString(buf)
    return make_entry(parsed.Type, parsed.Term, parsed.Index, parsed.Data)


def decode_entries(buffers: Iterable[bytes]) -> list[Entry]:
    """decode_entry of each. In a run of a log only the low group of the index differs, so compare instead of parse."""
    new, more = tuple.__new__, _MORE
    entries: list[Entry] = []
    term = index = entry_type = data_at = 0
    size = -1  # of the entry before, if one like it may follow
    head = tail = b""
    for buf in buffers:
        index += 1
        low = index & 0x7F
        if len(buf) == size and low and buf.startswith(head + more[low] + tail):
            entries.append(new(Entry, (term, index, entry_type, buf, data_at)))
            continue
        entry = decode_entry(buf)
        entries.append(entry)
        term, index, entry_type, _, data_at = entry
        head = _head(entry_type, term)
        tail = encode_varint(index >> 7) + _data_tag(entry.payload_bytes)
        size = len(entry.encoded) if index >= 0x80 else -1
    return entries


def entries_bytes(entries: Iterable[Entry]) -> int:
    """Sum of the encoded sizes."""
    return sum([len(entry[3]) for entry in entries])


def payloads_bytes(entries: Iterable[Entry]) -> int:
    """Sum of the payload sizes: 0 for empty entries, which limits on uncommitted data never refuse."""
    return sum([len(entry[3]) - entry[4] for entry in entries])


def limit_bytes(entries: Sequence[Entry], bytes_max: int) -> Sequence[Entry]:
    """The longest prefix of at most bytes_max encoded bytes, but at least one entry if there is one."""
    if bytes_max >= NO_LIMIT or len(entries) <= 1:
        return entries
    total = 0
    for count, entry in enumerate(entries):
        total += len(entry[3])
        if total > bytes_max and count:
            return entries[:count]
    return entries
