"""HTTP/2 frames: their numbers, and the bytes of those that carry no header block and no body.

    frame   = length u24 | type u8 | flags u8 | stream u31 (top bit ignored) | payload
    setting = id u16 | value u32

All big endian. Source: RFC 9113, sections 4.1, 6 and 7.
"""

import struct
from collections.abc import Iterable
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA: Final = 0
HEADERS: Final = 1
PRIORITY: Final = 2
RST_STREAM: Final = 3
SETTINGS: Final = 4
PUSH_PROMISE: Final = 5
PING: Final = 6
GOAWAY: Final = 7
WINDOW_UPDATE: Final = 8
CONTINUATION: Final = 9

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
HAS_PRIORITY: Final = 0x20

NO_ERROR: Final = 0
PROTOCOL_ERROR: Final = 1
INTERNAL_ERROR: Final = 2
FLOW_CONTROL_ERROR: Final = 3
STREAM_CLOSED: Final = 5
FRAME_SIZE_ERROR: Final = 6
REFUSED_STREAM: Final = 7
CANCEL: Final = 8
COMPRESSION_ERROR: Final = 9
ENHANCE_YOUR_CALM: Final = 11

SETTING_HEADER_TABLE_SIZE: Final = 1
SETTING_ENABLE_PUSH: Final = 2
SETTING_MAX_CONCURRENT_STREAMS: Final = 3
SETTING_INITIAL_WINDOW_SIZE: Final = 4
SETTING_MAX_FRAME_SIZE: Final = 5
SETTING_MAX_HEADER_LIST_SIZE: Final = 6

FRAME_HEAD_BYTES: Final = 9
FRAME_BYTES_DEFAULT: Final = 16_384
FRAME_BYTES_MAX: Final = (1 << 24) - 1
WINDOW_DEFAULT: Final = 65_535
WINDOW_MAX: Final = (1 << 31) - 1
STREAM_ID_MAX: Final = (1 << 31) - 1
HEADER_TABLE_DEFAULT: Final = 4_096
UNLIMITED: Final = (1 << 32) - 1
GRPC_PREFIX_BYTES: Final = 5

# length and type are read together as one number: length << 8 | type.
FRAME_HEAD: Final = struct.Struct(">IBI")
# A frame head and the first five bytes of a DATA payload: compression flag and length of a gRPC message.
GRPC_PREFIX: Final = struct.Struct(">BI")
DATA_HEAD: Final = struct.Struct(">IBIBI")
SETTING: Final = struct.Struct(">HI")
_WORD_FRAME: Final = struct.Struct(">IBII")
_GOAWAY: Final = struct.Struct(">IBIII")


class ProtocolError(Exception):
    """Bad bytes from the other side: this connection ends with GOAWAY(code, text), no other is touched."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


def encode_frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """Any frame. Requires: payload not longer than the receiver's SETTINGS_MAX_FRAME_SIZE."""
    return FRAME_HEAD.pack(len(payload) << 8 | kind, flags, stream_id) + payload


def encode_settings(settings: Iterable[tuple[int, int]]) -> bytes:
    return encode_frame(SETTINGS, 0, 0, b"".join([SETTING.pack(key, value) for key, value in settings]))


def encode_window_update(stream_id: int, increment: int) -> bytes:
    return _WORD_FRAME.pack(4 << 8 | WINDOW_UPDATE, 0, stream_id, increment)


def encode_rst_stream(stream_id: int, code: int) -> bytes:
    return _WORD_FRAME.pack(4 << 8 | RST_STREAM, 0, stream_id, code)


def encode_goaway(last_stream_id: int, code: int, text: str = "") -> bytes:
    debug = text.encode()
    return _GOAWAY.pack((8 + len(debug)) << 8 | GOAWAY, 0, 0, last_stream_id, code) + debug


SETTINGS_ACK: Final = encode_frame(SETTINGS, ACK, 0)
