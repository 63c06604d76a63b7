"""The supervisor's side of the zygote: starts it, asks it for actors, replaces it when it dies.

Requests that a dead zygote has not answered are put to the next one. Its socket reads as ended only once the zygote and
all that it was about to fork are gone or reported: nothing is spawned twice.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgpack

from etcdz import logs
from etcdz.boot import Boot
from supervisor.zygote import MESSAGE_BYTES_MAX

log = logs.get("supervisor")

DEATHS_MAX: Final = 5
"""Zygotes in a row that died before they were up, after which spawning is given up."""


LAST_REPORTS_S: Final = 1.0
"""For a newborn's report after its zygote was killed; it takes microseconds, unless somebody stopped the process."""


class Spawned(NamedTuple):
    """An actor lives."""

    name: str
    incarnation: int
    pid: int


class Failed(NamedTuple):
    """It does not and will not."""

    name: str
    incarnation: int
    reason: str


class Spawner:
    """Owns the zygote."""

    def __init__(self, modules: Sequence[str], pass_fds: Sequence[int], on_replaced: Callable[[], None]) -> None:
        """modules: of the actors. pass_fds: inherited by every process. on_replaced: fileno() has changed."""
        self._modules = modules
        self._pass_fds = tuple(pass_fds)
        self._on_replaced = on_replaced
        self._waiting: dict[tuple[str, int], bytes] = {}
        """Requests without an answer, by name and incarnation."""
        self._unsent: list[bytes] = []
        """Requests for which the socket had no room."""
        self._found: list[Spawned | Failed] = []
        """Answers that events() has not handed out yet."""
        self._deaths = 0
        self.started_at = 0.0
        self.starts = 0
        self._start()

    # ---- the zygote ----

    @property
    def pid(self) -> int:
        return self._process.pid

    def fileno(self) -> int:
        return self._channel.fileno()

    def _start(self) -> None:
        self._channel, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._channel.setblocking(False)
        root = str(Path(__file__).resolve().parent.parent)
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        arguments = [sys.executable, "-m", "supervisor.zygote", str(other.fileno()), str(os.getpid()), *self._modules]
        self._process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            pass_fds=(other.fileno(), *self._pass_fds),
            env={**os.environ, "PYTHONPATH": path},
            # What a terminal sends to its group reaches only the supervisor, which orders the end. Not a session of its
            # own: the kernel's autogroups would then give all actors together no more CPU than one client program.
            process_group=0,
        )
        other.close()
        self.started_at = time.monotonic()
        self.starts += 1

    def replace(self, name: str = "", incarnation: int = 0) -> None:
        """Start a new zygote, which reads the code anew, and put to it what is not answered, but for the one named."""
        self._end()
        self._waiting.pop((name, incarnation), None)
        self._start()
        self._on_replaced()
        self._unsent = list(self._waiting.values())
        self._send()

    def close(self) -> None:
        """End the zygote and wait for that."""
        self._end()

    def _end(self) -> None:
        """End the zygote. What it has forked, and what it has not, is known afterwards: no actor must run twice."""
        self._process.kill()  # looks first whether it was reaped already
        self._process.wait()
        self._channel.settimeout(LAST_REPORTS_S)
        with suppress(OSError):
            while report := self._channel.recv(MESSAGE_BYTES_MAX):
                self._on_report(msgpack.unpackb(report))
        self._channel.close()

    # ---- actors ----

    def spawn(self, boot: Boot, module: str, nice: int) -> None:
        """Ask for an actor; events() tells what became of it."""
        request = msgpack.packb([boot.name, boot.incarnation, module, nice, list(boot)])
        self._waiting[boot.name, boot.incarnation] = request
        self._unsent.append(request)
        self._send()

    def _send(self) -> None:
        with suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):  # full, or dead: events() sees to both
            while self._unsent:
                self._channel.send(self._unsent[0])
                del self._unsent[0]

    def events(self) -> list[Spawned | Failed]:
        """What has come since the last call; never waits for a living zygote."""
        self._receive()
        self._send()
        found, self._found = self._found, []
        return found

    def _receive(self) -> None:
        try:
            while report := self._channel.recv(MESSAGE_BYTES_MAX):
                self._on_report(msgpack.unpackb(report))
        except BlockingIOError:
            return
        except ConnectionResetError:
            pass
        self._on_death()

    def _on_report(self, report: list[Any]) -> None:
        verb, *fields = report
        if verb == "up":
            self._deaths = 0
            for module, error in fields[0].items():
                log.warn("cannot import a module ahead", module=module, error=error)
            return
        name, incarnation, answer = fields
        self._waiting.pop((name, incarnation), None)
        self._found.append((Spawned if verb == "spawned" else Failed)(name, incarnation, answer))

    def _on_death(self) -> None:
        self._deaths += 1
        log.warn("the zygote has died, starting another", zygote_pid=self.pid, deaths_in_a_row=self._deaths)
        if self._deaths > DEATHS_MAX:
            self._deaths = 0
            lost = (Failed(name, incarnation, "the zygote dies again and again") for name, incarnation in self._waiting)
            self._found.extend(lost)
            self._waiting.clear()
        self.replace()
