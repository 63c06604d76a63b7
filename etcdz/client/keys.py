"""Keys and ranges of them, as users give them: text or bytes; a key, a key and an end, or a prefix."""

from typing import Final

Key = str | bytes
ALL: Final = b"\0"
"""As an end: all keys from there on. As a key with that end: all keys."""


def as_bytes(text: Key) -> bytes:
    return text.encode() if text.__class__ is str else text  # type: ignore[return-value]


def prefix_end(prefix: bytes) -> bytes:
    """The first key behind all that begin with prefix."""
    kept = prefix.rstrip(b"\xff")
    return kept[:-1] + bytes((kept[-1] + 1,)) if kept else ALL


def span(key: Key | None, end: Key | None, prefix: Key | None) -> tuple[bytes, bytes]:
    """(key, range_end) as etcd wants them. An empty prefix: all keys. raises ValueError: not one way of saying it"""
    if prefix is not None:
        if key is not None or end is not None:
            raise ValueError("a key or a prefix, not both")
        start = as_bytes(prefix)
        return start or ALL, prefix_end(start)
    if key is None:
        raise ValueError("a key or a prefix is wanted")
    return as_bytes(key), b"" if end is None else as_bytes(end)
