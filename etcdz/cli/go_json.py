"""JSON as Go writes it: no blanks, and what HTML would read as markup is escaped."""

import json
from typing import Any, Final

_FOR_HTML: Final = {ord(char): f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"}


def go_json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).translate(_FOR_HTML)
