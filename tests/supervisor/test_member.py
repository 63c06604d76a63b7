"""Real process trees of small fake actors: start, restart, stop, and what is left behind."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from etcdz.cli.actors import main as actors
from tests.supervisor.conftest import NAMES, Start
from tests.supervisor.harness import FakeMember, children, wait_dead

pytestmark = pytest.mark.process


def events(member: FakeMember, event: str) -> list[str]:
    return [line["fake"] for line in member.lines if line.get("event") == event]


# ---- start and stop ----


def test_actors_start_in_order_each_told_who_is_ready(start: Start) -> None:
    member = start()
    member.wait_ready(*NAMES)
    entered = {line["fake"]: line["roster"] for line in member.lines if line.get("event") == "entered"}
    assert entered == {"store": [], "log": ["store"], "server": ["store", "log"]}
    last = member.wait_said("server", "roster")["children"]
    assert [*last] == [*NAMES]
    for name in NAMES:
        member.wait_roster(name, **last)


def test_nothing_starts_before_the_stage_before_is_ready(start: Start) -> None:
    member = start(log={"options": {"never_ready": True}, "start_s": 0.2, "intensity": [1, 5.0]})
    assert member.wait_end() == 1
    assert set(events(member, "entered")) <= {"store", "log"}, "a busy machine may not let the log say so in its time"
    assert [line["child"] for line in member.lines if line.get("msg") == "actor has ended"] == ["log", "log"]
    reason = member.lines[-1]["reason"]
    assert reason.endswith(("because it was not ready within 0.2 s", "could not be spawned: the zygote is silent"))


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_in_reverse_order_and_ends_the_member_as_that_signal(start: Start, signum: int) -> None:
    member = start()
    member.wait_ready(*NAMES)
    pids = member.pids()
    run_dir = Path(json.loads((member.data_dir / "etcdz.json").read_text())["run_dir"])
    assert member.stop(signum) == -signum
    assert events(member, "stop") == ["server", "log", "store"]
    assert not run_dir.exists()
    assert sorted(found.name for found in member.data_dir.iterdir()) == ["etcdz.lock", "member"]
    wait_dead(pids)


def test_a_signal_to_the_whole_group_still_stops_in_order(start: Start, tmp_path: Path) -> None:
    member = start()
    member.wait_ready(*NAMES)
    for pid in member.pids():
        os.kill(pid, signal.SIGINT)
    assert member.stop(signal.SIGINT) == -signal.SIGINT
    assert events(member, "stop") == ["server", "log", "store"]


def test_one_that_ignores_stop_and_sigterm_is_killed_after_its_deadline(start: Start) -> None:
    member = start(log={"options": {"linger_on_stop": True}, "stop_s": 1.0})
    member.wait_ready(*NAMES)
    assert member.stop() == -signal.SIGTERM
    late = [line for line in member.lines if line.get("msg") == "actor did not stop in time" and line["child"] == "log"]
    assert [line["signal"] for line in late] == [15, 9]
    assert events(member, "stop") == ["server", "log", "store"]


def test_a_second_signal_kills_all_at_once(start: Start) -> None:
    member = start(server={"options": {"linger_on_stop": True}, "stop_s": 1000.0})
    member.wait_ready(*NAMES)
    pids = member.pids()
    member.process.send_signal(signal.SIGTERM)
    member.wait_said("server", "stop")
    while member.process.poll() is None:  # within 0.2 s the same signal counts as an echo of the first
        member.process.send_signal(signal.SIGTERM)
        threading.Event().wait(0.02)
    assert member.wait_end() == -signal.SIGTERM
    assert events(member, "stop") == ["server"]
    wait_dead(pids)


# ---- restart ----


@pytest.mark.parametrize("victim", NAMES)
def test_kill_9_of_one_restarts_only_that_one_and_the_others_learn_its_incarnation(start: Start, victim: str) -> None:
    member = start()
    member.wait_ready(*NAMES)
    before = {name: member.pid_of(name) for name in NAMES}
    after = member.mark()
    member.kill(victim)
    again = member.wait_said(victim, "entered", after)
    for name in NAMES:
        member.wait_roster(name, after, **{victim: again["incarnation"]})
    assert {name: member.pid_of(name) != before[name] for name in NAMES} == {name: name == victim for name in NAMES}
    between = [line["children"] for line in member.lines[after:] if line.get("event") == "roster"]
    assert any(victim not in children for children in between), "the others are told that it is gone"


def test_an_actor_that_exits_with_an_error_is_restarted_with_its_reason_in_the_log(
    start: Start, tmp_path: Path
) -> None:
    trigger = tmp_path / "now"
    member = start(log={"options": {"exit_when": str(trigger)}})
    member.wait_ready(*NAMES)
    after = member.mark()
    trigger.touch()
    member.wait_logged("actor has ended", after, child="log", ending="failed", reason="exited with status 1")
    trigger.unlink()
    member.wait_ready("log", after=after)


def test_a_crash_loop_ends_the_member_with_the_reason_and_status_1(start: Start, tmp_path: Path) -> None:
    trigger = tmp_path / "now"
    member = start(log={"options": {"exit_when": str(trigger)}, "intensity": [3, 300.0]})
    member.wait_ready(*NAMES)
    pids = member.pids()
    trigger.touch()
    assert member.wait_end() == 1
    assert member.lines[-1]["level"] == "fatal"
    limit = "more than 3 restarts within 300 s needed"
    assert member.lines[-1]["reason"] == f"log: {limit}, the last time because it exited with status 1"
    assert events(member, "stop") == ["server", "store"]
    wait_dead(pids)


def test_an_actor_that_fails_at_the_members_start_ends_it_at_once(start: Start) -> None:
    member = start(log={"options": {"exit_at_start": 7}})
    assert member.wait_end() == 1
    assert events(member, "entered") == ["store", "log"]
    assert member.lines[-1]["reason"] == "log exited with status 7"


def test_an_actor_whose_module_is_missing_ends_the_start_with_a_traceback(start: Start) -> None:
    member = start(log={"kind": "tests.supervisor.fakes.nowhere"})
    assert member.wait_end() == 1
    assert any("ModuleNotFoundError" in line.get("text", "") for line in member.lines)


@pytest.mark.parametrize("fatal", [True, False])
def test_the_reason_of_a_fault_is_the_reason_of_the_end(start: Start, fatal: bool) -> None:
    member = start(log={"options": {"fault_at_start": [fatal, "corrupt at offset 8"]}})
    assert member.wait_end() == 1
    assert "corrupt at offset 8" in member.lines[-1]["reason"]


def test_one_that_hangs_is_killed_and_restarted(start: Start) -> None:
    member = start(log={"hang_s": 3.0, "halt_s": 60.0})
    member.wait_ready(*NAMES)
    after = member.mark()
    member.kill("log", signal.SIGSTOP)
    ended = member.wait_logged("actor has ended", after, child="log")
    assert (ended["ending"], ended["reason"][:22]) == ("hung", "hung: no heartbeat for")
    member.wait_ready("log", after=after)
    assert not [line for line in member.lines[after:] if line.get("child") in ("store", "server")]


def test_a_dead_zygote_is_replaced_and_its_actors_live_on(start: Start) -> None:
    member = start()
    member.wait_ready(*NAMES)
    before = [member.pid_of(name) for name in NAMES]
    after = member.mark()
    (zygote,) = set(children(member.process.pid)) - {*before}
    os.kill(zygote, signal.SIGKILL)
    member.wait_logged("the zygote has died, starting another", after, **{"zygote-pid": zygote})
    member.kill("log")
    member.wait_ready("log", after=after)
    assert [member.pid_of("store"), member.pid_of("server")] == [before[0], before[2]]


def test_a_zygote_that_is_stopped_by_a_signal_is_replaced_at_once_and_forks_nothing_any_more(start: Start) -> None:
    member = start()
    member.wait_ready(*NAMES)
    after = member.mark()
    (zygote,) = set(children(member.process.pid)) - {member.pid_of(name) for name in NAMES}
    os.kill(zygote, signal.SIGSTOP)
    member.kill("log")
    member.wait_logged("the zygote was stopped by a signal, starting another", after, **{"zygote-pid": zygote})
    wait_dead([zygote])
    member.wait_logged("actor is ready", after, child="log")
    assert not [line for line in member.lines[after:] if "the zygote is silent" in line.get("reason", "")]
    assert len([line for line in member.lines[after:] if line.get("event") == "entered"]) == 1


# ---- the supervisor dies ----


def test_kill_9_of_the_supervisor_leaves_no_orphan_and_is_tidied_up_after(start: Start, runtime_dir: Path) -> None:
    member = start()
    member.wait_ready(*NAMES)
    pids = member.pids()
    assert len(pids) >= 4
    run_dir = Path(json.loads((member.data_dir / "etcdz.json").read_text())["run_dir"])
    member.process.kill()
    wait_dead(pids)
    again = start()
    again.wait_ready(*NAMES)
    assert not run_dir.exists()
    assert len(list(runtime_dir.iterdir())) == 1
    incarnations = {line["incarnation"] for line in member.lines if "fake" in line}
    assert min(line["incarnation"] for line in again.lines if "fake" in line) > max(incarnations)


def test_kill_9_of_a_supervisor_with_stopped_actors_leaves_no_orphan(start: Start) -> None:
    member = start()
    member.wait_ready(*NAMES)
    pids = member.pids()
    for name in NAMES:
        member.kill(name, signal.SIGSTOP)
    member.process.kill()
    wait_dead(pids)


# ---- data directory ----


def test_a_data_directory_in_use_is_refused_at_once(start: Start) -> None:
    member = start()
    member.wait_ready(*NAMES)
    second = start()
    assert second.wait_end() == 1
    (line,) = second.lines
    assert line["level"] == "fatal"
    assert line["error"] == f"data directory {member.data_dir} is in use by process {member.process.pid}"
    assert member.stop() == -signal.SIGTERM


def test_a_bad_tree_starts_nothing(start: Start) -> None:
    member = start(log={"stop_s": 0.0})
    assert member.wait_end() == 1
    (line,) = member.lines
    assert line["error"] == "row log: stop_s=0.0 must be positive"
    assert not member.data_dir.exists()


# ---- etcdz actors ----


def ps(member: FakeMember, capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, Any]]:
    assert actors(["ps", "--json", "--data-dir", str(member.data_dir)]) == 0
    return {spec["name"]: spec for spec in json.loads(capsys.readouterr().out)}


def first_heartbeat(member: FakeMember, name: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """As ps shows it. It is asked again with each heartbeat sent: the supervisor hears of one a little later."""
    for _ in range(100):
        if beat := ps(member, capsys)[name]["heartbeat"]:
            return dict(beat)
        member.wait_said(name, "beat", after=member.mark())
    raise AssertionError(f"ps shows no heartbeat of {name}, which has sent a hundred")


def test_ps_shows_every_actor_with_what_it_does_and_uses(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    member = start(log={"options": {"say_beats": True}})
    member.wait_ready(*NAMES)
    before = ps(member, capsys)
    assert list(before) == list(NAMES)
    after = member.mark()
    member.kill("log")
    member.wait_ready("log", after=after)
    now = ps(member, capsys)
    assert {name: spec["pid"] for name, spec in now.items()} == {name: member.pid_of(name) for name in NAMES}
    assert {name: spec["restarts"] for name, spec in now.items()} == {"store": 0, "log": 1, "server": 0}
    assert {spec["state"] for spec in now.values()} == {"ready"}
    assert now["log"]["incarnation"] > before["server"]["incarnation"]
    assert all(spec["rss_bytes"] > 1 << 20 for spec in now.values())
    assert all(spec["kind"] == "speaker" and spec["uptime_s"] > 0 and spec["cpu_percent"] >= 0 for spec in now.values())
    beat = first_heartbeat(member, "log", capsys)
    assert (beat["incarnation"], beat["summary"]) == (now["log"]["incarnation"], {"fake": 1})


def test_ps_for_people_is_a_table_with_supervisor_and_zygote(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    member = start()
    member.wait_ready(*NAMES)
    assert actors(["ps", "--data-dir", str(member.data_dir)]) == 0
    heading, *lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert heading[:4] == ["NAME", "PID", "STATE", "RESTARTS"]
    assert [line[0] for line in lines] == ["supervisor", "zygote", *NAMES]
    assert lines[0][1] == str(member.process.pid)


def test_ps_shows_what_is_not_ready(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    member = start(log={"options": {"never_ready": True}})
    member.wait_said("log", "entered")
    assert {name: spec["state"] for name, spec in ps(member, capsys).items()} == {
        "store": "ready",
        "log": "starting",
        "server": "stopped",
    }


def test_tree_shows_the_rules(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    member = start(log={"hang_s": 3.0})
    member.wait_ready(*NAMES)
    assert actors(["tree", "--json", "--data-dir", str(member.data_dir)]) == 0
    specs = json.loads(capsys.readouterr().out)
    assert [(spec["stage"], spec["name"], spec["hang_s"]) for spec in specs] == [
        (1, "store", 10.0),
        (2, "log", 3.0),
        (3, "server", 10.0),
    ]


def test_actors_of_no_member_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert actors(["ps", "--data-dir", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"etcdz actors ps: no member runs in data directory {tmp_path}\n"


@pytest.mark.parametrize("argv", [[], ["nope"], ["ps", "--nope"]])
def test_wrong_arguments_have_status_2(argv: list[str]) -> None:
    assert actors(argv) == 2


def test_the_data_directory_is_found_by_the_members_name_and_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = []
    for argv, environment in [
        ([], {}),
        (["--name", "m2"], {}),
        ([], {"ETCD_NAME": "m3"}),
        ([], {"ETCD_DATA_DIR": "/d"}),
    ]:
        with monkeypatch.context() as patch:
            for key in ("ETCD_NAME", "ETCD_DATA_DIR"):
                patch.delenv(key, raising=False)
            for key, value in environment.items():
                patch.setenv(key, value)
            assert actors(["ps", *argv]) == 1
            found.append(capsys.readouterr().err.split()[-1])
    assert found == ["default.etcd", "m2.etcd", "m3.etcd", "/d"]


def test_a_mad_request_is_answered_with_an_error(start: Start) -> None:
    member = start()
    member.wait_ready(*NAMES)
    control = json.loads((member.data_dir / "etcdz.json").read_text())["control"]
    script = (
        "import sys, zmq\n"
        "socket = zmq.Context().socket(zmq.REQ)\n"
        "socket.connect(sys.argv[1])\n"
        "for body in (b'', b'{', b'[]', b'{}', b'{\"verb\": 1}', b'{\"verb\": \"ping\"}'):\n"
        "    socket.send(body)\n"
        "    print(socket.recv().decode())\n"
    )
    answers = subprocess.run([sys.executable, "-c", script, control], capture_output=True, text=True, check=True).stdout
    assert [json.loads(line)["ok"] for line in answers.splitlines()] == [False] * 5 + [True]
    assert json.loads(answers.splitlines()[-1])["result"]["pid"] == member.process.pid
