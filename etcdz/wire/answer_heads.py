"""Heads of HTTP/1.1 answers that are the same but for the length of the body: each is encoded once a second."""

from typing import Final

from etcdz.wire.http1 import Header, encode_fields, status_line

KEPT_MAX: Final = 256
"""Of one second; then they are forgotten."""

_Key = tuple[int, bytes, tuple[Header, ...], tuple[Header, ...]]


class AnswerHeads:
    """Of one listener."""

    __slots__ = ("_date", "_known")

    def __init__(self) -> None:
        self._date = b""
        self._known: dict[_Key, bytes] = {}

    def begin(
        self, date: bytes, status: int, kind: bytes, common: tuple[Header, ...], headers: tuple[Header, ...]
    ) -> bytes:
        """All of a head but the value of its Content-Length, which is its last field.

        status  one with a body
        kind    its Content-Type; b"": none
        """
        if date is not self._date or len(self._known) > KEPT_MAX:
            self._date = date
            self._known.clear()
        key = status, kind, common, headers
        found = self._known.get(key)
        if found is None:
            of_body = ((b"Content-Type", kind),) if kind else ()
            fields = (*common, *headers, (b"date", date), *of_body)
            found = self._known[key] = status_line(status) + encode_fields(fields) + b"Content-Length: "
        return found
