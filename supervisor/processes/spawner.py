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

from etcdz.ipc.boot import Boot
from etcdz.telemetry import logs
from supervisor.processes.zygote import MESSAGE_BYTES_MAX, Caps

log = logs.get("supervisor")

DEATHS_MAX: Final = 5
"""Zygotes in a row that died before they were up, after which spawning is given up."""


RENEWAL_S: Final = 30.0
"""How long the imports of a new zygote may take."""
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


class Parcel(NamedTuple):
    """A request, and the file descriptors that go with it."""

    request: bytes
    fds: tuple[int, ...]


class _Zygote:
    """A process and the channel to it."""

    def __init__(self, modules: Sequence[str], pass_fds: Sequence[int]) -> None:
        self.channel, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.channel.setblocking(False)
        root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        arguments = [
            sys.executable,
            "-m",
            "supervisor.processes.zygote",
            str(other.fileno()),
            str(os.getpid()),
            *modules,
        ]
        self.process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            pass_fds=(other.fileno(), *pass_fds),
            env={**os.environ, "PYTHONPATH": path},
            # What a terminal sends to its group reaches only the supervisor, which orders the end. Not a session of its
            # own: the kernel's autogroups would then give all actors together no more CPU than one client program.
            process_group=0,
        )
        other.close()
        self.started_at = time.monotonic()

    def receive(self) -> list[Any] | None:
        """A report; [] if it has died; None if there is none now."""
        try:
            report = self.channel.recv(MESSAGE_BYTES_MAX)
        except BlockingIOError:
            return None
        except ConnectionResetError:
            return []
        return list(msgpack.unpackb(report)) if report else []

    def end(self) -> list[list[Any]]:
        """Kill it. return its last reports: what it has forked, and what it has not; no actor must run twice."""
        self.process.kill()  # looks first whether it was reaped already
        self.process.wait()
        self.channel.settimeout(LAST_REPORTS_S)
        reports = []
        with suppress(OSError):
            while report := self.channel.recv(MESSAGE_BYTES_MAX):
                reports.append(list(msgpack.unpackb(report)))
        self.channel.close()
        return reports


def _failed_imports(report: list[Any] | None) -> dict[str, str]:
    """Of an "up"; of none: nothing."""
    return dict(report[1]) if report else {}


class Spawner:
    """Owns the zygote."""

    def __init__(self, modules: Sequence[str], pass_fds: Sequence[int], on_replaced: Callable[[], None]) -> None:
        """modules: of the actors. pass_fds: inherited by every process. on_replaced: fileno() has changed."""
        self._modules = modules
        self._pass_fds = tuple(pass_fds)
        self._on_replaced = on_replaced
        self._waiting: dict[tuple[str, int], Parcel] = {}
        """Requests without an answer, by name and incarnation."""
        self._unsent: list[Parcel] = []
        """Requests for which the socket had no room."""
        self._found: list[Spawned | Failed] = []
        """Answers that events() has not handed out yet."""
        self._deaths = 0
        self.starts = 0
        self._zygote = self._new()
        self._candidate: _Zygote | None = None
        self._on_renewed: Callable[[str], None] = lambda error: None

    # ---- the zygote ----

    @property
    def pid(self) -> int:
        return self._zygote.process.pid

    @property
    def started_at(self) -> float:
        return self._zygote.started_at

    def filenos(self) -> list[int]:
        """What becomes readable when events() has something to do."""
        return [zygote.channel.fileno() for zygote in (self._zygote, self._candidate) if zygote is not None]

    def _new(self) -> "_Zygote":
        self.starts += 1
        return _Zygote(self._modules, self._pass_fds)

    def replace(self, name: str = "", incarnation: int = 0) -> None:
        """Start a new zygote, which reads the code anew, and put to it what is not answered, but for the one named."""
        self._replace_by(self._new, name, incarnation)

    def _replace_by(self, make: Callable[[], "_Zygote"], name: str = "", incarnation: int = 0) -> None:
        self._take_all(self._zygote.end())
        self._waiting.pop((name, incarnation), None)
        self._zygote = make()
        self._on_replaced()
        self._unsent = list(self._waiting.values())
        self._send()

    def renew(self, done: Callable[[str], None]) -> bool:
        """Have a new zygote, with the code that is on disk now, take over once it has shown that it can import it.

        done    called once, with "" or with what is wrong with the code: then all stays as it is
        return  False if one is on its way already
        """
        if self._candidate is not None:
            return False
        self._candidate = self._new()
        self._on_renewed = done
        self._on_replaced()
        return True

    def _look_at_candidate(self) -> None:
        candidate = self._candidate
        if candidate is None:
            return
        report = candidate.receive()
        if report is None and time.monotonic() - candidate.started_at <= RENEWAL_S:
            return
        self._candidate = None
        failed = {module: error for module, error in _failed_imports(report).items() if module in self._modules}
        if report and not failed:
            self._replace_by(lambda: candidate)
        else:
            candidate.end()
            self._on_replaced()
        why = "; ".join(f"{module}: {error}" for module, error in failed.items())
        self._on_renewed("" if report and not failed else why or "it does not come up")

    def close(self) -> None:
        """End the zygote and wait for that."""
        for zygote in (self._zygote, self._candidate):
            if zygote is not None:
                self._take_all(zygote.end())

    def _take_all(self, reports: list[list[Any]]) -> None:
        for report in reports:
            self._on_report(report)

    # ---- actors ----

    def spawn(self, boot: Boot, module: str, caps: Caps, fds: Sequence[int] = ()) -> None:
        """Ask for an actor; events() tells what became of it. fds: for the actor, kept open by the caller"""
        request = msgpack.packb([boot.name, boot.incarnation, module, list(caps), list(boot)])
        parcel = self._waiting[boot.name, boot.incarnation] = Parcel(request, tuple(fds))
        self._unsent.append(parcel)
        self._send()

    def _send(self) -> None:
        with suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):  # full, or dead: events() sees to both
            while self._unsent:
                socket.send_fds(self._zygote.channel, [self._unsent[0].request], list(self._unsent[0].fds))
                del self._unsent[0]

    def events(self) -> list[Spawned | Failed]:
        """What has come since the last call; never waits for a living zygote."""
        self._receive()
        self._look_at_candidate()
        self._send()
        found, self._found = self._found, []
        return found

    def _receive(self) -> None:
        while (report := self._zygote.receive()) is not None:
            if not report:
                self._on_death()
                return
            self._on_report(report)

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
