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
            start_new_session=True,  # what a terminal sends to its group reaches the supervisor, which orders the end
        )
        other.close()
        self.started_at = time.monotonic()
        self.starts += 1

    def replace(self) -> None:
        """Start a new zygote, which reads the code anew, and put the unanswered requests to it."""
        self._end()
        self._start()
        self._on_replaced()
        for request in list(self._waiting.values()):
            self._send(request)

    def close(self) -> None:
        """End the zygote and wait for that."""
        self._waiting.clear()
        self._end()

    def _end(self) -> None:
        self._channel.close()
        self._process.kill()  # looks first whether it was reaped already
        self._process.wait()

    # ---- actors ----

    def spawn(self, boot: Boot, module: str, nice: int) -> None:
        """Ask for an actor; events() tells what became of it."""
        request = msgpack.packb([boot.name, boot.incarnation, module, nice, list(boot)])
        self._waiting[boot.name, boot.incarnation] = request
        self._send(request)

    def forget(self) -> None:
        """Expect no answers any more."""
        self._waiting.clear()

    def _send(self, request: bytes) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # dead: events() will see it and replace it
            self._channel.send(request)

    def events(self) -> list[Spawned | Failed]:
        """What has come since the last call; never waits."""
        found: list[Spawned | Failed] = []
        try:
            while report := self._channel.recv(MESSAGE_BYTES_MAX):
                found.extend(self._on_report(msgpack.unpackb(report)))
            found.extend(self._on_death())
        except BlockingIOError:
            pass
        except ConnectionResetError:
            found.extend(self._on_death())
        return found

    def _on_report(self, report: list[Any]) -> list[Spawned | Failed]:
        verb, *fields = report
        if verb == "up":
            self._deaths = 0
            for module, error in fields[0].items():
                log.warn("cannot import a module ahead", module=module, error=error)
            return []
        name, incarnation, answer = fields
        self._waiting.pop((name, incarnation), None)
        return [(Spawned if verb == "spawned" else Failed)(name, incarnation, answer)]

    def _on_death(self) -> list[Spawned | Failed]:
        self._deaths += 1
        log.warn("the zygote has died, starting another", zygote_pid=self.pid, deaths_in_a_row=self._deaths)
        if self._deaths <= DEATHS_MAX:
            self.replace()
            return []
        self._deaths = 0
        lost = [Failed(name, incarnation, "the zygote dies again and again") for name, incarnation in self._waiting]
        self._waiting.clear()
        self.replace()
        return list(lost)
