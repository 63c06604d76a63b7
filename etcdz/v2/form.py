"""Query strings and form bodies as Go's net/http reads them: pairs of "&" or ";", body before query.

Source: Go 1.16 net/url (3.5's), whose error texts clients of the v2 API are shown.
"""

import re
from typing import Final

FORM_TYPE: Final = "application/x-www-form-urlencoded"
_BOOLS: Final = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}
_ESCAPE: Final = re.compile(rb"%([0-9A-Fa-f]{2})?")
_DIGITS: Final = re.compile(r"[0-9]+", re.ASCII)
_UINT64_MAX: Final = (1 << 64) - 1


class BadForm(Exception):
    """An escape that is none; says which, in Go's words."""


class Form:
    """Names and their values. The first value of a name counts."""

    def __init__(self, query: bytes, body: bytes = b"") -> None:
        """body: of the type FORM_TYPE, or none. raises BadForm"""
        self._values: dict[str, str] = {}
        for part in (body, query):
            for name, value in _pairs(part):
                self._values.setdefault(name, value)

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def has_only(self, name: str) -> bool:
        """Whether there are no values of other names."""
        return not self._values or self._values.keys() == {name}

    def text(self, name: str) -> str:
        """ "" if it is not there"""
        return self._values.get(name, "")

    def number(self, name: str) -> int | None:
        """0 if it is not there, None if it is no number of 64 bits."""
        if name not in self._values:
            return 0
        text = self._values[name]
        if not _DIGITS.fullmatch(text) or len(text.lstrip("0")) > len(str(_UINT64_MAX)):
            return None
        number = int(text)
        return number if number <= _UINT64_MAX else None

    def flag(self, name: str) -> bool | None:
        """False if it is not there, None if it is neither true nor false."""
        return _BOOLS.get(self._values[name]) if name in self._values else False


def is_form(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() == FORM_TYPE


def unescape(raw: bytes, plus_is_space: bool = True) -> str:
    """raises BadForm. What is no UTF-8 is replaced, as it would be in every answer"""
    if plus_is_space:
        raw = raw.replace(b"+", b" ")
    if b"%" in raw:
        raw = _ESCAPE.sub(_byte_of, raw)
    return raw.decode("utf-8", "replace")


def _byte_of(found: "re.Match[bytes]") -> bytes:
    if found[1] is None:
        escape = found.string[found.start() : found.start() + 3].decode("latin-1")
        raise BadForm(f'invalid URL escape "{escape}"')
    return bytes((int(found[1], 16),))


def _pairs(raw: bytes) -> list[tuple[str, str]]:
    pairs = []
    for piece in re.split(rb"[&;]", raw):
        if piece:
            name, _, value = piece.partition(b"=")
            pairs.append((unescape(name), unescape(value)))
    return pairs
