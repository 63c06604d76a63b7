"""Bytes of a terminal become keys, lines become bytes, and the terminal is left as it was."""

import fcntl
import os
import pty
import select
import struct
import termios
from collections.abc import Iterator

import pytest

from etcdz.cli.monitor.live import log_line
from etcdz.cli.monitor.terminal import COLOURS, Terminal, encode, keys_of, styles_for
from etcdz.monitor.paint import Span, line


def test_bytes_become_names_of_keys() -> None:
    assert keys_of(b"\x1b[A\x1bOBk\x1b[5~\r\x7f\x1b") == ["up", "down", "k", "pageup", "enter", "backspace", "escape"]
    assert keys_of("é\x00y".encode()) == ["y"] and keys_of(b"\x1b[15~\x1b[1;5A") == [], "keys that nobody knows"


def test_colours_are_left_out_where_they_are_not_wanted() -> None:
    bad = line("a", Span("b", "bad"))
    assert encode(bad, styles_for({"TERM": "xterm"})) == "a\x1b[1;31mb\x1b[0m"
    for environment in ({"NO_COLOR": "1", "TERM": "xterm"}, {"TERM": "vt100"}):
        styles = styles_for(environment)
        assert not any(part[0] in "349" and len(part) > 1 for text in styles.values() for part in text.split(";"))
        assert styles.keys() == COLOURS.keys()


@pytest.fixture
def ends() -> Iterator[tuple[int, int]]:
    """(ours, the terminal's) of a terminal with 30 columns and 4 lines."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 4, 30, 0, 0))
    yield ours, theirs
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize(("encoding", "arrow"), [("utf-8", "▶"), ("ascii", ">")])
def test_only_what_has_changed_is_drawn_and_modes_come_back(ends: tuple[int, int], encoding: str, arrow: str) -> None:
    ours, theirs = ends
    before = termios.tcgetattr(theirs)
    with (
        open(theirs, closefd=False) as stdin,
        open(theirs, "w", closefd=False, encoding=encoding) as stdout,
        Terminal(stdin, stdout, {"TERM": "xterm"}) as terminal,
    ):
        assert terminal.size() == (30, 4)
        terminal.draw([line("one"), line("two ▶")])
        assert f"two {arrow}".encode() in os.read(ours, 1000)
        terminal.draw([line("one"), line("three")])
        assert os.read(ours, 1000) == b"\x1b[2;1Hthree\x1b[K"
        os.write(ours, b"\x1b[B\x03")
        assert select.select([theirs], [], [], 60)[0]
        assert terminal.read_keys() == ["down", "^C"]
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 9, 40, 0, 0))
        terminal.draw([line("one"), line("three")])
        assert b"\x1b[2J" in os.read(ours, 1000), "another size: everything anew"
    assert os.read(ours, 1000).endswith(b"\x1b[?1049l")
    assert termios.tcgetattr(theirs) == before


def test_lines_of_a_log_are_for_people() -> None:
    text = '{"level":"info","ts":"2026-11-22T21:40:53.236Z","caller":"a.py:1","msg":"ready","actor":"wal","n":1}'
    assert log_line(text) == "21:40:53.236 info  ready n=1"
    assert log_line("Traceback") == "Traceback" and log_line("[1]") == "[1]"
