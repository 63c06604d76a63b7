"""ETCDCTL_* variables: each is a global flag that was not given; one that was given twice is refused."""

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from etcdz.cli.command_tree import Flag, Values

_PREFIX: Final = "ETCDCTL_"
_SHADOWED: Final = (
    "conflicting environment variable is shadowed by corresponding command-line flag "
    "(either unset environment variable or disable flag))"
)


class Refused(Exception):
    """The reason is in the log already."""


def apply(values: Values, flags: Sequence[Flag], environ: Mapping[str, str]) -> None:
    """Sets the flags that variables name; says which variables name none. raises Refused: flag and variable at once"""
    names = {_PREFIX + flag.name.upper().replace("-", "_"): flag for flag in flags}
    for name, text in environ.items():
        flag = names.get(name)
        if flag is None:
            if name.startswith(_PREFIX):
                _log("warn", "unrecognized environment variable", f"{name}={text}")
        elif flag.name in values.given:
            _log("fatal", _SHADOWED, name)
            raise Refused
        elif text and _is_good(flag, text):
            values[flag.name] = text


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
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    record = {"level": level, "ts": now, "caller": "flags/flag.go", "msg": text, "environment-variable": variable}
    sys.stderr.write(json.dumps(record, separators=(",", ":"), ensure_ascii=False) + "\n")
