"""Rules of rows on real processes: caps, recycling, hangs, and code that is replaced while the member runs."""

import os
import re
import resource
import signal
from pathlib import Path

import pytest

from etcdz.cli.actors import main as actors
from tests.supervisor.conftest import NAMES, Start
from tests.supervisor.harness import FakeMember

pytestmark = pytest.mark.process

MIB = 1 << 20


def test_a_row_says_what_its_process_may_use(start: Start) -> None:
    cpu = min(os.sched_getaffinity(0))
    member = start(log={"memory_max_bytes": 300 * MIB, "nice": 5, "cpus": [cpu]})
    member.wait_ready(*NAMES)
    log, store = member.pid_of("log"), member.pid_of("store")
    assert resource.prlimit(log, resource.RLIMIT_DATA) == (300 * MIB, 300 * MIB)
    assert os.getpriority(os.PRIO_PROCESS, log) == min(19, os.getpriority(os.PRIO_PROCESS, store) + 5)
    assert os.sched_getaffinity(log) == {cpu}
    assert resource.prlimit(store, resource.RLIMIT_DATA) == resource.getrlimit(resource.RLIMIT_DATA)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"max_age_s": 0.2}, r"^has lived for \d+ s$"),
        ({"max_rss_bytes": MIB, "max_rss_after_s": 0.01}, "MiB of memory"),
    ],
)
def test_one_that_is_too_old_or_too_big_makes_room_in_order(
    start: Start, fields: dict[str, float], reason: str
) -> None:
    member = start(log=fields)
    member.wait_ready(*NAMES)
    first = member.pid_of("log")
    found = member.wait_logged("recycling actor", child="log")
    assert re.search(reason, found["reason"])
    member.wait_said("log", "stop")
    again = member.wait_for(lambda line: line.get("fake") == "log" and line.get("pid", first) != first)
    member.wait_roster("server", log=again["incarnation"])
    assert not [line for line in member.lines if line.get("msg") == "actor has ended"], (
        "it was told to, and is no death"
    )


@pytest.mark.slow
def test_an_endless_loop_is_told_from_work_by_its_length(start: Start, tmp_path: Path) -> None:
    trigger = tmp_path / "now"
    member = start(log={"options": {"spin_when": str(trigger)}, "hang_s": 4.0, "busy_s": 4.5})
    member.wait_ready(*NAMES)
    after = member.mark()
    trigger.touch()
    ended = member.wait_logged("actor has ended", after, child="log")
    trigger.unlink()
    assert ended["reason"].startswith("hung: busy without a heartbeat for ")
    assert float(ended["reason"].split()[-2]) >= 4.5
    stack = member.wait_logged("where a hung actor was", after, child="log")["stack"]
    assert "fakes/speaker.py" in stack
    member.wait_ready("log", after=after)


def test_one_that_is_stopped_by_a_signal_is_replaced_at_once(start: Start) -> None:
    member = start()
    member.wait_ready(*NAMES)
    after = member.mark()
    member.kill("log", signal.SIGSTOP)
    ended = member.wait_logged("actor has ended", after, child="log")
    assert (ended["ending"], ended["reason"][:27]) == ("hung", "hung: stopped by a signal f")
    member.wait_ready("log", after=after)


def test_a_strategy_restarts_its_neighbours_in_order(start: Start) -> None:
    member = start(log={"strategy": "rest_for_one"})
    member.wait_ready(*NAMES)
    store, server = member.pid_of("store"), member.pid_of("server")
    after = member.mark()
    member.kill("log")
    member.wait_said("server", "stop", after)
    member.wait_ready("log", "server", after=after)
    assert (member.pid_of("store"), member.pid_of("server") != server) == (store, True)


# ---- new code ----

VERSION = """
from tests.supervisor.fakes import speaker

def run(boot):
    speaker.say(boot, "version", number={number})
    return {end}speaker.run(boot)
"""
WORKS, FAILS = "", "3 or "


class Code:
    """The module that the log's and the server's processes run."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "replaceable.py"
        self.write(VERSION.format(number=1, end=WORKS))

    def write(self, text: str) -> None:
        self._path.write_text(text)


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Code:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")  # versions follow each other within a second
    return Code(tmp_path)


def upgrade(member: FakeMember, name: str) -> int:
    return actors(["restart", name, "--upgrade", "--data-dir", str(member.data_dir)])


def test_an_upgrade_to_code_that_cannot_be_imported_changes_nothing(
    start: Start, code: Code, capsys: pytest.CaptureFixture[str]
) -> None:
    member = start(log={"kind": "replaceable"})
    member.wait_ready(*NAMES)
    log = member.pid_of("log")
    code.write("import nowhere_at_all\n")
    assert upgrade(member, "log") == 1
    error = capsys.readouterr().err
    assert "the code on disk cannot be run, nothing was changed" in error and "nowhere_at_all" in error
    after = member.mark()
    member.kill("log")
    member.wait_said("log", "version", after, number=1)
    member.wait_ready("log", after=after)
    assert member.pid_of("log") != log, "who dies runs the code that it ran before"
    code.write(VERSION.format(number=2, end=WORKS))
    after = member.mark()
    assert upgrade(member, "log") == 0
    member.wait_said("log", "version", after, number=2)


def test_an_upgrade_to_code_that_fails_at_its_start_leaves_the_old_process_in_place(
    start: Start, code: Code, capsys: pytest.CaptureFixture[str]
) -> None:
    member = start(server={"kind": "replaceable", "overlap": True})
    member.wait_ready(*NAMES)
    server = member.pid_of("server")
    code.write(VERSION.format(number=2, end=FAILS))
    assert upgrade(member, "server") == 1
    assert "its successor did not become ready, server goes on as before" in capsys.readouterr().err
    os.kill(server, 0)
    code.write(VERSION.format(number=3, end=WORKS))
    after = member.mark()
    assert upgrade(member, "server") == 0
    member.wait_said("server", "version", after, number=3)
    member.wait_for(lambda line: line.get("msg") == "actor has stopped" and line.get("pid") == server, after)
