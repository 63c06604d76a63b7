"""HTTP/2 by hand over a blocking socket: what an attacker sends, and nothing that it does not want to send."""

import socket
import struct
import time
from collections.abc import Iterator
from typing import Final

from etcdz.wire import frames as f
from etcdz.wire.header_block import Field, plain_block

_TIMEOUT_S: Final = 60.0
_READ_BYTES: Final = 1 << 18


def connect(target: str, timeout_s: float = _TIMEOUT_S) -> socket.socket:
    host, _, port = target.rpartition(":")
    sock = socket.create_connection((host, int(port)), timeout_s)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def head_fields(path: bytes, extra: tuple[Field, ...] = ()) -> tuple[Field, ...]:
    """The header list of a gRPC call."""
    return (
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path),
        (b":authority", b"localhost"),
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
        *extra,
    )


def encode_headers(stream_id: int, fields: tuple[Field, ...], flags: int = 0) -> bytes:
    """HEADERS, with CONTINUATIONs where the block needs them."""
    block = plain_block(fields)
    size = f.FRAME_BYTES_DEFAULT
    parts = [block[at : at + size] for at in range(0, len(block), size)] or [b""]
    out = []
    for number, part in enumerate(parts):
        last = f.END_HEADERS if number == len(parts) - 1 else 0
        kind, own = (f.CONTINUATION, 0) if number else (f.HEADERS, flags)
        out.append(f.encode_frame(kind, own | last, stream_id, part))
    return b"".join(out)


def encode_message(stream_id: int, body: bytes, flags: int = f.END_STREAM) -> bytes:
    """One gRPC message as DATA."""
    data = struct.pack(">BI", 0, len(body)) + body
    size = f.FRAME_BYTES_DEFAULT
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    return b"".join(
        f.encode_frame(f.DATA, flags if number == len(parts) - 1 else 0, stream_id, part)
        for number, part in enumerate(parts)
    )


class RawClient:
    """One connection: writes what it is told, reads frames.

    window  SETTINGS_INITIAL_WINDOW_SIZE; what may be sent to this client at once on one stream
    grant   further bytes of the connection's window
    """

    def __init__(self, target: str, window: int = f.WINDOW_DEFAULT, grant: int = 0, greet: bool = True) -> None:
        self.socket = connect(target)
        self._next_id = 1
        self._tail = b""
        if greet:
            settings = f.encode_settings(((f.SETTING_ENABLE_PUSH, 0), (f.SETTING_INITIAL_WINDOW_SIZE, window)))
            self.socket.sendall(f.PREFACE + settings + (f.encode_window_update(0, grant) if grant else b""))

    def __enter__(self) -> "RawClient":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def next_id(self) -> int:
        stream_id = self._next_id
        self._next_id += 2
        return stream_id

    def send(self, data: bytes) -> None:
        self.socket.settimeout(_TIMEOUT_S)
        self.socket.sendall(data)

    def call(self, path: bytes, body: bytes, extra: tuple[Field, ...] = (), flags: int = f.END_STREAM) -> int:
        """Begins a call; its stream id."""
        stream_id = self.next_id()
        fields = head_fields(path, extra)
        self.send(encode_headers(stream_id, fields) + encode_message(stream_id, body, flags))
        return stream_id

    def frames(self, seconds: float) -> Iterator[tuple[int, int, int, bytes]]:
        """(kind, flags, stream id, payload) of what comes, until the connection or the time ends. SETTINGS and PING
        are answered."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            while len(self._tail) >= 9:
                size = int.from_bytes(self._tail[:3], "big")
                if len(self._tail) < 9 + size:
                    break
                kind, flags = self._tail[3], self._tail[4]
                stream_id = int.from_bytes(self._tail[5:9], "big")
                payload, self._tail = self._tail[9 : 9 + size], self._tail[9 + size :]
                self._answer(kind, flags, payload)
                yield kind, flags, stream_id, payload
            self.socket.settimeout(max(left, 1e-3))
            try:
                data = self.socket.recv(_READ_BYTES)
            except OSError:
                return
            if not data:
                return
            self._tail += data

    def _answer(self, kind: int, flags: int, payload: bytes) -> None:
        try:
            if kind == f.SETTINGS and not flags & f.ACK:
                self.send(f.SETTINGS_ACK)
            elif kind == f.PING and not flags & f.ACK:
                self.send(f.encode_frame(f.PING, f.ACK, 0, payload))
        except OSError:
            pass  # the other side has closed: what it said before is still to be read
