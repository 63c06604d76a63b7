"""The parts work together when a process starts, speaks, is asked and ends."""

from pathlib import Path

import pytest

from etcdz.ipc.boot import stack_path
from etcdz.ipc.messages import Heartbeat, Query
from etcdz.telemetry.flight import Recorder
from supervisor.children.child import Child, State
from supervisor.processes.disk_worker import DiskWorker
from supervisor.telemetry import crash_reports
from supervisor.telemetry.observations import LOOK_S, NAMES_MAX, Observations
from supervisor.tree import ChildSpec


class Observed:
    """A wal that lives."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.sent: list[tuple[int, Query]] = []
        self.child = Child(ChildSpec(name="wal", kind="actors.wal.actor", stage=1), "wal", 0)
        self.child.state, self.child.incarnation, self.child.pid = State.READY, 7, 4711
        self.worker = DiskWorker()
        self.observations = Observations(
            str(directory),
            lambda: [self.child],
            lambda name, incarnation: f"ipc://{directory}/{name}.{incarnation}",
            lambda incarnation, query: self.sent.append((incarnation, query)),
            self.worker,
        )
        self.recorder = Recorder(self.observations.on_spawn("wal", 7))


@pytest.fixture
def observed(tmp_path: Path) -> Observed:
    return Observed(tmp_path)


def test_the_end_of_a_process_closes_its_queries_and_leaves_a_report_with_names(observed: Observed) -> None:
    observations, answers = observed.observations, []
    observations.on_heartbeat(Heartbeat("wal", 7, 0, 0, 0, 0, {"term": 3}, {}), 1.0)
    observations.queries.ask("wal", 7, "inspect", {}, 1.0, lambda ok, result: answers.append((ok, result)))
    ((incarnation, query),) = observed.sent
    assert (incarnation, query.verb) == (7, "inspect")
    observed.recorder.log(b"last line\n")
    Path(stack_path(f"ipc://{observed.directory}/wal.7")).write_text("where it was")
    observations.on_exit(observed.child, -9, 2.0)
    assert answers == [(False, "wal has ended before it answered")]
    assert crash_reports.read_all(str(observed.directory)) == [], "first comes the restart"
    observations.look(2.0)
    observed.worker.finish(60.0)
    (report,) = crash_reports.read_all(str(observed.directory))
    assert (report["summary"], report["log"], report["stack"]) == ({"term": 3}, "last line\n", "where it was")
    shown = observations.shown(observed.child, 2.0)
    assert shown["last_exit"]["status"] == -9 and shown["turn_us"] is None
    assert observations.recorders.box(7) is None


def test_a_member_that_ends_writes_what_is_not_written_yet(observed: Observed) -> None:
    observed.observations.on_exit(observed.child, 1, 2.0)
    observed.observations.close()
    observed.worker.close(60.0)
    assert len(crash_reports.read_all(str(observed.directory))) == 1


def test_followers_are_called_until_they_want_no_more(observed: Observed) -> None:
    observations, calls = observed.observations, []

    def follower(now: float) -> bool:
        calls.append(now)
        return len(calls) < 2

    assert observations.next_deadline() is None
    observations.follow(follower)
    observations.look(10.0)
    assert observations.next_deadline() == 10.0 + LOOK_S
    for now in (10.0 + LOOK_S / 2, 10.0 + LOOK_S, 11.0):
        observations.look(now)
    assert calls == [10.0, 10.0 + LOOK_S] and observations.next_deadline() is None


def test_names_of_the_latest_incarnations_are_known(observed: Observed) -> None:
    observations = observed.observations
    for incarnation in range(8, 8 + NAMES_MAX):
        observations.on_spawn("raft", incarnation)
        observations.recorders.close(incarnation)
    assert observations.name_of(0) == "supervisor", "it has no incarnation of its own, and is never forgotten"
    assert observations.name_of(7 + NAMES_MAX) == "raft"
    assert observations.name_of(7) == "incarnation 7"
