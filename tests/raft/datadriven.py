"""Conversation files: what was said and what must be answered.

    file       = { comment | blank line | directive }
    comment    = line whose first character, blanks aside, is #
    directive  = command {" " argument} NEWLINE  input lines  [ "----" NEWLINE expected ]
    argument   = key | key=value | key=(value, value, ...)       values may hold nested parentheses
    expected   = lines up to a blank one or the end of the file
               | "----" NEWLINE  lines  "----" NEWLINE "----" NEWLINE   and then a blank line; may hold blank lines
A directive line that ends in a backslash goes on in the next. `subtest` has neither input nor expected text.
Source: the format of cockroachdb/datadriven 1.0.2.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

SEPARATOR = "----"
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})


class ConversationError(Exception):
    """The file, or a command in it, makes no sense; nothing can be compared."""


class Argument(NamedTuple):
    key: str
    values: tuple[str, ...] = ()


class Directive(NamedTuple):
    """
    line      number of its line in the file, from 1
    opening   the raw text from its line through the separator
    input     lines before the separator, trimmed
    expected  "" or lines that each end in a newline
    """

    line: int
    command: str
    arguments: tuple[Argument, ...]
    opening: str
    input: str
    expected: str

    def wrong(self, text: str) -> ConversationError:
        return ConversationError(f"line {self.line}: {text}")

    def number(self, value: str) -> int:
        """value as an unsigned number"""
        if not (value.isascii() and value.isdigit()):
            raise self.wrong(f"not a number: {value!r}")
        return int(value)

    def boolean(self, value: str) -> bool:
        if value not in _TRUE and value not in _FALSE:
            raise self.wrong(f"not a bool: {value!r}")
        return value in _TRUE

    def value(self, key: str) -> str:
        """The one value of argument key, which must be there."""
        for argument in self.arguments:
            if argument.key == key and len(argument.values) == 1:
                return argument.values[0]
        raise self.wrong(f"missing argument {key}")

    def numbers(self) -> list[int]:
        """All arguments without a value."""
        return [self.number(argument.key) for argument in self.arguments if not argument.values]

    def first_number(self) -> int:
        if not self.arguments:
            raise self.wrong("missing argument")
        return self.number(self.arguments[0].key)


def _until(text: str, stops: str) -> tuple[str, str]:
    at = next((at for at, character in enumerate(text) if character in stops), len(text))
    return text[:at], text[at:]


def _parenthesised(text: str) -> tuple[tuple[str, ...], str]:
    """Values of a list whose opening parenthesis is text[0], and what follows it."""
    values: list[str] = []
    level, start, at = 1, 1, 1
    while level:
        if at == len(text):
            raise ConversationError(f"no closing parenthesis: {text}")
        character = text[at]
        at += 1
        if character == "," and level == 1:
            values.append(text[start : at - 1])
            while text[at : at + 1] == " ":
                at += 1
            start = at
        level += {"(": 1, ")": -1}.get(character, 0)
    values.append(text[start : at - 1])
    return tuple(values), text[at:]


def parse_directive(line: str) -> tuple[str, tuple[Argument, ...]]:
    """(command, arguments). raises ConversationError"""
    command, rest = _until(line.strip(), " ")
    arguments = []
    rest = rest.strip()
    while rest:
        key, rest = _until(rest, " =")
        if not key:
            raise ConversationError(f"cannot parse directive: {line}")
        values: tuple[str, ...] = ()
        if rest.startswith("="):
            if rest[1:2] == "(":
                values, rest = _parenthesised(rest[1:])
            else:
                value, rest = _until(rest[1:], " ")
                values = (value,)
        arguments.append(Argument(key, values))
        rest = rest.strip()
    return command, tuple(arguments)


class _Lines:
    def __init__(self, text: str) -> None:
        self._lines = text.split("\n")
        if self._lines[-1] == "":
            self._lines.pop()
        self.number = 0  # of the line that was read last

    def read(self) -> str | None:
        if self.number == len(self._lines):
            return None
        self.number += 1
        return self._lines[self.number - 1].removesuffix("\r")


def _read_expected(lines: _Lines) -> str:
    line = lines.read()
    expected = ""
    if line != SEPARATOR:
        while line is not None and line.strip():
            expected += line + "\n"
            line = lines.read()
        return expected
    line = lines.read()
    while line is not None:
        if line == SEPARATOR:
            following = lines.read()
            if following == SEPARATOR:
                if lines.read():
                    raise ConversationError(f"line {lines.number}: non-blank line after a double separator")
                return expected
            expected += line + "\n"
            line = following
            continue
        expected += line + "\n"
        line = lines.read()
    return expected


def parse(text: str) -> Iterator[str | Directive]:
    """The file's directives, and between them the raw lines that are none (comments, blank ones)."""
    lines = _Lines(text)
    while (line := lines.read()) is not None:
        raw, number = line + "\n", lines.number
        line = line.strip()
        if not line or line.startswith("#"):
            yield raw
            continue
        while line.endswith("\\") and (following := lines.read()) is not None:
            raw += following + "\n"
            line = line[:-1] + " " + following.strip()
        command, arguments = parse_directive(line)
        if command == "subtest":
            yield raw
            continue
        body = ""
        expected = ""
        while (line_or_end := lines.read()) is not None:
            raw += line_or_end + "\n"
            if line_or_end == SEPARATOR:
                expected = _read_expected(lines)
                break
            body += line_or_end + "\n"
        yield Directive(number, command, arguments, raw, body.strip(), expected)


def _block(text: str) -> str:
    """text as an expected block, with the blank line that ends it."""
    if text.endswith("\n\n") or "\n\n" in text or text.startswith("\n"):
        return f"{SEPARATOR}\n{text}{SEPARATOR}\n{SEPARATOR}\n\n"
    return text + "\n"


class Played(NamedTuple):
    """
    passed    every answer was as expected
    expected  the file in normal form
    actual    the same with the answers that were given
    """

    passed: bool
    expected: str
    actual: str


def play(text: str, handle: Callable[[Directive], str]) -> Played:
    """Say every directive of the file to handle and compare the answers.

    An exception of handle ends the file: its text takes the place of that answer and what follows is left out.
    """
    expected = actual = ""
    for item in parse(text):
        if isinstance(item, str):
            expected += item
            actual += item
            continue
        answer, ended = _answer(handle, item)
        expected += item.opening + _block(item.expected)
        actual += item.opening + _block(answer)
        if ended:
            return Played(False, expected, actual)
    return Played(expected == actual, expected, actual)


def _answer(handle: Callable[[Directive], str], directive: Directive) -> tuple[str, bool]:
    try:
        answer = handle(directive)
    except Exception as error:
        return f"{type(error).__name__}: {error}\n", True
    return answer + "\n" if answer and not answer.endswith("\n") else answer, False
