"""ETCDCTL_* variables: each is a global flag that was not given; one that was given twice is refused."""

import sys
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from etcdz.cli.command_tree import Flag, Values

_PREFIX: Final = "ETCDCTL_"
_SHADOWED: Final = (
    "conflicting environment variable is shadowed by corresponding command-line flag "
    "(either unset environment variable or disable flag))"
)


class Refused(Exception):
    """The reason is in the log already."""


def apply(values: Values, flags: Sequence[Flag], environ: Mapping[str, str], own: Collection[str] = ()) -> None:
    """Sets the flags that variables name; says which variables name none. own: those that the command itself reads

    raises  Refused: flag and variable at once
    """
    names = {_PREFIX + flag.name.upper().replace("-", "_"): flag for flag in flags}
    for name, text in environ.items():
        flag = names.get(name)
        if flag is None:
            if name.startswith(_PREFIX) and name not in own:
                _log("warn", "unrecognized environment variable", f"{name}={text}")
        elif flag.name in values.given:
            _log("fatal", _SHADOWED, name)
            raise Refused
        elif text and _is_good(flag, text):
            values[flag.name] = text


def show(values: Values, flags: Sequence[Flag]) -> None:
    """On stderr: each variable with what holds now, for --debug."""
    from etcdz.config.literals import format_duration, parse_duration

    for flag in sorted(flags, key=lambda flag: flag.name):
        value = values[flag.name]
        if flag.name == "endpoints":
            value = f"[{value.replace(',', ' ')}]"
        elif flag.check is not None:
            value = format_duration(parse_duration(value))
        sys.stderr.write(f"{_PREFIX}{flag.name.upper().replace('-', '_')}={value}\n")


def _is_good(flag: Flag, text: str) -> bool:
    """A variable that its flag cannot take counts as not there, as etcdctl has it."""
    from etcdz.config.literals import parse_bool

    try:
        if flag.is_bool:
            parse_bool(text)
        elif flag.check is not None:
            flag.check(text)
    except ValueError:
        return False
    return True


def _log(level: str, text: str, variable: str) -> None:
    import json
    from datetime import UTC, datetime

    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    record = {"level": level, "ts": now, "caller": "flags/flag.go", "msg": text, "environment-variable": variable}
    sys.stderr.write(json.dumps(record, separators=(",", ":"), ensure_ascii=False) + "\n")
