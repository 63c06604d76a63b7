"""Frames as a client would send them, and a server's bytes as lines that a test can hold against a list.

HEADERS 1 END_STREAM :status=200 grpc-status=0      DATA 1 261      RST_STREAM 1 PROTOCOL_ERROR
SETTINGS 4=65536   SETTINGS ACK    PING 3132333435363738    PING ACK 3132333435363738
WINDOW_UPDATE 0 1048576            GOAWAY 1 FLOW_CONTROL_ERROR
"""

import hpack

from etcdz.wire import frames as f
from etcdz.wire.server import GrpcServerConnection, Method, ServerSettings
from tests.wire.echo_server import answer

ECHO = b"/test.Echo/Unary"
STREAM = b"/test.Echo/Stream"
METHODS = {
    ECHO: Method(ECHO, True, 1),
    STREAM: Method(STREAM, False, 2, streams=True),
}
ERROR_NAMES = {
    getattr(f, name): name
    for name in (
        "NO_ERROR",
        "PROTOCOL_ERROR",
        "INTERNAL_ERROR",
        "FLOW_CONTROL_ERROR",
        "STREAM_CLOSED",
        "FRAME_SIZE_ERROR",
        "REFUSED_STREAM",
        "CANCEL",
        "COMPRESSION_ERROR",
        "ENHANCE_YOUR_CALM",
    )
}

Field = tuple[bytes, bytes]
CALL_FIELDS: list[Field] = [
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", ECHO),
    (b":authority", b"test"),
    (b"content-type", b"application/grpc"),
    (b"te", b"trailers"),
]


DEFAULTS = ServerSettings()


class Clock:
    """A clock that stands still unless it is set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def changed(*changes: tuple[bytes, bytes | None]) -> list[Field]:
    """CALL_FIELDS with fields replaced, added at the end, or, with None, left out."""
    fields = list(CALL_FIELDS)
    for name, value in changes:
        at = next((i for i, field in enumerate(fields) if field[0] == name), None)
        if at is not None:
            fields[at : at + 1] = [] if value is None else [(name, value)]
        elif value is not None:
            fields.append((name, value))
    return fields


def block(fields: list[Field] = CALL_FIELDS) -> bytes:
    """A header block that leaves the dynamic table alone."""
    parts = []
    for name, value in fields:
        parts += [b"\0", integer(len(name)), name, integer(len(value)), value]
    return b"".join(parts)


def integer(number: int, prefix: int = 0x7F) -> bytes:
    if number < prefix:
        return bytes((number,))
    out, number = bytearray((prefix,)), number - prefix
    while number >= 128:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    return f.encode_frame(kind, flags, stream_id, payload)


def headers(stream_id: int, fields: list[Field] = CALL_FIELDS, flags: int = f.END_HEADERS) -> bytes:
    return frame(f.HEADERS, flags, stream_id, block(fields))


def data(stream_id: int, payload: bytes, flags: int = f.END_STREAM) -> bytes:
    return frame(f.DATA, flags, stream_id, payload)


def message(body: bytes, flag: int = 0) -> bytes:
    return bytes((flag,)) + len(body).to_bytes(4, "big") + body


def call(stream_id: int, body: bytes = b"hello", fields: list[Field] = CALL_FIELDS) -> bytes:
    """A whole unary call."""
    return headers(stream_id, fields) + data(stream_id, message(body))


def settings(*pairs: tuple[int, int]) -> bytes:
    return f.encode_settings(pairs)


def ping(payload: bytes = b"12345678", flags: int = 0) -> bytes:
    return frame(f.PING, flags, 0, payload)


def window_update(stream_id: int, increment: int) -> bytes:
    return f.encode_window_update(stream_id, increment)


def rst_stream(stream_id: int, code: int = f.CANCEL) -> bytes:
    return f.encode_rst_stream(stream_id, code)


HELLO = f.PREFACE + settings()


def split_frames(sent: bytes) -> list[bytes]:
    """One chunk a frame."""
    chunks, pos = [], 0
    while pos < len(sent):
        end = pos + 9 + int.from_bytes(sent[pos : pos + 3], "big")
        chunks.append(sent[pos:end])
        pos = end
    return chunks


class Reader:
    """Turns the bytes of one direction into lines; knows nothing but hpack and frame heads."""

    def __init__(self) -> None:
        self._decoder = hpack.Decoder()
        self._rest = b""

    def lines(self, data: bytes) -> list[str]:
        data = self._rest + data
        pos, found = 0, []
        while len(data) - pos >= 9 and len(data) - pos - 9 >= int.from_bytes(data[pos : pos + 3], "big"):
            end = pos + 9 + int.from_bytes(data[pos : pos + 3], "big")
            stream_id = int.from_bytes(data[pos + 5 : pos + 9], "big")
            found.append(self._line(data[pos + 3], data[pos + 4], stream_id, data[pos + 9 : end]))
            pos = end
        self._rest = data[pos:]
        return found

    def _line(self, kind: int, flags: int, stream_id: int, payload: bytes) -> str:
        number = int.from_bytes(payload[:4], "big")
        if kind == f.HEADERS:
            assert flags & f.END_HEADERS
            fields = " ".join(f"{name}={value}" for name, value in self._decoder.decode(payload))
            return f"HEADERS {stream_id} {'END_STREAM ' if flags & 1 else ''}{fields}"
        if kind == f.DATA:
            return f"DATA {stream_id} {'END_STREAM ' if flags & 1 else ''}{len(payload)}"
        if kind == f.RST_STREAM:
            return f"RST_STREAM {stream_id} {ERROR_NAMES[number]}"
        if kind == f.SETTINGS:
            pairs = " ".join(f"{key}={value}" for key, value in f.SETTING.iter_unpack(payload))
            return "SETTINGS ACK" if flags & f.ACK else f"SETTINGS {pairs}"
        if kind == f.PING:
            return f"PING {'ACK ' if flags & f.ACK else ''}{payload.hex()}"
        if kind == f.WINDOW_UPDATE:
            return f"WINDOW_UPDATE {stream_id} {number}"
        assert kind == f.GOAWAY, kind
        return f"GOAWAY {number} {ERROR_NAMES[int.from_bytes(payload[4:8], 'big')]}"


OK_ANSWER = "HEADERS {0} :status=200 content-type=application/grpc"
OK_TRAILERS = "HEADERS {0} END_STREAM grpc-status=0"


def answered(stream_id: int, size: int) -> list[str]:
    """The lines of a good answer with a message of so many bytes."""
    return [OK_ANSWER.format(stream_id), f"DATA {stream_id} {size + 5}", OK_TRAILERS.format(stream_id)]


def refused(stream_id: int, code: int, text: str, status: int = 200) -> str:
    """The line of an answer that is trailers only; text as it is percent-encoded."""
    return (
        f"HEADERS {stream_id} END_STREAM :status={status} content-type=application/grpc "
        f"grpc-status={code} grpc-message={text}"
    )


def serve(
    chunks: list[bytes],
    server_settings: ServerSettings = DEFAULTS,
    clock: Clock | None = None,
) -> tuple[list[str], list[tuple], GrpcServerConnection]:
    """An echo server's answer to chunks: its lines after the greeting, all events, the connection."""
    conn = GrpcServerConnection(METHODS, server_settings, clock or Clock())
    conn.take_output()
    reader, lines, events = Reader(), [], []
    for chunk in chunks:
        found = conn.receive(chunk)
        answer(conn, found)
        events += found
        lines += reader.lines(conn.take_output())
    return lines, events, conn
