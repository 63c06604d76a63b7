"""The stream of appends ("msgapp v2"), numbers big endian.

    stream  = *frame
    frame   = 0                                                    the writer lives
            | 1 count:u64 count*( length:u64 entry ) commit:u64    an append that goes on where the last one ended
            | 2 length:u64 message                                 any append; message: raftpb.Message

Both ends keep (term, index), of the last entry that was sent, (0, 0) at the start of a connection: a frame of type 1
says neither. It stands for a MsgApp from the writer to the reader with this term as both of its terms, and this index.

NB: real members end on a type 2 frame that is no message and on a huge count, so nothing is written that was not
encoded by raft, and what was written in part is never followed by anything but the end of the connection.
Source: etcd rafthttp, "msgappv2" stream.
"""

import struct
from typing import Final

from google.protobuf.message import DecodeError

from etcdz.peer.appends import Append, encode_append
from etcdz.peer.frame_buffer import FrameBuffer
from etcdz.peer.message_stream import FRAME_BYTES_MAX
from etcdz.peer.protocol_error import ProtocolError
from etcdz.peer.screen import Screen, decode
from etcdz.raft.entry import decode_entries
from etcdz.raft.messages import MSG_APP, Message

MSGAPP_HEARTBEAT: Final = b"\x00"
_ALIVE, _ENTRIES, _MESSAGE = range(3)
_HEAD: Final = struct.Struct(">BQ")
_U64: Final = struct.Struct(">Q")


class MsgappEncoder:
    """One connection's stream, from its first frame on."""

    def __init__(self, local_id: int, remote_id: int) -> None:
        self._local_id = local_id
        self._remote_id = remote_id
        self._term = self._index = 0

    def encode(self, append: Append) -> list[bytes]:
        """Parts of the next frame, which must be written."""
        term, log_term, index, commit, entries = append
        if index == self._index and log_term == term == self._term:
            self._index += len(entries)
            lengths = [len(entry).to_bytes(8, "big") for entry in entries]
            pairs = [part for pair in zip(lengths, entries, strict=True) for part in pair]
            return [_HEAD.pack(_ENTRIES, len(entries)), *pairs, _U64.pack(commit)]
        self._term, self._index = term, index + len(entries)
        parts = encode_append(self._local_id, self._remote_id, append)
        return [_HEAD.pack(_MESSAGE, sum(map(len, parts))), *parts]


class MsgappDecoder:
    """One connection's stream.

    Invariant: _missing is None outside of a frame of type 1, and how many of its entries are still to come within it
    """

    def __init__(self, screen: Screen, remote_id: int) -> None:
        self._screen = screen
        self._remote_id = remote_id
        self._buffer = FrameBuffer()
        self._term = self._index = 0
        self._entries: list[bytes] = []
        self._entries_bytes = 0
        self._missing: int | None = None
        self._wanted = 1

    def receive(self, data: bytes) -> list[bytes]:
        """Encoded messages to be stepped that data completes, in order. raises ProtocolError: the stream is to end"""
        buf = self._buffer.add(data)
        if not buf:
            return []
        messages: list[bytes] = []
        at, before = 0, -1
        while at != before:
            before = at
            at = self._take(buf, at, messages) if self._missing is None else self._take_entries(buf, at, messages)
        self._buffer.keep(buf[at:], self._wanted)
        return messages

    def _take(self, buf: bytes, at: int, messages: list[bytes]) -> int:
        """Offset behind the frame at `at`, or behind its head if entries follow; `at` itself if more is needed."""
        end = len(buf)
        if at == end:
            self._wanted = 1
            return at
        kind = buf[at]
        if kind == _ALIVE:
            return at + 1
        if kind not in (_ENTRIES, _MESSAGE):
            raise ProtocolError(f"unhandled msgType {kind}")
        self._wanted = _HEAD.size
        if end - at < _HEAD.size:
            return at
        size = _U64.unpack_from(buf, at + 1)[0]
        if size > FRAME_BYTES_MAX:
            raise ProtocolError("error limit exceeded")
        if kind == _ENTRIES:
            if not self._term:
                raise ProtocolError("append without a term")
            self._missing, self._entries, self._entries_bytes = size, [], 0
            return at + _HEAD.size
        self._wanted = _HEAD.size + size
        if end - at < self._wanted:
            return at
        self._on_message(buf[at + _HEAD.size : at + self._wanted], messages)
        return at + self._wanted

    def _on_message(self, encoded: bytes, messages: list[bytes]) -> None:
        message = decode(encoded)
        if message.type != MSG_APP:
            raise ProtocolError("message on the stream of appends is not one")
        self._term = message.term
        self._index = message.entries[-1].index if message.entries else message.index
        if self._screen.admits(message):
            messages.append(encoded)

    def _take_entries(self, buf: bytes, at: int, messages: list[bytes]) -> int:
        """As _take, within a frame of type 1."""
        missing = self._missing or 0
        entries, end = self._entries, len(buf)
        self._wanted = 8
        while missing and end - at >= 8:
            size = _U64.unpack_from(buf, at)[0]
            self._check_size(size)
            if end - at - 8 < size:
                self._wanted = 8 + size
                break
            at += 8 + size
            self._entries_bytes += 8 + size
            entries.append(buf[at - size : at])
            missing -= 1
        self._missing = missing
        if missing or end - at < 8:
            return at
        self._missing = None
        self._on_entries(_U64.unpack_from(buf, at)[0], messages)
        return at + 8

    def _check_size(self, size: int) -> None:
        if self._entries_bytes + size > FRAME_BYTES_MAX:
            raise ProtocolError("error limit exceeded")

    def _on_entries(self, commit: int, messages: list[bytes]) -> None:
        try:
            entries = decode_entries(self._entries)
        except DecodeError as error:
            raise ProtocolError(f"error unmarshalling entry: {error}") from None
        before, local_id = self._index, self._screen.local_id
        self._entries = []
        for entry in entries:
            self._index += 1
            if entry.index != self._index:
                raise ProtocolError(f"entry {entry.index} at position {self._index}")
        if self._screen.admits(Message(MSG_APP, local_id, self._remote_id, self._term)):
            append = Append(self._term, self._term, before, commit, [entry.encoded for entry in entries])
            messages.append(b"".join(encode_append(self._remote_id, local_id, append)))
