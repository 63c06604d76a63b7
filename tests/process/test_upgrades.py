"""A running member takes over code of another version, actor by actor and back, and no client notices.

The member runs a copy of the packages, in which a test changes what the next zygote will read.
"""

import os
import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

import etcdz
from tests.cluster_process import until
from tests.process.test_operations import go_on, order, try_order
from tests.process.trial import Trial

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("needs_actors"), pytest.mark.timeout(600)]

ROOT = Path(etcdz.__file__).resolve().parents[1]
PACKAGES = ("actors", "etcdz", "supervisor")
ACTORS = ("backend", "wal", "peer", "raft", "lessor", "compactor", "listener-1")

MESSAGES, BOOT = "etcdz/ipc/messages.py", "etcdz/ipc/boot.py"
LOOP, STATISTICS = "actors/runtime/loop.py", "actors/runtime/statistics.py"
ZYGOTE, TREE = "supervisor/processes/zygote.py", "supervisor/tree.py"

GREET = """

from etcdz.ipc.messages import Greeting

_init, _take_roster = Actor.__init__, Actor.take_roster

def __init__(self, boot):
    assert boot.novel == "default"
    _init(self, boot)
    self.handlers[Greeting] = lambda message: None

def take_roster(self, children):
    _take_roster(self, children)
    for peer in self.links.peers.values():
        self.links.send(peer.name, Greeting("hello"))

Actor.__init__, Actor.take_roster = __init__, take_roster
"""
TELL_VERSION = """

_show = Statistics.show
Statistics.show = lambda self, *args: {**_show(self, *args), "version": "newer"}
"""
END = ""

NEWER: list[tuple[str, str, str]] = [
    # one field more of messages between actors, to the supervisor and from it
    (MESSAGES, "    delegation: int = 0\n    fence: int = 0\n", "    novel: int = 7\n"),
    (MESSAGES, "    statistics: dict[str, Any]\n", "    novel: str = 'beat'\n"),
    (MESSAGES, "    version: int\n    children: list[tuple[str, str, int, int, str]]\n", "    novel: int = 1\n"),
    # a message more, which each actor sends to each with every roster
    (MESSAGES, "    changes: tuple[list[Any], ...]\n\n\n", "class Greeting(NamedTuple):\n    text: str\n\n\n"),
    (MESSAGES, "    74: WatchChunk,\n", "    99: Greeting,\n"),
    (LOOP, END, GREET),
    (STATISTICS, END, TELL_VERSION),
    # one field more in what a new process is told, and in the child specs
    (BOOT, '    memory: str = ""\n', "    novel: str = 'default'\n"),
    (ZYGOTE, "    memory_max_bytes: int | None = None\n", "    novel: int = 0\n"),
    (TREE, "    nice: int = 0\n", "    novel: bool = True\n"),
    (TREE, 'kind="actors.raft.actor", stage=3,', 'options={"novel": 1},'),
]
"""(file, the last place where it says this, what follows there)"""

REFUSED: list[tuple[str, str, str, str]] = [
    (
        MESSAGES,
        "    delegation: int = 0\n    fence",
        "    fence",
        "Leadership: the field delegation was renamed, moved or removed: fence has its place",
    ),
    (
        MESSAGES,
        "    raft_incarnation: int\n    seq: int\n    error: str\n",
        "    raft_incarnation: int\n    seq: int\n    error: str\n    novel: int\n",
        "Appended: the field novel was added without a default",
    ),
    (MESSAGES, "    74: WatchChunk,\n", "    75: WatchChunk,\n", "WatchChunk (message 74) was removed"),
    (
        MESSAGES,
        "    items: list[tuple[int, str]]\n",
        "    items: list[tuple[int, str, str]]\n",
        "Refused: the field items was list[tuple[int, str]] and is list[tuple[int, str, str]]",
    ),
    (
        BOOT,
        "    slot: int\n",
        "    place: int\n",
        "Boot: the field slot was renamed, moved or removed: place has its place",
    ),
    (
        ZYGOTE,
        "    pid: int\n",
        "    pid: int\n    novel: int\n",
        "Spawned: the field novel was added without a default",
    ),
]
"""(file, what it says in one place, what it says there instead, why that is refused)"""


