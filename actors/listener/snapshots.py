"""Maintenance.Snapshot: the store as a bbolt file, streamed as etcd does, from a process that makes it.

    answer   := SnapshotResponse {remaining_bytes, blob: 32 KiB of the file}*, {0, SHA-256 of the file}

The process (actors/listener/snapshot_process.py) writes into a pipe, which the kernel fills as fast as the client
reads: while the client's stream is clogged the pipe is not read, and the process waits. It ends with the listener, or
with the client. As many are sent at a time as there are slots (actors/listener/snapshot_slots.py), further ones wait.
Source: etcd 3.5 v3rpc maintenance; its sizes and its last message.
"""

import asyncio
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol

from google.protobuf.message import DecodeError

from actors.listener.auth_gate import AuthGate, StreamCaller
from actors.listener.snapshot_slots import SnapshotSlots
from actors.listener.streams import StreamCall, end_for_resumption, unreadable
from etcdz import limits
from etcdz.api.auth_info import AuthInfo
from etcdz.api.errors import REQUEST_TOO_MANY_REQUESTS, Code, EtcdError
from etcdz.api.methods import SNAPSHOT
from etcdz.mvcc import validate
from etcdz.proto import etcdserverpb as pb
from etcdz.telemetry.histogram import Doublings

BLOB_BYTES: Final = 32 << 10
"""Of the file in one message."""
READ_BYTES: Final = 4 * BLOB_BYTES
"""What is read at a time: other connections have their turn in between."""
SUM_BYTES: Final = 32
"""The SHA-256 behind the file."""
REAP_S: Final = 0.1
"""How often a process that is to end is checked."""
LOOK_S: Final = 0.5
"""How often clients that do not read are looked for, while others wait for their slots."""
_GIVEN_UP: Final = "etcdserver: snapshot given up: its client does not read, and others wait"
END_S: Final = 10.0
"""How long a process may take to remove what it has made, before it is killed."""


class Host(Protocol):
    """What the service needs of its listener: its event loop, its log, and where to report what must not happen."""

    event_loop: asyncio.AbstractEventLoop
    log: Any

    def fail(self, error: Exception) -> None: ...


