"""Which tables a LevelDB consists of: its MANIFEST, read as far as it is whole.

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
_COMPARATOR, _NEXT_FILE, _COMPACT_POINTER, _DELETED_FILE, _NEW_FILE = 1, 3, 5, 6, 7


class BadManifest(ValueError):
    """It holds what this LevelDB does not write, or is cut in the middle of what counts."""


class Version(NamedTuple):
    """tables: numbers of the live tables. next_file: what LevelDB would number its next file with."""

    tables: frozenset[int]
    next_file: int


def read_manifest(data: bytes) -> Version:
    """raises BadManifest"""
    tables: set[int] = set()
    next_file = 0
    for edit in sound_records(data):
        try:
            next_file = max(next_file, _apply(edit, tables))
        except IndexError:
            raise BadManifest("a version edit ends too soon") from None
        except ValueError as error:
            raise BadManifest(f"a version edit: {error}") from None
    if not next_file or any(number >= next_file for number in tables):
        raise BadManifest(f"tables up to {max(tables, default=0)}, but the next file is {next_file}")
    return Version(frozenset(tables), next_file)


def _apply(edit: bytes, tables: set[int]) -> int:
    """return the next file number that the edit tells, 0 if it tells none. raises IndexError, ValueError"""
    at = next_file = 0
    while at < len(edit):
        tag, at = decode_varint(edit, at)
        if tag in _VARINTS:
            numbers = []
            for _ in range(_VARINTS[tag]):
                number, at = decode_varint(edit, at)
                numbers.append(number)
            if tag == _NEXT_FILE:
                next_file = numbers[0]
            elif tag == _DELETED_FILE:
                tables.discard(numbers[1])
        elif tag == _COMPARATOR:
            at = _skip(edit, at)
        elif tag == _COMPACT_POINTER:
            at = _skip(edit, decode_varint(edit, at)[1])
        elif tag == _NEW_FILE:
            number, at = decode_varint(edit, decode_varint(edit, at)[1])
            tables.add(number)
            at = _skip(edit, _skip(edit, decode_varint(edit, at)[1]))
        else:
            raise ValueError(f"tag {tag}")
    return next_file


def _skip(edit: bytes, at: int) -> int:
    """Offset behind a length and so many bytes. raises IndexError: they are not all there"""
    length, at = decode_varint(edit, at)
    if at + length > len(edit):
        raise IndexError
    return at + length
