"""Texts and times in JSON as Go's encoding/json writes them, byte for byte."""

import calendar
import re
from datetime import UTC, datetime
from typing import Final

SECOND_NS: Final = 1_000_000_000
NEVER: Final = "0001-01-01T00:00:00Z"
"""Go's zero time."""

_ESCAPES: Final = {
    **{code: f"\\u{code:04x}" for code in (*range(0x20), *map(ord, "<>&\u2028\u2029"))},
    ord("\n"): "\\n",
    ord("\r"): "\\r",
    ord("\t"): "\\t",
    ord('"'): '\\"',
    ord("\\"): "\\\\",
}
_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)", re.ASCII)


def encode_text(text: str) -> str:
    """A JSON string, quotes included."""
    return f'"{text.translate(_ESCAPES)}"'


def encode_time(unix_ns: int) -> str:
    """RFC 3339 in UTC, without zeros at the end of its fraction. unix_ns: of the years 1 to 9999"""
    seconds, fraction = divmod(unix_ns, SECOND_NS)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
    return f"{text}.{fraction:09d}".rstrip("0") + "Z" if fraction else f"{text}Z"


def decode_time(text: str) -> int:
    """Unix time in ns. raises ValueError: no time as encode_time, or Go in another zone, writes it"""
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError(f"no time: {text!r}")
    moment = datetime.fromisoformat(found[1] + found[3].replace("Z", "+00:00"))
    return calendar.timegm(moment.utctimetuple()) * SECOND_NS + int((found[2] or "").ljust(9, "0"))
