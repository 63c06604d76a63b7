"""The full-screen monitor on a real terminal and a real member: it shows what dies and comes back, and takes orders."""

import fcntl
import json
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
from typing import Any

import pytest

from etcdz.cli.monitor import main as monitor
from tests.cluster_process import until
from tests.etcd_process import Member, RealEtcd
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
    monitor.until("7 of 7 ready", "└ listener-1")
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
    monitor.until("actors/backend/actor.py")
    monitor.press("\x1b")
    data_dir = Path(trial.member.data_dir)
    trial.member.kill9()
    monitor.until("NO ANSWER", "no member runs in")
    make_member(data_dir=data_dir).start()
    monitor.until("answers again", "7 of 7 ready")
    monitor.press("q")
    assert monitor.process.wait(WAIT_S) == 0


def test_members_stand_side_by_side_an_etcd_among_them(
    make_trial: Callable[..., Trial], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if RealEtcd.why_absent():
        pytest.skip(str(RealEtcd.why_absent()))
    trial = make_trial()
    with RealEtcd(tmp_path) as etcd, trial.load(clients=4, channels=1, is_paced=True) as load:
        load.wait_acknowledged(100)
        endpoints = f"{trial.member.target},http://{etcd.target},127.0.0.1:1"

        def looked() -> list[dict[str, Any]]:
            """The members, once both have answered: on a busy machine that may take longer than a monitor waits."""
            assert monitor(["--endpoints", endpoints, "--once", "--json"]) == 0
            members: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["members"]
            return members if members[0]["status"] and members[1]["status"] else []

        ours, theirs, nobody = until(looked, WAIT_S, lambda: "they do not answer")
        assert monitor(["--endpoints", endpoints, "--once"]) == 0
        page = capsys.readouterr().out
    assert [member["role"] for member in (ours, theirs, nobody)] == ["leader", "leader", "-"]
    assert ours["status"]["revision"] > 50 and ours["applied_per_s"] > 0 and ours["fsync_us"] > 0
    assert ours["rss_bytes"] > 1 << 20 and theirs["rss_bytes"] > 1 << 20 and theirs["cpu_percent"] >= 0
    assert nobody["status"] is None and "no answer" in nobody["trouble"]
    assert etcd.target in page and "127.0.0.1:1: no answer" in page
    assert monitor(["--endpoints", "127.0.0.1:1", "--once"]) == 1
    assert monitor(["--endpoints", "ftp://127.0.0.1:1", "--once"]) == 2
