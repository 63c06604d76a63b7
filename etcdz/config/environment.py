"""Settings from environment variables: --some-flag is ETCD_SOME_FLAG.

A variable counts only if its flag is not given; both at once is an error, even with the same value, because one of them
would be shadowed. An empty variable is as good as none. Source: etcd 3.5 pkg/flags.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from etcdz.config.flags import Flag
from etcdz.config.literals import quote
from etcdz.config.notes import Note

PREFIX = "ETCD_"
VERSION_VARIABLE = "ETCD_VERSION"
CONFIG_FILE_VARIABLE = "ETCD_CONFIG_FILE"


class Environment(NamedTuple):
    """values by flag name. error is the last bad value, by the order of names; conflict names a shadowed variable."""

    values: dict[str, Any]
    notes: list[Note]
    error: str
    conflict: str


def variable_of(flag_name: str) -> str:
    """Name of the environment variable of a flag."""
    return PREFIX + flag_name.replace("-", "_").upper()


def take(environ: Mapping[str, str], given: Mapping[str, Any], flags: Mapping[str, Flag]) -> Environment:
    """What the environment adds to the flags that are given on the command line."""
    values: dict[str, Any] = {}
    notes: list[Note] = []
    error, used = "", {VERSION_VARIABLE}
    if environ.get(VERSION_VARIABLE):
        fields = {"key": VERSION_VARIABLE, "value": environ[VERSION_VARIABLE]}
        notes.append(Note("warn", "cannot set special environment variable", fields))
    for name in sorted(flags):
        variable = variable_of(name)
        text = environ.get(variable, "")
        if name in given or not text or variable in used:
            continue
        used.add(variable)
        try:
            values[name] = flags[name].kind.parse(text)
        except ValueError as why:
            error = f"invalid value {quote(text)} for {variable}: {why}"
            continue
        fields = {"variable-name": variable, "variable-value": text}
        notes.append(Note("info", "recognized and used environment variable", fields))
    conflict = _look_for_strangers(environ, used, {variable_of(name) for name in given}, notes)
    return Environment(values, notes, error, conflict)


def _look_for_strangers(environ: Mapping[str, str], used: set[str], shadowed: set[str], notes: list[Note]) -> str:
    """Warn about variables that mean nothing. return the first one that a given flag shadows."""
    for variable, text in environ.items():
        if variable in used:
            continue
        if variable in shadowed:
            return variable
        if variable.startswith(PREFIX):
            fields = {"environment-variable": f"{variable}={text}"}
            notes.append(Note("warn", "unrecognized environment variable", fields))
    return ""
