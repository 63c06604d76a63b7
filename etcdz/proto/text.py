"""Strings of messages that need not be UTF-8.

etcd 3.5 checks no string that it decodes: names of users and roles, passwords and whatever else is a string in an entry
of the log may be any bytes. Here they are str, with a lone surrogate for each byte that is none of UTF-8's (PEP 383),
so that they come out as the bytes that they were. Order them by encode_text: etcd compares bytes.
"""

import re
from typing import Final

_NO_CHARACTER: Final = re.compile("[\ud800-\udfff]")


def decode_text(value: str | bytes) -> str:
    """value: bytes, or a string field of a message. NB: of one that is not UTF-8 the library makes bytes"""
    return value if isinstance(value, str) else value.decode("utf-8", "surrogateescape")


def encode_text(text: str) -> bytes:
    """The bytes that decode_text has made this of.

    raises  UnicodeEncodeError: of none, it has other surrogates
    """
    return text.encode("utf-8", "surrogateescape")


def printable(value: str | bytes) -> str:
    """With U+FFFD in the place of each byte that is none of UTF-8's, as Go's encoders of JSON write it."""
    return _NO_CHARACTER.sub("\ufffd", decode_text(value))
