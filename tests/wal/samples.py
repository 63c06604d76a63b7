"""Entries and hard states for tests of the log."""

from etcdz.proto import raftpb
from etcdz.wal.record import HardState, encode_hard_state


def entry(index: int, term: int = 1, data: bytes = b"value") -> bytes:
    encoded: bytes = raftpb.Entry(
        Type=raftpb.EntryType.EntryNormal, Term=term, Index=index, Data=data
    ).SerializeToString()
    return encoded


def entries(lo: int, hi: int, term: int = 1, data: bytes = b"value") -> list[bytes]:
    return [entry(index, term, data) for index in range(lo, hi)]


def hard_state(term: int = 1, vote: int = 1, commit: int = 0) -> bytes:
    return encode_hard_state(HardState(term, vote, commit))
