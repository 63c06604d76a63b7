"""HPACK header blocks: a lean decoder for what clients send, and an encoder that never shifts its own indexes.

Why not `hpack` itself: Go's client puts a new grpc-timeout into the dynamic table with every call, so that no block
repeats and each must be decoded: 30 us with `hpack`, 4 with this decoder. `hpack` is its obvious twin in the tests.

    field = 1xxxxxxx index                     from a table
          | 01xxxxxx name index or name, value  literal, enters the dynamic table
          | 0000xxxx or 0001xxxx, the same      literal, does not
          | 001xxxxx size                       new size of the dynamic table, before the first field

Source: RFC 7541.
"""

from collections.abc import Iterable
from typing import Final

from etcdz.wire.frames import COMPRESSION_ERROR, ENHANCE_YOUR_CALM, HEADER_TABLE_DEFAULT, ProtocolError
from etcdz.wire.hpack_tables import STATIC_FIELDS
from etcdz.wire.huffman import HuffmanError, decode_huffman

Field = tuple[bytes, bytes]

ENTRY_OVERHEAD: Final = 32
_STATIC: Final[list[Field]] = [(b"", b""), *STATIC_FIELDS]
_STATIC_COUNT: Final = len(STATIC_FIELDS)
_STATIC_FIELDS: Final[dict[Field, int]] = {field: index for index, field in enumerate(_STATIC) if index and field[1]}
_STATIC_NAMES: Final[dict[bytes, int]] = {
    field[0]: index for index, field in reversed(list(enumerate(_STATIC))) if index
}
_INTEGER_BYTES_MAX: Final = 5
_PIECE_BYTES: Final = 16_384
"""After so many bytes of a block it is looked how long its list has become: a byte can stand for a whole table."""
BOMB_FACTOR: Final = 4
"""A list so many times as long as allowed ends the connection; a shorter one that is too long, only its stream."""


class ListTooLong(ProtocolError):
    """A whole list that is longer than allowed. The decoder has gone through it and can go on."""

    def __init__(self, list_bytes: int) -> None:
        super().__init__(ENHANCE_YOUR_CALM, f"header list of {list_bytes} bytes")


def _bad(text: str) -> ProtocolError:
    return ProtocolError(COMPRESSION_ERROR, text)


