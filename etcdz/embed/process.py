"""The child process of one member: from its start over its readiness to its end."""

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from etcdz.embed.log_lines import LogLines

OWN_PROGRAM: Final = (sys.executable, "-m", "etcdz.cli.main")
_ROOT: Final = str(Path(__file__).parents[2])
_LOOK_S: Final = 0.05
_LAST_LINES_S: Final = 2.0
_SECOND_S: Final = 2.0


class MemberFailed(RuntimeError):
    """A member did not start, or ended by itself. The text holds the last lines of its log."""


class MemberProcess:
    """Running as soon as it is made. raises OSError: the program cannot be started

    program      what to run; OWN_PROGRAM, or an etcd's path
    on_exit      called once, in a thread of its own, with the exit code, when it has ended without `end`; minus the
                 signal as in `subprocess`
    NB: what this process forks must leave it alone, and does: only who has started it ends it.
    """

    def __init__(
        self,
        program: Sequence[str],
        flags: Sequence[str],
        logger: logging.Logger,
        on_exit: Callable[[int], None] | None = None,
    ) -> None:
        self._owner = os.getpid()
        self._on_exit = on_exit
        self._is_ended = False
        self._ready = False
        self._notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notices.bind("")  # a name of the kernel's choice, in the abstract namespace
        self._process = subprocess.Popen(
            [*program, *flags],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="backslashreplace",
            start_new_session=True,
            env=self._environment(),
        )
        assert self._process.stdout is not None
        self._log = LogLines(self._process.stdout, logger)
        threading.Thread(target=self._wait, daemon=True, name="etcdz member").start()

    def _environment(self) -> dict[str, str]:
        """NB: settings of another etcd that happen to be in the host's environment are none of the member's."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ETCD_")}
        path = os.pathsep.join(filter(None, [_ROOT, os.environ.get("PYTHONPATH")]))
        name = self._notices.getsockname()
        return {**kept, "PYTHONPATH": path, "NOTIFY_SOCKET": "@" + name[1:].decode()}

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def wait_ready(self, timeout_s: float) -> None:
        """Returns once it serves clients. raises MemberFailed, TimeoutError"""
        give_up_at = time.monotonic() + timeout_s
        while not self._ready:
            if self.exit_code is not None:
                self._log.join(_LAST_LINES_S)
                raise MemberFailed(self.report("did not become ready"))
            if time.monotonic() > give_up_at:
                raise TimeoutError(self.report(f"did not become ready within {timeout_s:g} s"))
            self._notices.settimeout(_LOOK_S)
            with contextlib.suppress(TimeoutError):
                self._ready = b"READY=1" in self._notices.recv(4096).split(b"\n")

    def end(self, how: signal.Signals, timeout_s: float) -> int | None:
        """Tells it to end, and kills what is left of it when the time is over. return its exit code; None: it is not
        this process's"""
        if os.getpid() != self._owner:
            return None
        self._is_ended = True
        if self._process.poll() is None:
            self._process.send_signal(how)
        for patience_s in (timeout_s, _SECOND_S):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(patience_s)
                break
            self._process.send_signal(how)  # a second one has it kill its processes, and tidy up
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        code = self._process.wait()
        self._log.join(_LAST_LINES_S)
        self._notices.close()
        return code

    def report(self, what: str) -> str:
        code = self.exit_code
        state = "still running" if code is None else f"exit code {code}"
        return f"the member {what} ({state}); the end of its log:\n{self._log.tail()}"

    @property
    def log(self) -> LogLines:
        return self._log

    def _wait(self) -> None:
        code = self._process.wait()
        if not self._is_ended and self._on_exit is not None:
            self._log.join(_LAST_LINES_S)
            self._on_exit(code)
