"""Reads a plain put (key and value, no options) off the bytes of its raft entry, without a parser.

    entry   22 len PUT  a2 06 len ID        InternalRaftRequest: put 4, header 100
    PUT     0a len key [12 len value]
    ID      08 varint                       RequestHeader: the request id alone

Key and value go into the record as they are encoded here; only what stands between them is new. Puts of one workload
have few shapes (lengths), so what the lengths imply is worked out once per shape and afterwards only compared.
A parser of compiled code and a message object would cost three times as much.
"""

from typing import NamedTuple

from etcdz.mvcc.encoding import decode_varint, encode_varint

PUT_TAG = 0x22
_HEADER_TAG = b"\xa2\x06"
_SHAPE_BYTES = 5
_SHAPES_MAX = 4096


class Shape(NamedTuple):
    """Where the parts of an entry lie. value_head: tag and length of the value, or nothing if it is empty."""

    key_field_at: int
    key_at: int
    key_end: int
    put_end: int
    value_head: bytes


class Shapes(dict[bytes, Shape | None]):
    """First bytes of an entry -> its shape; None if it is not one that this reader knows."""

    def __missing__(self, front: bytes) -> Shape | None:
        if len(self) >= _SHAPES_MAX:
            self.clear()
        shape = self[front] = _shape(front)
        return shape


def _shape(front: bytes) -> Shape | None:
    """NB: lengths that are longer than they need to be are left to the parser: the record must not inherit them."""
    try:
        size, at = decode_varint(front, 1)
        key_size = front[at + 1]
    except IndexError:
        return None
    key_at = at + 2
    key_end, put_end = key_at + key_size, at + size
    if front[0] != PUT_TAG or front[at] != 10 or not 0 < key_size < 128 or len(encode_varint(size)) != at - 1:
        return None
    if key_end == put_end:
        return Shape(at, key_at, key_end, put_end, b"")
    left = put_end - key_end
    for head_size in (2, 3, 4):
        head = b"\x12" + encode_varint(max(left - head_size, 0))
        if len(head) == head_size and left > head_size:
            return Shape(at, key_at, key_end, put_end, head)
    return None


class _High(dict[bytes, int]):
    """The upper end of a request id's varint -> its value, in place. Ids of one member share it for 2^28 requests."""

    def __missing__(self, tail: bytes) -> int:
        value, behind = decode_varint(tail, 0)
        if behind != len(tail):
            raise ValueError("bytes behind the request id")
        if len(self) >= 4096:
            self.clear()
        found = self[tail] = value << 28
        return found


_shapes = Shapes()
_high = _High()
_low = {bytes((n & 127 | 128, n >> 7 | 128)): n for n in range(1 << 14)}


def decode_put(data: bytes) -> tuple[int, bytes, bytes, bytes] | None:
    """(request id, key, key field, value field for a KeyValue) of a plain put, or None for anything else.

    Requires: data begins with PUT_TAG.
    """
    shape = _shapes[data[:_SHAPE_BYTES]]
    if shape is None:
        return None
    key_field_at, key_at, key_end, end, value_head = shape
    try:
        if not data.startswith(value_head, key_end) or data[end : end + 2] != _HEADER_TAG or data[end + 3] != 8:
            return None
        id_at = end + 4
        if data[end + 2] + end + 3 != len(data):
            return None
        request_id = _low[data[id_at : id_at + 2]] | _low[data[id_at + 2 : id_at + 4]] << 14 | _high[data[id_at + 4 :]]
    except (IndexError, KeyError, ValueError):
        return None
    value_field = b"\x2a" + data[key_end + 1 : end] if value_head else b""
    return request_id & 0xFFFFFFFFFFFFFFFF, data[key_at:key_end], data[key_field_at:key_end], value_field
