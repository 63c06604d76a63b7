"""Spans of a listener's gRPC calls, for --experimental-enable-distributed-tracing.

    call ends -> row -> every second, or when there are ROWS_MAX -> process (span_exporter.py) -> OTLP -> collector

The process waits for the collector, and the listener for nobody: what does not fit the pipe waits in memory up to a
bound, and beyond it spans are dropped and counted. The alternative, a thread here, would take the interpreter's lock
while it encodes.

    row := [path, trace id (16 bytes), span id (8), parent's span id or b"", tracestate, start in ns, end in ns, code,
            text, client's address]
"""

import asyncio
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

import msgpack

from etcdz.config import MemberConfig
from etcdz.telemetry.trace_context import is_sampled, read_traceparent
from etcdz.wire.request_head import Metadata

READ_BYTES: Final = 1 << 10
ROWS_MAX: Final = 512
EVERY_S: Final = 1.0
UNSENT_BYTES_MAX: Final = 4 << 20
RESTART_S: Final = 10.0
"""A process that has ended is followed by another one after so long."""
TRACE_PARENT: Final = b"traceparent"
TRACE_STATE: Final = b"tracestate"


class Host(Protocol):
    """What this needs of its actor."""

    event_loop: asyncio.AbstractEventLoop
    log: Any

    def fail(self, error: Exception) -> None: ...


class Span:
    """One that is under way."""

    __slots__ = ("parent_id", "path", "span_id", "start_ns", "state", "trace_id")

    def __init__(self, path: bytes, trace_id: int, parent_id: bytes, state: bytes, start_ns: int) -> None:
        self.path = path
        self.trace_id = trace_id
        self.span_id = random.getrandbits(64) or 1
        self.parent_id = parent_id
        self.state = state
        self.start_ns = start_ns


class ConnectionTracer:
    """The Tracer of one connection."""

    def __init__(self, tracing: "Tracing", remote: str) -> None:
        self._tracing = tracing
        self._remote = remote

    def begin(self, path: bytes, metadata: Metadata) -> Span | None:
        """See etcdz.wire.traced_server."""
        parent = read_traceparent(metadata[TRACE_PARENT].partition(b",")[0]) if TRACE_PARENT in metadata else None
        if parent is not None:
            if not parent.is_sampled:
                return None
            state = metadata.get(TRACE_STATE, b"")
            return Span(path, parent.trace_id, parent.span_id.to_bytes(8, "big"), state, time.time_ns())
        if not self._tracing.rate:
            return None
        trace_id = random.getrandbits(128) or 1
        return Span(path, trace_id, b"", b"", time.time_ns()) if is_sampled(trace_id, self._tracing.rate) else None

    def end(self, span: Span, code: int, text: str) -> None:
        """See etcdz.wire.traced_server."""
        ids = span.trace_id.to_bytes(16, "big"), span.span_id.to_bytes(8, "big"), span.parent_id
        times = span.start_ns, time.time_ns()
        self._tracing.add((span.path, *ids, span.state, *times, code, text.encode("utf-8", "replace"), self._remote))


class Tracing:
    """rate: of the calls that belong to no trace, so many out of a million are sampled"""

    def __init__(self, host: Host, config: MemberConfig) -> None:
        self._host = host
        self.rate = config.tracing_sampling_rate
        self._arguments = [config.tracing_address, config.tracing_service_name, config.tracing_instance_id]
        self._rows: list[tuple[Any, ...]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._unsent = bytearray()
        self._dropped = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._start_at = 0.0

    def add(self, row: tuple[Any, ...]) -> None:
        """A span has ended."""
        self._rows.append(row)
        if len(self._rows) >= ROWS_MAX:
            self._send()
        elif self._timer is None:
            self._timer = self._host.event_loop.call_later(EVERY_S, self._guarded, self._send)

    def close(self) -> None:
        """The listener ends. What fits the pipe is exported yet."""
        if self._rows:
            self._send()
        if self._process is not None:
            self._write()
            self._end_process()

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:
            self._host.fail(error)

    def _send(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        rows, self._rows = self._rows, []
        if not self._is_running() or len(self._unsent) > UNSENT_BYTES_MAX:
            self._drop(len(rows))
            return
        self._unsent += msgpack.packb(rows)
        self._write()
        if self._unsent and self._process is not None:
            self._host.event_loop.add_writer(_input_of(self._process), self._guarded, self._write)

    def _drop(self, count: int) -> None:
        if not self._dropped:
            self._host.log.warn("spans are dropped: they cannot be exported as fast as they come", count=count)
        self._dropped += count

    def _is_running(self) -> bool:
        now = time.monotonic()
        if self._process is None and now >= self._start_at:
            self._start_at = now + RESTART_S
            self._start()
        return self._process is not None

    def _start(self) -> None:
        root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "actors.listener.span_exporter", *self._arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": path},
            )
        except OSError as error:
            self._host.log.warn("no process can be started that exports spans", error=str(error))
            return
        os.set_blocking(_input_of(self._process), False)
        self._host.event_loop.add_reader(_output_of(self._process), self._guarded, self._read)

    def _read(self) -> None:
        assert self._process is not None
        if os.read(_output_of(self._process), READ_BYTES):
            self._host.log.warn("spans cannot be exported", address=self._arguments[0])
        else:
            self._host.log.warn("the process that exports spans has ended", status=self._process.wait())
            self._end_process()

    def _end_process(self) -> None:
        process, self._process = self._process, None
        self._unsent.clear()
        if process is not None and process.stdin is not None and process.stdout is not None:
            self._host.event_loop.remove_writer(process.stdin.fileno())
            self._host.event_loop.remove_reader(process.stdout.fileno())
            process.stdin.close()
            process.stdout.close()

    def _write(self) -> None:
        assert self._process is not None
        try:
            sent = os.write(_input_of(self._process), self._unsent) if self._unsent else 0
        except BlockingIOError:
            return
        except OSError:  # it has ended, which the next spans find out
            sent = len(self._unsent)
        del self._unsent[:sent]
        if not self._unsent:
            self._host.event_loop.remove_writer(_input_of(self._process))


def _input_of(process: "subprocess.Popen[bytes]") -> int:
    assert process.stdin is not None
    return process.stdin.fileno()


def _output_of(process: "subprocess.Popen[bytes]") -> int:
    assert process.stdout is not None
    return process.stdout.fileno()
