"""A thread that touches disks in the supervisor's place: a disk that stands still must not stop the loop.

The loop submits work, and is handed what came of it in a turn of its own: `fileno` is readable then. Work is done in
order. What is submitted while WAITING_MAX pieces wait is dropped and counted: all of it is about reporting and tidying
up. The thread is started with the first piece.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from etcdz.telemetry import logs

log = logs.get("supervisor")

WAITING_MAX: Final = 256
STALL_S: Final = 5.0
"""A piece takes milliseconds; after so long it is said that the disk stands still."""

Work = Callable[[], Any]
Then = Callable[[Any], None]
"""then(what work returned, or the OSError that it raised), called by the loop."""


class DiskWorker:
    """submit, look and close are for one thread, that of the loop.

    dropped    pieces of work for which there was no room
    """

    def __init__(self) -> None:
        self.dropped = 0
        self._waiting: deque[tuple[Work, Then]] = deque()
        self._done: deque[tuple[Any, Then]] = deque()
        self._began_at: float | None = None
        """Of the piece under way, on the monotonic clock."""
        self._told_of: float | None = None
        """The piece of which it was said that it takes long, by the time at which it began."""
        self._is_closed = False
        self._changed = threading.Condition()
        self._wakeup = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._thread: threading.Thread | None = None

    def fileno(self) -> int:
        """Readable when look() has something to hand out."""
        return self._wakeup

    def submit(self, work: Work, then: Then = lambda outcome: None) -> bool:
        """Have it done. Never waits. return False if it is dropped: then is not called"""
        with self._changed:
            if len(self._waiting) >= WAITING_MAX:
                self.dropped += 1
                return False
            self._waiting.append((work, then))
            self._changed.notify_all()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="disk", daemon=True)
            self._thread.start()
        return True

    def look(self, now: float) -> None:
        """Once a turn: hand out what is done, and say once if a disk does not answer."""
        with suppress(BlockingIOError):
            os.eventfd_read(self._wakeup)
        while self._done:
            outcome, then = self._done.popleft()
            then(outcome)
        began_at = self._began_at
        if began_at is not None and now - began_at > STALL_S and began_at != self._told_of:
            self._told_of = began_at
            log.warn("a disk does not answer the supervisor, which goes on without", waiting=len(self._waiting))

    def next_deadline(self) -> float | None:
        """When look() has something to say, unless the disk answers first."""
        began_at = self._began_at
        return None if began_at is None or began_at == self._told_of else began_at + STALL_S

    def finish(self, timeout_s: float) -> bool:
        """Waits until all is done and handed out. return False if it is not after timeout_s"""
        with self._changed:
            done = self._changed.wait_for(lambda: not self._waiting and self._began_at is None, timeout_s)
        self.look(0.0)
        return done

    def close(self, timeout_s: float) -> None:
        """Finishes what can be finished in that time, and lets go of the rest."""
        if not self.finish(timeout_s):
            log.warn("a disk does not answer: gave up reports and tidying up", pieces=len(self._waiting) + 1)
        with self._changed:
            self._is_closed = True
            self._waiting.clear()
            self._changed.notify_all()
        if self._began_at is None:  # else the thread may still write to it
            os.close(self._wakeup)

    # ---- the thread ----

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting:
                    if self._is_closed:
                        return
                    self._changed.wait()
                work, then = self._waiting.popleft()
                self._began_at = time.monotonic()
            try:
                outcome = work()
            except OSError as error:
                outcome = error
            with self._changed:
                self._done.append((outcome, then))
                self._began_at = None
                if not self._is_closed:
                    os.eventfd_write(self._wakeup, 1)
                self._changed.notify_all()
