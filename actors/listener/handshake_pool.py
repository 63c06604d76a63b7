"""Threads that do the work of handshakes when many come at once, so that the event loop goes on with its clients.

OpenSSL's part, which is nearly all of it, runs without Python's global lock. The threads begin with the first storm.
"""

import asyncio
import os
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Final

from etcdz.wire.tls_session import TlsSession

THREADS: Final = 2
NICE: Final = 5
"""Clients that are connected come first."""
DONE_PER_TURN: Final = 8
"""Results that the event loop takes before others have their turn: a new connection's first calls follow."""

Result = list[bytes] | Exception
"""What TlsSession.receive has returned or raised."""


class HandshakePool:
    """A queue of sessions that have received something. A session is here once at a time."""

    def __init__(self, event_loop: asyncio.AbstractEventLoop, on_done: Callable[[Any, Result], None]) -> None:
        """on_done: called in the event loop with what `submit` was given, and the result"""
        self._event_loop = event_loop
        self._on_done = on_done
        self._todo: SimpleQueue[tuple[Any, TlsSession, bytes] | None] = SimpleQueue()
        self._done: deque[tuple[Any, Result]] = deque()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._is_awake = False
        """Whether the event loop will look at what is done. Under the lock."""

    def submit(self, owner: Any, session: TlsSession, data: bytes) -> None:
        """The session receives data. owner: for on_done"""
        if not self._threads:
            self._start()
        self._todo.put((owner, session, data))

    def _start(self) -> None:
        for number in range(THREADS):
            thread = threading.Thread(target=self._work, name=f"handshakes-{number}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def close(self) -> None:
        """Ends the threads after what is queued; nothing more is told."""
        self._on_done = lambda owner, result: None
        for _ in self._threads:
            self._todo.put(None)

    def _work(self) -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), os.getpriority(os.PRIO_PROCESS, 0) + NICE)
        os.sched_setaffinity(0, range(os.cpu_count() or 1))  # not only where the actor is pinned
        while (item := self._todo.get()) is not None:
            owner, session, data = item
            result: Result
            try:
                result = session.receive(data)
            except Exception as error:  # told to the event loop, which ends this connection
                result = error
            self._done.append((owner, result))
            with self._lock:
                wakes, self._is_awake = not self._is_awake, True
            if wakes:
                try:
                    self._event_loop.call_soon_threadsafe(self._take)
                except RuntimeError:  # it has ended
                    return

    def _take(self) -> None:
        """In the event loop: some of the results, and later the rest."""
        with self._lock:
            self._is_awake = False
        for _ in range(DONE_PER_TURN):
            if not self._done:
                return
            self._on_done(*self._done.popleft())
        with self._lock:
            wakes, self._is_awake = not self._is_awake, True
        if wakes:
            self._event_loop.call_soon(self._take)
