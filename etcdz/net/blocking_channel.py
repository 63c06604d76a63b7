"""A small gRPC client that blocks, for tests and command lines: GrpcClientConnection on a socket. One thread per
Channel."""

import socket
import ssl
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from etcdz.api.errors import Code
from etcdz.tls.handshake_errors import handshake_error
from etcdz.wire.client import CannotOpen, ClientSettings, GrpcClientConnection
from etcdz.wire.events import DONE, MESSAGE, ClientEvent
from etcdz.wire.header_block import Field

_READ_BYTES: Final = 1 << 18
CONNECT_TIMEOUT_S: Final = 5.0


class RpcError(Exception):
    """A call that ended with a gRPC status other than OK."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"rpc error: code = {code} desc = {text}")
        self.code = code
        self.text = text


def connect(target: str, timeout_s: float) -> socket.socket:
    """A connected socket. target: host:port, http://host:port, unix:path or unix://path. raises OSError"""
    if target.startswith("unix:"):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(timeout_s)
        sock.connect(target.removeprefix("unix:").removeprefix("//"))
        return sock
    host, _, port = target.removeprefix("http://").rstrip("/").rpartition(":")
    sock = socket.create_connection((host.strip("[]"), int(port)), timeout_s)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _authority(target: str) -> bytes:
    return b"localhost" if target.startswith("unix:") else target.removeprefix("http://").rstrip("/").encode()


class Channel:
    """Connects when first used, and again after the connection has ended. Use as a context manager, or close it.

    open_socket     another transport, e.g. TLS: (target, timeout_s) -> a connected socket
    """

    def __init__(
        self,
        target: str,
        open_socket: Callable[[str, float], socket.socket] = connect,
        settings: ClientSettings | None = None,
    ) -> None:
        self._target = target
        self._open_socket = open_socket
        self._settings = settings or ClientSettings(authority=_authority(target))
        self._sock: socket.socket | None = None
        self._conn: GrpcClientConnection | None = None
        self._messages: dict[int, deque[bytes]] = {}
        self._done: dict[int, tuple[int, str, bytes]] = {}

    def __enter__(self) -> "Channel":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Calls that are still open are lost."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None
            self._conn = None

    def unary(self, path: str, body: bytes, timeout: float | None = None, metadata: tuple[Field, ...] = ()) -> bytes:
        """The answer to one call. timeout: seconds; raises RpcError, UNAVAILABLE if the server cannot be reached"""
        conn = self._ready()
        try:
            stream_id = conn.call(path.encode(), body, timeout, metadata)
        except CannotOpen:
            raise RpcError(Code.UNAVAILABLE, "no more streams on this connection") from None
        while stream_id not in self._done:
            self._turn(None)
        code, text, message = self._done.pop(stream_id)
        if code:
            raise RpcError(code, text)
        return message

    def stream(self, path: str, timeout: float | None = None, metadata: tuple[Field, ...] = ()) -> "BlockingStream":
        """Starts a streaming call. raises RpcError, UNAVAILABLE if the server cannot be reached"""
        conn = self._ready()
        stream_id = conn.open(path.encode(), timeout, metadata)
        self._messages[stream_id] = deque()
        return BlockingStream(self, conn, stream_id)

    def _ready(self) -> GrpcClientConnection:
        """The connection, opened anew if the last one takes no more calls."""
        if self._conn is not None and self._sock is not None and self._conn.room:
            return self._conn
        self.close()
        self._messages.clear()
        self._done.clear()
        try:
            self._sock = self._open_socket(self._target, CONNECT_TIMEOUT_S)
        except OSError as error:
            raise RpcError(Code.UNAVAILABLE, f"connection error: {error}") from error
        self._conn = GrpcClientConnection(self._settings, time.monotonic)
        return self._conn

    def _turn(self, timeout_s: float | None) -> bool:
        """Writes what is due, reads once. timeout_s: at most that long; False if nothing came in that time."""
        conn, sock = self._conn, self._sock
        if conn is None or sock is None:
            raise RpcError(Code.UNAVAILABLE, "channel is closed")
        deadline = conn.next_deadline()
        if deadline is not None:
            left = max(0.0, deadline - time.monotonic())
            timeout_s = left if timeout_s is None else min(left, timeout_s)
        try:
            self._flush(conn, sock)
            data = self._read(sock, timeout_s)
        except ssl.SSLError as error:  # with TLS 1.3 a server refuses a client behind the handshake
            self.close()
            raise RpcError(Code.UNAVAILABLE, f"connection error: {handshake_error(error).text}") from error
        except OSError:
            data = b""
        if data:
            self._take(conn.receive(data))
        elif data is not None:
            self._take(conn.connection_lost())
        self._take(conn.expire(time.monotonic()))
        return data is not None

    def _flush(self, conn: GrpcClientConnection, sock: socket.socket) -> None:
        output = conn.take_output()
        if output:
            sock.settimeout(None)
            sock.sendall(output)

    def _read(self, sock: socket.socket, timeout_s: float | None) -> bytes | None:
        """What has come, b"" at the end of the connection, None if the time is up."""
        sock.settimeout(None if timeout_s is None else max(timeout_s, 1e-6))
        try:
            return sock.recv(_READ_BYTES)
        except TimeoutError:
            return None

    def _take(self, events: list[ClientEvent]) -> None:
        for kind, stream_id, code, text, message in events:
            if kind == DONE:
                self._done[stream_id] = (code, text, message)
            elif kind == MESSAGE:
                self._messages[stream_id].append(message)


class BlockingStream:
    """A streaming call."""

    def __init__(self, channel: Channel, conn: GrpcClientConnection, stream_id: int) -> None:
        self._channel = channel
        self._conn = conn
        self._id = stream_id

    def send(self, message: bytes) -> None:
        self._conn.send_message(self._id, message)

    def close_send(self) -> None:
        """No more messages will be sent; answers may still come."""
        self._conn.half_close(self._id)

    def recv(self, timeout: float | None = None) -> bytes | None:
        """The next message, None at the end. raises RpcError; TimeoutError if none came in timeout seconds"""
        channel = self._channel
        messages = channel._messages[self._id]
        until = None if timeout is None else time.monotonic() + timeout
        while not messages:
            if self._id in channel._done:
                code, text, _ = channel._done[self._id]
                if code:
                    raise RpcError(code, text)
                return None
            left = None if until is None else until - time.monotonic()
            if left is not None and left <= 0:
                raise TimeoutError
            channel._turn(left)
        return messages.popleft()

    def cancel(self) -> None:
        self._conn.cancel(self._id)
        self._channel._done.setdefault(self._id, (Code.CANCELED, "context canceled", b""))
