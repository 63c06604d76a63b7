"""Which ends leave a report, and what is said of the last one."""

import signal
from pathlib import Path

import pytest

from etcdz.ipc.messages import Heartbeat
from etcdz.telemetry.flight import Box, Recorder
from supervisor.children.child import Child, State
from supervisor.processes.disk_worker import DiskWorker
from supervisor.restart import Ending
from supervisor.telemetry import crash_reports
from supervisor.telemetry.deaths import Deaths
from supervisor.tree import ChildSpec


@pytest.fixture
def deaths(tmp_path: Path) -> Deaths:
    return Deaths(str(tmp_path), lambda incarnation: f"actor {incarnation}", DiskWorker())


def ready() -> Child:
    child = Child(ChildSpec(name="wal", kind="actors.wal.actor", stage=1), "wal", 0)
    child.state, child.incarnation, child.pid, child.spawned_at = State.READY, 7, 4711, 100.0
    return child


def reports(deaths: Deaths, tmp_path: Path) -> list[dict[str, object]]:
    deaths.write()
    deaths._worker.finish(10.0)
    return crash_reports.read_all(str(tmp_path))


def test_a_process_that_failed_leaves_a_report_of_all_that_is_known(deaths: Deaths, tmp_path: Path) -> None:
    child, box = ready(), Box("wal")
    child.reason = "disk is full"
    recorder = Recorder(box.path)
    recorder.log(b"a line\n")
    recorder.text("Traceback")
    deaths.record(child, 1, 103.5, box, Heartbeat("wal", 7, 0, 0, 0, 0, {"term": 2}, {"batch": 1}), "of a signal")
    box.close()
    (found,) = reports(deaths, tmp_path)
    assert (found["name"], found["kind"], found["incarnation"], found["pid"]) == ("wal", "wal", 7, 4711)
    assert (found["status"], found["ending"], found["reason"]) == (1, "failed", "disk is full")
    assert (found["uptime_s"], found["log"], found["stack"]) == (3.5, "a line\n", "Traceback")
    assert (found["summary"], found["statistics"]) == ({"term": 2}, {"batch": 1})
    assert reports(deaths, tmp_path) == [found], "it is written once"


def test_of_a_process_without_recorder_and_heartbeat_the_stack_that_it_wrote_is_kept(
    deaths: Deaths, tmp_path: Path
) -> None:
    child = ready()
    child.ending = Ending.HUNG
    deaths.record(child, -9, 103.5, None, None, "of a signal")
    (found,) = reports(deaths, tmp_path)
    assert (found["ending"], found["reason"], found["stack"]) == ("hung", "was killed by signal 9", "of a signal")


@pytest.mark.parametrize(
    ("status", "state", "count"),
    [(0, State.READY, 0), (-15, State.STOPPING, 0), (-15, State.READY, 1), (-9, State.STOPPING, 1)],
)
def test_an_end_that_was_ordered_leaves_no_report(
    deaths: Deaths, tmp_path: Path, status: int, state: State, count: int
) -> None:
    child = ready()
    child.state = state
    deaths.record(child, status, 103.5, None, None, "")
    assert len(reports(deaths, tmp_path)) == count
    reason = f"was killed by signal {-status}" if status else "exited with status 0"
    last = deaths.last_exit["wal"]
    assert (last["incarnation"], last["status"], last["reason"]) == (7, status, reason)


def test_a_report_that_cannot_be_written_is_no_reason_to_end(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    deaths = Deaths(str(tmp_path / "file"), str, DiskWorker())
    deaths.record(ready(), -signal.SIGSEGV, 103.5, None, None, "")
    deaths.write()
    assert deaths._worker.finish(10.0)
