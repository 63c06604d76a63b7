"""The target of an HTTP/1 request: which path and query it names, in each of its forms.

    target = path ["?" query]                         origin-form, what clients send
           | scheme "://" authority [path ["?" query]]  absolute-form, what they send to a proxy; a server takes it, too
           | "*"                                      asterisk-form, for OPTIONS
           | host ":" port                            authority-form, for CONNECT

Source: RFC 9112, section 3.2.
"""

import re
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

_ABSOLUTE: Final = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]+(.*)", re.DOTALL)
_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")


class Target(NamedTuple):
    """path: percent-decoded; `*` and the authority of a CONNECT stand there as they are. query: as it was sent."""

    path: bytes
    query: bytes


def clean_path(path: bytes) -> bytes:
    """path without empty parts, `.` and `..`, as Go's ServeMux sends its clients to. A slash at the end stays.

    Requires: it begins with a slash
    """
    parts: list[bytes] = []
    for part in path.split(b"/"):
        if part == b"..":
            del parts[-1:]
        elif part not in (b"", b"."):
            parts.append(part)
    is_directory = bool(parts) and path.endswith(b"/")
    return b"/" + b"/".join(parts) + (b"/" if is_directory else b"")


def decode_target(method: bytes, target: bytes) -> Target | None:
    """None if this is no target of this method."""
    if method == b"CONNECT" or (method == b"OPTIONS" and target == b"*"):
        return Target(target, b"")
    if not target.startswith(b"/"):
        absolute = _ABSOLUTE.fullmatch(target)
        if absolute is None:
            return None
        rest = absolute[1]
        target = rest if rest.startswith(b"/") else b"/" + rest
    path, _, query = target.partition(b"?")
    return None if _BAD_ESCAPE.search(path) else Target(unquote_to_bytes(path), query)
