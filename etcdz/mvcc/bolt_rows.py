"""etcd's buckets between the store and a bbolt file: the same rows, in the same order, both ways.

Buckets of etcdz itself (`etcdz_...`) stay out of files; unknown buckets go along, whatever they hold.
"""

from collections.abc import Iterator

from etcdz.bbolt import BoltFile, BoltWriter, Layout
from etcdz.bbolt.writer import Sink
from etcdz.store import buckets
from etcdz.store.interface import Store

OWN_PREFIX = b"etcdz_"
_END = b"\xff"


def bucket_names(store: Store) -> list[bytes]:
    """Buckets for a file, in order, with their separators: all of etcd's, and what else is there."""
    names = set(buckets.ALL)
    at = b""
    while row := next(store.iterate(at, _END), None):
        name = row[0][: row[0].index(b"\0") + 1]
        if not name.startswith(OWN_PREFIX):
            names.add(name)
        at = buckets.bucket_end(name)
    return sorted(names)


def write_file(store: Store, sink: Sink | None) -> Layout:
    """Writes all pages but the first ones (Layout.head). sink: None only measures; the rows must then stay the same."""
    writer = BoltWriter(sink)
    for bucket in bucket_names(store):
        writer.add_bucket(bucket[:-1], bucket_rows(store, bucket))
    return writer.finish()


def bucket_rows(store: Store, bucket: bytes) -> Iterator[tuple[bytes, bytes]]:
    """bucket: with its separator. Keys come without it. raises StoreBroken: a block with a wrong sum"""
    skip = len(bucket)
    return ((name[skip:], value) for name, value in store.iterate(bucket, buckets.bucket_end(bucket), verify=True))


def file_rows(file: BoltFile) -> Iterator[tuple[bytes, bytes]]:
    """Store keys and values of all buckets. raises BoltCorrupt; ValueError: a bucket that the store cannot hold"""
    for name, bucket in file.buckets():
        if b"\0" in name or name.startswith(OWN_PREFIX):
            raise ValueError(f"{file.path}: bucket {name!r} is none of etcd's")
        prefix = name + b"\0"
        for key, value in file.rows(bucket, flat=True):
            yield prefix + key, value
