"""Log lines have etcd's keys in etcd's order, and writing them never fails."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from etcdz.telemetry import logs


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "log"
    logs.configure({"log_level": "info", "log_format": "json", "log_outputs": ["default"]})


def configure(target: Path, level: str = "info", format_: str = "json", more: tuple[str, ...] = ()) -> None:
    logs.configure({"log_level": level, "log_format": format_, "log_outputs": [str(target), *more]})


def written(target: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in target.read_text().splitlines()]


def test_a_line_is_one_object_with_etcds_keys_first(target: Path) -> None:
    configure(target)
    logs.get("wal", incarnation=2).info("cut a segment", path="0.wal", first_index=7)
    line = written(target)[0]
    assert list(line) == ["level", "ts", "caller", "msg", "actor", "incarnation", "path", "first-index"]
    assert (line["level"], line["msg"], line["actor"], line["first-index"]) == ("info", "cut a segment", "wal", 7)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(Z|[+-]\d{4})", line["ts"])
    assert re.fullmatch(r"telemetry/test_logs\.py:\d+", line["caller"])


def test_time_has_the_offset_of_the_zone(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    configure(target)
    monkeypatch.setenv("TZ", "XYZ-5:30")
    time.tzset()
    try:
        logs.get().info("there")
    finally:
        monkeypatch.undo()
        time.tzset()
    assert written(target)[0]["ts"].endswith("+0530")


@pytest.mark.parametrize(
    ("level", "kept"),
    [
        ("debug", ["debug", "info", "warn", "error", "fatal"]),
        ("warn", ["warn", "error", "fatal"]),
        ("fatal", ["fatal"]),
    ],
)
def test_less_important_lines_are_left_out(target: Path, level: str, kept: list[str]) -> None:
    configure(target, level)
    log = logs.get()
    for say in (log.debug, log.info, log.warn, log.error, log.fatal):
        say("x")
    log.log("debug", "x")
    expected = [*kept, "debug"] if level == "debug" else kept
    assert [line["level"] for line in written(target)] == expected


def test_any_field_can_be_written(target: Path) -> None:
    configure(target)
    loop: list[Any] = []
    loop.append(loop)
    logs.get().info("x", a=b"\xff", b={2, 1}, c=OSError("no"), d='"\n', e="\udc80", level="mine", g=(1, None))
    logs.get().info("y", a=loop, b={(1, 2): 3})
    first, second = written(target)
    assert (first["a"], first["b"], first["c"], first["d"]) == ("\\xff", [1, 2], "no", '"\n')
    assert (first["e"], first["g"]) == ("\ufffd", [1, None])
    assert second["a"] == "[[...]]"


def test_console_lines_are_parts_between_tabs(target: Path) -> None:
    configure(target, format_="console")
    logs.get().warn("beware", data_dir="d", n=1)
    logs.get().info("plain")
    first, second = target.read_text().splitlines()
    assert first.split("\t")[1:2] + first.split("\t")[3:] == ["warn", "beware", '{"data-dir": "d", "n": 1}']
    assert second.split("\t")[3:] == ["plain"]


def test_lines_go_to_every_output_once(target: Path, capfd: pytest.CaptureFixture[str]) -> None:
    configure(target, more=("stdout", "stderr", "default"))
    logs.get().info("x")
    out, err = capfd.readouterr()
    assert out == err == target.read_text()
    assert out.count("\n") == 1


def test_dev_null_silences_all(target: Path, capfd: pytest.CaptureFixture[str]) -> None:
    configure(target, more=("/dev/null", "stderr"))
    logs.get().fatal("x")
    assert capfd.readouterr().err == ""
    assert not target.exists()


def test_a_file_that_cannot_be_opened_leaves_the_log_as_it_is(target: Path) -> None:
    configure(target)
    with pytest.raises(FileNotFoundError):
        configure(target.parent / "no" / "directory")
    logs.get().info("still here")
    assert written(target)[0]["msg"] == "still here"


def test_a_closed_output_is_no_error(target: Path) -> None:
    reader, writer = os.pipe()
    saved = os.dup(1)
    try:
        os.dup2(writer, 1)
        os.close(reader)
        configure(target, more=("stdout",))
        logs.get().info("x")
    finally:
        os.dup2(saved, 1)
        os.close(saved)
        os.close(writer)
    assert [line["msg"] for line in written(target)] == ["x"]


def test_a_flood_of_one_message_is_thinned_out(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000_000.0
    monkeypatch.setattr(logs.time, "time", lambda: now)
    configure(target)
    log = logs.get()
    for count in range(1000):
        log.error("flood", count=count)
    log.error("other")
    assert [line.get("count") for line in written(target)] == [*range(100), *range(199, 1000, 100), None]
    now += 1
    log.error("flood", count=-1)
    assert written(target)[-1]["count"] == -1
