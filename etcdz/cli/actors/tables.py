"""Tables for people: aligned columns, numbers on the right."""

from collections.abc import Callable, Sequence
from typing import Any

Column = tuple[str, Callable[[dict[str, Any]], str], bool]
"""Heading, text of a cell, whether it is a number and stands on the right."""


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    lines = [[heading for heading, _, _ in columns], *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    for line in lines:
        cells = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, (_, _, right) in zip(line, widths, columns, strict=True)
        )
        print("  ".join(cells).rstrip())


def text(key: str) -> Callable[[dict[str, Any]], str]:
    return lambda row: "-" if row.get(key) is None else str(row[key])


def beat(key: str) -> Callable[[dict[str, Any]], str]:
    return lambda row: str((row.get("heartbeat") or {}).get(key, "-"))


def duration(seconds: float) -> str:
    """Two units at most: 850ms, 12s, 3m04s, 5h02m, 9d03h."""
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02}h"


def size(count: float) -> str:
    """Bytes in binary units."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            break
        count /= 1024
    return f"{count:.0f}{unit}" if unit == "B" else f"{count:.1f}{unit}"
