"""`.snap` files: the state that a log may begin after.

    name   := <term %016x>-<index %016x>.snap
    file   := snappb.snapshot { crc 1: CRC-32C of data, data 2 }
    data   := raftpb.Snapshot { data 1: v2 store as JSON, metadata 2: conf state, index, term }

A file that cannot be read is renamed to `.broken`, and an older one is used. etcd writes the file in place; here it
gets its name only once it is whole and synced, so that none is ever broken by a crash.

Source: etcd 3.5 api/snap.
"""

import contextlib
import posixpath
import re
from dataclasses import dataclass

import google_crc32c
from google.protobuf.message import DecodeError

from etcdz.proto import raftpb, snappb
from etcdz.wal.files import Disk

_NAME = re.compile(r"([0-9a-f]{16})-([0-9a-f]{16})\.snap")


class SnapBroken(Exception):
    """The file does not hold what was written to it."""


@dataclass(frozen=True, slots=True)
class Snap:
    """The state at one index of the log.

    conf_state  encoded raftpb.ConfState
    data        what the state machine says of itself at index; in etcd 3.5 the v2 store as JSON
    """

    index: int
    term: int
    conf_state: bytes
    data: bytes

    @property
    def name(self) -> str:
        return f"{self.term:016x}-{self.index:016x}.snap"


def encode_snap(snap: Snap) -> bytes:
    """The bytes of the file, as etcd writes them."""
    snapshot = raftpb.Snapshot()
    snapshot.data = snap.data
    metadata = snapshot.metadata
    metadata.conf_state.ParseFromString(snap.conf_state)
    # etcd writes this field always, and upb what was set.
    metadata.conf_state.auto_leave = metadata.conf_state.auto_leave
    metadata.index = snap.index
    metadata.term = snap.term
    data = snapshot.SerializeToString()
    file = snappb.snapshot()
    file.crc = google_crc32c.value(data)
    file.data = data
    return file.SerializeToString()


def decode_snap(file: bytes) -> Snap:
    """The state that a whole file holds. raises SnapBroken"""
    try:
        outer = snappb.snapshot.FromString(file)
        if not outer.data or not outer.crc:
            raise SnapBroken("empty snapshot")
        if google_crc32c.value(outer.data) != outer.crc:
            raise SnapBroken("crc mismatch")
        inner = raftpb.Snapshot.FromString(outer.data)
    except DecodeError as e:
        raise SnapBroken(str(e)) from None
    metadata = inner.metadata
    return Snap(metadata.index, metadata.term, metadata.conf_state.SerializeToString(), inner.data)


def save(disk: Disk, directory: str, snap: Snap) -> str:
    """Makes it durable under its name, which is returned.

    raises WalFull, OSError: no older file has changed. This one may have its name, if what failed was to make that
           durable: it does no harm, since no log knows of it.
    """
    path = posixpath.join(directory, snap.name)
    temporary = path + ".tmp"
    file = disk.create(temporary)
    try:
        file.write(0, encode_snap(snap))
        file.sync()
        file.close()
        disk.rename(temporary, path)
    except OSError:
        file.close()
        with contextlib.suppress(OSError):  # else the next purge removes it
            disk.remove(temporary)
        raise
    disk.sync_directory(directory)
    return snap.name


def list_snaps(disk: Disk, directory: str) -> list[str]:
    """Names, those of the newest (term, index) first. A directory that does not exist has none."""
    if not disk.exists(directory):
        return []
    return [name for name in reversed(disk.list(directory)) if _NAME.fullmatch(name)]


def index_of(name: str) -> int:
    """Index of the last entry that a .snap of this name covers."""
    found = _NAME.fullmatch(name)
    return int(found[2], 16) if found else 0


def load(disk: Disk, path: str) -> Snap:
    """The state in the file at path. raises SnapBroken: the file has been renamed to `.broken`"""
    file = disk.open(path, write=False)
    try:
        return decode_snap(file.read(0, file.size()))
    except SnapBroken:
        disk.rename(path, path + ".broken")
        raise
    finally:
        file.close()


def purge(disk: Disk, directory: str, keep: int = 5) -> list[str]:
    """Removes all but the newest `keep`, and temporary files; 0 keeps all.

    return  names of the files that were removed
    """
    gone = list_snaps(disk, directory)[keep:] if keep else []
    gone += [name for name in disk.list(directory) if name.endswith(".snap.tmp")]
    for name in gone:
        disk.remove(posixpath.join(directory, name))
    return gone
