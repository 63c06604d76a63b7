"""A terminal as a screen: keys come in by name, lines go out, and only those that have changed.

Colours are the terminal's own sixteen, so that they fit whatever background it has; with NO_COLOR set, or on a terminal
that has none, bold, dim and reverse say it alone. Without UTF-8 lines and blocks are drawn in ASCII.
"""

import codecs
import os
import re
import select
import signal
import sys
import termios
import tty
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any, Final, Self, TextIO

from etcdz.monitor.paint import Line

COLOURS: Final = {
    "head": "1",
    "dim": "2",
    "good": "32",
    "warn": "33",
    "bad": "1;31",
    "key": "1;36",
    "spark": "36",
    "select": "7",
    "title": "7;1",
    "alarm": "41;97;1",
}
NO_COLOURS: Final = {**COLOURS, "good": "0", "warn": "1", "bad": "1", "key": "1", "spark": "0", "alarm": "7;1"}
ASCII: Final = str.maketrans("─│┌┐└┘├▶▏▁▂▃▄▅▆▇█↑↓←→…·", "-|+++++>|_.-=+*##^v<>~?")
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_KEYS: Final = {
    b"\x1b[A": "up",
    b"\x1b[B": "down",
    b"\x1b[C": "right",
    b"\x1b[D": "left",
    b"\x1bOA": "up",
    b"\x1bOB": "down",
    b"\x1bOC": "right",
    b"\x1bOD": "left",
    b"\x1b[5~": "pageup",
    b"\x1b[6~": "pagedown",
    b"\x1b[H": "home",
    b"\x1b[F": "end",
    b"\x1b[1~": "home",
    b"\x1b[4~": "end",
    b"\x1b": "escape",
    b"\r": "enter",
    b"\n": "enter",
    b"\t": "tab",
    b"\x7f": "backspace",
    b"\x08": "backspace",
    b"\x03": "^C",
}
_PIECES: Final = re.compile(rb"\x1b\[[0-9;]*[A-Za-z~]|\x1bO[A-Za-z]|[\xc0-\xff][\x80-\xbf]+|[\x00-\xff]", re.DOTALL)
ESCAPE_S: Final = 0.05
"""What follows an escape so soon belongs to it: a key's sequence may come in pieces over ssh."""


def keys_of(data: bytes) -> list[str]:
    """Names of keys, as keys.py knows them; a printable character is its own name, others are dropped."""
    found = []
    for piece in _PIECES.findall(data):
        name = _KEYS.get(piece) or (piece.decode() if len(piece) == 1 and 32 <= piece[0] < 127 else "")
        if name:
            found.append(name)
    return found


def styles_for(environment: Mapping[str, str]) -> Mapping[str, str]:
    """Style -> parameters of SGR."""
    terminal = environment.get("TERM", "")
    without = (
        environment.get("NO_COLOR") or terminal in ("vt100", "vt102", "vt220") or terminal.endswith(("-m", "-mono"))
    )
    return NO_COLOURS if without else COLOURS


def encode(spans: Line, styles: Mapping[str, str]) -> str:
    """One line with its styles."""
    parts = [f"\x1b[{styles[span.style]}m{span.text}\x1b[0m" if span.style in styles else span.text for span in spans]
    return "".join(parts)


class Terminal:
    """A terminal that the monitor fills, as a context manager: at its end the old content comes back."""

    def __init__(self, stdin: TextIO, stdout: TextIO, environment: Mapping[str, str]) -> None:
        self._in, self._out = stdin.fileno(), stdout
        self._styles = styles_for(environment)
        self._plain = codecs.lookup(stdout.encoding or "ascii").name != "utf-8"
        self._drawn: list[str] = []
        self._size = (0, 0)
        self._wake_read, self._wake_write = os.pipe()
        self._before: list[tuple[int, Any]] = []

    def __enter__(self) -> Self:
        self._modes = termios.tcgetattr(self._in)
        tty.setcbreak(self._in)
        modes = termios.tcgetattr(self._in)
        modes[6][termios.VSUSP] = modes[6][termios.VINTR] = b"\0"  # ^Z would leave the screen to the shell; ^C is a key
        termios.tcsetattr(self._in, termios.TCSANOW, modes)
        os.set_blocking(self._wake_write, False)
        for signum, handler in ((signal.SIGWINCH, _note), (signal.SIGTERM, _end), (signal.SIGHUP, _end)):
            self._before.append((signum, signal.signal(signum, handler)))
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        self._out.write(_ENTER)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        signal.set_wakeup_fd(-1)
        for signum, handler in self._before:
            signal.signal(signum, handler)
        with suppress(OSError, termios.error):  # the terminal may be gone, which may be why the monitor ends
            self._out.write(_LEAVE)
            self._out.flush()
            termios.tcsetattr(self._in, termios.TCSADRAIN, self._modes)
        os.close(self._wake_read)
        os.close(self._wake_write)

    @property
    def files(self) -> tuple[int, int]:
        """To poll: keys, and a change of size."""
        return self._in, self._wake_read

    def read_keys(self) -> list[str]:
        """What was pressed. Requires: one of files is ready. raises EOFError: the terminal is gone"""
        if select.select([self._wake_read], [], [], 0)[0]:
            os.read(self._wake_read, 512)
        if not select.select([self._in], [], [], 0)[0]:
            return []
        data = os.read(self._in, 512)
        if not data:
            raise EOFError
        while data.endswith((b"\x1b", b"\x1b[", b"\x1bO")) and select.select([self._in], [], [], ESCAPE_S)[0]:
            data += os.read(self._in, 512)
        return keys_of(data)

    def size(self) -> tuple[int, int]:
        """(width, height)"""
        try:
            found = os.get_terminal_size(self._out.fileno())
        except OSError:
            return 80, 24
        return found.columns or 80, found.lines or 24

    def draw(self, lines: Sequence[Line]) -> None:
        """The whole screen; what has not changed since the last time is not sent."""
        if (size := self.size()) != self._size:
            self._size, self._drawn = size, []
        new = [encode(one, self._styles) for one in lines]
        if self._plain:
            new = [text.translate(ASCII) for text in new]
        old = self._drawn
        parts = [] if old else ["\x1b[0m\x1b[2J"]
        for row, text in enumerate(new):
            if row >= len(old) or old[row] != text:
                parts.append(f"\x1b[{row + 1};1H{text}\x1b[K")
        self._drawn = new
        if parts:
            self._out.write("".join(parts))
            self._out.flush()


def _note(signum: int, frame: FrameType | None) -> None:
    """The wakeup descriptor says it."""


def _end(signum: int, frame: FrameType | None) -> None:
    sys.exit(128 + signum)
