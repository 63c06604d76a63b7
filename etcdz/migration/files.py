"""What is done with files of a member that does not run: open a database, fill a store, make names durable."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgpack

from etcdz.bbolt import BoltCorrupt, BoltFile
from etcdz.migration.errors import MigrationError
from etcdz.store import buckets
from etcdz.store.disk import RealDisk
from etcdz.store.leveldb import LevelStore
from etcdz.wal.files import File

BATCH_BYTES: Final = 512 << 10


def open_database(path: str, verb: str = "open") -> tuple[BoltFile, File]:
    """A bbolt file and its source, which the caller closes.

    verb    what etcd's tool does first, for its error text
    raises  MigrationError
    """
    try:
        source = RealDisk().open(path, write=False)
    except OSError as error:
        raise MigrationError(f"{verb} {path}: {(error.strerror or str(error)).lower()}") from None
    try:
        if Path(path).is_dir():
            raise MigrationError(f"open {path}: is a directory")
        return BoltFile(source), source
    except BoltCorrupt as error:
        source.close()
        raise MigrationError(f"invalid database: {error}") from None
    except MigrationError:
        source.close()
        raise


def fill(store: LevelStore, rows: Iterable[tuple[bytes, bytes]]) -> int:
    """Writes rows in batches. return how many there were."""
    batch: dict[bytes, bytes | None] = {}
    size = count = 0
    for key, value in rows:
        batch[key] = value
        size += len(key) + len(value)
        count += 1
        if size >= BATCH_BYTES:
            store.write(batch)
            batch, size = {}, 0
    store.write(batch)
    return count


def identity_row(member_id: int, cluster_id: int) -> tuple[bytes, bytes]:
    """The row by which a backend knows its member and cluster."""
    return buckets.IDENTITY, msgpack.packb((member_id, cluster_id))


def sync_tree(top: Path) -> None:
    """Makes all files and names below a directory survive a power loss."""
    for directory, _, names in os.walk(top, topdown=False):
        for name in [*names, "."]:
            fd = os.open(os.path.join(directory, name), os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)


def sync_directory(path: Path) -> None:
    """Makes the names in a directory survive a power loss."""
    RealDisk().sync_directory(str(path))
