"""A copy of a LevelDB directory that another process is writing to, without its help: tables by hard link.

A table never changes once it is written, so a second name keeps it while its owner compacts and deletes. What changes
are logs and the manifest, and these only grow. The copy holds a prefix of the writes, with all that were
finished before the copy began, because of the order:

1. the logs are copied; each holds all that was written to it so far, the last one perhaps a torn end, which is cut;
2. then CURRENT's manifest: it is at least as new, so what it no longer wants of a log is in its tables;
3. then the tables that this manifest names, and no others.

NB: no others. A LevelDB that opens the copy numbers its new files from the manifest's next number on, and would write
into a linked table of that number: into the store of the other process.

A table may be gone between 2 and 3, or all of it while the owner starts: then all is done again.
"""

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from etcdz.store import working_directory
from etcdz.store.leveldb import LevelStore, StoreBroken
from etcdz.store.manifest import BadManifest, read_manifest

PREFIX = "checkpoint-"
TRIES = 20
_NO_LINKS = (errno.EPERM, errno.EXDEV, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS)


@contextlib.contextmanager
def open_checkpoint(directory: Path, beside: Path | None = None) -> Iterator[LevelStore]:
    """A store of one's own with what the LevelDB in directory holds; gone at the end.

    beside    where the copy is made, on the same file system; None: directory's parent
    raises    StoreBroken: no try gave a store that opens. OSError: e.g. no space
    """
    parent = beside or directory.parent
    for left in reversed(range(TRIES)):
        copy, lock = working_directory.make(parent, PREFIX)
        try:
            try:
                fill(directory, copy)
                store = LevelStore(copy)
            except (FileNotFoundError, StoreBroken, BadManifest) as error:
                if not left or not directory.is_dir():
                    raise StoreBroken(f"{directory}: {error}") from error
                continue
            try:
                yield store
            finally:
                store.close()
            return
        finally:
            working_directory.remove(copy, lock)


def remove_stale(parent: Path) -> None:
    """Removes the copies of killed processes."""
    working_directory.remove_stale(parent, PREFIX)


def fill(source: Path, target: Path, manifest: str = "") -> None:
    """Makes target a copy of the store in source, tables by hard link.

    manifest    name of the manifest; "": CURRENT says it
    raises FileNotFoundError, BadManifest: it has changed meanwhile
    """
    for name in sorted(os.listdir(source)):
        if name.endswith(".log") and name[:-4].isdecimal():
            shutil.copyfile(source / name, target / name)
    manifest = manifest or (source / "CURRENT").read_text().strip()
    data = (source / manifest).read_bytes()
    (target / manifest).write_bytes(data)
    (target / "CURRENT").write_text(f"{manifest}\n")
    version = read_manifest(data)
    if version.log:
        (target / f"{version.log:06d}.log").touch()  # begun after the logs were copied: nothing of it is wanted
    for number in sorted(version.tables):
        _link(source, target, number)


def _link(source: Path, target: Path, number: int) -> None:
    """NB: .sst is what LevelDB called its tables before 1.14, and it still reads them."""
    name = f"{number:06d}.ldb"
    if not (source / name).exists():
        name = f"{number:06d}.sst"
    try:
        os.link(source / name, target / name)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        shutil.copyfile(source / name, target / name)
