"""Log lines as etcd writes them: one JSON object per line, one write per line.

    {"level":"info","ts":"2021-10-15T10:00:00.000Z","caller":"wal/segment.py:41","msg":"cut a segment","path":"..."}

level, ts, caller and msg come first, fields follow in the order given; an underscore in a field's name becomes a dash,
as in etcd's names: log.info("...", data_dir=path). With --log-format=console the same parts are separated by tabs.
Source: zap's production encoder as etcd 3.5 configures it.

Not the standard library's logging: its global tree, its formatters and its locks would be configured by any program
that imports this one, and an actor that was forked from the zygote must come up with exactly what its own MemberConfig
says. A process has one destination, set by configure(); loggers only add the fields of their part of the process.
Logging never raises. In processes that must go on whatever becomes of their log it never waits either: a thread for
each output writes the lines (line_writer.py), and flush() is what their end waits for, for a limited time.
"""

import codecs
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final

from etcdz.telemetry.line_writer import LineWriter, flush_all, write_all

LEVELS: Final = {"debug": -1, "info": 0, "warn": 1, "error": 2, "dpanic": 3, "panic": 4, "fatal": 5}
"""zap's levels. dpanic, panic and fatal only mark a line here: what ends the process is decided elsewhere."""

LAST_LINES_S: Final = 3.0
"""How long the end of a member waits for the outputs of its log."""
_FIRST_PER_S: Final = 100
_THEN_EVERY: Final = 100
"""Of the same message, this many a second are written and then every hundredth: a flood of errors must not become a
flood of writes. Source: zap's sampling as etcd 3.5 sets it."""
_DISTINCT_MAX: Final = 4096
_STANDARD: Final = {"stdout": 1, "stderr": 2}
_DROPPED_BY: Final = "telemetry/line_writer.py"

_compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=lambda value: _plain(value)).encode
_spaced = json.JSONEncoder(ensure_ascii=False, separators=(", ", ": "), default=lambda value: _plain(value)).encode


def _no_character(error: UnicodeError) -> tuple[str, int]:
    """Bytes of a path or of a user's name that are none of UTF-8's, in zap's form."""
    assert isinstance(error, UnicodeEncodeError)
    return "\\ufffd" * (error.end - error.start), error.end


codecs.register_error("etcdz.no_character", _no_character)


class Logger:
    """Logs for one part of the process; get() makes them.

    debug, info, warn and error write a line of this level with these fields, an underscore in a name becoming a dash,
    unless the destination's level is higher.
    """

    __slots__ = ("_own",)

    def __init__(self, own: dict[str, Any]) -> None:
        self._own = own

    def debug(self, msg: str, /, **fields: Any) -> None:
        if _destination.level <= -1:
            _destination.write("debug", msg, self._own, fields)

    def info(self, msg: str, /, **fields: Any) -> None:
        if _destination.level <= 0:
            _destination.write("info", msg, self._own, fields)

    def warn(self, msg: str, /, **fields: Any) -> None:
        if _destination.level <= 1:
            _destination.write("warn", msg, self._own, fields)

    warning = warn

    def error(self, msg: str, /, **fields: Any) -> None:
        if _destination.level <= 2:
            _destination.write("error", msg, self._own, fields)

    def fatal(self, msg: str, /, **fields: Any) -> None:
        """The line that says why the process ends; the caller ends it."""
        _destination.write("fatal", msg, self._own, fields)

    def log(self, level: str, msg: str, /, **fields: Any) -> None:
        """With a level from data, such as the notes of the configuration."""
        if _destination.level <= LEVELS[level]:
            _destination.write(level, msg, self._own, fields)


