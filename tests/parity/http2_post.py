"""One POST over HTTP/2, with whatever headers and bytes a test wants: what grpcio would never send.

Frame by frame over a blocking socket, and independent of etcdz.wire, whose judge it is. One stream, bodies below the
first window of 65,535 bytes.
"""

import socket
import struct
from typing import NamedTuple

from hpack import Decoder, Encoder

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _CONTINUATION = 0, 1, 3, 4, 6, 7, 9
_END_STREAM, _ACK, _END_HEADERS = 0x1, 0x1, 0x4
_STREAM = 1
_TIMEOUT_S = 60


class Reply(NamedTuple):
    """What came back. headers, trailers: names to values, as text; reset, goaway: HTTP/2 error codes or None."""

    headers: dict[str, str]
    trailers: dict[str, str]
    body: bytes
    reset: int | None
    goaway: int | None

    @property
    def http_status(self) -> str | None:
        return self.headers.get(":status")

    @property
    def grpc_status(self) -> str | None:
        return self.trailers.get("grpc-status", self.headers.get("grpc-status"))

    @property
    def grpc_message(self) -> str | None:
        return self.trailers.get("grpc-message", self.headers.get("grpc-message"))


def grpc_headers(target: str, path: str) -> dict[str, str]:
    """The header block of an ordinary gRPC call, in the order in which clients send it."""
    return {
        ":method": "POST",
        ":scheme": "http",
        ":path": path,
        ":authority": target,
        "content-type": "application/grpc",
        "te": "trailers",
    }


def post(target: str, headers: dict[str, str], body: bytes, *, whole: bool = True) -> Reply:
    """Sends one request and reads until its stream or the connection ends.

    whole   False: the stream is closed in the middle, by a half-closed connection instead of END_STREAM
    """
    host, _, port = target.partition(":")
    with socket.create_connection((host, int(port)), timeout=_TIMEOUT_S) as link:
        block = Encoder().encode(list(headers.items()))
        link.sendall(
            _PREFACE
            + _frame(_SETTINGS, 0, 0, b"")
            + _frame(_HEADERS, _END_HEADERS, _STREAM, block)
            + _frame(_DATA, _END_STREAM if whole else 0, _STREAM, body)
        )
        if not whole:
            link.shutdown(socket.SHUT_WR)
        return _read_reply(link)


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def _read_reply(link: socket.socket) -> Reply:
    decoder = Decoder()
    blocks: list[dict[str, str]] = []
    block = body = b""
    reset = goaway = None
    with link.makefile("rb") as source:
        while True:
            head = source.read(9)
            if len(head) < 9:
                break
            length, kind, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
            payload = source.read(length)
            if kind == _SETTINGS and not flags & _ACK:
                _answer(link, _frame(_SETTINGS, _ACK, 0, b""))
            elif kind == _PING and not flags & _ACK:
                _answer(link, _frame(_PING, _ACK, 0, payload))
            elif kind in (_HEADERS, _CONTINUATION):
                block += payload
                if flags & _END_HEADERS:
                    blocks.append({str(name): str(value) for name, value in decoder.decode(block)})
                    block = b""
            elif kind == _DATA:
                body += payload
            elif kind == _RST_STREAM:
                reset = int.from_bytes(payload, "big")
                break
            elif kind == _GOAWAY:
                goaway = int.from_bytes(payload[4:8], "big")
            if kind in (_HEADERS, _DATA) and flags & _END_STREAM:
                break
    headers = blocks[0] if blocks else {}
    return Reply(headers, blocks[-1] if len(blocks) > 1 else {}, body, reset, goaway)


def _answer(link: socket.socket, frame: bytes) -> None:
    try:
        link.sendall(frame)
    except OSError:
        pass  # half closed by ourselves, or closed by the other side; what it said before is still to be read
