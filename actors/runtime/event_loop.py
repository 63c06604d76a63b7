"""An actor with connections: its loop is uvloop's, and its mailbox is one more file descriptor in it.

As in every other actor a turn takes what lies in the mailbox and sends one frame to each destination at its end; what
connections bring is a turn as well (`flush_soon`). An exception that nobody expects, in a callback or a task, ends the
process. What must be looked at by the clock is looked at a few times a second, and only while there is anything.
"""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, Final, Protocol

import uvloop

from actors.runtime.loop import Actor
from etcdz import limits
from etcdz.ipc.boot import Boot
from etcdz.ipc.messages import Stop

CLOCK_S: Final = 0.25
"""How often what is overdue is looked for."""
AFTER_READING_S: Final = 0.001
"""So that the event loop polls once in between."""


class Clocked(Protocol):
    """What has something to do by the clock alone."""

    def check(self, now: float) -> None:
        """now: of the event loop's clock, in s"""


class EventLoopActor(Actor):
    """Subclasses override `open`, `close_connections`, and the hooks of Actor.

    clocked    what is checked by the clock; `start_clock` is called when it is added to
    failure    what ends this actor
    """

    def __init__(self, boot: Boot) -> None:
        super().__init__(boot)
        self.event_loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        asyncio.set_event_loop(self.event_loop)
        self.event_loop.set_exception_handler(self._on_loop_exception)
        self.clocked: set[Clocked] = set()
        self.failure: Exception | None = None
        self._flush_due = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._clock: asyncio.TimerHandle | None = None
        self._clock_due = 0.0
        self._has_left = False

    def open(self) -> None:
        """Begin: accept connections, dial others."""

    async def close_connections(self) -> None:
        """The end has come."""

    # ---- turns ----

    def loop(self) -> None:
        loop = self.event_loop
        datagrams, zmq_ = self.mailbox.descriptors
        loop.add_reader(datagrams, self._on_mailbox)
        loop.add_reader(zmq_, self._on_zmq)
        loop.call_soon(self._on_zmq)  # its descriptor may have become readable already
        self.open()
        self._on_heartbeat()
        loop.run_forever()
        if self.failure is not None:
            raise self.failure

    def _on_zmq(self) -> None:
        self.mailbox.zmq_spoke()
        self._on_mailbox()

    def _on_mailbox(self) -> None:
        began = time.monotonic_ns()
        try:
            frames = self.drain(began)
            if self.mailbox.pending():
                self.event_loop.call_soon(self._on_mailbox)
            self.flush()
        except Exception as error:
            self.fail(error)
            return
        self.count_turn(frames, time.monotonic_ns() - began)

    def flush(self) -> None:
        """The end of a turn."""
        self.on_turn_end()
        self.links.flush()

    def flush_soon(self) -> None:
        """When all connections that are readable now have been read."""
        if not self._flush_due:
            self._flush_due = True
            self.event_loop.call_soon(self._on_flush)

    def _on_flush(self) -> None:
        self._flush_due = False
        try:
            self.flush()
        except Exception as error:
            self.fail(error)

    # ---- the clock ----

    def start_clock(self) -> None:
        """There is something that may become overdue."""
        if self._clock is None:
            self._clock_due = self.event_loop.time() + CLOCK_S
            self._clock = self.event_loop.call_later(CLOCK_S, self._on_clock)

    def _on_clock(self) -> None:
        """NB: after a pause the clock would come before what connections have brought meanwhile: that is read first."""
        now = self.event_loop.time()
        if now > self._clock_due + CLOCK_S:
            self._clock_due = now
            self._clock = self.event_loop.call_later(AFTER_READING_S, self._on_clock)
            return
        self._clock = None
        try:
            for one in list(self.clocked):
                one.check(now)
            self.flush()
        except Exception as error:
            self.fail(error)
            return
        if self.clocked:
            self.start_clock()

    def _on_heartbeat(self) -> None:
        """The heartbeat to the supervisor, and a look whether SIGTERM has come."""
        try:
            self.heartbeat(time.monotonic())
        except Exception as error:
            self.fail(error)
            return
        if self.stopping:
            self._leave()
        self.event_loop.call_later(limits.HEARTBEAT_S if self.clocked else limits.HEARTBEAT_IDLE_S, self._on_heartbeat)

    # ---- tasks, and what ends them all ----

    def start_task(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """An error of it ends the actor."""
        task = self.event_loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)
        return task

    def _on_task_done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self.fail(error)

    def fail(self, error: Exception) -> None:
        """End the actor because of this."""
        self.failure = self.failure or error
        self.event_loop.stop()

    def _on_loop_exception(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What a callback has raised that nobody expected."""
        self.fail(context.get("exception") or RuntimeError(context["message"]))

    def _on_stop(self, stop: Stop) -> None:
        self.stopping = True
        self._leave()

    def _leave(self) -> None:
        """NB: once. uvloop keeps a second stop for the next run of the loop, which would cut the closing short."""
        if not self._has_left:
            self._has_left = True
            self.event_loop.stop()

    def on_stop(self) -> None:
        self.flush()
        self.event_loop.run_until_complete(self.close_connections())
