"""Writes a member's store to stdout as a bbolt file: a process that a listener starts for one client.

    python -m actors.listener.snapshot_process <directory of the store>

    stdout   := size of the file (8, BE), the file, SHA-256 of the file (32)
    stdin    when it ends this process ends: the client or the listener is gone
    stderr   one line that says why it failed, with exit status 1

It works on a checkpoint: no actor waits for it, and it survives the end of the backend. The file's first page names its
last one, so all rows are gone through twice: once to find out where they will lie, once to write them. That costs less
than a second file on a disk that may well be full.
"""

import hashlib
import sys
from pathlib import Path
from typing import BinaryIO

from actors.runtime import worker_process
from etcdz import limits
from etcdz.mvcc.bolt_rows import write_file
from etcdz.store.checkpoint import open_checkpoint
from etcdz.store.interface import Store

BUFFER_BYTES = 256 << 10


class _Output:
    """Collects pages into larger writes, and computes their checksum."""

    def __init__(self, target: BinaryIO) -> None:
        self._target = target
        self._sum = hashlib.sha256()
        self._pages: list[bytes] = []
        self._size = 0

    def add(self, page: bytes) -> None:
        self._pages.append(page)
        self._size += len(page)
        if self._size >= BUFFER_BYTES:
            self.flush()

    def flush(self) -> None:
        data = b"".join(self._pages)
        self._pages.clear()
        self._size = 0
        self._sum.update(data)
        self._target.write(data)

    def finish(self) -> None:
        self.flush()
        self._target.write(self._sum.digest())
        self._target.flush()


def send(store: Store, target: BinaryIO) -> None:
    """Writes the store to target, as stdout is described above. Requires: the store does not change meanwhile."""
    layout = write_file(store, None)
    target.write(layout.file_bytes.to_bytes(limits.SNAPSHOT_SIZE_BYTES, "big"))
    output = _Output(target)
    output.add(layout.head())
    written = write_file(store, output.add)
    if written != layout:
        raise RuntimeError(f"the store has changed between two looks: {layout}, {written}")
    output.finish()


def work(directory: str) -> None:
    """directory: of the store. raises OSError"""
    with open_checkpoint(Path(directory)) as store:
        try:
            send(store, sys.stdout.buffer)
        finally:
            worker_process.hold_signals()


if __name__ == "__main__":
    worker_process.begin(bytes)
    worker_process.end_with(lambda: work(sys.argv[1]), OSError)
