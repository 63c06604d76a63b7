"""Protobuf by hand, for messages that are put together from bytes which exist already, or read without a parser.

    field   = tag value                   tag: etcdz/proto/tags.py has their names
    value   = varint | len bytes          len: a varint, too
    varint  = groups of seven bits, the lowest first; all but the last have their top bit set

A KeyValue is encoded once, when it is written, and from then on only copied: into the store, the cache, answers.

    KeyValue      = 0a len key, 10 create, 18 mod, 20 version [, 2a len value] [, 30 lease]
    header field  = 0a len ( 08 cluster_id, 10 member_id, 18 revision [, 20 raft_term] )

Fields go in ascending order and zero ones are left out, as etcd's own encoder does: HashKV covers these bytes.
"""

from typing import Final

from etcdz.proto.tags import (
    HEADER_CLUSTER_ID,
    HEADER_MEMBER_ID,
    HEADER_RAFT_TERM,
    HEADER_REVISION,
    RESPONSE_HEADER,
)
from etcdz.proto.varints import plain_varint

VARINT_BYTES_MAX: Final = 10
WITH_LENGTH: Final = 2
"""Wire type of what has a length; that of varints is 0."""
_MASK64: Final = 0xFFFFFFFFFFFFFFFF


class _High(dict[int, bytes]):
    """Varints of value >> 14, filled on demand; neighbouring revisions and request ids share theirs."""

    def __missing__(self, high: int) -> bytes:
        if len(self) >= 4096:
            self.clear()
        value = self[high] = plain_varint(high)
        return value


SMALL_VARINTS: Final = [plain_varint(value) for value in range(1 << 14)]
"""Varints of all numbers that take up to two bytes, for loops that cannot afford a call for each length."""
LOW_GROUPS: Final = [bytes((value & 127 | 128, value >> 7 | 128)) for value in range(1 << 14)]
"""The two lowest groups of seven bits of a varint that has more."""
_HIGH: Final = _High()


def encode_varint(value: int) -> bytes:
    """Varint of an int64 or uint64; negative ones take ten bytes. Tables make lengths and revisions cheap."""
    if 0 <= value < 16384:
        return SMALL_VARINTS[value]
    if value < 0:
        value &= _MASK64
    return LOW_GROUPS[value & 16383] + _HIGH[value >> 14]


def decode_varint(buf: bytes, at: int) -> tuple[int, int]:
    """The varint at offset `at` of buf.

    return  (value: of a uint64, offset behind it); bits beyond the 64th are dropped, as protobuf does
    raises  IndexError: buf ends inside it; ValueError: more than ten bytes
    """
    value = buf[at]
    if value < 128:
        return value, at + 1
    value &= 127
    shift = 7
    while True:
        at += 1
        byte = buf[at]
        value |= (byte & 127) << shift
        if byte < 128:
            return value & _MASK64, at + 1
        shift += 7
        if shift > 63:
            raise ValueError("varint of more than ten bytes")


def bytes_field(tag: bytes, value: bytes) -> bytes:
    """A length-delimited field; nothing if value is empty, as proto3 wants it for bytes."""
    if not value:
        return b""
    size = len(value)
    return tag + (SMALL_VARINTS[size] if size < 16384 else encode_varint(size)) + value


def message_field(tag: bytes, body: bytes) -> bytes:
    """A length-delimited field that is present even when body is empty."""
    return tag + encode_varint(len(body)) + body


def int_field(tag: bytes, value: int) -> bytes:
    """A varint field; nothing if zero."""
    return tag + encode_varint(value) if value else b""


def record_key(record: bytes) -> bytes:
    """The key of an encoded KeyValue."""
    size = record[1]
    if size < 128:
        return record[2 : 2 + size]
    size, at = decode_varint(record, 1)
    return record[at : at + size]


class HeaderPieces:
    """Header fields of answers of one member at one raft term. A revision is all that varies between answers.

    Invariant: `front[n]` is everything before a revision varint of n bytes, with the field's length right for that n.
    """

    __slots__ = ("back", "front")

    def __init__(self, cluster_id: int, member_id: int, raft_term: int) -> None:
        ids = int_field(HEADER_CLUSTER_ID, cluster_id) + int_field(HEADER_MEMBER_ID, member_id) + HEADER_REVISION
        self.back = int_field(HEADER_RAFT_TERM, raft_term)
        rest = len(ids) + len(self.back)
        self.front = [RESPONSE_HEADER + encode_varint(rest + n) + ids for n in range(VARINT_BYTES_MAX + 1)]

    def field(self, revision: int) -> bytes:
        """Field 1 of any response message, at a revision >= 1."""
        number = encode_varint(revision)
        return self.front[len(number)] + number + self.back


def revision_header(revision: int) -> bytes:
    """Field 1 of an answer inside a transaction: there etcd fills in the revision alone."""
    number = encode_varint(revision)
    return RESPONSE_HEADER + encode_varint(len(number) + 1) + HEADER_REVISION + number
