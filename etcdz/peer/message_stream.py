"""The stream of all messages but appends, and what is POSTed to /raft.

    stream     = *frame
    frame      = length message           length: u64, big endian; message: raftpb.Message
    heartbeat  = frame whose message is a MsgHeartbeat without ids: the writer lives

Source: etcd rafthttp, "message" stream.
"""

import struct
from typing import Final

from etcdz.peer.frame_buffer import FrameBuffer
from etcdz.peer.protocol_error import ProtocolError
from etcdz.peer.screen import Screen, decode, is_link_heartbeat
from etcdz.raft.codec import encode_message
from etcdz.raft.messages import MSG_HEARTBEAT, Message

FRAME_BYTES_MAX: Final = 512 << 20
"""As etcd has it. Nothing is set aside for what is only announced."""

_U64: Final = struct.Struct(">Q")


def encode_frame(message: bytes) -> bytes:
    """message: an encoded raftpb.Message."""
    return _U64.pack(len(message)) + message


MESSAGE_HEARTBEAT: Final = encode_frame(encode_message(Message(MSG_HEARTBEAT)))


class MessageDecoder:
    """One connection's stream."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._buffer = FrameBuffer()

    def receive(self, data: bytes) -> list[bytes]:
        """Encoded messages to be stepped that data completes, in order. raises ProtocolError: the stream is to end"""
        buf = self._buffer.add(data)
        if not buf:
            return []
        messages: list[bytes] = []
        at, end, wanted = 0, len(buf), 8
        while end - at >= 8:
            wanted = 8 + _U64.unpack_from(buf, at)[0]
            if wanted - 8 > FRAME_BYTES_MAX:
                raise ProtocolError("error limit exceeded")
            if end - at < wanted:
                break
            encoded = buf[at + 8 : at + wanted]
            at, wanted = at + wanted, 8
            message = decode(encoded)
            if not is_link_heartbeat(message) and self._screen.admits(message):
                messages.append(encoded)
        self._buffer.keep(buf[at:], wanted)
        return messages


def decode_post(screen: Screen, body: bytes) -> bytes | None:
    """The message of a POST to /raft, None if it is not to be stepped. raises ProtocolError: not a raftpb.Message"""
    return body if screen.admits(decode(body)) else None
