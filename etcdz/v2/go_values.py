"""Reads JSON into records as Go's encoding/json does, which is more lenient than its writers are.

A shape says what is read: TEXT, TEXTS, a dict of names to shapes, or Optional of one. Names are looked for without
regard to case, what no name stands for is passed over, null leaves a value as it is (a list: takes it away), the last
of several values of one name counts, and only the first value of a text is looked at.
"""

import json
import re
from typing import Any, Final, NamedTuple

TEXT: Final = "text"
TEXTS: Final = "texts"
_DECODER: Final = json.JSONDecoder(object_pairs_hook=lambda pairs: _Pairs(pairs), parse_constant=lambda name: _no(name))
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_FOLDED: Final = {0x17F: "s"}
"""The long s, which Go takes for one and str.lower() does not."""
_BLANKS: Final = " \t\r\n"


class Optional(NamedTuple):
    """A value that may be missing: None then. shape: a dict"""

    shape: dict[str, Any]


class _Pairs(list[tuple[str, Any]]):
    """An object."""


def decode(text: str, shape: dict[str, Any]) -> dict[str, Any]:
    """The first value in text. return what `zero` gives, with what text says in its place

    raises  ValueError: it is no JSON, or of another shape
    """
    try:
        value, _ = _DECODER.raw_decode(text.lstrip(_BLANKS))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return _read(value, shape, zero(shape)) or {}


def zero(shape: Any) -> Any:
    """What stands for a value that is missing."""
    if isinstance(shape, dict):
        return {name: zero(inner) for name, inner in shape.items()}
    return "" if shape is TEXT else None


def _read(value: Any, shape: Any, before: Any) -> Any:
    if isinstance(shape, Optional):
        return None if value is None else _read(value, shape.shape, before or zero(shape.shape))
    if value is None:
        return None if shape is TEXTS else before
    if isinstance(shape, dict) and isinstance(value, _Pairs):
        return _read_object(value, shape, dict(before))
    if shape is TEXT and isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if shape is TEXTS and isinstance(value, list) and not isinstance(value, _Pairs):
        return [_read(item, TEXT, "") for item in value]
    raise ValueError("a value of another kind")


def _read_object(pairs: _Pairs, shape: dict[str, Any], into: dict[str, Any]) -> dict[str, Any]:
    for name, value in pairs:
        folded = name.translate(_FOLDED).lower()
        if folded in shape:
            into[folded] = _read(value, shape[folded], into[folded])
    return into


def _no(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
