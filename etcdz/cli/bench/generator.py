"""One process of the load generator: its share of the connections, on one event loop.

Talks with the parent by a pipe: says Ready or Failed, waits for Go, says Result; Stop ends it early. When the pipe
closes, the parent is gone and so is this process.
"""

import asyncio
import gc
import os
import signal
import time
from array import array
from collections import deque
from collections.abc import Callable, MutableSequence
from multiprocessing.connection import Connection
from random import Random
from typing import Any, Final, NamedTuple

import uvloop

from etcdz.cli.bench.caller import Line, Tally
from etcdz.cli.bench.supply import Draw, Schedule, Supply
from etcdz.cli.bench.workload import Workload
from etcdz.cli.endpoints import Endpoint

RETRY_FIRST_S: Final = 0.02
RETRY_MAX_S: Final = 0.5
TIMER_GRAIN_S: Final = 0.001
"""uvloop counts milliseconds; what is due in less it would call at once, again and again until it is due."""

clock = time.monotonic
"""One clock for all processes: seconds since the machine's start."""


class Ready(NamedTuple):
    """All connections stand."""


class Failed(NamedTuple):
    """They do not, and why."""

    text: str


class Go(NamedTuple):
    """Begin. start: when the run began, for all."""

    start: float


class Stop(NamedTuple):
    """End now: calls that are out are not waited for."""


class Result(NamedTuple):
    """What one process measured. ended: when the last call did; lost: of each connection that ended for good, why."""

    latencies: list["array[float]"]
    errors: dict[str, int]
    ended: float
    cpu_s: float
    lost: list[str]


class Share(NamedTuple):
    """What one process has to do.

    lines       (index of its first endpoint, callers) of each connection
    rate        requests a second of all processes together, 0: closed loop
    dial_s      how long a connection may take to come up, and to come back
    progress    where to write how many calls are done, at `number`
    """

    number: int
    endpoints: tuple[Endpoint, ...]
    lines: list[tuple[int, int]]
    make_workload: Callable[[Callable[[], float]], Workload]
    draw: Draw
    piece: int
    rate: float
    dial_s: float
    progress: MutableSequence[int]


def run(share: Share, control: Connection) -> None:
    """The whole life of the process. control: its end of the pipe to the parent"""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C comes to all; the parent decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # What a call leaves behind is freed by its reference count; the collector would only look at it all.
    gc.freeze()
    gc.disable()
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    generator = Generator(share, control, loop)
    loop.add_reader(control.fileno(), generator.on_control)
    loop.create_task(generator.connect_all())
    loop.run_forever()
    loop.remove_reader(control.fileno())
    os.set_blocking(control.fileno(), True)  # NB: the loop has changed that, and a result is more than a pipe holds
    if generator.result is not None:
        control.send(generator.result)
    os._exit(0)  # NB: the parent's buffers and exit handlers, copied by the fork, must not run here


