"""Attacks on what the client port serves over HTTP/1.1: bodies in all sizes and paces, and WebSockets."""

import time
from collections.abc import Callable
from contextlib import suppress
from random import Random
from socket import socket
from typing import Final

from tests.hostile.raw_client import connect

_CONNECTIONS: Final = 10
SENT: Final = 20
"""So often something is sent at least, however slow the machine."""
_CHUNKED: Final = b"POST %b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
_UPGRADE: Final = (
    b"GET /v3/watch HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
_WATCH_ALL: Final = b'{"create_request":{"key":"AA==","range_end":"AA==","progress_notify":true}}'


def _drive(target: str, seconds: float, greeting: bytes, choose: Callable[[], bytes]) -> dict[str, int]:
    """Sends what choose() gives on some connections, which are made anew when the member ends them. Hardly any of them
    ever reads."""
    until = time.monotonic() + seconds
    sent = ended = 0
    socks: list[socket] = []
    while time.monotonic() < until or sent < SENT:
        if len(socks) < _CONNECTIONS:
            socks.append(connect(target))
            socks[-1].settimeout(0.05)
            with suppress(OSError):
                socks[-1].sendall(greeting)
        sock = socks.pop(0)
        try:
            sock.sendall(choose())
            sent += 1
            socks.append(sock)
        except TimeoutError:  # the member does not read either, since nobody reads what it says
            sock.close()
        except OSError:
            ended += 1
            sock.close()
    for sock in socks:
        sock.close()
    return {"sent": sent, "ended": ended}


def flood_bodies(target: str, rng: Random, seconds: float) -> dict[str, int]:
    """Bodies in crumbs, without end, of false length, in two framings at once, and many requests at a time."""
    put = b'{"key":"YXR0YWNr","value":"dg=="}'
    request = b"POST /v3/kv/put HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(put), put)
    kinds = [
        _CHUNKED % b"/v3/watch" + b"1\r\n{\r\n" * 500,
        _CHUNKED % b"/v3/watch" + b"%x\r\n%b\r\n" % (len(_WATCH_ALL), _WATCH_ALL) * 50,
        _CHUNKED % b"/v3/lease/keepalive" + b'8\r\n{"ID":1}\r\n' * 500,
        _CHUNKED % b"/v3/kv/put" + b"1;" + b"a" * 100_000,
        _CHUNKED % b"/v3/kv/put" + b"ffffffff\r\n" + b"x" * 100_000,
        _CHUNKED % b"/version" + b"1\r\nx\r\n" * 1_000,
        b"POST /v3/kv/put HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n" + b"x" * 100_000,
        b"POST /v3/kv/put HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        request * 40,
        request * 200,
        b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" * 30 + request,
    ]
    return _drive(target, seconds, b"", lambda: rng.choice(kinds))


def _frame(head: int, size: int, payload: bytes) -> bytes:
    """A frame of a client, its mask all zeros."""
    if size < 126:
        return bytes((head, 0x80 | size)) + bytes(4) + payload
    return bytes((head, 0xFF)) + size.to_bytes(8, "big") + bytes(4) + payload


def flood_websockets(target: str, rng: Random, seconds: float) -> dict[str, int]:
    """Pings, crumbs of messages, messages without end, junk, and watches that nobody reads."""
    kinds = [
        _frame(0x89, 100, b"p" * 100) * 500,
        _frame(0x81, len(_WATCH_ALL), _WATCH_ALL) * 100,
        _frame(0x01, 1, b"x") + _frame(0x00, 0, b"") * 2_000,
        _frame(0x82, 1 << 40, b"x" * 100_000),
        _frame(0x82, 3_000_000, b"x" * 100_000),
        _frame(0x81, 2, b"{}") * 500,
        _frame(0x88, 2, b"\x03\xe8") + _frame(0x81, 2, b"{}"),
        rng.randbytes(1_000),
    ]
    return _drive(target, seconds, _UPGRADE, lambda: rng.choice(kinds))