class Snapshots:
    """The service of actors/listener/streams.py.

    store       directory of the member's store
    """

    def __init__(self, host: Host, store: Path, gate: AuthGate) -> None:
        self.host = host
        self.gate = gate
        self.store = store
        self.slots: SnapshotSlots[SnapshotStream] = SnapshotSlots(
            limits.SNAPSHOTS_MAX, limits.SNAPSHOTS_WAITING_MAX, limits.SNAPSHOT_STALL_S
        )
        self._looks = False
        self.times = Doublings(10_000_000, 17)

    def __call__(self, call: StreamCall) -> "SnapshotStream":
        return SnapshotStream(self, call)

    def start(self) -> "subprocess.Popen[bytes]":
        """A new process that writes to its stdout pipe. raises OSError: none can be started"""
        root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        return subprocess.Popen(
            [sys.executable, "-m", "actors.listener.snapshot_process", str(self.store)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
        )

    def admit(self, stream: "SnapshotStream") -> bool:
        """Begins a snapshot now or when there is a slot. return False if too many wait"""
        begins = self.slots.ask(stream)
        if begins:
            stream.begin()
        elif begins is not None:
            self._look_soon()
        return begins is not None

    def _look_soon(self) -> None:
        if not self._looks and self.slots.has_waiting:
            self._looks = True
            self.host.event_loop.call_later(LOOK_S, self._look)

    def _look(self) -> None:
        """Takes slots from clients that do not read."""
        self._looks = False
        try:
            for stream in self.slots.find_stalled(self.host.event_loop.time()):
                self.host.log.warn("snapshot given up", reason="its client does not read, and others wait")
                stream.give_up()
        except Exception as error:
            self.host.fail(error)
            return
        self._look_soon()

    def release(self) -> None:
        """A process is gone, or could not be started: the next one in line has its slot."""
        successor = self.slots.release()
        if successor is not None:
            try:
                successor.begin()
                successor.flush()
            except Exception as error:
                successor.fail(error)

    def end(self, process: "subprocess.Popen[bytes]") -> None:
        """Tells the process to remove what it has made and end, and waits for that in the background."""
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        self._reap(process, END_S)

    def _reap(self, process: "subprocess.Popen[bytes]", left_s: float) -> None:
        if process.poll() is not None:
            try:
                self.release()
            except Exception as error:
                self.host.fail(error)
            return
        if left_s <= 0:
            process.kill()
        self.host.event_loop.call_later(REAP_S, self._reap, process, left_s - REAP_S)


class SnapshotStream:
    """One call, the StreamHandler of its stream. Invariant: `_process` is not None exactly while there is something to
    read or to end."""

    def __init__(self, service: Snapshots, call: StreamCall) -> None:
        self._service = service
        self._call = call
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe = -1
        self._buffer = bytearray()
        self._left: int | None = None
        self._began_ns = 0
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
        gate = self._service.gate
        auth = gate.identities.of_stream(self._call)
        caller = StreamCaller(self._call)
        error = gate.permit(caller, 0, SNAPSHOT, body, auth, self._admit)
        if error is not None:
            self._call.finish(error.code, error.text)

    def _admit(self, auth: AuthInfo | None) -> EtcdError | None:
        if not self._call.is_open or self._service.admit(self):
            return None
        return REQUEST_TOO_MANY_REQUESTS

    def begin(self) -> None:
        """There is a slot for it."""
        self._began_ns = time.monotonic_ns()
        try:
            self._process = self._service.start()
        except OSError as error:
            self._call.finish(Code.UNKNOWN, f"cannot start a snapshot: {error}")
            self._service.release()
            return
        assert self._process.stdout is not None
        self._pipe = self._process.stdout.fileno()
        self._listen()

    def give_up(self) -> None:
        """Its client does not read, and others wait."""
        try:
            self._call.finish(Code.RESOURCE_EXHAUSTED, _GIVEN_UP)
            self.flush()
        except Exception as error:
            self.fail(error)

    def fail(self, error: Exception) -> None:
        """A mistake over this stream: its connection ends."""
        self._call.connection.fail(error)

    def flush(self) -> None:
        self._call.flush()

    def on_end(self) -> None:
        if not self._asked:
            self._call.finish(Code.UNKNOWN, "EOF")

    def on_writable(self) -> None:
        self._service.slots.note_reading(self)
        if self._process is not None:
            self._listen()

    def on_drain(self) -> None:
        end_for_resumption(self._call)

    def on_gone(self) -> None:
        process, self._process = self._process, None
        self._service.slots.leave(self)
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
            self.fail(error)

    def _read(self) -> None:
        data = os.read(self._pipe, READ_BYTES)
        if not data:
            self._on_process_end()
            return
        self._buffer += data
        if self._left is None and len(self._buffer) >= limits.SNAPSHOT_SIZE_BYTES:
            self._left = int.from_bytes(self._buffer[: limits.SNAPSHOT_SIZE_BYTES], "big")
            del self._buffer[: limits.SNAPSHOT_SIZE_BYTES]
        self._send_blobs()
        if self._process is not None and self._call.is_clogged:
            self._service.host.event_loop.remove_reader(self._pipe)
            self._service.slots.note_stalled(self, self._service.host.event_loop.time())

    def _send_blobs(self) -> None:
        while self._left:
            size = min(BLOB_BYTES, self._left)
            if len(self._buffer) < size:
                return
            self._left -= size
            self._send(size)
        if self._left == 0 and len(self._buffer) >= SUM_BYTES:
            self._send(SUM_BYTES)
            self._service.times.add(time.monotonic_ns() - self._began_ns)
            self._call.finish()

    def _send(self, size: int) -> None:
        blob = bytes(self._buffer[:size])
        del self._buffer[:size]
        self._call.send(pb.SnapshotResponse(remaining_bytes=self._left, blob=blob).SerializeToString())

    def _on_process_end(self) -> None:
        """The process has ended before all was sent: the call fails with the last line of its stderr."""
        assert self._process is not None and self._process.stderr is not None
        os.set_blocking(self._process.stderr.fileno(), False)
        said = (self._process.stderr.read() or b"").decode(errors="replace").strip()
        reason = said.rpartition("\n")[2] or "its process was killed"
        self._service.host.log.warn("snapshot failed", reason=reason)
        self._call.finish(Code.UNKNOWN, f"snapshot failed: {reason}")
