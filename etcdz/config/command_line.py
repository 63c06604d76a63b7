"""The command line as Go's flag package splits it.

    arguments = *flag ["--"] *word
    flag      = ("-" / "--") name ["=" value]         a boolean flag stands alone or has "=value"
              / ("-" / "--") name word                any other flag takes the next word, whatever it is

One or two dashes mean the same, the last of several wins, and the first word that is no flag ends the reading.
Source: Go's flag.FlagSet.Parse.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from etcdz.config.flags import Flag
from etcdz.config.kinds import BOOLEAN
from etcdz.config.literals import quote


class HelpAsked(Exception):
    """--help or -h came before anything wrong."""


class CommandLine(NamedTuple):
    """values by flag name; words are what was left behind the flags."""

    values: dict[str, Any]
    words: list[str]


class Given(NamedTuple):
    """One flag as written: value is None without an `=`."""

    name: str
    value: str | None


def split(arguments: Sequence[str], flags: Mapping[str, Flag]) -> CommandLine:
    """Read the arguments from left to right.

    raises  ValueError: the first thing wrong, in Go's words
            HelpAsked: the user wants to read
    """
    values: dict[str, Any] = {}
    at = 0
    while at < len(arguments):
        argument = arguments[at]
        if len(argument) < 2 or not argument.startswith("-"):
            break
        at += 1
        if argument == "--":
            break
        given = _split_flag(argument)
        flag = _find(given.name, flags)
        text = given.value
        if text is None and flag.kind in BOOLEAN:
            text = "true"
        if text is None:
            if at == len(arguments):
                raise ValueError(f"flag needs an argument: -{given.name}")
            text = arguments[at]
            at += 1
        values[given.name] = _read(flag, text)
    return CommandLine(values, list(arguments[at:]))


def _split_flag(argument: str) -> Given:
    body = argument[2:] if argument.startswith("--") else argument[1:]
    if not body or body[0] in "-=":
        raise ValueError(f"bad flag syntax: {argument}")
    name, equals, value = body.partition("=")
    return Given(name, value if equals else None)


def _find(name: str, flags: Mapping[str, Flag]) -> Flag:
    if name in flags:
        return flags[name]
    if name in ("help", "h"):
        raise HelpAsked
    raise ValueError(f"flag provided but not defined: -{name}")


def _read(flag: Flag, text: str) -> Any:
    try:
        return flag.kind.parse(text)
    except ValueError as error:
        if flag.kind in BOOLEAN:
            raise ValueError(f"invalid boolean value {quote(text)} for -{flag.name}: {error}") from None
        raise ValueError(f"invalid value {quote(text)} for flag -{flag.name}: {error}") from None
