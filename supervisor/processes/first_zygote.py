"""The member's first zygote: forked out of the supervisor, before that has loaded what is the supervisor's alone.

What both have imported by then is in memory once, and the actors' modules are imported beside the supervisor's own
start. A later zygote is a fresh interpreter (spawner.py), which reads the code anew; it shares nothing with the
supervisor, so that a member takes some 10 MB more from then on.

    supervisor -> zygote   one packet with file descriptors that it and its actors keep; then the channel of zygote.py
"""

import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from supervisor.processes import linux, zygote
from supervisor.tree import TREE

PRIVATE: Final = 0o077
"""Umask: what the member writes down is for its own user alone, as etcd's is."""
MODULES: Final = tuple(spec.kind for spec in TREE)
SHARED: Final = ("shutil", "tempfile", "zmq", "etcdz.ipc.messages", "etcdz.net.address", "etcdz.telemetry.flight")
"""What the supervisor and the actors import, and the command line has not."""


class ForkedProcess:
    """A child of this process, with what subprocess.Popen offers of one."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def kill(self) -> None:
        """Unless it was reaped already."""
        with suppress(ChildProcessError):
            if os.waitpid(self.pid, os.WNOHANG)[0] == 0:
                os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> None:
        """Until it has ended."""
        with suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


class FirstZygote:
    """A context: at its end the zygote is killed, unless a spawner has taken it over."""

    def __init__(self, pid: int, channel: socket.socket) -> None:
        self.process = ForkedProcess(pid)
        self.channel = channel
        self.started_at = time.monotonic()
        self._is_taken = False

    def take(self, fds: Sequence[int]) -> None:
        """The caller ends it from now on. fds: kept open by it and by all that it forks"""
        self._is_taken = True
        with suppress(BrokenPipeError, ConnectionResetError):  # it is dead: the channel tells
            socket.send_fds(self.channel, [b"\0"], list(fds))

    def __enter__(self) -> "FirstZygote":
        return self

    def __exit__(self, *exc: object) -> None:
        if not self._is_taken:
            self.process.kill()
            self.process.wait()
            self.channel.close()


def fork(modules: Sequence[str] = MODULES) -> FirstZygote | None:
    """Requires: no lines of a log wait to be written, and SIGINT and its like are not handled yet.

    modules of the actors
    return  None: this process has other threads, which a fork would leave in the middle of what they do, or cannot fork
    """
    if len(os.listdir("/proc/self/task")) != 1:
        return None
    zygote.preimport(SHARED)
    linux.become_subreaper()
    channel, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sys.stdout.flush()
    sys.stderr.flush()
    supervisor = os.getpid()
    zygote.share_pages()
    try:
        pid = os.fork()
    except OSError:
        channel.close()
        other.close()
        return None
    if not pid:
        _run(other, supervisor, modules)
    other.close()
    channel.setblocking(False)
    return FirstZygote(pid, channel)


def _run(channel: socket.socket, supervisor: int, modules: Sequence[str]) -> None:
    """All that the zygote does; it does not return."""
    status = 1
    try:
        _begin(channel.fileno())
        failed = zygote.become_zygote(supervisor, modules)
        if failed is not None:
            said, _, _, _ = socket.recv_fds(channel, 1, zygote.FDS_MAX)
            if said:
                zygote.serve(channel, supervisor, failed)
            status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _begin(channel: int) -> None:
    """What a fresh interpreter would begin with: no input, no files but the channel, signals as the supervisor has
    them, and a process group of its own (spawner.py says why)."""
    os.setpgid(0, 0)
    os.umask(PRIVATE)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    for fd in map(int, os.listdir("/proc/self/fd")):  # NB: all numbers up to the limit may be a billion
        if fd > 2 and fd != channel:
            with suppress(OSError):
                os.close(fd)
    for signum in linux.IGNORED_SIGNALS:
        signal.signal(signum, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
