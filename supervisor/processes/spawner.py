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
from typing import Final, NamedTuple, Protocol

from etcdz.ipc import compatibility
from etcdz.ipc.boot import Boot
from etcdz.ipc.compatibility import Protocol as MessageProtocol
from etcdz.telemetry import logs
from supervisor.processes import zygote
from supervisor.processes.first_zygote import FirstZygote
from supervisor.processes.zygote import MESSAGE_BYTES_MAX, Caps, Failed, Report, Spawned, SpawnRequest, Up

log = logs.get("supervisor")

DEATHS_MAX: Final = 5
"""Zygotes in a row that died before they were up, after which spawning is given up."""
START_S: Final = 60.0
"""How long a zygote may take to come up. Its imports are a second of CPU time, which is long where many want the CPUs:
another that began anew would come up later still."""
RENEWAL_S: Final = 30.0
"""How long the imports of a new zygote may take."""
LAST_REPORTS_S: Final = 1.0
"""For the report of a new process after its zygote was killed; it takes microseconds, unless a signal stopped it."""


class Parcel(NamedTuple):
    """A request, and the file descriptors that go with it."""

    request: bytes
    fds: tuple[int, ...]


class Dead(NamedTuple):
    """A zygote's channel has ended, and with it the zygote."""


DEAD: Final = Dead()


class Process(Protocol):
    """What of a child process matters here."""

    pid: int

    def kill(self) -> None:
        """Unless it was reaped already."""

    def wait(self) -> object:
        """Until it has ended."""


class _Zygote:
    """A process and the channel to it."""

    def __init__(self, process: Process, channel: socket.socket, started_at: float) -> None:
        self.process, self.channel, self.started_at = process, channel, started_at

    @classmethod
    def fresh(cls, modules: Sequence[str], pass_fds: Sequence[int]) -> "_Zygote":
        """A new interpreter, which reads the code as it is now."""
        channel, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        channel.setblocking(False)
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
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            pass_fds=(other.fileno(), *pass_fds),
            env={**os.environ, "PYTHONPATH": path},
            # What a terminal sends to its group reaches only the supervisor, which orders the end. Not a session of its
            # own: the kernel's autogroups would then give all actors together no more CPU than one client program.
            process_group=0,
        )
        other.close()
        return cls(process, channel, time.monotonic())

    def receive(self) -> Report | Dead | None:
        """A report; DEAD if it has died; None if there is none now."""
        while True:
            try:
                packet = self.channel.recv(MESSAGE_BYTES_MAX)
            except BlockingIOError:
                return None
            except ConnectionResetError:
                return DEAD
            if not packet:
                return DEAD
            if (report := _decoded(packet)) is not None:
                return report

    def end(self) -> list[Report]:
        """Kill it. return its last reports: what it has forked, and what it has not; no actor must run twice."""
        self.process.kill()
        self.process.wait()
        self.channel.settimeout(LAST_REPORTS_S)
        reports = []
        with suppress(OSError):
            while packet := self.channel.recv(MESSAGE_BYTES_MAX):
                reports.append(_decoded(packet))
        self.channel.close()
        return [report for report in reports if report is not None]


def _decoded(packet: bytes) -> Report | None:
    """None for a report that only newer code knows."""
    try:
        report: Report = zygote.unpack(packet)
    except (ValueError, TypeError) as error:
        log.error("dropped a report of the zygote that this version does not know", error=repr(error))
        return None
    return report


