"""Protobuf pieces built by hand, for answers that are put together from bytes which exist already.

A KeyValue is encoded once, when it is written, and from then on only copied: into the store, the cache, answers.
    KeyValue      = 0a len key, 10 create, 18 mod, 20 version [, 2a len value] [, 30 lease]
    header field  = 0a len ( 08 cluster_id, 10 member_id, 18 revision [, 20 raft_term] )
Fields go in ascending order and zero ones are left out, as etcd's own encoder does: HashKV covers these bytes.
"""

_MASK64 = 0xFFFFFFFFFFFFFFFF


def _encode(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


class _High(dict[int, bytes]):
    """Varints of revision >> 14, filled on demand; neighbouring revisions share theirs."""

    def __missing__(self, high: int) -> bytes:
        if len(self) >= 4096:
            self.clear()
        value = self[high] = _encode(high)
        return value


_SMALL = [_encode(value) for value in range(1 << 14)]
_LOW = [bytes((value & 127 | 128, value >> 7 | 128)) for value in range(1 << 14)]
_HIGH = _High()


def encode_varint(value: int) -> bytes:
    """Varint of an int64 or uint64; negative ones take ten bytes. Tables make lengths and revisions cheap."""
    if 0 <= value < 16384:
        return _SMALL[value]
    if value < 0:
        value &= _MASK64
    return _LOW[value & 16383] + _HIGH[value >> 14]


def decode_varint(buf: bytes, at: int) -> tuple[int, int]:
    """(value, position behind it). raises IndexError if buf ends inside it, ValueError if it is too long."""
    value = shift = 0
    while True:
        byte = buf[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & _MASK64, at
        shift += 7
        if shift > 63:
            raise ValueError("varint of more than ten bytes")


def bytes_field(tag: bytes, value: bytes) -> bytes:
    """A length-delimited field; nothing if value is empty, as proto3 wants it for bytes."""
    if not value:
        return b""
    size = len(value)
    return tag + (_SMALL[size] if size < 16384 else encode_varint(size)) + value


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
        ids = int_field(b"\x08", cluster_id) + int_field(b"\x10", member_id) + b"\x18"
        self.back = int_field(b"\x20", raft_term)
        self.front = [b"\x0a" + encode_varint(len(ids) + n + len(self.back)) + ids for n in range(11)]

    def field(self, revision: int) -> bytes:
        """Field 1 of any response message, at a revision >= 1."""
        number = encode_varint(revision)
        return self.front[len(number)] + number + self.back


def revision_header(revision: int) -> bytes:
    """Field 1 of an answer inside a transaction: there etcd fills in the revision alone."""
    number = encode_varint(revision)
    return b"\x0a" + encode_varint(len(number) + 1) + b"\x18" + number
