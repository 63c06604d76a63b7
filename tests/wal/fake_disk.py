"""A disk that loses power: what was not synced is there afterwards, or not, or in part.

    disk = FakeDisk()
    ... use it as etcdz.wal.files.Disk ...
    after = disk.crash(random)      # a new disk, as the machine finds it when it is on again

Contents and names are separate, as in a file system. Contents of a file: every 512-byte sector of every write since the
last sync is kept or not, by itself, and the size grows by as much as it likes. Names of a directory: the changes since
the last sync of that directory are kept up to some point, in order.

A sync that fails leaves the file as it was for those who read it, while the disk has some of it, and the rest will
never get there: Linux has marked it clean. A failed sync of a directory loses nothing: names are in the journal, and a
file system whose journal cannot be written takes nothing more.
"""

import errno
import os
import posixpath
from collections.abc import Callable
from random import Random

from etcdz.wal.files import SyncFailed, WalFull, WalInUse

SECTOR_BYTES = 512
Change = Callable[[bytearray], None]
Rename = Callable[[dict[str, "Inode | Directory"]], object]


class Inode:
    """live: what a reader sees. durable: what is on the platter. changes: what leads from one to the other."""

    def __init__(self, content: bytes = b"") -> None:
        self.durable = content
        self.live = bytearray(content)
        self.changes: list[list[Change]] = []
        self.holder: FakeFile | None = None

    def resize(self, size: int) -> None:
        def change(content: bytearray) -> None:
            del content[size:]
            content.extend(bytes(size - len(content)))

        change(self.live)
        self.changes.append([change])

    def write(self, offset: int, data: bytes) -> None:
        self.live.extend(bytes(max(0, offset + len(data) - len(self.live))))
        self.live[offset : offset + len(data)] = data
        pieces = []
        at = 0
        while at < len(data):
            upto = min(len(data), at + SECTOR_BYTES - (offset + at) % SECTOR_BYTES)
            pieces.append(_writing(offset + at, data[at:upto]))
            at = upto
        self.changes.append(pieces)

    def sync(self) -> None:
        """NB: what an earlier sync has failed to write is no change any more."""
        content = bytearray(self.durable)
        for change in self.changes:
            for piece in change:
                piece(content)
        self.durable = bytes(content)
        self.changes.clear()

    def fail_to_sync(self, random: Random) -> None:
        self.durable = self.after_crash(random, None).durable
        self.changes.clear()

    def after_crash(self, random: Random, seen: object) -> "Inode":
        content = bytearray(self.durable)
        for change in self.changes:
            for piece in change:
                if random.random() < 0.5:
                    piece(content)
        if len(content) > len(self.durable) and random.random() < 0.5:
            del content[random.randint(len(self.durable), len(content)) :]
        return Inode(bytes(content))


def _writing(offset: int, data: bytes) -> Change:
    def change(content: bytearray) -> None:
        content.extend(bytes(max(0, offset + len(data) - len(content))))
        content[offset : offset + len(data)] = data

    return change


class FakeFile:
    def __init__(self, disk: "FakeDisk", path: str, inode: Inode) -> None:
        self.path = path
        self._disk = disk
        self._inode = inode

    def size(self) -> int:
        return len(self._inode.live)

    def read(self, offset: int, length: int) -> bytes:
        return bytes(self._inode.live[offset : offset + length])

    def write(self, offset: int, data: bytes) -> None:
        room = self.size() + self._disk.free_bytes - offset
        self._disk.take(max(0, offset + min(room, len(data)) - self.size()))
        self._inode.write(offset, data[: max(room, 0)])
        if room < len(data):
            raise WalFull(errno.ENOSPC, "No space left on device", self.path)

    def preallocate(self, size: int) -> None:
        growth = size - self.size()
        if growth > self._disk.free_bytes:
            raise WalFull(errno.ENOSPC, "No space left on device", self.path)
        if growth > 0:
            self._disk.take(growth)
            self._inode.resize(size)

    def truncate(self, size: int) -> None:
        self._disk.take(size - self.size())
        self._inode.resize(size)

    def sync(self) -> None:
        self._disk.syncs += 1
        if self._disk.sync_fails:
            self.fail_to_sync()
        self._inode.sync()

    def fail_to_sync(self, code: int = errno.EIO) -> None:
        self._inode.fail_to_sync(self._disk.random)
        raise SyncFailed(code, f"fdatasync: {os.strerror(code)}", self.path)

    def lock(self) -> None:
        if self._inode.holder not in (None, self):
            raise WalInUse(self.path)
        self._inode.holder = self

    def close(self) -> None:
        if self._inode.holder is self:
            self._inode.holder = None


