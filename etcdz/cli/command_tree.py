"""Commands and subcommands with flags, as etcd's tools have them: same way to write them, same usage, same words.

A flag may stand anywhere: `--name value`, `--name=value`, `-w value`, `-wvalue`; a boolean one takes `=`. After `--`
nothing is a flag. A command's flags are its own and those of the root.
Source: cobra and pflag as etcdctl and etcdutl 3.5 show them.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from etcdz.config.literals import parse_bool, quote


class Values(dict[str, str]):
    """Flag name -> value; of a boolean flag "true" or "false".

    given           those that the command line names
    after_dashes    the arguments behind `--`; None: there is none
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        super().__init__(values)
        self.given: set[str] = set()
        self.after_dashes: list[str] | None = None


class UsageError(Exception):
    """The command line is wrong; the text says how."""


class CommandError(Exception):
    """The command has failed; its text follows "Error: "."""

    def __init__(self, text: str, status: int = 1) -> None:
        super().__init__(text)
        self.status = status


class Flag(NamedTuple):
    """One flag.

    required    the command fails without it, in cobra's words
    check       raises ValueError: says why not
    is_list     given more than once it has all values, joined by commas
    """

    name: str
    help: str
    default: str = ""
    short: str = ""
    is_bool: bool = False
    required: bool = False
    check: Callable[[str], object] | None = None
    is_list: bool = False

    @property
    def head(self) -> str:
        """The left column of a help text."""
        short = f"-{self.short}, " if self.short else "    "
        return f"  {short}--{self.name}" + ("" if self.is_bool else " string")

    @property
    def text(self) -> str:
        """The right column of a help text."""
        return self.help + (f" (default {quote(self.default)})" if self.default and not self.is_bool else "")


class Command(NamedTuple):
    """One command.

    use         its line of usage without the commands that lead to it
    run         (arguments, flags) -> exit status
    by_prefix   of a root: a command may be named by its first letters, if no other has the same
    """

    name: str
    short: str
    use: str = ""
    run: Callable[[list[str], Values], int] | None = None
    flags: tuple[Flag, ...] = ()
    children: "tuple[Command, ...]" = ()
    is_hidden: bool = False
    by_prefix: bool = False


_HELP = "help"


def execute(root: Command, argv: Sequence[str]) -> int:
    """Runs what argv asks for. return the exit status."""
    path, words = descend(root, argv)
    command = path[-1]
    try:
        arguments, values = parse(command, root, words)
        if values[_HELP] == "true" or (command.run is None and command is not root) or not argv:
            sys.stdout.write(usage(path))
            return 0
        if command.run is None:
            return _unknown(root, arguments)
        lacking = [f'"{flag.name}"' for flag in command.flags if flag.required and not values[flag.name]]
        if lacking:
            raise UsageError(f"required flag(s) {', '.join(lacking)} not set")
        return command.run(arguments, values)
    except UsageError as error:
        sys.stderr.write(f"Error: {error}\n{usage(path)}\nError: {error}\n")
        return 1
    except CommandError as error:
        sys.stderr.write(f"Error: {error}\n")
        return error.status


def _unknown(root: Command, arguments: Sequence[str]) -> int:
    if not arguments or arguments[0] == _HELP:
        sys.stdout.write(usage([root]))
        return 0
    text = f"Error: unknown command {quote(arguments[0])} for {quote(root.name)}"
    sys.stderr.write(f"{text}\nRun '{root.name} --help' for usage.\n{text}\n")
    return 1


def descend(root: Command, argv: Sequence[str]) -> tuple[list[Command], list[str]]:
    """(the way to the command that argv names, all other words)"""
    path, words = [root], list(argv)
    at = 0
    while at < len(words) and words[at] != "--":
        word = words[at]
        if word.startswith("-") and len(word) > 1:
            flag = _find(word.partition("=")[0], _flags(path[-1], root))
            at += 1 if flag is None or flag.is_bool or "=" in word or _is_glued(word) else 2
            continue
        child = _child(path[-1], word, root.by_prefix)
        if child is None:
            break
        path.append(child)
        del words[at]
    return path, words


