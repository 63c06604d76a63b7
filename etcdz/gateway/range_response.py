"""A large RangeResponse as JSON, piece by piece: whoever writes it has others' turns in between.

The encoded response is walked field by field: it is neither parsed nor copied as a whole, and may come in parts that
are cut anywhere.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from etcdz.gateway.responses import encode_response, write_key_value
from etcdz.proto import etcdserverpb as pb
from etcdz.proto import mvccpb
from etcdz.proto.fields import VARINT_BYTES_MAX, WITH_LENGTH, decode_varint
from etcdz.proto.tags import RANGE_KVS

PIECE_BYTES: Final = 64 << 10
"""Of JSON, about: half a millisecond's work."""
_KVS: Final = RANGE_KVS[0]


def encode_range(parts: Iterable[bytes]) -> Iterator[bytes]:
    """The pieces of the JSON of the response whose parts these are. raises ValueError: it is none"""
    others = bytearray()
    pending: list[bytes] = []
    size = 0
    separator = b""
    for tag, field in _fields(parts):
        if tag != _KVS:
            others += field
            continue
        if not separator:
            # NB: the header, which is all that comes before keys, without its last bracket.
            head = encode_response(pb.RangeResponse.FromString(bytes(others)))[:-1]
            separator = (head + b"," if len(head) > 1 else head) + b'"kvs":['
            others.clear()
        _, at = decode_varint(field, 1)
        pending.append(separator + write_key_value(mvccpb.KeyValue.FromString(field[at:])))
        separator = b","
        size += len(pending[-1])
        if size >= PIECE_BYTES:
            yield b"".join(pending)
            pending.clear()
            size = 0
    tail = encode_response(pb.RangeResponse.FromString(bytes(others)))
    if separator:
        tail = b"]" + (b"," + tail[1:] if len(tail) > len(b"{}") else b"}")
    yield b"".join(pending) + tail


def _fields(parts: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """The fields of a message: (tag, the field with its tag). All tags of a RangeResponse are one byte."""
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
            raise ValueError("a range's response is cut")
        yield buffer[at], buffer[at:end]
        at = end


def _field_end(buffer: bytes, at: int) -> int:
    value, behind = decode_varint(buffer, at + 1)
    return behind + value if buffer[at] & 7 == WITH_LENGTH else behind
