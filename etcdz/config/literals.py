"""Values as Go's flag package reads them: the same spellings pass, the same are refused, with the same words.

Each parse_ function returns the value or raises ValueError with the text that follows the last colon of etcd's message
("parse error", "value out of range"). Source: Go's strconv, time.ParseDuration and flag.
"""

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from fractions import Fraction

PARSE_ERROR: Final = "parse error"
OUT_OF_RANGE: Final = "value out of range"

_TRUE: Final = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_FALSE: Final = frozenset(("0", "f", "F", "FALSE", "false", "False"))

# A sign, then one of the bases by its prefix; single underscores may part the digits of all but a bare 0.
_INTEGER: Final = re.compile(
    r"([+-]?)(?:(0[xX](?:_?[0-9a-fA-F])+)|(0[bB](?:_?[01])+)|0[oO]?((?:_?[0-7])+)|((?:[1-9](?:_?[0-9])*)|0))", re.ASCII
)

_NS_PER: Final = {
    "ns": 1,
    "us": 1_000,
    "\u00b5s": 1_000,  # micro sign
    "\u03bcs": 1_000,  # Greek letter mu
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_DURATION_PART: Final = re.compile(r"([0-9]*)(?:\.([0-9]*))?(ns|us|\u00b5s|\u03bcs|ms|s|m|h)", re.ASCII)
_NS_MAX: Final = 2**63 - 1


def parse_bool(text: str) -> bool:
    """true for 1, t, true and their capitals; false alike."""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError(PARSE_ERROR)


def parse_uint(text: str, bits: int = 64) -> int:
    """An unsigned integer, decimal or with 0x, 0o, 0b or a leading 0; no sign at all."""
    if text.startswith(("+", "-")):
        raise ValueError(PARSE_ERROR)
    return _in_range(_parse_integer(text), 0, 2**bits - 1)


def parse_int(text: str, bits: int = 64) -> int:
    """A signed integer of so many bits."""
    return _in_range(_parse_integer(text), -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def parse_uint32(text: str) -> int:
    """As parse_uint, with the longer words of the one etcd flag that reads its number by itself."""
    try:
        return parse_uint(text, 32)
    except ValueError as error:
        words = "invalid syntax" if str(error) == PARSE_ERROR else str(error)
        raise ValueError(f"strconv.ParseUint: parsing {quote(text)}: {words}") from None


def parse_duration(text: str) -> int:
    """Nanoseconds of "300ms", "1.5h", "2h45m", "-1s" or "0"; a bare number but 0 is refused."""
    sign, rest = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    if rest == "0":
        return 0
    total: int | Fraction = 0
    at = 0
    while at < len(rest):
        part = _DURATION_PART.match(rest, at)
        if part is None or not (part[1] or part[2]):
            raise ValueError(PARSE_ERROR)
        total += _NS_PER[part[3]] * (_fraction(part[1], part[2]) if part[2] else int(part[1]))
        at = part.end()
    if at == 0 or total > _NS_MAX:
        raise ValueError(PARSE_ERROR)
    return sign * int(total)


def _fraction(whole: str, digits: str) -> "Fraction":
    from fractions import Fraction  # what few durations need, and takes 3 ms to load

    return Fraction(f"{whole or 0}.{digits}")


def format_duration(ns: int) -> str:
    """Nanoseconds as Go writes a duration: "1m30s", "1.5s", "100ms", "0s"."""
    sign, ns = ("-", -ns) if ns < 0 else ("", ns)
    if ns == 0:
        return "0s"
    for unit, size in (("ns", 1), ("\u00b5s", 1_000), ("ms", 1_000_000)):
        if ns < size * 1000 and ns < 1_000_000_000:
            return f"{sign}{_decimal(ns, size)}{unit}"
    minutes, rest = divmod(ns, 60_000_000_000)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{sign}{head}{_decimal(rest, 1_000_000_000)}s"


def quote(text: str) -> str:
    """A string in double quotes as Go's %q writes it."""
    return '"' + "".join(map(_quoted_char, text)) + '"'


def _parse_integer(text: str) -> int:
    match = _INTEGER.fullmatch(text)
    if match is None:
        raise ValueError(PARSE_ERROR)
    sign, hexadecimal, binary, octal, decimal = match.groups()
    if hexadecimal:
        value = int(hexadecimal, 16)
    elif binary:
        value = int(binary, 2)
    elif octal:
        value = int(octal.replace("_", ""), 8)
    else:
        value = int(decimal)
    return -value if sign == "-" else value


def _in_range(value: int, low: int, high: int) -> int:
    if not low <= value <= high:
        raise ValueError(OUT_OF_RANGE)
    return value


def _decimal(ns: int, size: int) -> str:
    whole, rest = divmod(ns, size)
    digits = f"{rest:0{len(str(size)) - 1}d}".rstrip("0") if rest else ""
    return f"{whole}.{digits}" if digits else str(whole)


_ESCAPES: Final = {'"': '\\"', "\\": "\\\\", "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r"} | {
    "\t": "\\t",
    "\v": "\\v",
}


def _quoted_char(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    if char == " " or char.isprintable():
        return char
    code = ord(char)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
