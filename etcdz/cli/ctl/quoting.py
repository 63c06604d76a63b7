"""Strings in quotes as Go's fmt writes and reads them, and lines that are split into words as a shell would."""

import re
from typing import Final

from etcdz.config.literals import quote

_PLAIN: Final = {
    "a": b"\a", "b": b"\b", "f": b"\f", "n": b"\n", "r": b"\r", "t": b"\t", "v": b"\v", "\\": b"\\", '"': b'"',
}  # fmt: skip
_ESCAPE: Final = re.compile(
    r"\\(?:x([0-9a-fA-F]{2})|([0-7]{3})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([abfnrtv\\\"]))", re.ASCII
)
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"|`[^`]*`')
_WORD: Final = re.compile(r""""(?:[^"\\]|\\.)*"|'[^']*'|[^'"\s]\S*[^'"\s]?""", re.ASCII)


def quote_bytes(value: bytes) -> str:
    """As %q: a byte that is not of UTF-8 is \\xNN."""
    text = value.decode(errors="surrogateescape")
    parts = [f"\\x{ord(c) - 0xDC00:02x}" if "\udc80" <= c <= "\udcff" else quote(c)[1:-1] for c in text]
    return f'"{"".join(parts)}"'


def take_quoted(text: str) -> tuple[bytes, str]:
    """(the string that text begins with, what is behind it). raises ValueError: it begins with none"""
    found = _STRING.match(text)
    if found is None:
        raise ValueError("expected quoted string")
    return unquote(found[0]), text[found.end() :]


def unquote(text: str) -> bytes:
    """Of a string in its quotes. raises ValueError: it has an escape that is none"""
    inner = text[1:-1]
    if text[0] == "`":
        return encoded(inner)
    parts, at = [], 0
    while (slash := inner.find("\\", at)) >= 0:
        escape = _ESCAPE.match(inner, slash)
        if escape is None:
            raise ValueError("invalid syntax")
        parts += [encoded(inner[at:slash]), _escaped(escape)]
        at = escape.end()
    return b"".join([*parts, encoded(inner[at:])])


def _escaped(escape: re.Match[str]) -> bytes:
    two, octal, four, eight, plain = escape.groups()
    if plain:
        return _PLAIN[plain]
    number = int(octal, 8) if octal else int(two or four or eight, 16)
    if octal or two:
        if number > 0xFF:
            raise ValueError("invalid syntax")
        return bytes((number,))
    if number > 0x10FFFF or 0xD800 <= number < 0xE000:
        raise ValueError("invalid syntax")
    return chr(number).encode()


def encoded(text: str) -> bytes:
    """The bytes that came as text, UTF-8 or not."""
    return text.encode(errors="surrogateescape")


def words_of(line: str) -> list[str]:
    """The words of a line: plain, 'as they are', or "with escapes". raises ValueError"""
    words = []
    for word in _WORD.findall(line):
        if word[0] == "'":
            word = word[1:-1]
        elif word[0] == '"':
            word = unquote(word).decode(errors="surrogateescape")
        words.append(word)
    return words
