"""Writes log lines to one output in a thread: whoever logs never waits for a disk, or for who reads a pipe.

A line that finds QUEUE_BYTES_MAX of others waiting is dropped and counted; once the output takes lines again, one of
them says how many were lost. The thread is started with the first line, so a process that is to fork may have a writer
as long as it logs nothing.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

QUEUE_BYTES_MAX: Final = 1 << 20
_STDERR: Final = 2


class LineWriter:
    """One per output. `put` may be called by any thread."""

    def __init__(self, open_output: Callable[[], int], say_dropped: Callable[[int], bytes]) -> None:
        """open_output: gives the file descriptor, called by the thread, since opening may wait as well; an OSError of
        it is the end of the output. say_dropped(count): the line about lines that were dropped
        """
        self._open_output = open_output
        self._say_dropped = say_dropped
        self._lines: deque[bytes] = deque()
        self._bytes = 0
        self._dropped = 0
        self._is_writing = False
        self._is_closed = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def put(self, data: bytes) -> None:
        """Queues a line. Never waits, but where there is no memory for the thread: then it writes the line itself."""
        with self._changed:
            if self._bytes + len(data) > QUEUE_BYTES_MAX:
                self._dropped += 1
                return
            self._lines.append(data)
            self._bytes += len(data)
            self._changed.notify_all()
            if self._thread is None and not self._start():
                self._write_now()

    def flush(self, timeout_s: float) -> bool:
        """Waits until all lines are written. return False if they are not after timeout_s"""
        with self._changed:
            return self._changed.wait_for(lambda: not self._lines and not self._is_writing, timeout_s)

    def close(self) -> None:
        """The thread ends once it has written what waits; nobody waits for it."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def _start(self) -> bool:
        """Whether there is a thread now."""
        thread = threading.Thread(target=self._run, name="log", daemon=True)
        try:
            thread.start()
        except (RuntimeError, MemoryError):  # what has used up its memory has yet to say so
            return False
        self._thread = thread
        return True

    def _write_now(self) -> None:
        with suppress(OSError):
            fd = self._open_output()
            write_all(fd, b"".join(self._lines))
            if fd > _STDERR:
                os.close(fd)
        self._lines.clear()
        self._bytes = 0

    # ---- the thread ----

    def _run(self) -> None:
        try:
            fd = self._open_output()
        except OSError:
            fd = -1
        while (data := self._next()) is not None:
            if fd >= 0:
                with suppress(OSError):  # a full disk or a closed pipe must not stop the member
                    write_all(fd, data)
        if fd > _STDERR:
            os.close(fd)

    def _next(self) -> bytes | None:
        """Waits for a line. None: there will be no more"""
        with self._changed:
            self._is_writing = False
            self._changed.notify_all()
            while not self._lines and not self._dropped:
                if self._is_closed:
                    return None
                self._changed.wait()
            self._is_writing = True
            if self._lines:
                data = self._lines.popleft()
                self._bytes -= len(data)
                return data
            count, self._dropped = self._dropped, 0
        return self._say_dropped(count)


def flush_all(writers: Iterable[LineWriter], timeout_s: float) -> None:
    """Waits for all of them, timeout_s in sum."""
    give_up_at = time.monotonic() + timeout_s
    for writer in writers:
        writer.flush(max(0.0, give_up_at - time.monotonic()))


def write_all(fd: int, data: bytes) -> None:
    """raises OSError"""
    written = os.write(fd, data)
    while written < len(data):  # only a line that a pipe cannot take whole comes here
        written += os.write(fd, data[written:])
