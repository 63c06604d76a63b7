"""Which files a LevelDB consists of: its MANIFEST, read as far as it is whole.

    manifest  = log of records (log_tail.py), each a version edit
    edit      = (tag varint, fields)*
    tag       = 1 comparator: bytes           2 log number: varint       3 next file number: varint
                4 last sequence: varint       5 compact pointer: level varint, key bytes
                6 deleted file: level varint, number varint
                7 new file: level varint, number varint, size varint, smallest bytes, largest bytes
                9 previous log number: varint
    bytes     = length varint, so many bytes

Source: LevelDB's version_edit.cc and doc/impl.md.
"""

from typing import Final, NamedTuple

from etcdz.proto.fields import decode_varint
from etcdz.store.log_tail import sound_records

_VARINTS: Final = {2: 1, 3: 1, 4: 1, 6: 2, 9: 1}
"""Tag -> how many varints follow, for tags with nothing else."""
_COMPARATOR, _LOG, _NEXT_FILE, _COMPACT_POINTER, _DELETED_FILE, _NEW_FILE = 1, 2, 3, 5, 6, 7


class BadManifest(ValueError):
    """It holds what this LevelDB does not write, or is cut in the middle of what counts."""


class Version(NamedTuple):
    """tables: size in bytes of the live tables, by number. next_file: what LevelDB would number its next file with.
    log: number of the oldest log that is not in tables; 0: none has been begun, so all there are."""

    tables: dict[int, int]
    next_file: int
    log: int


def read_manifest(data: bytes) -> Version:
    """raises BadManifest"""
    tables: dict[int, int] = {}
    numbers: dict[int, int] = {_NEXT_FILE: 0, _LOG: 0}
    for edit in sound_records(data):
        try:
            _apply(edit, tables, numbers)
        except IndexError:
            raise BadManifest("a version edit ends too soon") from None
        except ValueError as error:
            raise BadManifest(f"a version edit: {error}") from None
    next_file, log = numbers[_NEXT_FILE], numbers[_LOG]
    if not next_file or any(number >= next_file for number in tables):
        raise BadManifest(f"tables up to {max(tables, default=0)}, but the next file is {next_file}")
    if tables and not log:
        raise BadManifest("tables, but no log")
    return Version(tables, next_file, log)


def _apply(edit: bytes, tables: dict[int, int], numbers: dict[int, int]) -> None:
    """Changes tables, and the numbers of the next file and of the log by tag. raises IndexError, ValueError"""
    at = 0
    while at < len(edit):
        tag, at = decode_varint(edit, at)
        if tag in _VARINTS:
            found = []
            for _ in range(_VARINTS[tag]):
                number, at = decode_varint(edit, at)
                found.append(number)
            if tag in numbers:
                numbers[tag] = max(numbers[tag], found[0])
            elif tag == _DELETED_FILE:
                tables.pop(found[1], None)
        elif tag == _COMPARATOR:
            at = _skip(edit, at)
        elif tag == _COMPACT_POINTER:
            at = _skip(edit, decode_varint(edit, at)[1])
        elif tag == _NEW_FILE:
            number, at = decode_varint(edit, decode_varint(edit, at)[1])
            tables[number], at = decode_varint(edit, at)
            at = _skip(edit, _skip(edit, at))
        else:
            raise ValueError(f"tag {tag}")


def _skip(edit: bytes, at: int) -> int:
    """Offset behind a length and so many bytes. raises IndexError: they are not all there"""
    length, at = decode_varint(edit, at)
    if at + length > len(edit):
        raise IndexError
    return at + length
