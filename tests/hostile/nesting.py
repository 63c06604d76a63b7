"""Requests nested as deep as asked, made of bytes: no message class needs to hold them."""

from collections.abc import Callable
from typing import Final

_WIRE_BYTES, _WIRE_GROUP, _WIRE_GROUP_END = 2, 3, 4
_COMPARE, _SUCCESS, _FAILURE, _OP_PUT, _OP_RANGE, _OP_TXN = 1, 2, 3, 2, 1, 4


def _varint(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out) + bytes((number,))


def field(number: int, body: bytes) -> bytes:
    """A field of bytes or of a message."""
    return _varint(number << 3 | _WIRE_BYTES) + _varint(len(body)) + body


_PUT: Final = field(_OP_PUT, field(1, b"nested") + field(2, b"v"))
_GET: Final = field(_OP_RANGE, field(1, b"nested"))
_NEVER: Final = field(_COMPARE, b"\x08\x00\x10\x00" + field(3, b"nested-never") + b"\x20\x07")  # version(key) == 7


def _nest(depth: int, wrap: Callable[[int, bytes], bytes], body: bytes) -> bytes:
    for level in range(depth):
        body = wrap(level, body)
    return body


def success(depth: int) -> bytes:
    """A put, below so many transactions, each in the other's success."""
    return _nest(depth, lambda _, body: field(_SUCCESS, field(_OP_TXN, body)), field(_SUCCESS, _PUT))


def failure(depth: int) -> bytes:
    """The same in branches that are taken because a comparison fails."""
    end = _NEVER + field(_FAILURE, _PUT)
    return _nest(depth, lambda _, body: _NEVER + field(_FAILURE, field(_OP_TXN, body)), end)


def alternating(depth: int) -> bytes:
    """Success and failure by turns."""

    def wrap(level: int, body: bytes) -> bytes:
        nested = field(_OP_TXN, body)
        return field(_SUCCESS, nested) if level % 2 else _NEVER + field(_FAILURE, nested)

    return _nest(depth, wrap, field(_SUCCESS, _PUT))


def reads(depth: int) -> bytes:
    """Nothing but a get at the bottom: a transaction that does not write."""
    return _nest(depth, lambda _, body: field(_SUCCESS, field(_OP_TXN, body)), field(_SUCCESS, _GET))


def not_taken(depth: int) -> bytes:
    """In a branch that is not taken: checked, and never applied."""
    return _nest(depth, lambda _, body: field(_FAILURE, field(_OP_TXN, body)), field(_SUCCESS, _PUT))


def unknown_groups(depth: int) -> bytes:
    """A put with a field that nobody knows: groups (wire type 3) in one another."""
    start, end = _varint(99 << 3 | _WIRE_GROUP), _varint(99 << 3 | _WIRE_GROUP_END)
    return field(1, b"nested") + field(2, b"v") + start * depth + end * depth


TXNS: Final = {shape.__name__: shape for shape in (success, failure, alternating, reads, not_taken)}
