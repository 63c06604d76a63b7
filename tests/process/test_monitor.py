"""The full-screen monitor on a real terminal and a real member: it shows what dies and comes back, and takes orders."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.etcd_process import Member
from tests.process.trial import Trial

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("needs_actors"), pytest.mark.timeout(240)]

WAIT_S = 60
STYLES = re.compile(rb"\x1b\[[0-9;]*m")


class Monitor:
    """`etcdz monitor` on a terminal of 80x24."""

    def __init__(self, data_dir: str) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        command = [sys.executable, "-m", "etcdz.cli.main", "monitor", "--watch", "200ms", "--data-dir", data_dir]
        environment = {**os.environ, "TERM": "xterm", "PYTHONUTF8": "1"}
        self.process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
        os.close(theirs)
        self.shown = b""

    def until(self, *wanted: str) -> None:
        """All of these were drawn, in any order, since the last time."""
        give_up_at = time.monotonic() + WAIT_S
        while not all(text.encode() in STYLES.sub(b"", self.shown) for text in wanted):
            left_s = give_up_at - time.monotonic()
            assert left_s > 0 and select.select([self._ours], [], [], left_s)[0], (wanted, self.shown[-3000:])
            self.shown += os.read(self._ours, 65536)
        self.shown = b""

    def press(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(WAIT_S)
        os.close(self._ours)


@pytest.fixture
def monitors() -> Iterator[list[Monitor]]:
    started: list[Monitor] = []
    yield started
    for one in started:
        one.close()


def test_the_monitor_shows_deaths_takes_orders_and_survives_the_member(
    make_trial: Callable[..., Trial], make_member: Callable[..., Member], monitors: list[Monitor]
) -> None:
    trial = make_trial()
    monitors.append(monitor := Monitor(str(trial.member.data_dir)))
    monitor.until("6 of 6 ready", "└ listener-1")
    os.kill(trial.actors()["raft"]["pid"], signal.SIGKILL)
    monitor.until("was started again: was killed by signal 9")
    before = trial.actors()
    monitor.press("k")  # the first of the actors is the backend
    monitor.until("send signal 9 to backend")
    monitor.press("y")
    monitor.until("kill backend: done", "backend      was started again")
    trial.wait_restarted(before, "backend")
    monitor.press("\r")
    monitor.until("applied_index", "p50")
    monitor.press("4")
    monitor.until("ready")
    monitor.press("5")
    monitor.until("actors/backend.py")
    monitor.press("\x1b")
    data_dir = Path(trial.member.data_dir)
    trial.member.kill9()
    monitor.until("NO ANSWER", "no member runs in")
    make_member(data_dir=data_dir).start()
    monitor.until("answers again", "6 of 6 ready")
    monitor.press("q")
    assert monitor.process.wait(WAIT_S) == 0
