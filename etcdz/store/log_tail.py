"""Cuts off what power loss has torn at the end of a LevelDB log.

    log       = blocks of 32,768 bytes, the last one shorter
    block     = fragments; fewer than 7 bytes at its end are zero
    fragment  = masked CRC-32C (4, LE) over type and payload, length (2, LE), type, payload
    type      = 1 whole record, 2 first, 3 middle, 4 last fragment of one

LevelDB itself, on a bad fragment, either skips the rest of the block (a hole, if pages reached the disk out of order)
or, with paranoid checks, does not open at all. A store under a raft log wants a third thing: all records before the
first bad one and none behind it, since raft sends the rest again.
Source: LevelDB doc/log_format.md.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from struct import Struct

import google_crc32c

BLOCK_BYTES = 32768
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_header = Struct("<IHB")
_MASK_DELTA = 0xA282EAD8


def cut_torn_tail(path: Path) -> int:
    """Cuts a log behind its last sound record and syncs it. return how many bytes went.

    Requires: no other process has the log open.
    """
    with open(path, "r+b") as file:
        data = file.read()
        end = sound_bytes(data)
        if end < len(data):
            file.truncate(end)
            os.fsync(file.fileno())
        return len(data) - end


def sound_bytes(data: bytes) -> int:
    """Offset behind the last whole record before the first bad fragment."""
    view = memoryview(data)
    at = end = 0
    open_record = False
    while (fragment := _fragment(view, at)) is not None:
        kind, at = fragment
        if (kind in (_MIDDLE, _LAST)) != open_record:
            break
        open_record = kind in (_FIRST, _MIDDLE)
        if not open_record:
            end = at
    return end


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
