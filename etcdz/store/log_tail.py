"""Reads LevelDB's logs, and tells the tail that a crash has torn from damage.

    log       = blocks of 32,768 bytes, the last one shorter
    block     = fragments; fewer than 7 bytes at its end are zero
    fragment  = masked CRC-32C (4, LE) over type and payload, length (2, LE), type, payload
    type      = 1 whole record, 2 first, 3 middle, 4 last fragment of one

LevelDB itself, on a bad fragment, either skips the rest of the block (a hole, if pages reached the disk out of order)
or, with paranoid checks, does not open at all. A store under a raft log wants a third thing: all records before the
first bad one and none behind it, since raft sends the rest again. That is right for what a crash can do to bytes that
were never synced: the file ends inside a record, or sectors of it hold nothing but zeros. A bad fragment that good
ones follow, without such a sector between, is damage: what lies behind it had reached the disk, and was promised.
Source: LevelDB doc/log_format.md.
"""

import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from struct import Struct
from typing import NamedTuple

import google_crc32c

BLOCK_BYTES = 32768
SECTOR_BYTES = 512
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_header = Struct("<IHB")
_MASK_DELTA = 0xA282EAD8


class LogEnd(NamedTuple):
    """sound: offset behind the last whole record before the first bad fragment. bad: where that fragment begins, the
    log's size if there is none. is_torn: whether a crash can have left it so; a log without a bad fragment counts."""

    sound: int
    bad: int
    is_torn: bool


def find_end(data: bytes) -> LogEnd:
    """Where a log stops to make sense, and whether that is a crash's work."""
    sound, bad = _walk(data)
    after = _next_good(data, bad) if bad < len(data) else None
    return LogEnd(sound, bad, after is None or _has_lost_sector(data, bad, after))


def sound_bytes(data: bytes) -> int:
    """Offset behind the last whole record before the first bad fragment."""
    return _walk(data)[0]


def cut_log(path: Path, size: int) -> None:
    """Puts the first size bytes of a file in its place, synced. The file itself stays as it is under its other names.

    Requires: no one else has it open
    """
    temporary = path.with_name(f"{path.name}.cut")
    with open(path, "rb") as whole, open(temporary, "wb") as cut:
        cut.write(whole.read(size))
        cut.flush()
        os.fsync(cut.fileno())
    temporary.replace(path)


def _walk(data: bytes) -> tuple[int, int]:
    """(offset behind the last whole record before the first bad fragment, offset of that fragment)"""
    view = memoryview(data)
    at = end = 0
    open_record = False
    while (fragment := _fragment(view, at)) is not None:
        kind, after = fragment
        if (kind in (_MIDDLE, _LAST)) != open_record:
            break
        at = after
        open_record = kind in (_FIRST, _MIDDLE)
        if not open_record:
            end = at
    return end, at


def _next_good(data: bytes, bad: int) -> int | None:
    """Offset of the next fragment behind a bad one that is good: anywhere in the same block, or at a block's begin."""
    view = memoryview(data)
    block_end = min(len(data), bad - bad % BLOCK_BYTES + BLOCK_BYTES)
    for at in chain(range(bad + 1, block_end - _header.size + 1), range(block_end, len(data), BLOCK_BYTES)):
        if _fragment(view, at) is not None:
            return int(at)
    return None


def _has_lost_sector(data: bytes, bad: int, after: int) -> bool:
    """Whether a sector between two offsets holds nothing but zeros, from the first offset on if that lies in it."""
    at = bad
    while at < after:
        sector_end = at - at % SECTOR_BYTES + SECTOR_BYTES
        if not any(data[at:sector_end]):
            return True
        at = sector_end
    return False


def sound_records(data: bytes) -> Iterator[bytes]:
    """The whole records before the first bad fragment."""
    view = memoryview(data)
    at = 0
    record: list[memoryview] | None = None
    while (fragment := _fragment(view, at)) is not None:
        kind, end = fragment
        if (kind in (_MIDDLE, _LAST)) != (record is not None):
            return
        start = at if BLOCK_BYTES - at % BLOCK_BYTES >= _header.size else at + BLOCK_BYTES - at % BLOCK_BYTES
        record = [*(record or ()), view[start + _header.size : end]]
        at = end
        if kind in (_WHOLE, _LAST):
            yield b"".join(record)
            record = None


def _fragment(view: memoryview, at: int) -> tuple[int, int] | None:
    """(type, offset behind it) of the fragment at an offset, None if there is none or it is bad."""
    left = BLOCK_BYTES - at % BLOCK_BYTES
    if left < _header.size:
        at += left
        left = BLOCK_BYTES
    if at + _header.size > len(view):
        return None
    masked, length, kind = _header.unpack_from(view, at)
    end = at + _header.size + length
    if not _WHOLE <= kind <= _LAST or _header.size + length > left or end > len(view):
        return None
    crc = google_crc32c.value(bytes(view[at + 6 : end]))
    if masked != ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF:
        return None
    return kind, end
