"""Reports of deaths: what they hold, and that there are never too many."""

import json
from pathlib import Path

from etcdz.telemetry.flight import Header
from supervisor.telemetry import crash_reports
from supervisor.telemetry.crash_reports import MESSAGES_MAX, REPORT_BYTES_MAX, REPORTS_MAX, STACK_CHARS_MAX, Death


def death(number: int = 0, **changes: object) -> Death:
    headers = [Header(n, 10**9, 5, n, 10**9 - 2000, 100, 1, ("Append",)) for n in range(1, 512)]
    whole = Death(
        name="wal",
        kind="wal",
        incarnation=100 + number,
        pid=42,
        time_s=1.6e9 + number,
        ended_ns=2 * 10**9,
        uptime_s=3.25,
        status=-9,
        ending="killed",
        reason="was killed by signal 9",
        stack="",
        headers=headers,
        summary={"last_index": 7},
        statistics={"received": {"Append": 511}},
        log="line\n",
    )
    return whole._replace(**changes)  # type: ignore[arg-type]


def write(directory: Path, one: Death) -> Path:
    return crash_reports.write(str(directory), crash_reports.report(one, lambda incarnation: f"raft.{incarnation}"))


def test_a_report_names_the_last_messages_with_sender_and_age(tmp_path: Path) -> None:
    path = write(tmp_path, death())
    (found,) = crash_reports.read_all(str(tmp_path))
    assert found["path"] == str(path)
    assert (found["name"], found["status"], found["summary"]) == ("wal", -9, {"last_index": 7})
    assert found["time"] == "2020-09-13T12:26:40.000+00:00"
    assert len(found["messages"]) == MESSAGES_MAX
    last = {"ago_s": 1.0, "types": ["Append"], "messages": 1, "from": "raft.5", "size": 100, "age_us": 2}
    assert found["messages"][-1] == last


def test_only_the_newest_reports_are_kept(tmp_path: Path) -> None:
    for number in range(REPORTS_MAX + 5):
        write(tmp_path, death(number))
    found = crash_reports.read_all(str(tmp_path))
    assert [report["incarnation"] for report in found] == list(range(105, 105 + REPORTS_MAX))


def test_a_report_is_bounded_whatever_an_actor_left(tmp_path: Path) -> None:
    huge = "x" * 1_000_000
    path = write(tmp_path, death(stack=huge, log=huge, summary={"huge": huge}))
    assert path.stat().st_size <= REPORT_BYTES_MAX
    (found,) = crash_reports.read_all(str(tmp_path))
    assert len(found["stack"]) == STACK_CHARS_MAX and found["messages"]


def test_reports_of_one_actor_are_found_and_broken_files_passed_over(tmp_path: Path) -> None:
    write(tmp_path, death(1))
    write(tmp_path, death(2, name="raft"))
    (tmp_path / crash_reports.DIRECTORY / "9-torn.json").write_text('{"name": "ra')
    assert [report["name"] for report in crash_reports.read_all(str(tmp_path))] == ["wal", "raft"]
    assert [report["name"] for report in crash_reports.read_all(str(tmp_path), "raft")] == ["raft"]
    assert crash_reports.read_all(str(tmp_path / "nowhere")) == []


def test_what_json_does_not_know_does_not_prevent_a_report(tmp_path: Path) -> None:
    path = write(tmp_path, death(summary={"bytes": b"x", (1, 2): "no key"}))
    assert json.loads(path.read_text())["summary"] == {"bytes": "b'x'"}