class Spawner:
    """Owns the zygote, and the candidate that is to succeed it in an upgrade."""

    def __init__(self, modules: Sequence[str], pass_fds: Sequence[int], first: FirstZygote | None = None) -> None:
        """modules: of the actors. pass_fds: inherited by every process. first: to begin with, instead of a fresh one"""
        self._modules = modules
        self._pass_fds = tuple(pass_fds)
        self._waiting: dict[tuple[str, int], Parcel] = {}
        """Requests without an answer, by name and incarnation."""
        self._unsent: list[Parcel] = []
        """Requests for which the socket had no room."""
        self._found: list[Spawned | Failed] = []
        """Answers that events() has not handed out yet."""
        self._deaths = 0
        self.starts = 0
        """Zygotes that were started, the first one included."""
        self._protocols: list[MessageProtocol] = []
        """Of all zygotes that have served: an actor of each may still live."""
        self._zygote = self._new() if first is None else self._adopted(first)
        self._is_up = False
        self._candidate: _Zygote | None = None
        self._on_renewed: Callable[[str], None] = lambda error: None

    # ---- the zygote ----

    @property
    def pid(self) -> int:
        """Of the zygote."""
        return self._zygote.process.pid

    @property
    def started_at(self) -> float:
        """Of the zygote, on the monotonic clock."""
        return self._zygote.started_at

    @property
    def is_starting(self) -> bool:
        """Whether the zygote is not up yet, and need not be."""
        return not self._is_up and time.monotonic() - self.started_at < START_S

    def filenos(self) -> list[int]:
        """What becomes readable when events() has something to do; it changes with the zygote."""
        return [process.channel.fileno() for process in (self._zygote, self._candidate) if process is not None]

    def _new(self) -> "_Zygote":
        self.starts += 1
        return _Zygote.fresh(self._modules, self._pass_fds)

    def _adopted(self, first: FirstZygote) -> "_Zygote":
        self.starts += 1
        first.take(self._pass_fds)
        return _Zygote(first.process, first.channel, first.started_at)

    def replace(self, name: str = "", incarnation: int = 0) -> None:
        """Start a new zygote, which reads the code anew, and put to it what is not answered, but for the one named."""
        self._replace_by(self._new, name, incarnation)

    def on_halted(self) -> None:
        """The zygote was stopped by a signal: it forks nothing until it is continued, if ever. Actors live on without
        it, so it is replaced at once."""
        log.warn("the zygote was stopped by a signal, starting another", zygote_pid=self.pid)
        self.replace()

    def _replace_by(self, make: Callable[[], "_Zygote"], name: str = "", incarnation: int = 0) -> None:
        self._take_all(self._zygote.end())
        self._waiting.pop((name, incarnation), None)
        self._zygote = make()
        self._is_up = False
        self._unsent = list(self._waiting.values())
        self._send()

    def renew(self, done: Callable[[str], None]) -> bool:
        """Have a new zygote, with the code that is on disk now, take over if it can import all of it, and if the actors
        that run would understand its messages.

        done    called once, with "" or with what is wrong with the code: then all stays as it is
        return  False if one is on its way already
        """
        if self._candidate is not None:
            return False
        self._candidate = self._new()
        self._on_renewed = done
        return True

    def _look_at_candidate(self) -> None:
        candidate = self._candidate
        if candidate is None:
            return
        report = candidate.receive()
        if report is None and time.monotonic() - candidate.started_at <= RENEWAL_S:
            return
        self._candidate = None
        why = self._refusal(report) if isinstance(report, Up) else "it does not come up"
        if isinstance(report, Up) and not why:
            self._replace_by(lambda: candidate)
            self._on_up(report)
        else:
            candidate.end()
        self._on_renewed(why)

    def _refusal(self, up: Up) -> str:
        """Why a candidate must not take over; "" if it may."""
        failed = {module: error for module, error in up.failed.items() if module in self._modules}
        if failed:
            return "; ".join(f"{module}: {error}" for module, error in failed.items())
        why = self._objection(up)
        return f"its messages do not fit those of the actors that run: {why}" if why else ""

    def _objection(self, up: Up) -> str:
        """What in its messages an older actor or the supervisor could not cope with; "" if nothing."""
        try:
            protocol = compatibility.received(up.protocol)
        except (ValueError, TypeError) as error:
            return f"they are described in a way that this version does not know ({error!r})"
        return compatibility.objection(protocol, zygote.PROTOCOL, self._protocols)

    def close(self) -> None:
        """End the zygote and wait for that."""
        for process in (self._zygote, self._candidate):
            if process is not None:
                self._take_all(process.end())

    def _take_all(self, reports: list[Report]) -> None:
        for report in reports:
            self._on_report(report)

    # ---- actors ----

    def spawn(self, boot: Boot, module: str, caps: Caps, fds: Sequence[int] = ()) -> None:
        """Ask for an actor; events() tells what became of it. fds: for the actor, kept open by the caller"""
        request = SpawnRequest(boot.name, boot.incarnation, module, caps._asdict(), boot._asdict())
        parcel = self._waiting[boot.name, boot.incarnation] = Parcel(zygote.pack(request), tuple(fds))
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
            if isinstance(report, Dead):
                self._on_death()
                return
            self._on_report(report)

    def _on_report(self, report: Report) -> None:
        if isinstance(report, Up):
            self._on_up(report)
            return
        self._waiting.pop((report.name, report.incarnation), None)
        self._found.append(report)

    def _on_up(self, up: Up) -> None:
        self._is_up = True
        self._deaths = 0
        for module, error in up.failed.items():
            log.warn("cannot import a module ahead", module=module, error=error)
        if why := self._objection(up):  # after the death of a zygote there is no other code to go on with
            log.error("the code on disk does not fit the actors that run: restart the member", reason=why)
        elif (protocol := compatibility.received(up.protocol)) not in self._protocols:
            self._protocols.append(protocol)

    def _on_death(self) -> None:
        self._deaths += 1
        log.warn("the zygote has died, starting another", zygote_pid=self.pid, deaths_in_a_row=self._deaths)
        if self._deaths > DEATHS_MAX:
            self._deaths = 0
            lost = (Failed(name, incarnation, "the zygote dies again and again") for name, incarnation in self._waiting)
            self._found.extend(lost)
            self._waiting.clear()
        self.replace()