class Destination:
    """Where the lines of this process go, and from which level on."""

    __slots__ = (
        "_behind", "_counts", "_opened", "_second", "_stamp", "_text_writer", "console", "fds", "last_error", "level",
        "writers",
    )  # fmt: skip

    def __init__(
        self,
        level: str = "info",
        console: bool = False,
        outputs: tuple[str, ...] = ("default",),
        behind: bool = False,
    ) -> None:
        """behind: threads write the lines, and open the files. raises OSError: an output file cannot be opened"""
        self.level = LEVELS[level]
        self.console = console
        self.fds: list[int] = []
        self.writers: dict[str, LineWriter] = {}
        """By output."""
        self._text_writer: LineWriter | None = None
        """To stderr, where lines do not go there."""
        self._behind = behind
        self.last_error: dict[str, str] | None = None
        self._opened: list[int] = []
        self._second = -1
        self._stamp = ("", "")
        self._counts: dict[tuple[str, str], int] = {}
        self._open(outputs, behind)

    def _open(self, outputs: tuple[str, ...], behind: bool) -> None:
        if "/dev/null" in outputs:  # as in etcd, one /dev/null silences all others
            return
        for output in sorted({"stderr" if output == "default" else output for output in outputs}):
            if behind:
                self.writers[output] = LineWriter(partial(_open_output, output), self._say_dropped)
                continue
            try:
                self.fds.append(_open_output(output))
            except OSError:
                self.close()
                raise
            if output not in _STANDARD:
                self._opened.append(self.fds[-1])

    def close(self) -> None:
        """Close the files; stdout and stderr stay. Threads write what waits."""
        for fd in self._opened:
            os.close(fd)
        for writer in self.all_writers():
            writer.close()
        self.fds, self._opened, self.writers = [], [], {}

    def all_writers(self) -> list[LineWriter]:
        return [*self.writers.values(), *([self._text_writer] if self._text_writer is not None else [])]

    def to_stderr(self, text: bytes) -> None:
        """By the thread that writes lines there, if there is one: they stay in order."""
        if not self._behind:
            with suppress(OSError):
                write_all(_STANDARD["stderr"], text)
            return
        writer = self.writers.get("stderr") or self._text_writer
        if writer is None:
            writer = self._text_writer = LineWriter(partial(_open_output, "stderr"), self._say_dropped)
        writer.put(text)

    def _say_dropped(self, count: int) -> bytes:
        """The line about lines for which an output had no room. NB: called by threads."""
        now = time.time()
        before, after = _stamp_of(int(now))
        line = (_console_line if self.console else _json_line)(
            "warn", f"{before}{int(now % 1 * 1000):03d}{after}", _DROPPED_BY, "dropped log lines", {"count": count}
        )
        return line.encode()

    def write(self, level: str, msg: str, own: dict[str, Any], fields: dict[str, Any]) -> None:
        """One line to every output. Requires: called by a method of Logger, whose caller is named in the line."""
        now = time.time()
        second = int(now)
        if second != self._second:
            self._start_second(second)
        if not self._admit(level, msg):
            return
        before, after = self._stamp
        ts = f"{before}{int((now - second) * 1000):03d}{after}"
        frame = sys._getframe(2)
        caller = f"{short_path(frame.f_code.co_filename)}:{frame.f_lineno}"
        line = (_console_line if self.console else _json_line)(level, ts, caller, msg, own | _dashed(fields))
        data = line.encode("utf-8", "etcdz.no_character")
        if LEVELS[level] >= LEVELS["error"]:
            self.last_error = {"ts": ts, "msg": msg}
        if _tap is not None:
            _tap(data)
        for fd in self.fds:
            with suppress(OSError):  # a full disk or a closed pipe must not stop the member
                write_all(fd, data)
        for writer in self.writers.values():
            writer.put(data)

    def _start_second(self, second: int) -> None:
        self._second = second
        self._counts.clear()
        self._stamp = _stamp_of(second)

    def _admit(self, level: str, msg: str) -> bool:
        counts = self._counts
        if len(counts) >= _DISTINCT_MAX:
            counts.clear()
        count = counts[level, msg] = counts.get((level, msg), 0) + 1
        return count <= _FIRST_PER_S or (count - _FIRST_PER_S) % _THEN_EVERY == 0


