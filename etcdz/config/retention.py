"""How much history --auto-compaction-retention keeps, as etcd reads it."""

import re
from typing import Final

from etcdz.config.literals import parse_duration, quote

PERIODIC, REVISION = "periodic", "revision"
"""Values of --auto-compaction-mode."""
_NS_PER_HOUR: Final = 3_600_000_000_000
_BARE: Final = re.compile(r"\+?[0-9]+")
"""Compiled here, before the compactor is forked: the compiler alone would write to 200 KB of what it shares."""


def parse_retention(mode: str, text: str) -> int:
    """Nanoseconds, or revisions; a bare number is hours, or revisions. NB: etcd takes a duration for revisions too.

    raises  ValueError: etcd's words
    """
    text = text or "0"
    if _BARE.fullmatch(text):
        return int(text) * (1 if mode == REVISION else _NS_PER_HOUR)
    try:
        amount = parse_duration(text)
    except ValueError:
        raise ValueError(f"error parsing CompactionRetention: time: {_duration_fault(text)}") from None
    if amount < 0:
        raise ValueError(f"error parsing CompactionRetention: negative duration {quote(text)}")
    if amount and mode not in (PERIODIC, REVISION):
        raise ValueError(f"unsupported compaction mode {mode}")
    return amount


def _duration_fault(text: str) -> str:
    """What Go says of a duration that it cannot read."""
    rest = re.sub(r"^[-+]", "", text)
    while number := re.match(r"\d+\.?\d*|\.\d+", rest):
        rest = rest[number.end() :]
        unit = re.match(r"[^.\d]*", rest)
        name = unit[0] if unit else ""
        if not name:
            return f"missing unit in duration {quote(text)}"
        if name not in ("ns", "us", "\u00b5s", "\u03bcs", "ms", "s", "m", "h"):
            return f"unknown unit {quote(name)} in duration {quote(text)}"
        rest = rest[len(name) :]
    return f"invalid duration {quote(text)}"
