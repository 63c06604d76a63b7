"""Maintenance.Snapshot: the store as a bbolt file, streamed as etcd does, from a process that makes it.

    answer   := SnapshotResponse {remaining_bytes, blob: 32 KiB of the file}*, {0, SHA-256 of the file}

The process (actors/listener/snapshot_process.py) writes into a pipe, which the kernel fills as fast as the client
reads: while the client's stream is clogged nobody reads the pipe, and the process waits. It ends when we do, or the
client.
Source: etcd 3.5 v3rpc maintenance; its sizes and its last message.
"""

import asyncio
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol

from google.protobuf.message import DecodeError

from actors.listener.snapshot_process import SIZE_BYTES
from actors.listener.streams import StreamCall, end_for_resumption, unreadable
from etcdz import limits
from etcdz.api.errors import REQUEST_TOO_MANY_REQUESTS, Code
from etcdz.mvcc import validate
from etcdz.proto import etcdserverpb as pb

BLOB_BYTES: Final = 32 << 10
READ_BYTES: Final = 4 * BLOB_BYTES
"""What is read at a time: other connections have their turn in between."""
SUM_BYTES: Final = 32
REAP_S: Final = 0.1
END_S: Final = 10.0
"""How long a process may take to remove what it has made, before it is killed."""


class Host(Protocol):
    """What the service needs of its listener: its event loop, its log, and where to report what must not happen."""

    event_loop: asyncio.AbstractEventLoop
    log: Any

    def fail(self, error: Exception) -> None: ...


class Snapshots:
    """The service. Invariant: `running` counts the processes that were started and are not known to have ended."""

    def __init__(self, host: Host, store: Path) -> None:
        self.host = host
        self.store = store
        self.running = 0

    def __call__(self, call: StreamCall) -> "SnapshotStream":
        return SnapshotStream(self, call)

    def start(self) -> "subprocess.Popen[bytes]":
        """raises OSError"""
        root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        process = subprocess.Popen(
            [sys.executable, "-m", "actors.listener.snapshot_process", str(self.store)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
        )
        self.running += 1
        return process

    def end(self, process: "subprocess.Popen[bytes]") -> None:
        """Tells it to tidy up and go, and waits in the background."""
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        self._reap(process, END_S)

    def _reap(self, process: "subprocess.Popen[bytes]", patience_s: float) -> None:
        if process.poll() is not None:
            self.running -= 1
            return
        if patience_s <= 0:
            process.kill()
        self.host.event_loop.call_later(REAP_S, self._reap, process, patience_s - REAP_S)


class SnapshotStream:
    """One call. Invariant: `_process` is not None exactly while there is something to read or to end."""

    def __init__(self, service: Snapshots, call: StreamCall) -> None:
        self._service = service
        self._call = call
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe = -1
        self._buffer = bytearray()
        self._left: int | None = None
        """Bytes of the file that are not sent yet; None: the size is not known yet."""
        self._asked = False

    # ---- the client ----

    def on_message(self, body: bytes) -> None:
        if self._asked:
            return
        self._asked = True
        try:
            validate.parse_empty(pb.SnapshotRequest, body)
        except DecodeError as problem:
            self._call.finish(Code.INTERNAL, unreadable(problem))
            return
        if self._service.running >= limits.SNAPSHOTS_MAX:
            self._call.finish(REQUEST_TOO_MANY_REQUESTS.code, REQUEST_TOO_MANY_REQUESTS.text)
            return
        try:
            self._process = self._service.start()
        except OSError as error:
            self._call.finish(Code.UNKNOWN, f"cannot start a snapshot: {error}")
            return
        assert self._process.stdout is not None
        self._pipe = self._process.stdout.fileno()
        self._listen()

    def on_end(self) -> None:
        if not self._asked:
            self._call.finish(Code.UNKNOWN, "EOF")

    def on_writable(self) -> None:
        if self._process is not None:
            self._listen()

    def on_drain(self) -> None:
        end_for_resumption(self._call)

    def on_gone(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            self._service.host.event_loop.remove_reader(self._pipe)
            self._service.end(process)

    # ---- the process ----

    def _listen(self) -> None:
        self._service.host.event_loop.add_reader(self._pipe, self._on_readable)

    def _on_readable(self) -> None:
        try:
            self._read()
            self._call.connection.flush()
        except Exception as error:
            self._service.host.fail(error)

    def _read(self) -> None:
        data = os.read(self._pipe, READ_BYTES)
        if not data:
            self._on_process_end()
            return
        self._buffer += data
        if self._left is None and len(self._buffer) >= SIZE_BYTES:
            self._left = int.from_bytes(self._buffer[:SIZE_BYTES], "big")
            del self._buffer[:SIZE_BYTES]
        self._send_blobs()
        if self._process is not None and self._call.is_clogged:
            self._service.host.event_loop.remove_reader(self._pipe)

    def _send_blobs(self) -> None:
        while self._left:
            size = min(BLOB_BYTES, self._left)
            if len(self._buffer) < size:
                return
            self._left -= size
            self._send(size)
        if self._left == 0 and len(self._buffer) >= SUM_BYTES:
            self._send(SUM_BYTES)
            self._call.finish()

    def _send(self, size: int) -> None:
        blob = bytes(self._buffer[:size])
        del self._buffer[:size]
        self._call.send(pb.SnapshotResponse(remaining_bytes=self._left, blob=blob).SerializeToString())

    def _on_process_end(self) -> None:
        """Before all was sent."""
        assert self._process is not None and self._process.stderr is not None
        os.set_blocking(self._process.stderr.fileno(), False)
        said = (self._process.stderr.read() or b"").decode(errors="replace").strip()
        reason = said.rpartition("\n")[2] or "its process was killed"
        self._service.host.log.warn("snapshot failed", reason=reason)
        self._call.finish(Code.UNKNOWN, f"snapshot failed: {reason}")
