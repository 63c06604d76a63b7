"""A store that is nothing but the calls that were done: what HashKV must say of a store that did each exactly once.

HashKV without a compaction is the CRC-32C over "key", then name and record of every change in the order of revisions.
    name      revision (8 bytes) "_" number within the revision (8 bytes), and "t" if it is a delete
    record    mvccpb.KeyValue; of a delete with nothing but the key
Source: etcd 3.5 server/mvcc
"""

import struct
from collections.abc import Iterator, Mapping
from typing import Any

import google_crc32c

from etcdz.proto import mvccpb
from tests.process.load import COUNT, DROP, Op, counter_key, value_of


def hash_kv(done: Mapping[int, Op]) -> int:
    """done: revision -> the call that made it; no revision between 2 and the last is missing."""
    counters: dict[int, tuple[int, int]] = {}
    crc: int = google_crc32c.value(b"key")
    for revision in sorted(done):
        for sub, record in enumerate(_changes(done[revision], revision, counters)):
            name = struct.pack(">Q", revision) + b"_" + struct.pack(">Q", sub)
            if not record.version:
                name += b"t"
            crc = google_crc32c.extend(crc, name + record.SerializeToString())
    return crc


def _changes(op: Op, revision: int, counters: dict[int, tuple[int, int]]) -> Iterator[Any]:
    """Of one call, in the order of its requests. counters: number -> (when it was created, what it is now)"""
    if op.kind == COUNT:
        created, number = counters.get(op.counter, (revision, 0))
        counters[op.counter] = (created, number + 1)
        added = b"%d/%d" % (op.counter, number + 1)
        yield mvccpb.KeyValue(
            key=counter_key(op.counter), value=added, create_revision=created, mod_revision=revision, version=number + 1
        )
        yield _new(op.keys[0], added, revision)
        return
    if op.kind == DROP:
        yield mvccpb.KeyValue(key=op.victim)
    for key, size in zip(op.keys, op.sizes, strict=True):
        yield _new(key, value_of(key, size), revision)


def _new(key: bytes, value: bytes, revision: int) -> Any:
    return mvccpb.KeyValue(key=key, value=value, create_revision=revision, mod_revision=revision, version=1)
