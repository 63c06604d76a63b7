"""Watch loads: how fast watchers are made, how many events a second they are sent, and how long each takes.

    watch           watchers first, then puts: events per second until the last watcher has the last event
    watch-latency   the same with few watchers and a steady rate: from the start of a put to its event
    watch-get       serializable reads while watchers that start in the past catch up

One process and one event loop hold all streams, and the callers that put on a connection of their own, so that an
answer never waits behind events. A value begins with the time at which its put began: so an event says how long it was
on its way, and need not be matched with its put. All watchers of a key on one stream get the same bytes but for their
ids; these bytes are parsed once.
"""

import asyncio
import os
import struct
import time
from array import array
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, Final, NamedTuple

import uvloop

from etcdz.cli.bench.options import Options
from etcdz.cli.bench.progress import ProgressBar
from etcdz.cli.bench.report import Outcome
from etcdz.cli.bench.team import BenchFailed, Interrupt
from etcdz.cli.bench.workload import PUT_PATH, RANGE_PATH, range_body
from etcdz.cli.endpoints import Endpoint
from etcdz.net.blocking_channel import RpcError
from etcdz.proto import etcdserverpb as pb
from etcdz.wire.client import CannotOpen, GrpcClientConnection
from etcdz.wire.events import DONE, MESSAGE, ClientEvent

WATCH_PATH: Final = b"/etcdserverpb.Watch/Watch"
SILENT_S: Final = 30.0
"""If the server sends nothing for so long the run ends, with what came until then."""
_LOOK_S: Final = 0.2
_TIMER_GRAIN_S: Final = 0.001
_TIME: Final = struct.Struct(">d")
_SEEN_MAX: Final = 4_096
_WATCH_ID: Final = 0x10

clock = time.monotonic


class Begun(NamedTuple):
    """What a response holds, apart from its watcher. times: of each event, when its put began."""

    created: bool
    canceled: str
    times: tuple[float, ...]


def split_response(message: bytes) -> bytes:
    """A WatchResponse without header and watch_id: the same for all watchers that are told the same."""
    at = 2 + message[1]  # a header is less than 128 bytes
    if at < len(message) and message[at] == _WATCH_ID:
        at += 1
        while message[at] & 0x80:
            at += 1
        at += 1
    return message[at:]


def parse_response(rest: bytes) -> Begun:
    """What a response says. rest: of a WatchResponse, see split_response"""
    response = pb.WatchResponse.FromString(rest)
    values = [event.kv.value for event in response.events]
    times = tuple(_TIME.unpack_from(value)[0] if len(value) >= _TIME.size else 0.0 for value in values)
    canceled = (response.cancel_reason or "canceled") if response.canceled else ""
    return Begun(response.created, canceled, times)


class Wire(asyncio.Protocol):
    """One connection. on_events: told what each read brought; on_lost: that it has ended."""

    def __init__(
        self, endpoint: Endpoint, on_events: Callable[[list[ClientEvent]], None], on_lost: Callable[[], None]
    ) -> None:
        self.conn = GrpcClientConnection(endpoint.client_settings(b"etcdz-bench"), clock)
        self._on_events = on_events
        self._on_lost = on_lost
        self._transport: Any = None
        self.closing = False

    async def connect(self, endpoint: Endpoint, timeout_s: float) -> "Wire":
        """raises BenchFailed"""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout_s):
                await endpoint.connect(loop, lambda: self)
        except TimeoutError:
            raise BenchFailed(f"cannot connect to {endpoint.text}: no answer within {timeout_s:g} s") from None
        except OSError as error:
            reason = error.strerror.lower() if error.strerror else error
            raise BenchFailed(f"cannot connect to {endpoint.text}: {reason}") from None
        return self

    def flush(self) -> None:
        output = self.conn.take_output()
        if output:
            self._transport.write(output)

    def close(self) -> None:
        self.closing = True
        self._transport.close()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self.flush()

    def data_received(self, data: bytes) -> None:
        self._on_events(self.conn.receive(data))
        self.flush()
        if self.conn.should_close:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.closing:
            self._on_lost()


