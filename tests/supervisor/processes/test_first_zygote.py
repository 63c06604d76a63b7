"""A supervisor that forks its first zygote: that serves as a fresh one does, has nothing of the supervisor's that is
not its own, and ends with it."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.process

ROOT = Path(__file__).resolve().parents[3]

ACTOR = """
import json, os, signal

def run(boot):
    of_children = signal.SIGTERM, signal.SIGUSR1, signal.SIGPIPE, signal.SIGINT
    found = {
        "parent": os.getppid(),
        "group": os.getpgid(0),
        "files": {fd: os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")},
        "signals": [int(signal.getsignal(one)) for one in of_children],
        "blocked": len(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        "umask": os.umask(0o077),
    }
    with open(os.path.join(boot.run_dir, "found"), "w") as file:
        json.dump(found, file)
    return 7
"""  # noqa: E501
SUPERVISOR = """
import os, select, signal, sys, time
from supervisor.processes import first_zygote

directory, mode = sys.argv[1:]
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
secret = open(os.path.join(directory, "secret"), "w")
if mode == "threads":
    import threading
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    print(first_zygote.fork(["spawned_actor"]))
    sys.stdout.flush()
    os._exit(0)
with first_zygote.fork(["spawned_actor"]) as zygote:
    print(zygote.process.pid)
    sys.stdout.flush()
    if mode == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if mode == "leaves":
        sys.exit(0)
    from etcdz.ipc.boot import Boot
    from supervisor.processes.spawner import Spawner
    from supervisor.processes.zygote import Caps
    lock = open(os.path.join(directory, "lock"), "w")
    spawner = Spawner(["spawned_actor"], (lock.fileno(),), zygote)
    boot = Boot("wal", "wal", 0, 1, directory, f"ipc://{directory}/wal.1", "ipc://s", [], {}, {})
    if mode == "dead":
        os.kill(spawner.pid, signal.SIGKILL)
    spawner.spawn(boot, "spawned_actor", Caps())
    while not (events := spawner.events()):
        select.select(spawner.filenos(), [], [], 1.0)
    (spawned,) = events
    select.select([os.pidfd_open(spawned.pid)], [], [])  # it is our child some time after it was spawned
    status = os.waitstatus_to_exitcode(os.waitpid(spawned.pid, 0)[1])
    print(os.getpid(), spawned.pid, status, spawner.pid, spawner.starts)
    spawner.close()
"""


def supervise(directory: Path, mode: str) -> list[list[str]]:
    """Words of the lines that the supervisor has written. Its output ends only once the zygote has ended as well."""
    (directory / "spawned_actor.py").write_text(ACTOR)
    environment = {**os.environ, "PYTHONPATH": f"{directory}{os.pathsep}{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"}
    ran = subprocess.run(
        [sys.executable, "-c", SUPERVISOR, str(directory), mode],
        stdin=subprocess.PIPE, capture_output=True, text=True, timeout=240, env=environment,
    )  # fmt: skip
    assert "Traceback" not in ran.stderr, ran.stderr
    return [line.split() for line in ran.stdout.splitlines()]


def test_it_forks_actors_that_are_as_those_of_a_fresh_one(tmp_path: Path) -> None:
    (zygote,), (supervisor, _, status, serving, starts) = supervise(tmp_path, "takes")
    assert (status, serving, starts) == ("7", zygote, "1")
    found: dict[str, Any] = json.loads((tmp_path / "found").read_text())
    assert (found["parent"], found["group"]) == (int(supervisor), int(zygote))
    files = set(found["files"].values())
    assert str(tmp_path / "lock") in files and "/dev/null" in files
    assert str(tmp_path / "secret") not in files, "of the supervisor"
    assert found["signals"] == [0, 1, 1, 1], "the end by SIGTERM, all else is ignored"
    assert found["blocked"] == 0
    assert found["umask"] == stat.S_IRWXG | stat.S_IRWXO


def test_one_that_dies_before_it_serves_is_followed_by_a_fresh_one(tmp_path: Path) -> None:
    (zygote,), (_, _, status, serving, starts) = supervise(tmp_path, "dead")
    assert (status, starts) == ("7", "2") and serving != zygote


@pytest.mark.parametrize("mode", ["leaves", "killed"])
def test_it_ends_with_a_supervisor_that_starts_no_member(mode: str, tmp_path: Path) -> None:
    ((zygote,),) = supervise(tmp_path, mode)
    assert not Path(f"/proc/{zygote}").exists() or Path(f"/proc/{zygote}/cmdline").read_bytes() == b""


def test_a_process_with_threads_forks_none(tmp_path: Path) -> None:
    assert supervise(tmp_path, "threads") == [["None"]]
