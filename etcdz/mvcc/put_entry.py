"""Reads plain puts (key and value, no options) off the bytes of a raft entry, without a parser.

    entry   22 len PUT  a2 06 len ID        InternalRaftRequest: put 4, header 100
          | 32 len TXN  a2 06 len ID        txn 6
          | 22 len PUT  a2 06 len ID ASKER  with users: who asks
    TXN     { 12 len OP }                   TxnRequest: success 2, and nothing else
    OP      12 len PUT                      RequestOp: request_put 2
    PUT     0a len key [12 len value]
    ID      08 varint                       RequestHeader: the request id alone
    ASKER   12 len name 18 varint           username 2, auth_revision 3

Key and value go into the record as they are encoded here; only what stands between them is new. Puts of one workload
have few shapes (lengths), so what the lengths imply is worked out once per shape and afterwards only compared.
A parser of compiled code and message objects would cost three times as much.
"""

from collections.abc import Callable
from typing import NamedTuple

from etcdz.api.auth_info import AuthInfo
from etcdz.proto.fields import LOW_GROUPS, decode_varint, encode_varint
from etcdz.proto.tags import (
    KV_VALUE,
    OP_REQUEST_PUT,
    PUT_KEY,
    PUT_VALUE,
    RAFT_REQUEST_HEADER,
    RAFT_REQUEST_PUT,
    RAFT_REQUEST_TXN,
    REQUEST_AUTH_REVISION,
    REQUEST_ID,
    REQUEST_USERNAME,
    TXN_SUCCESS,
)
from etcdz.proto.text import decode_text

PUT_TAG, TXN_TAG = RAFT_REQUEST_PUT[0], RAFT_REQUEST_TXN[0]
_KEY_TAG = PUT_KEY[0]
_ID_TAG, _REVISION_TAG = REQUEST_ID[0], REQUEST_AUTH_REVISION[0]
_SHAPE_BYTES = 5
_SHAPES_MAX = 4096
_OP_SHAPE_BYTES, _LONG_OP_SHAPE_BYTES = 6, 8  # with lengths of one byte, and of two


class Shape(NamedTuple):
    """Where the parts of a put lie, from its tag on. value_head: tag and length of the value, or nothing if empty."""

    key_field_at: int
    key_at: int
    key_end: int
    put_end: int
    value_head: bytes


class Shapes(dict[bytes, Shape | None]):
    """First bytes of a put -> its shape; None if it is not one that this reader knows."""

    def __init__(self, work_out: Callable[[bytes], Shape | None]) -> None:
        self._work_out = work_out

    def __missing__(self, front: bytes) -> Shape | None:
        if len(self) >= _SHAPES_MAX:
            self.clear()
        shape = self[front] = self._work_out(front)
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
    if front[0] != PUT_TAG or front[at] != _KEY_TAG or not 0 < key_size < 128 or len(encode_varint(size)) != at - 1:
        return None
    if key_end == put_end:
        return Shape(at, key_at, key_end, put_end, b"")
    left = put_end - key_end
    for head_size in (2, 3, 4):
        head = PUT_VALUE + encode_varint(max(left - head_size, 0))
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


class _Asked(dict[bytes, tuple[int, AuthInfo]]):
    """The same for what follows in a header that says who asks: one object for all requests of an asker."""

    def __missing__(self, tail: bytes) -> tuple[int, AuthInfo]:
        value, at = decode_varint(tail, 0)
        name_at = at + 2
        name_end = name_at + tail[at + 1]
        if tail[at : at + 1] != REQUEST_USERNAME or tail[at + 1] > 127 or tail[name_end] != _REVISION_TAG:
            raise ValueError("no user's name and revision")
        revision, behind = decode_varint(tail, name_end + 1)
        if behind != len(tail):
            raise ValueError("bytes behind the revision")
        if len(self) >= 4096:
            self.clear()
        found = self[tail] = value << 28, AuthInfo(decode_text(tail[name_at:name_end]), revision)
        return found


def _op_shape(front: bytes) -> Shape | None:
    """Of an operation in a transaction: the put's, with one more tag and length in front."""
    try:
        size, at = decode_varint(front, 1)
        shape = _shape(RAFT_REQUEST_PUT + front[at + 1 :]) if front[at : at + 1] == OP_REQUEST_PUT else None
    except IndexError:
        return None
    if front[:1] != TXN_SUCCESS or shape is None or shape.put_end != size or len(encode_varint(size)) != at - 1:
        return None
    key_field_at, key_at, key_end, put_end, value_head = shape
    return Shape(at + key_field_at, at + key_at, at + key_end, at + put_end, value_head)


