"""bbolt files in memory, for the tests of writer and reader."""

from collections.abc import Iterable, Mapping

from etcdz.bbolt import BoltFile, BoltWriter

Rows = list[tuple[bytes, bytes]]


class Bytes:
    """A Source."""

    path = "memory.db"

    def __init__(self, data: bytes) -> None:
        self.data = data

    def size(self) -> int:
        return len(self.data)

    def read(self, offset: int, length: int) -> bytes:
        return self.data[offset : offset + length]


def written(buckets: Mapping[bytes, Iterable[tuple[bytes, bytes]]], page_bytes: int = 4096) -> bytes:
    """A whole file, with the measuring run held against the writing one."""
    measure = BoltWriter(None, page_bytes)
    pages: list[bytes] = []
    writer = BoltWriter(pages.append, page_bytes)
    for name in sorted(buckets):
        rows = list(buckets[name])
        assert measure.add_bucket(name, iter(rows)) == writer.add_bucket(name, iter(rows)) == len(rows)
    layout = writer.finish()
    assert measure.finish() == layout
    data = b"".join([layout.head(), *pages])
    assert len(data) == layout.file_bytes
    return data


def read(data: bytes) -> dict[bytes, Rows]:
    """All of a file, checked. raises BoltCorrupt"""
    file = BoltFile(Bytes(data))
    file.check()
    return {name: list(file.rows(bucket)) for name, bucket in file.buckets()}