class Generator:
    """Connections, callers and what they measure."""

    def __init__(self, share: Share, control: Connection, loop: Any) -> None:
        workload = share.make_workload(Random(os.urandom(16)).random)
        self._share = share
        self._control = control
        self._loop = loop
        self.result: Result | None = None
        self._tally = Tally(len(workload.kinds))
        self._supply = Supply(workload, share.draw, share.piece)
        self._lines = [Line(self, self._tally, workload.path, callers, clock) for _, callers in share.lines]
        self._callers = sum(callers for _, callers in share.lines)  # on lines that are not lost for good
        self._lost: list[str] = []
        self._running = False
        self._cpu_before = 0.0
        self._schedule: Schedule | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._free: deque[Line] = deque()  # lines with idle callers, in turn; open loop only
        self._tasks: set[asyncio.Task[None]] = set()

    # ---- the parent ----

    def on_control(self) -> None:
        """A message of the parent's can be read, or its end is gone."""
        try:
            message = self._control.recv()
        except (EOFError, OSError):
            os._exit(1)
        if isinstance(message, Go):
            self._begin(message.start)
        else:
            self._finish(stopped=True)

    def _begin(self, start: float) -> None:
        self._running = True
        self._cpu_before = time.process_time()
        self._tally.ended = start
        if self._share.rate:
            self._schedule = Schedule(self._supply, start, self._share.rate)
        now = clock()
        for line in self._lines:
            self.on_free(line, 0, now)
            line.flush()
        self._finish_if_done()

    def _finish_if_done(self) -> None:
        if self._tally.in_flight == 0 and (self._callers == 0 or self._supply.exhausted):
            self._finish(stopped=False)

    def _finish(self, stopped: bool) -> None:
        """All is measured, or the parent says to stop."""
        if self.result is None:
            tally = self._tally
            cpu_s = time.process_time() - self._cpu_before if self._running else 0.0
            self._share.progress[self._share.number] = tally.done
            ended = clock() if stopped else tally.ended
            self.result = Result(tally.latencies, dict(tally.errors), ended, cpu_s, self._lost)
            self._running = False
            self._loop.stop()

    # ---- callers ----

    def on_free(self, line: Line, freed: int, now: float) -> None:
        """Callers of a line are idle: give them requests. freed: calls that have ended since it was called last"""
        if not self._running:
            return
        if self._schedule is not None:
            self._pace(line, now)
        elif count := line.room:
            line.begin(self._supply.take(count), now)
        if freed:
            self._share.progress[self._share.number] = self._tally.done
        if self._tally.in_flight == 0:
            self._finish_if_done()

    def _pace(self, line: Line, now: float) -> None:
        """Open loop. A request that had to wait for an idle caller counts from when it was due: else a server that
        stalls would be asked less while it stalls, and look better than it is."""
        waited = not self._free
        if not line.queued and line.room:
            line.queued = True
            self._free.append(line)
        self._start_due(now, waited)

    def _start_due(self, now: float, waited: bool) -> None:
        schedule, free = self._schedule, self._free
        assert schedule is not None
        while free:
            line = free[0]
            if not line.room:
                free.popleft().queued = False
                continue
            taken = schedule.take_due(now)
            if taken is None:
                break
            due, request = taken
            line.begin([request], due if waited else now)
            line.flush()
            free.rotate(-1)
        self._set_timer()

    def _set_timer(self) -> None:
        """For the next request, if there is a caller for it."""
        if self._timer is None and self._free and self._schedule is not None:
            due = self._schedule.next_due()
            if due is not None:
                self._timer = self._loop.call_later(max(TIMER_GRAIN_S, due - clock()), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._running:
            # NB: late by up to a millisecond, the event loop's grain. That is not the server's delay: the callers
            # were there, so these requests count from now.
            self._start_due(clock(), False)
            self._finish_if_done()

    # ---- connections ----

    async def connect_all(self) -> None:
        """At the start every endpoint must answer: a load that silently goes elsewhere measures something else."""
        connecting = [self._connect(line, at) for line, (at, _) in zip(self._lines, self._share.lines, strict=True)]
        errors = [error for error in await asyncio.gather(*connecting) if error]
        self._control.send(Failed(errors[0]) if errors else Ready())

    async def _connect(self, line: Line, at: int) -> str:
        """Bring a line up. at: index of the endpoint. return why not, "" if it is up"""
        endpoint = self._share.endpoints[at]
        line.prepare(endpoint, self._loop.create_future())
        assert line.greeted is not None
        try:
            async with asyncio.timeout(self._share.dial_s):
                await endpoint.connect(self._loop, lambda: line)
                await line.greeted
        except TimeoutError:
            line.abort()
            return f"{endpoint.text}: no answer within {self._share.dial_s:g} s"
        except OSError as error:
            line.abort()
            return f"{endpoint.text}: {error.strerror.lower() if error.strerror else error}"
        return ""

    def on_lost(self, line: Line) -> None:
        """A connection has ended: it is opened again."""
        if self.result is None:
            task = self._loop.create_task(self._reconnect(line))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _reconnect(self, line: Line) -> None:
        """Try one endpoint after the other until one answers or the time is over; meanwhile its callers wait."""
        share = self._share
        at, callers = share.lines[self._lines.index(line)]
        give_up, pause = clock() + share.dial_s, RETRY_FIRST_S
        while True:
            error = await self._connect(line, at)
            if not error:
                return
            if clock() + pause > give_up:
                break
            at = (at + 1) % len(share.endpoints)
            await asyncio.sleep(pause)
            pause = min(2 * pause, RETRY_MAX_S)
        self._lost.append(error)
        self._callers -= callers
        if self._running:
            self._finish_if_done()
