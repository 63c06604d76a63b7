"""Lines of a screen: pieces of text, each with the name of a style; what a style looks like is the terminal's affair.

""      plain       head    headings            good    lives, flows
dim     beside      title   the title line      warn    on its way, not as it should be
key     a key       select  the chosen line     bad     dead, failed
spark   history
"""

import unicodedata
from collections.abc import Sequence
from typing import NamedTuple


class Span(NamedTuple):
    """A piece of text in one style. Requires: text as clean() makes it"""

    text: str
    style: str = ""


Line = list[Span]


def line(*parts: "Span | str") -> Line:
    """A line of these pieces; plain text has no style."""
    return [part if isinstance(part, Span) else Span(part) for part in parts]


def clean(text: str) -> str:
    """One cell for each character, and nothing that a terminal would obey: logs and errors may hold all."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_cell(char) for char in text)


def _cell(char: str) -> str:
    if char == "\t":
        return " "
    wide_or_none = unicodedata.east_asian_width(char) in "WF" or unicodedata.combining(char)
    return "·" if wide_or_none or not char.isprintable() else char


def cut(spans: Sequence[Span], width: int) -> Line:
    """At most width characters; the last one is … if there were more."""
    found: Line = []
    left = width
    for index, span in enumerate(spans):
        if len(span.text) > left or (len(span.text) == left and any(rest.text for rest in spans[index + 1 :])):
            if left > 0:
                found.append(Span(span.text[: left - 1] + "…", span.style))
            return found
        found.append(span)
        left -= len(span.text)
    return found


def length(spans: Sequence[Span]) -> int:
    """Width in characters."""
    return sum(len(span.text) for span in spans)


def filled(spans: Sequence[Span], width: int, style: str) -> Line:
    """All of one style, exactly width characters."""
    text = plain(cut(spans, width))
    return [Span(text.ljust(width), style)]


def plain(spans: Sequence[Span]) -> str:
    """The text without styles."""
    return "".join(span.text for span in spans)
