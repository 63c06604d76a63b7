"""Texts and times in JSON as Go's encoding/json writes them, byte for byte."""

import calendar
import re
from datetime import UTC, datetime
from decimal import Decimal
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
_ESCAPED: Final = re.compile('[\\x00-\\x1f<>&\u2028\u2029"\\\\]')
_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)", re.ASCII)


def encode_text(text: str) -> str:
    """A JSON string, quotes included."""
    if _ESCAPED.search(text) is None:
        return f'"{text}"'
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


def encode_float(value: float) -> str:
    """The shortest number that is read back as value; 1e-7 and 1e21 are where powers of ten begin."""
    digits = repr(float(value)).removesuffix(".0")
    if "e" not in digits:
        return digits
    if 1e-6 <= abs(value) < 1e21:
        return f"{Decimal(digits):f}"
    mantissa, _, exponent = digits.partition("e")
    return f"{mantissa}e{exponent[0] if exponent[0] == '-' else '+'}{exponent.lstrip('+-0')}"


def encode_duration(ns: int) -> str:
    """As Go's time.Duration reads: 1h2m3.5s, 1.5ms, 0s. Requires: ns >= 0"""
    if ns < SECOND_NS:
        for unit, size in (("ms", 1_000_000), ("µs", 1_000), ("ns", 1)):
            if ns >= size:
                return f"{_plain(ns, size)}{unit}"
        return "0s"
    minutes, rest = divmod(ns, 60 * SECOND_NS)
    hours, minutes = divmod(minutes, 60)
    front = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{front}{_plain(rest, SECOND_NS)}s"


def _plain(number: int, unit: int) -> str:
    whole, rest = divmod(number, unit)
    fraction = str(rest).rjust(len(str(unit)) - 1, "0").rstrip("0")
    return f"{whole}.{fraction}" if fraction else str(whole)
