"""A disk, or a log's output, that takes nothing and says nothing: the supervisor goes on meanwhile.

It answers, restarts what dies and stops when it is told to. What had to be written is there once the disk answers.
"""

import contextlib
import fcntl
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.process.disks import ShakyDisk, why_no_mounts
from tests.process.injected import injected, needs_strace
from tests.process.trial import Trial

pytestmark = [pytest.mark.process, pytest.mark.timeout(120)]

SOON_S = 25.0
"""For what takes a fiftieth of that: the machine may be busy. What it must not wait for takes a minute, or for ever."""


@contextlib.contextmanager
def at_most(seconds: float, what: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    took = time.monotonic() - began
    assert took < seconds, f"{what} took {took:.1f} s"


def kill_and_wait(trial: Trial, name: str) -> None:
    """kill -9 of an actor, until its successor is ready."""
    before = trial.actors()
    os.kill(int(before[name]["pid"]), signal.SIGKILL)
    with at_most(SOON_S, f"the restart of {name}"):
        trial.wait_restarted(before, name)


def reports(trial: Trial) -> set[str]:
    """Of which actors there are crash reports."""
    return {json.loads(path.read_text())["name"] for path in (trial.member.data_dir / "crash").glob("*.json")}


# ---- the log ----


@pytest.fixture
def frozen_output(tmp_path: Path) -> Iterator[Path]:
    """A named pipe that is full, and is not read."""
    path = tmp_path / "log"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    os.write(writer, b"x" * 4096)
    yield path
    os.close(writer)
    os.close(reader)


def test_a_log_that_nobody_reads_holds_up_nothing(frozen_output: Path, make_trial: Callable[..., Trial]) -> None:
    trial = make_trial("--log-outputs", f"stderr,{frozen_output}", "--log-level=debug")
    trial.put(b"a", b"1")
    for name in ("listener-1", "wal", "backend", "raft"):
        kill_and_wait(trial, name)
    assert trial.put(b"a", b"2").header.revision == 3
    os.kill(trial.member.pid, signal.SIGTERM)
    with at_most(2 * SOON_S, "the stop"):
        assert trial.member.wait() == -signal.SIGTERM
    assert reports(trial) == {"listener-1", "wal", "backend", "raft"}


# ---- the disk of the crash reports ----


NAMES = "mkdir,mkdirat,rename,renameat,renameat2,unlink,unlinkat"
A_MINUTE = "delay_enter=60000000"


@needs_strace
def test_a_report_that_takes_a_minute_holds_up_no_restart_no_answer_and_no_stop(
    make_trial: Callable[..., Trial],
) -> None:
    trial = make_trial()
    trial.put(b"a", b"1")
    with injected(trial.member.pid, NAMES, A_MINUTE):
        for name in ("listener-1", "backend"):
            kill_and_wait(trial, name)
        assert trial.get(b"a").count == 1
        os.kill(trial.member.pid, signal.SIGTERM)
        trial.member.wait_for_log("gave up reports and tidying up", timeout_s=2 * SOON_S)


# ---- a file system that is frozen ----

FREEZE, THAW = 0xC0045877, 0xC0045878
"""Linux: FIFREEZE and FITHAW, _IOWR('X', 119 and 120, int)."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[ShakyDisk]:
    if why := why_no_mounts(ShakyDisk, tmp_path):
        pytest.skip(why)
    with ShakyDisk(tmp_path) as made:
        yield made


@contextlib.contextmanager
def frozen(disk: ShakyDisk) -> Iterator[None]:
    fd = os.open(disk.path, os.O_RDONLY)
    try:
        fcntl.ioctl(fd, FREEZE, 0)
        try:
            yield
        finally:
            fcntl.ioctl(fd, THAW, 0)
    finally:
        os.close(fd)


def test_on_a_frozen_file_system_actors_restart_reads_are_answered_and_a_stop_begins(
    disk: ShakyDisk, make_trial: Callable[..., Trial]
) -> None:
    trial = make_trial(data_dir=disk.path / "data")
    trial.put(b"a")
    with frozen(disk):
        for name in ("listener-1", "lessor"):
            kill_and_wait(trial, name)
            with at_most(SOON_S, "a get"):
                assert trial.get(b"a").count == 1
        assert "crash" not in os.listdir(trial.member.data_dir)
        os.kill(trial.member.pid, signal.SIGTERM)
        with at_most(SOON_S, "the end of the listeners"):
            trial.member.wait_for_log('"msg":"actor has stopped","actor":"supervisor","child":"listener-1"')
        assert trial.member.running, "the kernel lets nobody go who waits for this disk"
    assert trial.member.wait() == -signal.SIGTERM
    assert reports(trial) == {"listener-1", "lessor"}
    trial.member.start()
    assert trial.get(b"a").count == 1
