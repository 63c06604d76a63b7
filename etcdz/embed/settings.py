"""Settings of a member as keyword arguments: etcd's flags with `_` for `-`, and Python's values."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from difflib import get_close_matches
from typing import Any

from etcdz.config.flags import SETTINGS
from etcdz.config.reading import ExitRequest, Host, read


def flags_of(settings: Mapping[str, Any]) -> list[str]:
    """One flag for each setting that is not None.

    values    bool, numbers, texts and paths; timedelta; lists (`a,b`) and mappings (`a=b,c=d`) of them
    raises    TypeError: there is no such setting
    """
    flags = []
    for name, value in settings.items():
        flag = name.replace("_", "-")
        if flag not in SETTINGS:
            near = get_close_matches(flag, SETTINGS, 1)
            hint = f"; did you mean {near[0].replace('-', '_')}?" if near else ""
            raise TypeError(f"a member has no setting {name!r}{hint}")
        if value is not None:
            flags.append(f"--{flag}={_text(value)}")
    return flags


def check(flags: list[str]) -> None:
    """As a member would. raises ValueError: it would refuse them"""
    outcome = read(flags, {}, Host(cores=1, default_host=lambda: "127.0.0.1")).outcome
    if isinstance(outcome, ExitRequest):
        raise ValueError(outcome.error or outcome.stderr.strip().rpartition("\n")[2])


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, timedelta):
        return f"{value.total_seconds():.9f}s"
    if isinstance(value, Mapping):
        return ",".join(f"{name}={_text(one)}" for name, one in value.items())
    if isinstance(value, Iterable) and not isinstance(value, str):
        return ",".join(_text(one) for one in value)
    return str(value)
