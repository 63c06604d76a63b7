"""Tables for people: aligned columns, numbers on the right."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

Column = tuple[str, Callable[[dict[str, Any]], str], bool]
"""Heading, text of a cell, whether it is a number and stands on the right."""


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """rows: the text of each cell, by column"""
    lines = [[heading for heading, _, _ in columns], *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    for line in lines:
        cells = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, (_, _, right) in zip(line, widths, columns, strict=True)
        )
        print("  ".join(cells).rstrip())


def print_rows(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows that all have the same fields, under their names. The unit at the end of a name says how it is shown."""
    names = list(rows[0])
    columns: list[Column] = []
    for name in names:
        columns.append((name.upper(), str, name.rpartition("_")[2] in _UNITS))
    print(f"\n{title}")
    print_table(columns, [[_cell(name, row.get(name)) for name in names] for row in rows])


def _cell(name: str, value: Any) -> str:
    if value is None or value == "":
        return "-"
    return _UNITS.get(name.rpartition("_")[2], str)(value)


def text(key: str) -> Callable[[dict[str, Any]], str]:
    """A cell that shows a field as it is; "-" for none. So do the following, each in its form."""
    return lambda row: "-" if row.get(key) is None else str(row[key])


def age(key: str) -> Callable[[dict[str, Any]], str]:
    """A field in microseconds."""
    return lambda row: "-" if row.get(key) is None else micros(row[key])


def percentile(key: str, which: str) -> Callable[[dict[str, Any]], str]:
    """Of a field with percentiles in microseconds."""
    return lambda row: micros(row[key][which]) if row.get(key) else "-"


def rate(key: str) -> Callable[[dict[str, Any]], str]:
    """Sum of a field that holds rates by type."""
    return lambda row: "-" if row.get(key) is None else f"{sum(row[key].values()):.0f}"


def micros(us: float) -> str:
    """Microseconds in a unit that keeps the number short: 85us, 3.2ms, 12ms, 4.1s."""
    if us < 1000:
        return f"{us:.0f}us"
    if us < 10_000:
        return f"{us / 1000:.1f}ms"
    if us < 1e6:
        return f"{us / 1000:.0f}ms"
    return f"{us / 1e6:.1f}s"


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


_UNITS: Final[Mapping[str, Callable[[Any], str]]] = {"bytes": size, "us": micros, "s": duration}


def frame_line(frame: Mapping[str, Any], when: str) -> str:
    """A frame that an actor took, or keys that one of its messages touches. when: the first column"""
    more = frame.get("messages", 1) - len(frame["types"])
    types = "+".join(frame["types"]) + (f"+{more}" if more > 0 else "") or "?"
    if "keys" in frame:
        what = ", ".join(f"{verb} {key!r}" + (f"..{end!r}" if end else "") for verb, key, end in frame["keys"])
        return f"{when}  {types:<14} {frame['to']:<12} {what}" + (f" and {frame['more']} more" if frame["more"] else "")
    aged = "" if frame["age_us"] is None else f", {micros(frame['age_us'])} old"
    way = f"{frame['from']} -> {frame['to']}" if "to" in frame else f"from {frame['from']}"
    return f"{when}  {types:<14} {way:<26} {size(frame['size'])}{aged}"