class Run:
    """One measurement. expected: events that all watchers together are owed."""

    def __init__(self, options: Options, interrupt: Interrupt) -> None:
        self.options = options
        self.expected = 0
        self.events = array("d")
        self.creates = array("d")
        self.calls = array("d")
        self.errors: Counter[str] = Counter()
        self.started = self.ended = 0.0
        self._since: float | None = None
        """When all events count as begun; None: their values say it."""
        self._interrupt = interrupt
        self._wires: list[Wire] = []
        self._streams: list[tuple[Wire, int]] = []
        self._caller: Any = None
        self._created = 0
        self._asked_at: dict[tuple[int, int], list[float]] = {}
        self._seen: dict[bytes, Begun] = {}
        self._failed = False
        self._heard = clock()
        self._calls_begun: dict[int, float] = {}
        self._keys = [os.urandom(options.key_size) for _ in range(options.watched_keys)]
        self._waiters: list[asyncio.Future[None]] = []
        self.bar: ProgressBar | None = None

    # ---- connections and streams ----

    async def open(self) -> None:
        """Connections and empty streams. raises BenchFailed"""
        options = self.options
        for at in range(options.conns):
            self._wires.append(await self._connect(at, partial(self._on_watch_events, at)))
        for number in range(options.streams):
            wire = self._wires[number % options.conns]
            self._streams.append((wire, wire.conn.open(WATCH_PATH)))
            wire.flush()
        self._caller = await self._connect(0, self._on_call_events)

    async def _connect(self, at: int, on_events: Callable[[list[ClientEvent]], None]) -> Wire:
        endpoint = self.options.endpoints[at % len(self.options.endpoints)]
        return await Wire(endpoint, on_events, self._on_lost).connect(endpoint, self.options.dial_timeout_s)

    def close(self) -> None:
        """Closes all connections."""
        for wire in [*self._wires, *([self._caller] if self._caller else [])]:
            wire.close()

    def _on_lost(self) -> None:
        self._fail("the connection was closed")

    def _fail(self, text: str) -> None:
        self.errors[text] += 1
        self._failed = True
        self._spoken()

    # ---- watchers ----

    async def create(self, start_revision: int = 0) -> None:
        """All watchers: one after the other on each stream, all streams at once."""
        options = self.options
        owed = [options.watchers_per_stream] * len(self._streams)
        number = 0
        while any(owed) and not self._is_over:
            batch = 0
            for at, (wire, stream_id) in enumerate(self._streams):
                if owed[at]:
                    owed[at] -= 1
                    self._ask(wire, stream_id, self._keys[number % len(self._keys)], start_revision)
                    number, batch = number + 1, batch + 1
            for wire in self._wires:
                wire.flush()
            if not start_revision:
                await self._until_created(number)
        await self._until_created(number)

    async def _until_created(self, number: int) -> None:
        await self._until(lambda: self._created >= number)

    def _ask(self, wire: Wire, stream_id: int, key: bytes, start_revision: int) -> None:
        create = pb.WatchCreateRequest(key=key, start_revision=start_revision, prev_kv=self.options.prev_kv)
        wire.conn.send_message(stream_id, pb.WatchRequest(create_request=create).SerializeToString())
        self._asked_at.setdefault((self._wires.index(wire), stream_id), []).append(clock())

    def _on_watch_events(self, at: int, events: list[ClientEvent]) -> None:
        now = self._spoken()
        seen, record, since = self._seen, self.events.append, self._since
        for kind, stream_id, _, text, message in events:
            if kind == MESSAGE:
                rest = split_response(message)
                begun = seen.get(rest)
                if begun is None:
                    begun = self._look(rest)
                if begun.times:
                    for moment in begun.times:
                        record(now - (moment if since is None else since))
                else:
                    self._on_word(at, stream_id, begun, now)
            elif kind == DONE:
                self._fail(text or "a watch stream has ended")

    def _look(self, rest: bytes) -> Begun:
        if len(self._seen) >= _SEEN_MAX:
            self._seen.clear()
        begun = self._seen[rest] = parse_response(rest)
        return begun

    def _on_word(self, at: int, stream_id: int, begun: Begun, now: float) -> None:
        if begun.canceled:
            self._fail(begun.canceled)
        elif begun.created:
            self._created += 1
            self.creates.append(now - self._asked_at[at, stream_id].pop(0))

    # ---- puts ----

    async def put_all(self) -> None:
        """Puts to all keys in turn, as many at a time as there are clients; at --put-rate, or as fast as it goes."""
        options = self.options
        filler = bytes(max(0, options.val_size - _TIME.size))
        start, rate, number = clock(), options.rate, 0
        while number < options.total and not self._is_over:
            due = start + number / rate if rate else 0.0
            now = clock()
            if now < due:
                await asyncio.sleep(max(_TIMER_GRAIN_S, due - now))
                continue
            if len(self._calls_begun) >= options.clients:
                self._caller.flush()
                await self._until(lambda: len(self._calls_begun) < options.clients)
                continue
            key, value = self._keys[number % len(self._keys)], _TIME.pack(now) + filler
            body = pb.PutRequest(key=key, value=value).SerializeToString()
            self._begin_call(PUT_PATH, body, now)
            number += 1
            if rate or len(self._calls_begun) >= options.clients:
                self._caller.flush()
        self._caller.flush()
        await self._until(lambda: not self._calls_begun)

    def _begin_call(self, path: bytes, body: bytes, now: float) -> None:
        try:
            self._calls_begun[self._caller.conn.call(path, body)] = now
        except CannotOpen:
            self._fail("the server takes no more calls on this connection")

    def _on_call_events(self, events: list[ClientEvent]) -> None:
        now = self._spoken()
        for kind, stream_id, code, text, _ in events:
            if kind == DONE:
                begun = self._calls_begun.pop(stream_id)
                if code:
                    self.errors[text] += 1
                else:
                    self.calls.append(now - begun)

    # ---- waiting ----

    def _spoken(self) -> float:
        """The server has sent something: conditions that are waited for are checked again. return now"""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._heard = self.ended = clock()
        return self._heard

    async def _until(self, is_true: Callable[[], bool]) -> None:
        """Returns early if the run is over: see `_is_over`."""
        self._heard = clock()
        while not is_true() and not self._is_over:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await asyncio.wait((waiter,), timeout=_LOOK_S)
            if clock() - self._heard > SILENT_S:
                self._fail(f"no word from the server for {SILENT_S:g} s")
            if self.bar is not None:
                self.bar.show(len(self.events), clock() - self.started)

    @property
    def _is_over(self) -> bool:
        return self._failed or self._interrupt.came

    # ---- the commands ----

    async def measure(self) -> None:
        """raises BenchFailed"""
        with ProgressBar(self.options.total, self.options.command) as self.bar:
            try:
                await self.open()
                await (self._watch_get() if self.options.command == "watch-get" else self._watch())
            finally:
                self.close()

    async def _watch(self) -> None:
        options = self.options
        await self.create()
        watchers, keys = options.streams * options.watchers_per_stream, options.watched_keys
        per_key = [watchers // keys + (at < watchers % keys) for at in range(keys)]
        self.expected = sum([per_key[number % keys] for number in range(options.total)])
        self.started = self.ended = clock()
        await self.put_all()
        await self._until(lambda: len(self.events) >= self.expected)

    async def _watch_get(self) -> None:
        """Source: etcd's tool: all watchers want the same few events of the past, one caller reads meanwhile."""
        options = self.options
        first = put_history(options.endpoints[0], self._keys[0], options)
        self.expected = options.streams * options.watchers_per_stream * options.total
        self._since = self.started = self.ended = clock()
        reading = asyncio.ensure_future(self._read_on())
        await self.create(first)
        await self._until(lambda: len(self.events) >= self.expected)
        await reading

    async def _read_on(self) -> None:
        body = range_body(b"abc", serializable=True)
        while not self._is_over and len(self.events) < self.expected:
            self._begin_call(RANGE_PATH, body, clock())
            self._caller.flush()
            await self._until(lambda: not self._calls_begun)


def put_history(endpoint: Endpoint, key: bytes, options: Options) -> int:
    """So many puts of one key. return the revision of the first. raises BenchFailed"""
    body = pb.PutRequest(key=key, value=bytes(options.val_size)).SerializeToString()
    try:
        with endpoint.open_channel() as channel:
            answers = [channel.unary(PUT_PATH.decode(), body, options.dial_timeout_s) for _ in range(options.total)]
    except RpcError as error:
        raise BenchFailed(f"{endpoint.text}: {error.text}") from error
    return int(pb.PutResponse.FromString(answers[0]).header.revision)


def run(options: Options) -> Outcome:
    """A watch command from start to end. raises BenchFailed"""
    with Interrupt() as interrupt, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        measurement = Run(options, interrupt)
        cpu_before = time.process_time()
        runner.run(measurement.measure())
        return outcome_of(measurement, time.process_time() - cpu_before, interrupt.came)


def outcome_of(run: Run, cpu_s: float, interrupted: bool) -> Outcome:
    """Kinds: what callers did (puts, or gets), watchers that were made, events."""
    options = run.options
    watchers = options.streams * options.watchers_per_stream
    latencies = {
        "get" if options.command == "watch-get" else "put": run.calls,
        "create": run.creates,
        "event": run.events,
    }
    calls = len(run.calls) if options.command == "watch-get" else options.total
    seconds = run.ended - run.started
    rate = len(run.events) / seconds if seconds else 0.0
    note = f"Events: {len(run.events)} of {run.expected} to {watchers} watchers, {rate:.4f} a second."
    extras = {"events": len(run.events), "events_expected": run.expected, "events_per_second": rate}
    return Outcome(
        options.command,
        calls + watchers + run.expected,
        options.conns,
        options.clients,
        1,
        seconds,
        latencies,
        run.errors,
        cpu_s,
        interrupted,
        (note,),
        extras,
    )