class Code:
    """A copy of the packages, to be changed and put back."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        for package in PACKAGES:
            shutil.copytree(ROOT / package, directory / package, ignore=shutil.ignore_patterns("__pycache__"))
        self.env = {"PYTHONPATH": str(directory)}
        self._times = count(1)
        """Versions of a file follow each other too soon for bytecode to be told apart by the clock's time."""

    def change(self, file: str, before: str, after: str) -> None:
        path = self._directory / file
        text = path.read_text()
        assert text.count(before) == 1, (file, before)
        self._write(path, text.replace(before, after))

    def add(self, file: str, behind: str, added: str) -> None:
        path = self._directory / file
        before, found, after = path.read_text().rpartition(behind) if behind else (path.read_text(), "", "")
        assert found == behind, (file, behind)
        self._write(path, before + found + added + after)

    def _write(self, path: Path, text: str) -> None:
        path.write_text(text)
        written_at = next(self._times)
        os.utime(path, (written_at, written_at))

    def put_back(self) -> None:
        for package in PACKAGES:
            shutil.copytree(
                ROOT / package,
                self._directory / package,
                ignore=shutil.ignore_patterns("__pycache__"),
                dirs_exist_ok=True,
            )


@pytest.fixture
def code(tmp_path: Path) -> Code:
    return Code(tmp_path / "code")


def wait_for_version(trial: Trial, version: str | None) -> None:
    """Until every actor's last heartbeat says so."""

    def beats() -> dict[str, Any]:
        return {name: actor["heartbeat"] for name, actor in trial.actors().items()}

    def all_say_so() -> bool:
        return all(beat and beat["statistics"].get("version") == version for beat in beats().values())

    until(all_say_so, 60, lambda: str(beats()))


def upgrade(trial: Trial, name: str) -> None:
    """The actor runs the code on disk when this returns."""
    before = trial.actors()[name]["incarnation"]
    order(trial, "restart", name, "--upgrade", *(["--graceful"] if name == "listener-1" else []))
    assert trial.actors()[name]["incarnation"] > before


def unplanned_ends(trial: Trial) -> dict[str, int]:
    return {name: actor["restarts"] for name, actor in trial.actors().items() if actor["restarts"]}


def test_an_upgrade_that_adds_fields_and_a_message_is_not_noticed_and_can_be_taken_back(
    make_trial: Callable[..., Trial], code: Code, is_long: bool
) -> None:
    if not is_long:
        pytest.skip("each actor twice only with --long")
    trial = make_trial("--listeners=1", env=code.env)
    with trial.load(clients=4, channels=2, long_running=True, reads=True) as load:
        trial.random_moment(load)
        for change in NEWER:
            code.add(*change)
        for name in trial.random.sample(ACTORS, len(ACTORS)):
            upgrade(trial, name)
            go_on(load)
        wait_for_version(trial, "newer")
        code.put_back()
        for name in trial.random.sample(ACTORS, len(ACTORS)):
            upgrade(trial, name)
            go_on(load)
        wait_for_version(trial, None)
    assert unplanned_ends(trial) == {}
    print(f"longest stall {round(load.longest_stall_s() * 1000)} ms, {trial.verify()}")
    assert trial.record.errors() == []
    skipped = [line for line in trial.member.log_tail(2000).splitlines() if "unknown tag" in line]
    assert skipped and all('"tag":99' in line for line in skipped), "older actors have skipped the new message"


def test_an_upgrade_that_older_actors_would_not_understand_changes_nothing(
    make_trial: Callable[..., Trial], code: Code, is_long: bool
) -> None:
    trial = make_trial("--listeners=1", env=code.env)
    before = {name: actor["pid"] for name, actor in trial.actors().items()}
    for file, old, new, why in REFUSED if is_long else trial.random.sample(REFUSED, 2):
        code.change(file, old, new)
        refused = try_order(trial, "restart", "raft", "--upgrade")
        assert "nothing was changed" in refused and why in refused, refused
        code.put_back()
    assert {name: actor["pid"] for name, actor in trial.actors().items()} == before
    trial.put(b"after")
    upgrade(trial, "raft")
