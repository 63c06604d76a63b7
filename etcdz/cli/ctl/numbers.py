"""Numbers as Go's strconv and time read them, and what they say of those that are none."""

import re
from typing import Final

from etcdz.config.literals import parse_duration, parse_int, parse_uint, quote

_DIGITS: Final = {10: re.compile(r"[+-]?[0-9]+", re.ASCII), 16: re.compile(r"[+-]?[0-9a-fA-F]+", re.ASCII)}


def integer(text: str, base: int = 10) -> int:
    """raises ValueError: strconv's words"""
    if not _DIGITS[base].fullmatch(text):
        raise ValueError(f"strconv.ParseInt: parsing {quote(text)}: invalid syntax")
    value = int(text, base)
    if not -(2**63) <= value < 2**63:
        raise ValueError(f"strconv.ParseInt: parsing {quote(text)}: value out of range")
    return value


def unsigned(text: str) -> int:
    """An id in hexadecimal. raises ValueError: strconv's words"""
    if not _DIGITS[16].fullmatch(text) or text[0] in "+-":
        raise ValueError(f"strconv.ParseUint: parsing {quote(text)}: invalid syntax")
    value = int(text, 16)
    if value >= 2**64:
        raise ValueError(f"strconv.ParseUint: parsing {quote(text)}: value out of range")
    return value


def flag_integer(text: str) -> int:
    """Of a flag: 0x, 0o and 0b are understood. raises ValueError: strconv's words"""
    try:
        return parse_int(text)
    except ValueError as error:
        words = "value out of range" if "range" in str(error) else "invalid syntax"
        raise ValueError(f"strconv.ParseInt: parsing {quote(text)}: {words}") from None


def flag_unsigned(text: str) -> int:
    """Of a flag, as flag_integer. raises ValueError: strconv's words"""
    try:
        return parse_uint(text)
    except ValueError as error:
        words = "value out of range" if "range" in str(error) else "invalid syntax"
        raise ValueError(f"strconv.ParseUint: parsing {quote(text)}: {words}") from None


def seconds(text: str) -> float:
    """Of a duration. raises ValueError: time.ParseDuration's words"""
    try:
        return parse_duration(text) / 1e9
    except ValueError:
        is_bare = re.fullmatch(r"[+-]?[0-9.]*[0-9][0-9.]*", text) is not None
        what = "missing unit in duration" if is_bare else "invalid duration"
        raise ValueError(f"time: {what} {quote(text)}") from None
