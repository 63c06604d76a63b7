"""The shell of asyncio: the core lives in one event loop, and is entered from there alone.

What callers begin in one turn of the loop leaves in one write per connection.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

from etcdz.client.core import Core
from etcdz.client.dialling import make_context, server_name
from etcdz.client.errors import ClientClosed
from etcdz.client.lines import Line
from etcdz.client.options import Options
from etcdz.client.pending import Step, Work

R = TypeVar("R")
_CLOSE_S: Final = 1.0


class _Protocol(asyncio.Protocol):
    def __init__(self, shell: "Loop", line: Line) -> None:
        self._shell = shell
        self._line = line
        self._ended = shell.loop.create_future()
        shell.open[self] = self._ended

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._line.transport = transport
        self._shell.core.connected(self._line)
        self._shell.flush()

    def data_received(self, data: bytes) -> None:
        self._shell.core.received(self._line, data)
        self._shell.flush()

    def connection_lost(self, error: Exception | None) -> None:
        self._line.transport = None
        self._shell.open.pop(self, None)
        if not self._ended.done():
            self._ended.set_result(None)
        self._shell.core.lost(self._line, str(error or ""))
        self._shell.flush()


class Loop:
    """One client in the running event loop."""

    def __init__(self, options: Options) -> None:
        self.core = Core(options, time.monotonic, random.random)
        self.loop: Any = None
        self.open: dict[_Protocol, asyncio.Future[None]] = {}
        self._dials: set[asyncio.Task[None]] = set()
        self._is_scheduled = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = float("inf")

    # ---- for callers ----

    async def do(self, step: Step[R]) -> R:
        """What a step comes to. raises EtcdError, and whatever the step's Pending fails with"""
        if self.loop is None:
            self.loop = asyncio.get_running_loop()
        elif self.loop.is_closed():
            raise ClientClosed("the client belongs to an event loop that is closed")
        pending = step.begin(self.core)
        self.schedule()
        if not pending.done:
            future = self.loop.create_future()
            pending.tell = lambda: future.done() or future.set_result(None)
            try:
                await future
            except BaseException:
                step.give_up(self.core, pending)
                self.schedule()
                raise
        if pending.error is not None:
            raise pending.error
        return step.result(pending.value)

    async def run(self, work: Work[R]) -> R:
        """An operation's result. What interrupts it is thrown into it, so that it can tidy up."""
        value: Any = None
        error: BaseException | None = None
        while True:
            try:
                step = work.send(value) if error is None else work.throw(error)
            except StopIteration as stop:
                result: R = stop.value
                return result
            value, error = None, None
            try:
                value = await self.do(step)
            except BaseException as failed:
                error = failed

    def enter(self, do: Callable[[Core], R]) -> R:
        """Something of the core that waits for nothing."""
        if self.loop is None:
            self.loop = asyncio.get_running_loop()
        result = do(self.core)
        self.schedule()
        return result

    async def close(self) -> None:
        """All calls that are under way fail with ClientClosed; its connections have ended when this returns."""
        if self.core.closed:
            return
        self.core.close()
        if self.loop is None or self.loop.is_closed():
            return
        for dial in self._dials:
            dial.cancel()
        self.flush()
        waiting = [*self._dials, *self.open.values()]
        if waiting:
            await asyncio.wait(waiting, timeout=_CLOSE_S)

    # ---- in the loop ----

    def schedule(self) -> None:
        """What the core wants done is done at the end of this turn."""
        if not self._is_scheduled:
            self._is_scheduled = True
            self.loop.call_soon(self.flush)

    def flush(self) -> None:
        """What the core wants done: connections dialled, bytes written, connections closed."""
        self._is_scheduled = False
        core = self.core
        for line in core.take_dials():
            dial = self.loop.create_task(self._dial(line))
            self._dials.add(dial)
            dial.add_done_callback(self._dials.discard)
        for line in core.take_writes():
            if line.transport is not None:
                output = line.grpc.take_output()
                if output:
                    line.transport.write(output)
        for line in core.take_hangups():
            if line.transport is not None:
                line.transport.close()
        self._set_timer()

    def _set_timer(self) -> None:
        """NB: it is left as it is if it comes up too early: that costs less than a new one for each call."""
        deadline = self.core.next_deadline()
        if deadline is None or deadline >= self._timer_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = deadline
        self._timer = self.loop.call_later(max(0.0, deadline - time.monotonic()), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._timer_at = float("inf")
        self.core.expire()
        self.flush()

    async def _dial(self, line: Line) -> None:
        endpoint, options = line.remote.endpoint, self.core.options
        secure: dict[str, Any] = {}
        try:
            if endpoint.is_secure:
                secure = {"ssl": make_context(options.tls), "server_hostname": server_name(endpoint, options.tls)}
            async with asyncio.timeout(options.dial_timeout_s):
                if endpoint.path:
                    await self.loop.create_unix_connection(lambda: _Protocol(self, line), endpoint.path, **secure)
                else:
                    host, port = endpoint.host, endpoint.port
                    await self.loop.create_connection(lambda: _Protocol(self, line), host, port, **secure)
        except (OSError, ValueError) as error:  # ValueError: a name that is none
            self.core.dial_failed(line, str(error) or type(error).__name__)
            with contextlib.suppress(RuntimeError):  # the loop is being closed
                self.flush()
