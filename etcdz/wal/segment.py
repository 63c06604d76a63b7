"""Names of segments, and which of them a start needs.

`<sequence %016x>-<first index %016x>.wal`: sequences grow by one, and the first index is the one after the last entry
of the segment before, so that names alone tell where to begin reading.
"""

import re
from typing import NamedTuple

from etcdz.wal.files import WalMismatch

_NAME = re.compile(r"([0-9a-f]{16})-([0-9a-f]{16})\.wal")


class Segment(NamedTuple):
    """A segment by its name. first_index: of the first entry that it may hold"""

    sequence: int
    first_index: int

    @property
    def name(self) -> str:
        return f"{self.sequence:016x}-{self.first_index:016x}.wal"


def parse_name(name: str) -> Segment | None:
    """None for anything that is no segment: temporary files, backups of torn ones, files of other programs."""
    m = _NAME.fullmatch(name)
    return Segment(int(m[1], 16), int(m[2], 16)) if m else None


def list_segments(names: list[str]) -> list[Segment]:
    """The segments among these file names, in the order of their sequences."""
    return sorted(s for s in map(parse_name, names) if s is not None)


def select_segments(segments: list[Segment], index: int | None) -> list[Segment]:
    """Those that hold everything after index: the last one that may begin with it, and all later ones; None: all of the
    newest unbroken run.

    raises WalMismatch: there is none, or a sequence is missing
    """
    if not segments:
        raise WalMismatch("wal: file not found")
    if index is None:
        start = len(segments) - 1
        while start and segments[start - 1].sequence + 1 == segments[start].sequence:
            start -= 1
        return segments[start:]
    start = next((i for i in range(len(segments) - 1, -1, -1) if segments[i].first_index <= index), -1)
    if start < 0:
        raise WalMismatch(f"wal: file not found which matches the snapshot index '{index}'")
    for before, after in zip(segments[start:], segments[start + 1 :], strict=False):
        if after.sequence != before.sequence + 1:
            raise WalMismatch(
                f"wal: file sequence numbers do not increase continuously: '{after.name}' follows '{before.name}'"
            )
    return segments[start:]
