"""A member's whole store, read as a stream and written to a file that is there only if it is whole.

At most HELD_BYTES and a window of pieces wait for who writes them: then the server has to wait.

file = the store's own bytes, then SHA-256 of them (etcd's own form: `etcdctl snapshot save` writes the same)
"""

import hashlib
import os
from collections import deque
from typing import Any, BinaryIO, Final

from etcdz.client import methods
from etcdz.client.errors import EtcdError
from etcdz.client.pending import Ask, Pending
from etcdz.client.streams import StreamCall
from etcdz.proto import etcdserverpb as pb

_DIGEST_BYTES: Final = 32
_PAGE_BYTES: Final = 512
HELD_BYTES: Final = 4 << 20


class SnapshotStream:
    """`next` gives one piece after the other, and b"" at the end."""

    def __init__(self) -> None:
        self._call = StreamCall(methods.SNAPSHOT)
        self._call.open = self._on_open
        self._call.message = self._on_message
        self._call.end = self._on_end
        self._began = False
        self._pieces: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._is_held = False
        self._ended = False
        self._error: EtcdError | None = None
        self._waiter: Pending[bytes] | None = None

    def next(self) -> Ask[bytes]:
        return Ask(self._next)

    def cancel(self, core: Any) -> None:
        """Nobody reads on."""
        self._call.cancel()

    def _next(self, core: Any) -> Pending[bytes]:
        pending: Pending[bytes] = Pending()
        if not self._began:
            self._began = True
            core.stream(self._call)
        self._waiter = pending
        self._serve()
        return pending

    def _serve(self) -> None:
        waiter = self._waiter
        if waiter is None:
            return
        if self._pieces:
            self._waiter = None
            piece = self._pieces.popleft()
            self._waiting_bytes -= len(piece)
            self._pace()
            waiter.finish(piece)
        elif self._error is not None:
            self._waiter = None
            waiter.fail(self._error)
        elif self._ended:
            self._waiter = None
            waiter.finish(b"")

    def _on_open(self) -> None:
        self._call.core.send(self._call, b"")
        self._call.core.half_close(self._call)

    def _on_message(self, message: bytes) -> None:
        blob = pb.SnapshotResponse.FromString(message).blob
        if blob:
            self._pieces.append(blob)
            self._waiting_bytes += len(blob)
            self._pace()
            self._serve()

    def _pace(self) -> None:
        if self._waiting_bytes > HELD_BYTES and not self._is_held:
            self._is_held = True
            self._call.core.hold(self._call)
        elif self._is_held and self._waiting_bytes <= HELD_BYTES // 2:
            self._is_held = False
            self._call.core.go_on(self._call)

    def _on_end(self, error: EtcdError | None) -> None:
        self._ended = True
        self._error = error
        self._serve()


class SnapshotFile:
    """Written beside its path, and moved there once it is whole."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.fspath(path)
        self._part = f"{self._path}.part"
        self._file: BinaryIO = open(self._part, "wb")  # noqa: SIM115
        os.chmod(self._part, 0o600)
        self._digest = hashlib.sha256()
        self._tail = b""
        self._size = 0

    def write(self, piece: bytes) -> None:
        """raises OSError"""
        self._file.write(piece)
        self._size += len(piece)
        data = self._tail + piece
        self._digest.update(data[:-_DIGEST_BYTES])
        self._tail = data[-_DIGEST_BYTES:]

    def finish(self) -> int:
        """return its size. raises EtcdError: it is not whole; OSError"""
        whole = self._size % _PAGE_BYTES == _DIGEST_BYTES and self._tail == self._digest.digest()
        if not whole:
            raise EtcdError("the snapshot is not whole: its checksum is missing or wrong")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        os.replace(self._part, self._path)
        return self._size

    def discard(self) -> None:
        """Nothing of it stays. Nothing if it is finished."""
        if not self._file.closed:
            self._file.close()
            os.unlink(self._part)
