"""One embedded member."""

import logging
import os
import shutil
import signal
import socket
import tempfile
import threading
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

from etcdz.client import Client, connect
from etcdz.embed import ports, settings
from etcdz.embed.actors import Actors
from etcdz.embed.entered import Entered
from etcdz.embed.process import OWN_PROGRAM, MemberProcess

READY_S: Final = 60.0
STOP_S: Final = 30.0


class Member(Entered):
    """A context manager: started, and ready for clients, at its begin; stopped at its end.

    data_dir        where its data are, and stay; None: a temporary directory, removed at `close`
    listen_client   URL for clients, such as "unix:///run/app.sock"; None: a free port of 127.0.0.1, which it keeps
    listen_peer     URL for members, likewise
    logger          gets the lines of its log; None: `etcdz.embed.<name>`
    program         what is run; None: etcdz, else an etcd's path
    on_exit         called with the exit code, in a thread of its own, if it ends though nobody has stopped it
    settings        of etcd, and etcdz's own: `snapshot_count=5_000, auto_compaction_retention="1h"`. What it tells
                    others of itself (`initial_cluster`, `advertise_client_urls`...) follows, unless given
    raises          TypeError: there is no such setting; ValueError: the member would refuse them

    `start` and `stop` may be called again and again: it keeps its data and its ports. Calls may come from any thread.
    """

    def __init__(
        self,
        *,
        data_dir: str | os.PathLike[str] | None = None,
        name: str = "default",
        listen_client: str | None = None,
        listen_peer: str | None = None,
        logger: logging.Logger | None = None,
        program: Sequence[str] | str | None = None,
        on_exit: Callable[[int], None] | None = None,
        **given: Any,
    ) -> None:
        self.name = name
        self.logger = logger or logging.getLogger(f"etcdz.embed.{name}")
        self._program = [program] if isinstance(program, str) else list(program or OWN_PROGRAM)
        self._is_own = program is None
        self._on_exit = on_exit
        self._lock = threading.RLock()
        self._process: MemberProcess | None = None
        self._client: Client | None = None
        self._held: list[socket.socket] = []
        self._running: list[MemberProcess] = []
        self.client_url = listen_client or self._own_url()
        self.peer_url = listen_peer or self._own_url()
        temporary = None if data_dir is not None else Path(tempfile.mkdtemp(prefix="etcdz-member-"))
        self.data_dir = str(Path(data_dir).absolute() if data_dir is not None else temporary)
        self._let_go = weakref.finalize(self, _let_go, os.getpid(), self._held, temporary, self._running)
        try:
            self._flags = settings.flags_of({**self._described(), **given})
            if self._is_own:
                settings.check(self._flags)
        except (TypeError, ValueError):
            self._let_go()
            raise

    def _own_url(self) -> str:
        self._held.append(held := ports.hold())
        return f"http://127.0.0.1:{ports.port_of(held)}"

    def _described(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "data_dir": self.data_dir,
            "listen_client_urls": self.client_url,
            "advertise_client_urls": self.client_url,
            "listen_peer_urls": self.peer_url,
            "initial_advertise_peer_urls": self.peer_url,
            "initial_cluster": f"{self.name}={self.peer_url}",
            **({"stop_with_pid": os.getpid()} if self._is_own else {}),
        }

    # ---- its life ----

    def launch(self) -> Self:
        """Starts it and returns at once: it may need others to serve. raises RuntimeError: it runs already"""
        with self._lock:
            if self.running:
                raise RuntimeError(f"member {self.name} runs already")
            if not self._let_go.alive:
                raise RuntimeError(f"member {self.name} is closed")
            self._forget()
            self._process = MemberProcess(self._program, self._flags, self.logger, self._on_exit)
            self._running.append(self._process)
        return self

    def ready(self, timeout_s: float = READY_S) -> Self:
        """Returns when it serves clients. raises MemberFailed: it has ended; TimeoutError"""
        self._started().wait_ready(timeout_s)
        return self

    def start(self, timeout_s: float = READY_S) -> Self:
        """launch, and ready; a member that does not become ready is stopped."""
        self.launch()
        try:
            return self.ready(timeout_s)
        except BaseException:
            self.kill()
            raise

    def stop(self, timeout_s: float = STOP_S) -> int | None:
        """As SIGTERM does: a leader hands over first. What is left after timeout_s is killed.

        return    its exit code, minus the signal as in `subprocess`; None: it did not run
        """
        return self._end(signal.SIGTERM, timeout_s)

    def kill(self) -> int | None:
        """kill -9 for all of its processes. return as stop"""
        return self._end(signal.SIGKILL, 0)

    def restart(self, timeout_s: float = READY_S) -> Self:
        """stop, and start, with the same data and addresses."""
        self.stop()
        return self.start(timeout_s)

    def close(self) -> None:
        """Stops it, and removes its data if they were temporary. It cannot be started again."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()
        self.stop()
        self._let_go()

    def _end(self, how: signal.Signals, timeout_s: float) -> int | None:
        with self._lock:
            process = self._process
            if process is None:
                return None
            code = process.end(how, timeout_s)
            self._forget()
            return code

    def _forget(self) -> None:
        self._process = None
        self._running.clear()

    def _started(self) -> MemberProcess:
        process = self._process
        if process is None:
            raise RuntimeError(f"member {self.name} is not started")
        return process

    # ---- what it is ----

    @property
    def running(self) -> bool:
        process = self._process
        return process is not None and process.exit_code is None

    @property
    def pid(self) -> int:
        """Of its supervisor. raises RuntimeError: it is not started"""
        return self._started().pid

    @property
    def endpoints(self) -> list[str]:
        """For clients: "127.0.0.1:2379", "unix:///run/app.sock", or with https:// in front."""
        url = urlsplit(self.client_url)
        return [url.netloc if url.scheme == "http" else self.client_url]

    @property
    def client(self) -> Client:
        """Of this member alone, for threads: made when it is first asked for, closed with the member. One by TLS or
        with a login is made by `etcdz.connect`."""
        with self._lock:
            if self._client is None:
                self._client = connect(self.endpoints)
            return self._client

    @property
    def actors(self) -> Actors:
        """Orders to its processes. Requires: it is an etcdz"""
        return Actors(self.data_dir)

    def log_tail(self, count: int = 20) -> str:
        """The end of its log. raises RuntimeError: it is not started"""
        return self._started().log.tail(count)

    @property
    def log_lines(self) -> int:
        """How many it has logged; 0 if it is not started."""
        process = self._process
        return process.log.count if process is not None else 0

    def __repr__(self) -> str:
        return f"<etcdz.embed.Member {self.name} at {self.client_url}, {'running' if self.running else 'not running'}>"


def _let_go(owner: int, held: list[socket.socket], temporary: Path | None, running: list[MemberProcess]) -> None:
    """At `close`, or when the member is forgotten, or at the interpreter's end."""
    for process in running:
        process.end(signal.SIGTERM, STOP_S)
    for each in held:
        each.close()
    if temporary is not None and os.getpid() == owner:
        shutil.rmtree(temporary, ignore_errors=True)
