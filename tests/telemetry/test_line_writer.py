"""Lines are written by a thread: who logs never waits, and hears of what was lost."""

import fcntl
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from etcdz.telemetry import logs
from etcdz.telemetry.line_writer import QUEUE_BYTES_MAX, LineWriter

LINE = b"x" * 1023 + b"\n"


class Pipe:
    """A pipe that nobody reads until `rest` is asked for. It holds a page."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        fcntl.fcntl(self.writer, fcntl.F_SETPIPE_SZ, 4096)

    def rest(self) -> list[bytes]:
        """All lines until the writing end is closed."""
        with os.fdopen(self.reader, "rb") as file:
            return file.readlines()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    yield Pipe()


def test_lines_come_in_order_and_flush_waits_for_them(tmp_path: Path) -> None:
    path = tmp_path / "log"
    writer = LineWriter(lambda: os.open(path, os.O_WRONLY | os.O_CREAT), lambda count: b"")
    for number in range(1000):
        writer.put(b"%d\n" % number)
    assert writer.flush(60.0)
    assert path.read_bytes().split() == [b"%d" % number for number in range(1000)]
    writer.close()


def test_an_output_that_takes_nothing_holds_up_nobody_and_what_was_dropped_is_told(pipe: Pipe) -> None:
    writer = LineWriter(lambda: pipe.writer, lambda count: b"dropped %d\n" % count)
    count = 2 * QUEUE_BYTES_MAX // len(LINE)
    for _ in range(count):
        writer.put(LINE)
    assert not writer.flush(0.01)
    writer.close()
    lines = pipe.rest()
    kept = lines.count(LINE)
    assert QUEUE_BYTES_MAX // len(LINE) <= kept < count
    assert lines[kept:] == [b"dropped %d\n" % (count - kept)]


def test_where_no_thread_can_be_had_the_caller_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has used up its memory has yet to say so."""

    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    path = tmp_path / "log"
    writer = LineWriter(lambda: os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), lambda count: b"")
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", fail)
        writer.put(b"1\n")
        writer.put(b"2\n")
        assert path.read_bytes() == b"1\n2\n"
    writer.put(b"3\n")
    assert writer.flush(60.0)
    assert path.read_bytes() == b"1\n2\n3\n"
    writer.close()


def test_an_output_that_cannot_be_opened_swallows_its_lines() -> None:
    def fail() -> int:
        raise PermissionError

    writer = LineWriter(fail, lambda count: b"")
    writer.put(LINE)
    assert writer.flush(60.0)


def test_a_frozen_output_does_not_keep_lines_from_the_others(tmp_path: Path) -> None:
    """And configuring anew waits for it only a while."""
    frozen, path = tmp_path / "frozen", tmp_path / "log"
    os.mkfifo(frozen)  # nobody reads it: opening it waits
    settings = {"log_level": "info", "log_format": "json", "log_outputs": [str(frozen), str(path)]}
    logs.configure(settings, behind=True)
    try:
        logs.get().info("x")
        logs.flush(0.01)
        while not path.exists() or not path.read_text().endswith("\n"):
            logs.flush(0.01)
        assert [json.loads(line)["msg"] for line in path.read_text().splitlines()] == ["x"]
    finally:
        os.close(os.open(frozen, os.O_RDONLY | os.O_NONBLOCK))
        logs.configure({**settings, "log_outputs": ["default"]})
