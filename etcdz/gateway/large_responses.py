"""Large responses as JSON, piece by piece: whoever writes one has others' turns in between.

    RangeResponse        { fields, "kvs":[ KeyValue, ... ], fields }
    DeleteRangeResponse  { fields, "prev_kvs":[ KeyValue, ... ] }
    TxnResponse          { fields, "responses":[ {"response_...": one of these, or a small one}, ... ] }

The encoded response is walked field by field: it is neither parsed nor copied as a whole, and may come in parts that
are cut anywhere.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from etcdz.gateway.responses import encode_response, write_key_value
from etcdz.proto import etcdserverpb as pb
from etcdz.proto import mvccpb
from etcdz.proto.fields import VARINT_BYTES_MAX, WITH_LENGTH, decode_varint
from etcdz.proto.tags import (
    DELETED_PREV_KVS,
    OP_RESPONSE_DELETE_RANGE,
    OP_RESPONSE_RANGE,
    OP_RESPONSE_TXN,
    RANGE_KVS,
    TXN_RESPONSES,
)

PIECE_BYTES: Final = 64 << 10
"""Of JSON, about: half a millisecond's work. One key and its value are never cut."""


class _Kind(NamedTuple):
    """What is long in a response.

    tag     of the field that is repeated
    opening its name in JSON, and the bracket
    nests   whether its elements are operations; otherwise they are KeyValues
    """

    tag: int
    opening: bytes
    nests: bool


_KINDS: Final[dict[Any, _Kind]] = {
    pb.RangeResponse: _Kind(RANGE_KVS[0], b'"kvs":[', False),
    pb.DeleteRangeResponse: _Kind(DELETED_PREV_KVS[0], b'"prev_kvs":[', False),
    pb.TxnResponse: _Kind(TXN_RESPONSES[0], b'"responses":[', True),
}
_OPERATIONS: Final[dict[int, tuple[bytes, Any]]] = {
    OP_RESPONSE_RANGE[0]: (b'{"response_range":', pb.RangeResponse),
    OP_RESPONSE_DELETE_RANGE[0]: (b'{"response_delete_range":', pb.DeleteRangeResponse),
    OP_RESPONSE_TXN[0]: (b'{"response_txn":', pb.TxnResponse),
}


def may_be_large(response: Any) -> bool:
    """Whether responses of this class can be encoded here."""
    return response in _KINDS


def encode_large(response: Any, parts: Iterable[bytes]) -> Iterator[bytes]:
    """The pieces of the JSON of the response whose parts these are. raises ValueError: it is none

    response    its class. Requires: may_be_large
    """
    pending: list[bytes] = []
    size = 0
    for text in _texts(response, parts):
        pending.append(text)
        size += len(text)
        if size >= PIECE_BYTES:
            yield b"".join(pending)
            pending.clear()
            size = 0
    if pending:
        yield b"".join(pending)


def _texts(response: Any, parts: Iterable[bytes]) -> Iterator[bytes]:
    """The JSON of a response, at least a text for each element."""
    repeated, opening, nests = _KINDS[response]
    others = bytearray()
    separator = b""
    for tag, field in _fields(parts):
        if tag != repeated:
            others += field
            continue
        if not separator:
            # NB: what comes before, without its last bracket.
            head = encode_response(response.FromString(bytes(others)))[:-1]
            separator = (head + b"," if len(head) > 1 else head) + opening
            others.clear()
        _, at = decode_varint(field, 1)
        if nests:
            yield separator
            yield from _operation(field[at:])
        else:
            yield separator + write_key_value(mvccpb.KeyValue.FromString(field[at:]))
        separator = b","
    tail = encode_response(response.FromString(bytes(others)))
    if separator:
        tail = b"]" + (b"," + tail[1:] if len(tail) > len(b"{}") else b"}")
    yield tail


def _operation(body: bytes) -> Iterator[bytes]:
    """body: an encoded ResponseOp"""
    found = _OPERATIONS.get(body[0]) if len(body) > PIECE_BYTES else None
    if found is not None:
        size, at = decode_varint(body, 1)
        if at + size == len(body):
            yield found[0]
            yield from _texts(found[1], [body[at:]])
            yield b"}"
            return
    yield encode_response(pb.ResponseOp.FromString(body))


def _fields(parts: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """The fields of a message: (tag, the field with its tag). All tags of these messages are one byte."""
    buffer, at = b"", 0
    for part in parts:
        buffer, at = (buffer[at:] + part, 0) if at < len(buffer) else (part, 0)
        while at + 1 + VARINT_BYTES_MAX <= len(buffer):
            end = _field_end(buffer, at)
            if end > len(buffer):
                break
            yield buffer[at], buffer[at:end]
            at = end
    while at < len(buffer):
        end = _field_end(buffer, at)
        if end > len(buffer):
            raise ValueError("a response is cut")
        yield buffer[at], buffer[at:end]
        at = end


def _field_end(buffer: bytes, at: int) -> int:
    value, behind = decode_varint(buffer, at + 1)
    return behind + value if buffer[at] & 7 == WITH_LENGTH else behind
