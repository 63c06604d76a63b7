"""HTTP/2 and HTTP/1.1 on one port: told apart by the first bytes."""

from typing import Final

from etcdz.wire.frames import PREFACE

HTTP1: Final = 1
HTTP2: Final = 2


def sniff(data: bytes) -> int | None:
    """HTTP2 if data begins with the client preface, HTTP1 if it cannot any more, None if more bytes are needed.

    data    all bytes since the connection was opened
    """
    if data[: len(PREFACE)] == PREFACE[: len(data)]:
        return HTTP2 if len(data) >= len(PREFACE) else None
    return HTTP1
