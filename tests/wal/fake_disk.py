"""A disk that loses power: what was not synced is there afterwards, or not, or in part.

    disk = FakeDisk()
    ... use it as etcdz.wal.files.Disk ...
    after = disk.crash(random)      # a new disk, as the machine finds it when it is on again

Contents and names are separate, as in a file system. Contents of a file: every 512-byte sector of every write since the
last sync is kept or not, by itself, and the size grows by as much as it likes. Names of a directory: the changes since
the last sync of that directory are kept up to some point, in order.
"""

import errno
import posixpath
from collections.abc import Callable
from random import Random

from etcdz.wal.files import SyncFailed, WalFull, WalInUse

SECTOR_BYTES = 512
Change = Callable[[bytearray], None]


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
        self.durable = bytes(self.live)
        self.changes.clear()

    def after_crash(self, random: Random) -> "Inode":
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
            raise SyncFailed(errno.EIO, "fdatasync: Input/output error", self.path)
        self._inode.sync()

    def lock(self) -> None:
        if self._inode.holder not in (None, self):
            raise WalInUse(self.path)
        self._inode.holder = self

    def close(self) -> None:
        if self._inode.holder is self:
            self._inode.holder = None


class FakeDisk:
    """free_bytes: what files may still grow by. sync_fails: whether the next fdatasync does."""

    def __init__(self) -> None:
        self.free_bytes = 1 << 40
        self.sync_fails = False
        self.syncs = 0
        self._directories: dict[str, dict[str, Inode | None]] = {"/": {}}
        self._durable: dict[str, dict[str, Inode | None]] = {"/": {}}
        self._changes: dict[str, list[Change_]] = {"/": []}

    def take(self, count: int) -> None:
        self.free_bytes -= count

    # --- names: a directory maps a name to its file, or to None where it is a directory

    def _apply(self, directory: str, change: "Change_") -> None:
        change(self._directories[directory])
        self._changes[directory].append(change)

    def _inode(self, path: str) -> Inode:
        directory, name = posixpath.split(path)
        found = self._directories.get(directory, {}).get(name)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
        return found

    def create(self, path: str) -> FakeFile:
        directory, name = posixpath.split(path)
        if directory not in self._directories:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
        inode = Inode()
        self._apply(directory, lambda names: names.__setitem__(name, inode))
        return FakeFile(self, path, inode)

    def open(self, path: str, write: bool) -> FakeFile:
        return FakeFile(self, path, self._inode(path))

    def exists(self, path: str) -> bool:
        directory, name = posixpath.split(path)
        return path in self._directories or name in self._directories.get(directory, {})

    def list(self, directory: str) -> list[str]:
        if directory not in self._directories:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", directory)
        return sorted(self._directories[directory])

    def make_directory(self, path: str) -> None:
        if path in self._directories:
            return
        parent, name = posixpath.split(path)
        self.make_directory(parent)
        self._directories[path], self._durable[path], self._changes[path] = {}, {}, []
        self._apply(parent, lambda names: names.__setitem__(name, None))

    def rename(self, source: str, target: str) -> None:
        (directory, before), (target_directory, after) = posixpath.split(source), posixpath.split(target)
        assert directory == target_directory, "the log renames within a directory only"
        if before not in self._directories[directory]:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", source)
        if source in self._directories:
            for of in (self._directories, self._durable, self._changes):
                of[target] = of.pop(source)
        self._apply(directory, lambda names: names.__setitem__(after, names.pop(before)) if before in names else None)

    def remove(self, path: str) -> None:
        self.take(-len(self._inode(path).live))
        directory, name = posixpath.split(path)
        self._apply(directory, lambda names: names.pop(name, None))

    def remove_tree(self, path: str) -> None:
        if path not in self._directories:
            return
        for name, inode in list(self._directories[path].items()):
            inner = posixpath.join(path, name)
            self.remove_tree(inner) if inode is None else self.remove(inner)
        parent, name = posixpath.split(path)
        for of in (self._directories, self._durable, self._changes):
            of.pop(path)
        self._apply(parent, lambda names: names.pop(name, None))

    def sync_directory(self, path: str) -> None:
        self._durable[path] = dict(self._directories[path])
        self._changes[path] = []

    # --- the crash

    def crash(self, random: Random) -> "FakeDisk":
        after = FakeDisk()
        inodes: dict[int, Inode] = {}
        for directory in self._directories:
            names = dict(self._durable[directory])
            kept = random.randint(0, len(self._changes[directory]))
            for change in self._changes[directory][:kept]:
                change(names)
            for name, inode in names.items():
                if inode is not None:
                    names[name] = inodes.setdefault(id(inode), inode.after_crash(random))
            after._directories[directory] = names
            after._durable[directory] = dict(names)
            after._changes[directory] = []
        for directory, names in after._directories.items():
            # A directory whose name did not survive is not there, whatever is in it.
            for name in [
                n for n, i in names.items() if i is None and posixpath.join(directory, n) not in self._directories
            ]:
                del names[name]
        return after


Change_ = Callable[[dict[str, "Inode | None"]], object]