class Directory:
    """names: what one sees. durable: what is on the platter. changes: what leads from one to the other, in order."""

    def __init__(self) -> None:
        self.names: dict[str, Inode | Directory] = {}
        self.durable: dict[str, Inode | Directory] = {}
        self.changes: list[Rename] = []

    def change(self, change: Rename) -> None:
        change(self.names)
        self.changes.append(change)

    def sync(self) -> None:
        self.durable = dict(self.names)
        self.changes.clear()

    def after_crash(self, random: Random, seen: "dict[int, Inode | Directory]") -> "Directory":
        names = dict(self.durable)
        for change in self.changes[: random.randint(0, len(self.changes))]:
            change(names)
        after = Directory()
        for name, node in names.items():
            if id(node) not in seen:
                seen[id(node)] = node.after_crash(random, seen)
            after.names[name] = seen[id(node)]
        after.sync()
        return after


class FakeDisk:
    """free_bytes: what files may still grow by. sync_fails: whether every fdatasync does. syncs: how many so far.

    random: decides what a failed sync has written
    """

    def __init__(self, root: Directory | None = None, random: Random | None = None) -> None:
        self.random = random or Random(0)
        self.free_bytes = 1 << 40
        self.sync_fails = False
        self.syncs = 0
        self._root = root or Directory()

    def crash(self, random: Random) -> "FakeDisk":
        return FakeDisk(self._root.after_crash(random, {}), random)

    def take(self, count: int) -> None:
        self.free_bytes -= count

    def _find(self, path: str) -> Inode | Directory:
        node: Inode | Directory = self._root
        for name in path.strip("/").split("/") if path.strip("/") else ():
            found = node.names.get(name) if isinstance(node, Directory) else None
            if found is None:
                raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
            node = found
        return node

    def _file(self, path: str) -> Inode:
        node = self._find(path)
        assert isinstance(node, Inode)
        return node

    def _directory(self, path: str) -> Directory:
        node = self._find(path)
        assert isinstance(node, Directory)
        return node

    def _parent(self, path: str) -> tuple[Directory, str]:
        directory, name = posixpath.split(path)
        return self._directory(directory), name

    def create(self, path: str) -> FakeFile:
        parent, name = self._parent(path)
        old = parent.names.get(name)
        if isinstance(old, Inode):
            FakeFile(self, path, old).truncate(0)
            return FakeFile(self, path, old)
        inode = Inode()
        parent.change(lambda names: names.__setitem__(name, inode))
        return FakeFile(self, path, inode)

    def open(self, path: str, write: bool) -> FakeFile:
        return FakeFile(self, path, self._file(path))

    def exists(self, path: str) -> bool:
        try:
            self._find(path)
        except FileNotFoundError:
            return False
        return True

    def list(self, directory: str) -> list[str]:
        return sorted(self._directory(directory).names)

    def make_directory(self, path: str) -> None:
        if self.exists(path):
            return
        self.make_directory(posixpath.dirname(path))
        parent, name = self._parent(path)
        made = Directory()
        parent.change(lambda names: names.__setitem__(name, made))

    def rename(self, source: str, target: str) -> None:
        (parent, before), (target_parent, after) = self._parent(source), self._parent(target)
        assert parent is target_parent, "nothing here is renamed into another directory"
        node = self._find(source)

        def change(names: dict[str, Inode | Directory]) -> None:
            names.pop(before, None)
            names[after] = node

        parent.change(change)

    def remove(self, path: str) -> None:
        self.take(-len(self._file(path).live))
        self._unlink(path)

    def remove_tree(self, path: str) -> None:
        if not self.exists(path):
            return
        for name, node in list(self._directory(path).names.items()):
            inner = posixpath.join(path, name)
            self.remove_tree(inner) if isinstance(node, Directory) else self.remove(inner)
        self._unlink(path)

    def _unlink(self, path: str) -> None:
        parent, name = self._parent(path)
        parent.change(lambda names: names.pop(name, None))

    def sync_directory(self, path: str) -> None:
        if self.sync_fails:
            raise SyncFailed(errno.EIO, "fsync: Input/output error", path)
        self._directory(path).sync()
