"""Signals as something to poll: each arrives as a byte in a socket, so that no turn of the loop misses one."""

import os
import signal
import socket
from contextlib import suppress
from typing import Any, Final, NamedTuple

from supervisor.processes.linux import IGNORED_SIGNALS

WATCHED: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGCHLD)
STOPPING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
"""Of them, those that end the member."""


class Signals:
    """Takes over the process's handlers until restore(). Requires: the main thread."""

    def __init__(self) -> None:
        self._socket, self._other = socket.socketpair()
        self._socket.setblocking(False)
        self._other.setblocking(False)
        self._previous_fd = signal.set_wakeup_fd(self._other.fileno(), warn_on_full_buffer=False)
        # NB: SIGHUP that is ignored stays so (nohup), as in Go.
        taken = [signum for signum in WATCHED if signum != signal.SIGHUP or signal.getsignal(signum) != signal.SIG_IGN]
        self._previous: dict[int, Any] = {signum: signal.signal(signum, _nothing) for signum in taken}
        self._previous |= {signum: signal.signal(signum, signal.SIG_IGN) for signum in IGNORED_SIGNALS}
        # A parent may hand down a mask with which nothing could stop us; the zygote and the actors inherit ours.
        signal.pthread_sigmask(signal.SIG_SETMASK, ())

    def fileno(self) -> int:
        """Readable when `received` has something."""
        return self._socket.fileno()

    def received(self) -> list[int]:
        """Numbers of the signals since the last call, in order; some SIGCHLD may stand for several."""
        with suppress(BlockingIOError):
            return list(self._socket.recv(4096))
        return []

    def restore(self) -> None:
        """Give the handlers back that were there before."""
        signal.set_wakeup_fd(self._previous_fd)
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)
        self._socket.close()
        self._other.close()


def _nothing(signum: int, frame: Any) -> None:
    """The wakeup socket tells; a handler is needed so that Python's own does not act."""


class Changed(NamedTuple):
    """What has become of children: (pid, exit status or minus the signal); pids."""

    ended: list[tuple[int, int]]
    halted: list[int]
    continued: list[int]


def changed_children() -> Changed:
    """Reap all children that have ended, and see which were stopped or continued by a signal. Never waits."""
    found = Changed([], [], [])
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED | os.WCONTINUED)
            if pid == 0:
                break
            if os.WIFSTOPPED(status):
                found.halted.append(pid)
            elif os.WIFCONTINUED(status):
                found.continued.append(pid)
            else:
                found.ended.append((pid, os.waitstatus_to_exitcode(status)))
    return found
