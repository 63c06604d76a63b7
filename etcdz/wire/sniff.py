"""HTTP/2 and HTTP/1.1 on one port: told apart by the first bytes."""

from typing import Final

from etcdz.wire.frames import PREFACE

HTTP1: Final = 1
HTTP2: Final = 2
BROKEN: Final = 3
"""An HTTP/2 client whose preface is wrong: it would not understand an answer of HTTP/1."""

_HTTP2_LINE: Final = PREFACE[: PREFACE.index(b"\r")]


def sniff(data: bytes) -> int | None:
    """HTTP2 if data begins with the client preface, HTTP1 or BROKEN if it cannot any more, None if more is needed.

    data    all bytes since the connection was opened
    """
    if data[: len(PREFACE)] == PREFACE[: len(data)]:
        return HTTP2 if len(data) >= len(PREFACE) else None
    return BROKEN if data.startswith(_HTTP2_LINE) else HTTP1
