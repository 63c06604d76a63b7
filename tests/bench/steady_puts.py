"""Puts at a steady rate, whatever becomes of them: what clients notice of work that a member does beside them.

An open loop: a put that is late does not hold up the next one, so a stall of the server shows in all that would have
been asked during it. Latency is from the moment at which a put was due.
"""

import asyncio
import struct
import threading
import time
from statistics import quantiles
from typing import Any, NamedTuple, Self

from etcdz.proto import etcdserverpb as pb
from etcdz.wire.client import ClientSettings, GrpcClientConnection
from etcdz.wire.events import DONE

PUT = b"/etcdserverpb.KV/Put"
_TICK_S = 0.001
_KEYS = 1_000


class Latency(NamedTuple):
    """Milliseconds. failed: puts without a good answer."""

    puts: int
    failed: int
    p50_ms: float
    p99_ms: float
    max_ms: float

    @property
    def line(self) -> str:
        failed = f"  {self.failed} FAILED" if self.failed else ""
        return f"p50 {self.p50_ms:6.1f}  p99 {self.p99_ms:7.1f}  max {self.max_ms:7.1f} ms{failed}"


class _Wire(asyncio.Protocol):
    def __init__(self, owner: "SteadyPuts") -> None:
        self.conn = GrpcClientConnection(ClientSettings(authority=b"bench"), time.monotonic)
        self._owner = owner
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        for kind, stream_id, code, _, _ in self.conn.receive(data):
            if kind == DONE:
                self._owner.on_done(self, stream_id, code)
        self.flush()

    def flush(self) -> None:
        self.transport.write(self.conn.take_output())


class SteadyPuts:
    """Runs in a thread of its own; a context manager."""

    def __init__(self, port: int, per_second: int, connections: int = 4, value_bytes: int = 256) -> None:
        self._port = port
        self._per_second = per_second
        self._connections = connections
        self._value = b"v" * value_bytes
        self._wires: list[_Wire] = []
        self._due: dict[tuple[_Wire, int], float] = {}
        self._samples: list[tuple[float, float, int]] = []  # (due, latency, code)
        self._ending = False
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending = True
        self._thread.join()

    def on_done(self, wire: _Wire, stream_id: int, code: int) -> None:
        due = self._due.pop((wire, stream_id))
        self._samples.append((due, time.monotonic() - due, code))

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(self._connections):
            _, wire = await loop.create_connection(lambda: _Wire(self), "127.0.0.1", self._port)
            self._wires.append(wire)
        began, count = time.monotonic(), 0
        while not self._ending:
            now = time.monotonic()
            while (due := began + count / self._per_second) <= now:
                self._put(count, due)
                count += 1
            for wire in self._wires:
                wire.flush()
            await asyncio.sleep(_TICK_S)
        give_up = time.monotonic() + 10
        while self._due and time.monotonic() < give_up:
            await asyncio.sleep(_TICK_S)
        for wire in self._wires:
            wire.transport.close()

    def _put(self, count: int, due: float) -> None:
        wire = self._wires[count % len(self._wires)]
        request = pb.PutRequest(key=b"steady" + struct.pack(">I", count % _KEYS), value=self._value)
        self._due[wire, wire.conn.call(PUT, request.SerializeToString())] = due

    def between(self, began: float, ended: float) -> Latency:
        """Of the puts that were due in this time of the monotonic clock. Requires: it is over for a moment."""
        chosen = [sample for sample in list(self._samples) if began <= sample[0] < ended]
        good = [latency * 1e3 for _, latency, code in chosen if code == 0]
        open_ = sum(began <= due < ended for due in list(self._due.values()))
        if len(good) < 2:
            return Latency(len(chosen), len(chosen) - len(good) + open_, 0.0, 0.0, 0.0)
        cuts = quantiles(good, n=100)
        return Latency(len(chosen), len(chosen) - len(good) + open_, cuts[49], cuts[98], max(good))
