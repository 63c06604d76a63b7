"""gRPC's framing inside DATA, which knows no frame borders.

    message = compressed u8 (0 or 1) | length u32, big endian | bytes

Texts are grpc-go's. Source: gRPC over HTTP/2, Length-Prefixed-Message.
"""

import zlib
from typing import Final

from etcdz.api.errors import Code

PREFIX_BYTES: Final = 5
_GZIP: Final = 31
_GO_REASONS: Final = {  # zlib's words -> Go's
    "incorrect header check": "gzip: invalid header",
    "unknown compression method": "gzip: invalid header",
    "incorrect data check": "gzip: invalid checksum",
    "incorrect length check": "gzip: invalid checksum",
}


class BadMessage(Exception):
    """The call ends with this status."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


def next_message(inbox: bytearray, limit: int, gzip: bool) -> bytes | None:
    """Takes the next whole message, uncompressed, off the inbox; None if it needs more bytes.

    limit   of the message, compressed and not
    gzip    what a compressed message is compressed with; False: none may be compressed
    raises  BadMessage, as soon as the prefix shows it
    """
    if len(inbox) < PREFIX_BYTES:
        return None
    flag = inbox[0]
    size = int.from_bytes(inbox[1:PREFIX_BYTES], "big")
    if flag > 1:
        raise BadMessage(Code.INTERNAL, f"grpc: received unexpected payload format {flag}")
    if flag and not gzip:
        raise BadMessage(Code.INTERNAL, "grpc: compressed flag set with identity or empty encoding")
    if size > limit:
        raise _too_large(size, limit)
    end = PREFIX_BYTES + size
    if len(inbox) < end:
        return None
    with memoryview(inbox) as view:
        message = bytes(view[PREFIX_BYTES:end])
    del inbox[:end]
    return _gunzip(message, limit) if flag else message


def _too_large(size: int, limit: int) -> BadMessage:
    return BadMessage(Code.RESOURCE_EXHAUSTED, f"grpc: received message larger than max ({size} vs. {limit})")


def _gunzip(message: bytes, limit: int) -> bytes:
    """At most one byte beyond the limit is ever unpacked, so that a small message cannot become a huge one."""
    unpacker = zlib.decompressobj(wbits=_GZIP)
    try:
        message = unpacker.decompress(message, limit + 1)
    except zlib.error as error:
        raise _not_gzip(_GO_REASONS.get(str(error).rpartition(": ")[2], "flate: corrupt input")) from None
    if len(message) > limit:
        raise _too_large(len(message), limit)
    if not unpacker.eof:
        raise _not_gzip("unexpected EOF")
    if unpacker.unused_data:
        raise _not_gzip("gzip: invalid header")  # Go looks for another member there
    return message


def _not_gzip(reason: str) -> BadMessage:
    return BadMessage(Code.INTERNAL, f"grpc: failed to decompress the received message {reason}")