def get(name: str = "", **own: Any) -> Logger:
    """A logger for one part of the process; its name stands in each line as `actor`, further fields beside it."""
    return Logger({"actor": name, **own} if name else own)


def configure(config: Mapping[str, Any], behind: bool = False) -> None:
    """Set this process's destination from MemberConfig.to_dict(); stderr, JSON and info before the first call.

    behind  threads open the outputs and write the lines: logging never waits, and flush() is due before the end.
            Requires: this process forks no more
    raises  OSError: an output file cannot be opened; the old destination stays
    """
    global _destination
    new = Destination(config["log_level"], config["log_format"] == "console", tuple(config["log_outputs"]), behind)
    flush(LAST_LINES_S)  # what comes next goes by other ways, and must not overtake these lines
    _destination.close()
    _destination = new


def flush(timeout_s: float) -> None:
    """Waits until what was logged is written, as long as that."""
    flush_all(_destination.all_writers(), timeout_s)


def to_stderr(text: str) -> None:
    """Writes text that is no line of the log, such as a traceback, and waits no more than for one."""
    _destination.to_stderr(text.encode("utf-8", "backslashreplace"))


def tap(write: Callable[[bytes], None] | None) -> None:
    """Hand every line of this process to write as well; it must not raise."""
    global _tap
    _tap = write


def last_error() -> dict[str, str] | None:
    """{"ts", "msg"} of the last line with level error or above."""
    return _destination.last_error


def level() -> str:
    """The level from which on this process writes lines, one of LEVELS."""
    return next(name for name, value in LEVELS.items() if value == _destination.level)


def set_level(name: str) -> None:
    """Sets from which level on this process writes lines. raises KeyError: not in LEVELS"""
    _destination.level = LEVELS[name]


def short_path(path: str) -> str:
    """Last directory and file, as zap shortens a caller."""
    cut = path.rfind("/", 0, path.rfind("/"))
    return path[cut + 1 :]


def _open_output(output: str) -> int:
    """raises OSError"""
    if output in _STANDARD:
        return _STANDARD[output]
    return os.open(output, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)


def _stamp_of(second: int) -> tuple[str, str]:
    """What stands before and after the milliseconds in a time."""
    local = time.localtime(second)
    offset = "Z" if local.tm_gmtoff == 0 else time.strftime("%z", local)
    return time.strftime("%Y-%m-%dT%H:%M:%S.", local), offset


def _json_line(level: str, ts: str, caller: str, msg: str, fields: dict[str, Any]) -> str:
    head = f'{{"level":"{level}","ts":"{ts}","caller":{_compact(caller)},"msg":{_compact(msg)}'
    return f"{head},{_encode(_compact, fields)[1:]}\n" if fields else head + "}\n"


def _console_line(level: str, ts: str, caller: str, msg: str, fields: dict[str, Any]) -> str:
    parts = [ts, level, caller, msg]
    if fields:
        parts.append(_encode(_spaced, fields))
    return "\t".join(parts) + "\n"


def _dashed(fields: dict[str, Any]) -> dict[str, Any]:
    """etcd's field names have dashes, which Python's have not."""
    return {name.replace("_", "-"): value for name, value in fields.items()}


def _encode(encode: Any, fields: dict[str, Any]) -> str:
    try:
        return str(encode(fields))
    except (TypeError, ValueError, RecursionError):  # keys that are no strings, a loop: say it less well
        return str(encode({key: repr(value) for key, value in fields.items()}))


def _plain(value: Any) -> Any:
    """What JSON does not know: bytes as text, sets as lists, anything else in its own words."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("utf-8", "backslashreplace")
    if isinstance(value, set | frozenset):
        return sorted(value, key=repr)
    return str(value)


_destination = Destination()
_tap: Callable[[bytes], None] | None = None
