"""Finds the damaged block of a LevelDB table, once LevelDB has said that there is one: it does not say where.

    table    = blocks, footer (48 bytes: handle of the metaindex, handle of the index, zeros, magic)
    block    = data, type (0 as it is, 1 snappy), masked CRC-32C (4, LE) over data and type
    handle   = offset varint, size of the data varint
    index    = a block of entries whose values are handles: (shared, unshared, value length: varints, key rest, value)*,
               restart offsets (4, LE)*, their number (4, LE)
    snappy   = length varint, elements: tag & 3 = 0 literal, 1 to 3 copy of earlier bytes

Source: LevelDB doc/table_format.md, snappy's format description.
"""

import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import google_crc32c

from etcdz.proto.fields import decode_varint
from etcdz.store.inspection import Damage

MAGIC: Final = bytes.fromhex("57fb808b247547db")
_FOOTER_BYTES: Final = 48
_TRAILER_BYTES: Final = 5
_SNAPPY: Final = 1
_MASK_DELTA: Final = 0xA282EAD8


class BadBlock(ValueError):
    """Says where in the table, and what is wrong there."""


def find_bad_table(store: Path, seconds: float = float("inf")) -> Damage | None:
    """The first damaged table of a store; None: there is none, or it was not found within so many seconds.

    NB: the store may be open still, and a compaction remove tables meanwhile.
    """
    until = time.monotonic() + seconds
    for path in sorted([*store.glob("*.ldb"), *store.glob("*.sst")]):
        if time.monotonic() > until:
            break
        with suppress(FileNotFoundError):
            if why := find_bad_block(path):
                return Damage(path, why)
    return None


def find_bad_block(path: Path) -> str | None:
    """What is wrong with a table and where; None: all of its blocks have the right sum."""
    data = path.read_bytes()
    if len(data) < _FOOTER_BYTES or data[-len(MAGIC) :] != MAGIC:
        return "has no table's footer"
    try:
        at = len(data) - _FOOTER_BYTES
        _, at = _handle(data, at)
        (offset, size), _ = _handle(data, at)
        for each in _handles(_block(data, offset, size)):
            _check(data, *each)
    except BadBlock as error:
        return str(error)
    except (IndexError, ValueError):
        return "has an index or a footer that makes no sense"
    return None


def _handle(data: bytes, at: int) -> tuple[tuple[int, int], int]:
    """((offset, size), offset behind it)"""
    offset, at = decode_varint(data, at)
    size, at = decode_varint(data, at)
    return (offset, size), at


def _check(data: bytes, offset: int, size: int) -> None:
    """raises BadBlock"""
    end = offset + size + _TRAILER_BYTES
    if end > len(data):
        raise BadBlock(f"has a block at position {offset} that reaches beyond its end")
    crc = google_crc32c.value(data[offset : offset + size + 1])
    if ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF != int.from_bytes(data[end - 4 : end], "little"):
        raise BadBlock(f"is damaged: the block of {size} bytes at position {offset} has another sum")


def _block(data: bytes, offset: int, size: int) -> bytes:
    """Its content. raises BadBlock"""
    _check(data, offset, size)
    content = data[offset : offset + size]
    return _unpack(content) if data[offset + size] == _SNAPPY else content


def _handles(index: bytes) -> list[tuple[int, int]]:
    end = len(index) - 4 - 4 * int.from_bytes(index[-4:], "little")
    out = []
    at = 0
    while at < end:
        _, at = decode_varint(index, at)
        rest, at = decode_varint(index, at)
        length, at = decode_varint(index, at)
        out.append(_handle(index, at + rest)[0])
        at += rest + length
    return out


def _unpack(data: bytes) -> bytes:
    """Of snappy. raises IndexError, ValueError"""
    size, at = decode_varint(data, 0)
    out = bytearray()
    while at < len(data):
        tag = data[at]
        at += 1
        if tag & 3 == 0:
            length = tag >> 2
            if length >= 60:
                extra = length - 59
                length = int.from_bytes(data[at : at + extra], "little")
                at += extra
            out += data[at : at + length + 1]
            at += length + 1
            continue
        if tag & 3 == 1:
            length, back, used = (tag >> 2 & 7) + 4, (tag >> 5) << 8 | data[at], 1
        else:
            used = 2 if tag & 3 == 2 else 4
            length, back = (tag >> 2) + 1, int.from_bytes(data[at : at + used], "little")
        at += used
        if not 0 < back <= len(out):
            raise ValueError("a copy from before the begin")
        for _ in range(length):  # it may overlap what it makes
            out.append(out[-back])
    if len(out) != size:
        raise ValueError("another length")
    return bytes(out)