def _decode_integer(block: bytes, pos: int, prefix: int) -> tuple[int, int]:
    """(number, next pos) of an integer whose prefix bits, all ones, stood before pos."""
    number, shift = prefix, 0
    for at in range(pos, pos + _INTEGER_BYTES_MAX):
        byte = block[at]
        number += (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at + 1
        shift += 7
    raise _bad("integer too long")


def _decode_string(block: bytes, pos: int) -> tuple[bytes, int]:
    first = block[pos]
    size = first & 0x7F
    pos += 1
    if size == 0x7F:
        size, pos = _decode_integer(block, pos, 0x7F)
    end = pos + size
    if end > len(block):
        raise _bad("string longer than its block")
    text = block[pos:end]
    return (decode_huffman(text) if first & 0x80 else text), end


class HeaderDecoder:
    """The dynamic table that the other side's encoder drives. One per connection; after an error it is unusable.

    changes     counts what was done to the table: while it stands still, equal blocks mean equal fields
    """

    __slots__ = ("changes", "_dynamic", "_size", "_limit", "_list_bytes_max")

    def __init__(self, list_bytes_max: int) -> None:
        self.changes = 0
        self._dynamic: list[Field] = []  # oldest first, so that entering is an append
        self._size = 0  # Invariant: sum of entry sizes, <= _limit
        self._limit = HEADER_TABLE_DEFAULT
        self._list_bytes_max = list_bytes_max

    def decode(self, block: bytes) -> list[Field]:
        """The fields of one whole block, in order.

        raises  ListTooLong: more than list_bytes_max; ProtocolError: COMPRESSION_ERROR, or ENHANCE_YOUR_CALM for a list
                of BOMB_FACTOR times as much
        """
        fields: list[Field] = []
        end = len(block)
        try:
            if end <= _PIECE_BYTES:
                self._decode(block, 0, end, fields)
            else:
                self._decode_pieces(block, fields)
        except IndexError:
            raise _bad("index beyond the tables, or a block cut short") from None
        except HuffmanError as error:
            raise _bad(str(error)) from None
        # A field out of a table holds at most the table, a literal at most 8/5 of its bytes: no need to add up.
        if len(fields) * HEADER_TABLE_DEFAULT + 2 * len(block) > self._list_bytes_max:
            self._check_list(list_bytes(fields))
        return fields

    def _check_list(self, total: int) -> None:
        if total > BOMB_FACTOR * self._list_bytes_max:
            raise ProtocolError(ENHANCE_YOUR_CALM, f"header list of {total} bytes")
        if total > self._list_bytes_max:
            raise ListTooLong(total)

    def _decode_pieces(self, block: bytes, fields: list[Field]) -> None:
        """The same for a long block: of a list that is too long nothing is kept."""
        pos, end, total, found = 0, len(block), 0, fields
        while pos < end:
            seen = len(found)
            pos = self._decode(block, pos, min(end, pos + _PIECE_BYTES), found)
            total += list_bytes(found[seen:])
            if total > BOMB_FACTOR * self._list_bytes_max:
                break
            if total > self._list_bytes_max:
                found = found[:1]
        self._check_list(total)

    def _decode(self, block: bytes, pos: int, end: int, fields: list[Field]) -> int:
        """Appends the fields that begin before end. return where the next one begins"""
        dynamic = self._dynamic
        while pos < end:
            byte = block[pos]
            pos += 1
            if byte >= 0x80:
                index = byte & 0x7F
                if index == 0x7F:
                    index, pos = _decode_integer(block, pos, 0x7F)
                if index > _STATIC_COUNT:
                    fields.append(dynamic[_STATIC_COUNT - index])
                elif index:
                    fields.append(_STATIC[index])
                else:
                    raise _bad("index 0")
            elif byte & 0xE0 == 0x20:
                pos = self._resize(block, pos, byte & 0x1F, bool(fields))
            else:
                mask = 0x3F if byte & 0x40 else 0x0F
                index = byte & mask
                if index == mask:
                    index, pos = _decode_integer(block, pos, mask)
                if index == 0:
                    name, pos = _decode_string(block, pos)
                else:
                    name = (dynamic[_STATIC_COUNT - index] if index > _STATIC_COUNT else _STATIC[index])[0]
                value, pos = _decode_string(block, pos)
                field = (name, value)
                fields.append(field)
                if byte & 0x40:
                    self._enter(field)
        return pos

    def _resize(self, block: bytes, pos: int, size: int, late: bool) -> int:
        if late:
            raise _bad("table size update after a field")
        if size == 0x1F:
            size, pos = _decode_integer(block, pos, 0x1F)
        if size > HEADER_TABLE_DEFAULT:
            raise _bad("table larger than allowed")
        self.changes += 1
        self._limit = size
        self._evict()
        return pos

    def _enter(self, field: Field) -> None:
        self.changes += 1
        self._size += len(field[0]) + len(field[1]) + ENTRY_OVERHEAD
        self._dynamic.append(field)
        if self._size > self._limit:
            self._evict()

    def _evict(self) -> None:
        dynamic, size = self._dynamic, self._size
        count = 0
        while size > self._limit:
            name, value = dynamic[count]
            size -= len(name) + len(value) + ENTRY_OVERHEAD
            count += 1
        del dynamic[:count]
        self._size = size


def list_bytes(fields: Iterable[Field]) -> int:
    """How long a header list is, as RFC 9113 counts it (section 6.5.2)."""
    return sum([len(name) + len(value) + ENTRY_OVERHEAD for name, value in fields])


def _encode_integer(first: int, prefix: int, number: int) -> bytes:
    """first: the bits above the prefix; prefix: a mask of its bits."""
    if number < prefix:
        return bytes((first | number,))
    out = bytearray((first | prefix,))
    number -= prefix
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _encode_string(text: bytes) -> bytes:
    return _encode_integer(0, 0x7F, len(text)) + text


def _encode_literal(field: Field, first: int, prefix: int) -> bytes:
    name, value = field
    index = _STATIC_NAMES.get(name, 0)
    head = _encode_integer(first, prefix, index)
    return head + (b"" if index else _encode_string(name)) + _encode_string(value)


class HeaderEncoder:
    """Enters each field once and never evicts, so that blocks can be kept: they change only when a new field enters.

    Evicting would let more fields in, but then no prebuilt block could be trusted.
    """

    __slots__ = ("_entered", "_room", "_blocks", "_prefix")

    def __init__(self) -> None:
        self._entered: dict[Field, int] = {}  # field -> how many had entered by then, itself included
        self._room = HEADER_TABLE_DEFAULT
        self._blocks: dict[tuple[Field, ...], bytes] = {}  # Invariant: all valid for the table as it is
        self._prefix = b""  # a table size update that is still to be sent

    def limit_table(self, size: int) -> None:
        """The other side's SETTINGS_HEADER_TABLE_SIZE. A smaller table than the default is not used at all."""
        if size < HEADER_TABLE_DEFAULT and self._room >= 0:
            self._entered.clear()
            self._blocks.clear()
            self._room = -1
            self._prefix = b"\x20"

    def kept(self, fields: tuple[Field, ...]) -> bytes | None:
        """The block for fields if it stays the same from call to call by now."""
        return None if self._prefix else self._blocks.get(fields)

    def encode(self, fields: tuple[Field, ...]) -> bytes:
        """The block for fields; new ones enter the table. Requires: blocks are sent in the order of the calls."""
        known = self._blocks.get(fields)
        if known is None:
            count = len(self._entered)
            known = b"".join([self._encode_field(field) for field in fields])
            if count != len(self._entered):
                self._blocks.clear()
            else:
                self._blocks[fields] = known
        return self._with_prefix(known)

    def encode_plain(self, fields: tuple[Field, ...]) -> bytes:
        """The block for fields that will not come again: nothing enters, nothing is kept."""
        return self._with_prefix(plain_block(fields))

    def _with_prefix(self, block: bytes) -> bytes:
        if self._prefix:
            block = self._prefix + block
            self._prefix = b""
        return block

    def _encode_field(self, field: Field) -> bytes:
        index = _STATIC_FIELDS.get(field)
        if index is not None:
            return _encode_integer(0x80, 0x7F, index)
        entered = self._entered.get(field)
        if entered is not None:
            return _encode_integer(0x80, 0x7F, _STATIC_COUNT + 1 + len(self._entered) - entered)
        size = len(field[0]) + len(field[1]) + ENTRY_OVERHEAD
        if size > self._room:
            return _encode_literal(field, 0, 0x0F)
        self._room -= size
        self._entered[field] = len(self._entered) + 1
        return _encode_literal(field, 0x40, 0x3F)


def plain_block(fields: tuple[Field, ...]) -> bytes:
    """A block that needs no dynamic table: static fields by index, others as literals that do not enter."""
    parts = []
    for field in fields:
        index = _STATIC_FIELDS.get(field)
        parts.append(_encode_literal(field, 0, 0x0F) if index is None else _encode_integer(0x80, 0x7F, index))
    return b"".join(parts)