_shapes = Shapes(_shape)
_op_shapes = Shapes(_op_shape)
_high = _High()
_asked = _Asked()
_low = {group: n for n, group in enumerate(LOW_GROUPS)}


def decode_put(data: bytes) -> tuple[int, bytes, bytes, bytes] | None:
    """(request id, key, key field, value field for a KeyValue) of a plain put, or None for anything else.

    Requires: data begins with PUT_TAG.
    """
    shape = _shapes[data[:_SHAPE_BYTES]]
    if shape is None:
        return None
    key_field_at, key_at, key_end, end, value_head = shape
    if not data.startswith(value_head, key_end):
        return None
    request_id = decode_id(data, end)
    if request_id is None:
        return None
    value_field = KV_VALUE + data[key_end + 1 : end] if value_head else b""
    return request_id, data[key_at:key_end], data[key_field_at:key_end], value_field


def decode_asked_put(data: bytes) -> tuple[int, AuthInfo, bytes, bytes, bytes] | None:
    """As decode_put, of an entry that says who asks: that stands behind the request id."""
    shape = _shapes[data[:_SHAPE_BYTES]]
    if shape is None:
        return None
    key_field_at, key_at, key_end, end, value_head = shape
    if not data.startswith(value_head, key_end):
        return None
    try:
        if (
            data[end : end + 2] != RAFT_REQUEST_HEADER
            or data[end + 3] != _ID_TAG
            or data[end + 2] + end + 3 != len(data)
        ):
            return None
        id_at = end + 4
        high, auth = _asked[data[id_at + 4 :]]
        request_id = _low[data[id_at : id_at + 2]] | _low[data[id_at + 2 : id_at + 4]] << 14 | high
    except (IndexError, KeyError, ValueError):
        return None
    value_field = KV_VALUE + data[key_end + 1 : end] if value_head else b""
    return request_id & 0xFFFFFFFFFFFFFFFF, auth, data[key_at:key_end], data[key_field_at:key_end], value_field


def decode_id(data: bytes, at: int) -> int | None:
    """The request id, if from there on the entry holds a header with nothing else in it."""
    try:
        if data[at : at + 2] != RAFT_REQUEST_HEADER or data[at + 3] != _ID_TAG or data[at + 2] + at + 3 != len(data):
            return None
        id_at = at + 4
        request_id = _low[data[id_at : id_at + 2]] | _low[data[id_at + 2 : id_at + 4]] << 14 | _high[data[id_at + 4 :]]
    except (IndexError, KeyError, ValueError):
        return None
    return request_id & 0xFFFFFFFFFFFFFFFF


def keys_of_puts(txn: bytes) -> list[bytes] | None:
    """The keys that a TxnRequest puts, in order, if plain puts without a compare are all that it holds; else None."""
    spans = _put_spans(txn, 0, len(txn))
    return None if spans is None else [txn[at + shape[1] : at + shape[2]] for at, shape in spans]


def decode_txn(data: bytes) -> tuple[int, list[tuple[bytes, bytes, bytes]]] | None:
    """(request id, puts as (key, key field, value field)) of a transaction of plain puts alone, or None for any other.

    Requires: data begins with TXN_TAG.
    """
    try:
        size, at = decode_varint(data, 1)
    except (IndexError, ValueError):
        return None
    end = at + size
    request_id = decode_id(data, end)
    spans = _put_spans(data, at, end) if request_id is not None else None
    if request_id is None or spans is None:
        return None
    puts = []
    for at, (key_field_at, key_at, key_end, put_end, value_head) in spans:
        value_field = KV_VALUE + data[at + key_end + 1 : at + put_end] if value_head else b""
        puts.append((data[at + key_at : at + key_end], data[at + key_field_at : at + key_end], value_field))
    return request_id, puts


def _put_spans(txn: bytes, at: int, end: int) -> list[tuple[int, Shape]] | None:
    """Where each operation begins, and its shape; at least one. None if anything there is no plain put."""
    spans = []
    shapes = _op_shapes
    while at < end - 1:
        shape = shapes[txn[at : at + (_OP_SHAPE_BYTES if txn[at + 1] < 128 else _LONG_OP_SHAPE_BYTES)]]
        if shape is None or not txn.startswith(shape[4], at + shape[2]):
            return None
        spans.append((at, shape))
        at += shape[3]
    return spans if at == end and spans else None
