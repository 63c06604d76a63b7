"""--actor-rules: what a configuration changes in the tree's table.

    rules   = row *(";" row)
    row     = name ":" rule *("," rule)          name of a row: backend, listener
    rule    = key "=" value

    backend:max-rss=2GiB,nice=-5;listener:max-age=24h,cpus=0-1

Durations are Go's (10s, 1h30m), sizes bytes with K, M, G, KiB, MiB or GiB, each a power of 1024.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from etcdz.config.literals import parse_duration
from supervisor.restart import Intensity, Restart, Strategy
from supervisor.tree import ChildSpec, TreeError

_UNITS: Final = {
    "": 1,
    "B": 1,
    "K": 1 << 10,
    "M": 1 << 20,
    "G": 1 << 30,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
}


def _seconds(text: str) -> float:
    return parse_duration(text) / 1e9


def _bytes(text: str) -> int:
    digits = text.rstrip("BKMGi")
    return int(digits) * _UNITS[text[len(digits) :].removesuffix("iB")]


def _cpus(text: str) -> tuple[int, ...]:
    """0-2+5"""
    found: set[int] = set()
    for part in text.split("+"):
        lo, _, hi = part.partition("-")
        found.update(range(int(lo), int(hi or lo) + 1))
    return tuple(sorted(found))


def _intensity(text: str) -> Intensity:
    """10/5s"""
    restarts, _, seconds = text.partition("/")
    return Intensity(int(restarts), _seconds(seconds))


RULES: Final[dict[str, tuple[str, Callable[[str], Any]]]] = {
    "restart": ("restart", Restart),
    "strategy": ("strategy", Strategy),
    "intensity": ("intensity", _intensity),
    "start": ("start_s", _seconds),
    "stop": ("stop_s", _seconds),
    "hang": ("hang_s", _seconds),
    "busy": ("busy_s", _seconds),
    "halt": ("halt_s", _seconds),
    "max-rss": ("max_rss_bytes", _bytes),
    "max-age": ("max_age_s", _seconds),
    "memory-max": ("memory_max_bytes", _bytes),
    "cpus": ("cpus", _cpus),
    "nice": ("nice", int),
}
"""Key -> (field of ChildSpec, its value out of a text)."""


def applied(text: str, specs: tuple[ChildSpec, ...]) -> tuple[ChildSpec, ...]:
    """The table with the rules in it. raises TreeError"""
    changes: dict[str, dict[str, Any]] = {}
    for part in filter(None, map(str.strip, text.split(";"))):
        name, _, rules = part.partition(":")
        if name not in {spec.name for spec in specs}:
            known = ", ".join(spec.name for spec in specs)
            raise TreeError(f"--actor-rules: no actors are called {name!r}; there are {known}")
        for rule in rules.split(","):
            field, value = _parse(name, rule.strip())
            changes.setdefault(name, {})[field] = value
    return tuple(replace(spec, **changes.get(spec.name, {})) for spec in specs)


def _parse(name: str, rule: str) -> tuple[str, Any]:
    key, _, text = rule.partition("=")
    if key not in RULES:
        raise TreeError(f"--actor-rules: {name} has no rule {key!r}; there are {', '.join(RULES)}")
    field, parse = RULES[key]
    try:
        return field, parse(text)
    except (ValueError, KeyError) as error:
        raise TreeError(f"--actor-rules: {name}: {key} cannot be {text!r}") from error
