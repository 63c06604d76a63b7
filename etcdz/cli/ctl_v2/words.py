"""A command line as etcdctl's v2 commands read it, which is Go's flag package's way; and what help prints.

-name and --name are the same; `=` or a word of its own gives the value, of a boolean only `=`. Options of a command may
stand behind its arguments. What follows `--` are arguments.
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from etcdz import ETCD_VERSION

Check = Callable[[str], object]


class Option(NamedTuple):
    """names: the first is what values are found by. default: shown as it stands; check: raises ValueError

    is_list     given more than once it has all values, a line each
    """

    names: tuple[str, ...]
    help: str
    default: str = ""
    is_bool: bool = False
    check: Check | None = None
    is_list: bool = False
    value: str = "value"

    @property
    def head(self) -> str:
        suffix = "" if self.is_bool else f" {self.value}"
        return ", ".join(("-" if len(name) == 1 else "--") + name + suffix for name in self.names)

    @property
    def text(self) -> str:
        if not self.default:
            return self.help
        return f"{self.help} (default: {self.default})"


Values = dict[str, str]
"""By an option's first name; of a boolean one "true" or "false"."""


class Command(NamedTuple):
    """run: (arguments, its options, the global ones) -> exit status; arguments: as help shows them"""

    name: str
    help: str
    arguments: str = ""
    run: Callable[[list[str], Values, Values], int] | None = None
    options: tuple[Option, ...] = ()
    children: "tuple[Command, ...]" = ()
    description: str = ""


class Wrong(Exception):
    """An option is not as it should be; the text says how."""


class HelpAsked(Exception):
    """-h or --help."""


HELP: Final = Option(("help", "h"), "show help", is_bool=True)


def read_options(options: Sequence[Option], words: Sequence[str]) -> tuple[Values, list[str]]:
    """(values, what follows the options). raises Wrong, HelpAsked"""
    values = {option.names[0]: _unquoted(option) for option in options}
    known = {name: option for option in (*options, HELP) for name in option.names}
    rest = list(words)
    while rest and rest[0].startswith("-") and rest[0] != "-":
        word = rest.pop(0)
        if word == "--":
            break
        name, equals, value = word.removeprefix("-").removeprefix("-").partition("=")
        option = known.get(name)
        if option is HELP:
            raise HelpAsked
        if option is None:
            raise Wrong(f"flag provided but not defined: -{name}")
        if not option.is_bool and not equals:
            if not rest:
                raise Wrong(f"flag needs an argument: -{name}")
            value = rest.pop(0)
        _set(values, option, name, value if equals or not option.is_bool else "true")
    return values, rest


def _unquoted(option: Option) -> str:
    return "false" if option.is_bool else option.default.strip('"')


def _set(values: Values, option: Option, name: str, value: str) -> None:
    """raises Wrong"""
    first = option.names[0]
    if option.is_bool:
        words = {"1": "true", "t": "true", "true": "true", "0": "false", "f": "false", "false": "false"}
        if value.lower() not in words:
            raise Wrong(f'invalid boolean value "{value}" for -{name}: parse error')
        value = words[value.lower()]
    elif option.check is not None:
        try:
            option.check(value)
        except ValueError as error:
            raise Wrong(f'invalid value "{value}" for flag -{name}: {error}') from None
    values[first] = f"{values[first]}\n{value}" if option.is_list and values[first] else value


def options_first(words: Sequence[str]) -> list[str]:
    """The words of a command with those before its first option behind all others, but not behind what follows `--`."""
    end = words.index("--") if "--" in words else len(words)
    first = next((at for at, word in enumerate(words[:end]) if word.startswith("-") and word != "-"), None)
    if first is None:
        return list(words)
    return [*words[first:end], *(["--"] if end > first and words[:first] else []), *words[:first], *words[end:]]


# ---- help ----


def root_help(name: str, summary: str, options: Sequence[Option], commands: Sequence[Command]) -> str:
    rows = [(command.name, command.help) for command in commands]
    rows.append(("help, h", "Shows a list of commands or help for one command"))
    version = Option(("version", "v"), "print the version", is_bool=True)
    parts = (
        f"NAME:\n   {name} - {summary}",
        f"USAGE:\n   {name} [global options] command [command options] [arguments...]",
        f"VERSION:\n   {ETCD_VERSION}",
        "COMMANDS:\n" + _columns(rows),
        "GLOBAL OPTIONS:\n" + _columns([(option.head, option.text) for option in (*options, HELP, version)]),
    )
    return "\n\n".join(parts) + "\n"


def group_help(path: str, command: Command) -> str:
    """Of a command with others below it, when `help` is asked for it; path: as below"""
    return f"NAME:\n   {path} - {command.help}\n\nUSAGE:\n   {path} [arguments...]\n"


def command_help(path: str, command: Command) -> str:
    """path: the words that lead to it, with its own"""
    used = "command [command options] [arguments...]" if command.children else ""
    if not command.children:
        used = ("[command options] " if command.options else "") + command.arguments
    parts = [f"NAME:\n   {path} - {command.help}", f"USAGE:\n   {path} {used}"]
    if command.children:
        parts.append("COMMANDS:\n" + _columns([(child.name, child.help) for child in command.children]))
    if command.description:
        parts.append(f"DESCRIPTION:\n   {command.description}")
    options = (*command.options, HELP) if command.children else command.options
    if options:
        parts.append("OPTIONS:\n" + _columns([(option.head, option.text) for option in options]) + "\n   ")
    return "\n\n".join(parts) + "\n"


def _columns(rows: Sequence[tuple[str, str]]) -> str:
    width = max(len(left) for left, _ in rows)
    return "\n".join(f"   {left:{width}}  {right}" for left, right in rows)