def _child(command: Command, word: str, by_prefix: bool) -> Command | None:
    exact = next((child for child in command.children if child.name == word), None)
    if exact is not None or not by_prefix:
        return exact
    alike = [child for child in command.children if child.name.startswith(word)]
    return alike[0] if len(alike) == 1 else None


def _flags(command: Command, root: Command) -> tuple[Flag, ...]:
    own = command.flags if command is root else command.flags + root.flags
    return (*own, Flag(_HELP, f"help for {command.name}", short="h", is_bool=True))


def _find(word: str, flags: Sequence[Flag]) -> Flag | None:
    for flag in flags:
        if word == f"--{flag.name}" or (flag.short and word[:2] == f"-{flag.short}"):
            return flag
    return None


def _is_glued(word: str) -> bool:
    return not word.startswith("--") and len(word) > 2


def parse(command: Command, root: Command, words: Sequence[str]) -> tuple[list[str], Values]:
    """(arguments, value of every flag), out of what `descend` has left. raises UsageError"""
    flags = _flags(command, root)
    values = Values({flag.name: flag.default or ("false" if flag.is_bool else "") for flag in flags})
    arguments: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            values.after_dashes = rest
            return arguments + rest, values
        if not word.startswith("-") or word == "-":
            arguments.append(word)
            continue
        name, equals, value = word.partition("=")
        flag = _find(name, flags)
        if flag is None:
            is_long = word.startswith("--")
            raise UsageError(f"unknown flag: {name}" if is_long else f"unknown shorthand flag: '{word[1]}' in {word}")
        before = f"{values[flag.name]}," if flag.is_list and flag.name in values.given else ""
        if flag.is_bool:
            values[flag.name] = _bool(flag, value) if equals else "true"
        elif equals or _is_glued(word):
            values[flag.name] = value if equals else word[2:]
        elif rest:
            values[flag.name] = rest.pop(0)
        else:
            shown = word if word.startswith("--") else f"'{word[1]}' in {word}"
            raise UsageError(f"flag needs an argument: {shown}")
        values[flag.name] = before + values[flag.name]
        values.given.add(flag.name)
        _check(flag, values[flag.name])
    return arguments, values


def _check(flag: Flag, value: str) -> None:
    if flag.check is None:
        return
    try:
        flag.check(value)
    except ValueError as error:
        short = f"-{flag.short}, " if flag.short else ""
        raise UsageError(f'invalid argument {quote(value)} for "{short}--{flag.name}" flag: {error}') from None


def _bool(flag: Flag, value: str) -> str:
    try:
        return "true" if parse_bool(value) else "false"
    except ValueError:
        text = f"strconv.ParseBool: parsing {quote(value)}: invalid syntax"
        raise UsageError(f'invalid argument {quote(value)} for "--{flag.name}" flag: {text}') from None


# ---- usage ----


def usage(path: Sequence[Command]) -> str:
    """What --help prints of the last command."""
    command, root = path[-1], path[0]
    way = " ".join(step.name for step in path)
    line = " ".join(filter(None, (way, command.use, "[command]" if command.children else "[flags]")))
    parts = [f"Usage:\n  {line}\n"]
    shown = [child for child in command.children if not child.is_hidden]
    if shown:
        width = max(11, *[len(child.name) for child in shown])
        parts.append("Available Commands:\n" + "".join(f"  {c.name:{width}} {c.short}\n" for c in shown))
    own = command.flags if command is root else _flags(command, root)[: len(command.flags)]
    parts.append("Flags:\n" + flag_lines((*own, _flags(command, root)[-1])))
    if command is not root and root.flags:
        parts.append("Global Flags:\n" + flag_lines(root.flags))
    if shown:
        parts.append(f'Use "{way} [command] --help" for more information about a command.\n')
    return "\n".join(parts)


def flag_lines(flags: Sequence[Flag]) -> str:
    """A line for each, in order of their names."""
    flags = sorted(flags, key=lambda flag: flag.name)
    width = max(len(flag.head) for flag in flags)
    return "".join(f"{flag.head:{width}}   {flag.text}\n" for flag in flags)
