"""The supervisor's side of a real zygote: what it is asked for happens once, over its death and its renewal."""

import os
import select
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from etcdz.ipc.boot import Boot
from supervisor.processes import spawner
from supervisor.processes.spawner import Spawner
from supervisor.processes.zygote import Caps, Failed, Spawned

pytestmark = pytest.mark.process

WAIT_S = 120.0

ACTOR = """
import os

def run(boot):
    with open(os.path.join(boot.run_dir, "ran"), "a") as file:
        file.write(f"{boot.name} {boot.incarnation} {os.getppid()}\\n")
    return 7
"""


class World:
    """A spawner of actors whose module a test may change."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.module = directory / "spawned_actor.py"
        self.module.write_text(ACTOR)
        self.spawner = Spawner(["spawned_actor"], ())
        self.renewals: list[str] = []

    def spawn(self, incarnation: int) -> None:
        endpoint = f"ipc://{self.directory}/wal.{incarnation}"
        boot = Boot("wal", "wal", 0, incarnation, str(self.directory), endpoint, "ipc://s", [], {}, {})
        self.spawner.spawn(boot, "spawned_actor", Caps())

    def next_events(self) -> list[Spawned | Failed]:
        """Waits for the next ones."""
        give_up_at = time.monotonic() + WAIT_S
        while time.monotonic() < give_up_at:
            if events := self.spawner.events():
                return events
            select.select(self.spawner.filenos(), [], [], 1.0)
        raise TimeoutError("no events")

    def renew(self) -> str:
        """Waits for the outcome."""
        assert self.spawner.renew(self.renewals.append)
        give_up_at = time.monotonic() + WAIT_S
        while not self.renewals and time.monotonic() < give_up_at:
            select.select(self.spawner.filenos(), [], [], 1.0)
            assert self.spawner.events() == []
        return self.renewals.pop()

    def ran(self) -> list[str]:
        return (self.directory / "ran").read_text().splitlines()


def exit_status(pid: int) -> int:
    """Waits for the end of an actor: it is our child some time after it was spawned, and before it runs."""
    fd = os.pidfd_open(pid)
    try:
        assert select.select([fd], [], [], WAIT_S)[0]
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    finally:
        os.close(fd)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, subreaper: None) -> Iterator[World]:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    made = World(tmp_path)
    yield made
    made.spawner.close()


def test_an_actor_is_our_own_child_and_its_exit_status_ours_to_read(world: World) -> None:
    world.spawn(1)
    (spawned,) = world.next_events()
    assert isinstance(spawned, Spawned) and (spawned.name, spawned.incarnation) == ("wal", 1)
    assert exit_status(spawned.pid) == 7
    assert world.ran() == [f"wal 1 {os.getpid()}"]


def test_a_zygote_starts_until_it_is_up(world: World) -> None:
    os.kill(world.spawner.pid, signal.SIGSTOP)
    assert world.spawner.is_starting
    world.spawner.on_halted()
    assert world.spawner.is_starting
    world.spawn(1)
    (spawned,) = world.next_events()
    assert isinstance(spawned, Spawned) and exit_status(spawned.pid) == 7
    assert not world.spawner.is_starting


def test_requests_that_a_dead_zygote_did_not_answer_are_put_to_the_next_one_once(world: World) -> None:
    first = world.spawner.pid
    os.kill(first, signal.SIGSTOP)
    world.spawn(1)
    os.kill(first, signal.SIGKILL)
    (spawned,) = world.next_events()
    assert isinstance(spawned, Spawned) and world.spawner.pid != first and world.spawner.starts == 2
    assert exit_status(spawned.pid) == 7
    assert len(world.ran()) == 1


def test_zygotes_that_die_again_and_again_end_in_a_failure(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spawner.sys, "executable", "/bin/false")
    os.kill(world.spawner.pid, signal.SIGKILL)
    world.spawn(1)
    assert world.next_events() == [Failed("wal", 1, "the zygote dies again and again")]


def test_a_renewed_zygote_runs_the_code_on_disk_and_one_that_cannot_changes_nothing(world: World) -> None:
    first = world.spawner.pid
    world.module.write_text("import nowhere_at_all\n")
    assert world.renew() == "spawned_actor: ModuleNotFoundError: No module named 'nowhere_at_all'"
    assert world.spawner.pid == first and len(world.spawner.filenos()) == 1
    world.module.write_text(ACTOR.replace("return 7", "return 8"))
    assert world.renew() == ""
    assert world.spawner.pid != first
    world.spawn(2)
    (spawned,) = world.next_events()
    assert isinstance(spawned, Spawned)
    assert exit_status(spawned.pid) == 8


def test_a_zygote_whose_messages_others_would_not_understand_is_refused(world: World) -> None:
    (world.directory / "sitecustomize.py").write_text(
        "import sys\n"
        "if 'supervisor.processes.zygote' in sys.orig_argv:\n"
        "    from typing import NamedTuple\n"
        "    from etcdz.ipc import messages\n"
        "    messages.MESSAGES[2] = NamedTuple('Stop', [('by', float)])\n"
    )
    assert world.renew() == (
        "its messages do not fit those of the actors that run: "
        "Stop: the field deadline_s was renamed, moved or removed: by has its place"
    )


def test_only_one_renewal_is_under_way_at_a_time(world: World) -> None:
    assert world.spawner.renew(world.renewals.append)
    assert not world.spawner.renew(world.renewals.append)
