"""A process that sends or receives one snapshot, as the peer actor sees it: what it says, and how it ends.

Both ways go maps in msgpack, one after the other: to the process by its stdin, from it by its stdout. When its stdin
ends it removes what it has made and ends, so that it never outlives the peer actor. What it writes to stderr says why
it failed; the last line goes to the log.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol

import msgpack

READ_BYTES: Final = 64 << 10
REAP_S: Final = 0.1
"""How often a process that is to end is checked."""
END_S: Final = 10.0
"""How long it may take to remove what it has made, before it is killed."""


class Host(Protocol):
    """What the process needs of its actor: the event loop, and where to report what must not happen."""

    event_loop: asyncio.AbstractEventLoop

    def fail(self, error: Exception) -> None: ...


class SnapshotProcess:
    """One process, from its start to its end.

    on_message  called with each map that it says
    on_end      called once, when it is gone, with why it has ended before its time, or ""
    """

    def __init__(
        self,
        host: Host,
        module: str,
        arguments: Sequence[str],
        on_message: Callable[[dict[str, Any]], None],
        on_end: Callable[[str], None],
        pass_fds: Sequence[int] = (),
    ) -> None:
        """raises OSError: none can be started"""
        self._host = host
        self._on_message = on_message
        self._on_end = on_end
        self._unpacker = msgpack.Unpacker()
        self._unsent = bytearray()
        self._process = _start(module, arguments, pass_fds)
        assert self._process.stdin is not None and self._process.stdout is not None
        self._input, self._output = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._input, False)
        self._is_open = True
        host.event_loop.add_reader(self._output, self._guarded, self._read)

    def say(self, **fields: Any) -> None:
        """Tell it this. Nothing, if it is about to end."""
        if self._is_open:
            if not self._unsent:
                self._host.event_loop.add_writer(self._input, self._guarded, self._write)
            self._unsent += msgpack.packb(fields)

    def end(self) -> None:
        """Have it remove what it has made and end; on_end is called when it is gone."""
        if not self._is_open:
            return
        self._is_open = False
        self._host.event_loop.remove_reader(self._output)
        self._host.event_loop.remove_writer(self._input)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        self._reap(END_S)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:
            self._host.fail(error)

    def _read(self) -> None:
        data = os.read(self._output, READ_BYTES)
        if not data:
            self.end()
            return
        self._unpacker.feed(data)
        for message in self._unpacker:
            self._on_message(message)

    def _write(self) -> None:
        try:
            sent = os.write(self._input, self._unsent)
        except BlockingIOError:
            return
        except OSError:  # it has ended: that is seen at its stdout
            sent = len(self._unsent)
        del self._unsent[:sent]
        if not self._unsent:
            self._host.event_loop.remove_writer(self._input)

    def _reap(self, left_s: float) -> None:
        if self._process.poll() is None:
            if left_s <= 0:
                self._process.kill()
            self._host.event_loop.call_later(REAP_S, self._guarded, lambda: self._reap(left_s - REAP_S))
            return
        self._on_end(self._why())

    def _why(self) -> str:
        assert self._process.stderr is not None
        if self._process.returncode == 0:
            self._process.stderr.close()
            return ""
        os.set_blocking(self._process.stderr.fileno(), False)
        said = (self._process.stderr.read() or b"").decode(errors="replace").strip()
        self._process.stderr.close()
        return said.rpartition("\n")[2] or f"its process ended with status {self._process.returncode}"


def _start(module: str, arguments: Sequence[str], pass_fds: Sequence[int]) -> "subprocess.Popen[bytes]":
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=pass_fds,
        env={**os.environ, "PYTHONPATH": path},
    )
