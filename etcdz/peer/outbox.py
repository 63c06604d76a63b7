"""What waits to be sent to one member, bounded in bytes.

There are three ways: the stream of appends, the stream of all other messages, and POSTs, which are used where the
stream is not attached. A message that finds its way full is dropped, as in a network that loses, and the member is
reported unreachable once: raft then probes before it sends more. Within the message stream what keeps the cluster
together (votes, heartbeats, acknowledgements) goes before forwarded proposals, which may be large.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final

from etcdz.limits import PEER_BULK_BYTES_MAX, PEER_URGENT_BYTES_MAX
from etcdz.peer.appends import Append, encode_append
from etcdz.peer.chunks import encode_chunk
from etcdz.peer.message_stream import MESSAGE_HEARTBEAT, encode_frame
from etcdz.peer.msgapp_stream import MSGAPP_HEARTBEAT, MsgappEncoder
from etcdz.raft.messages import MSG_APP, MSG_PROP

MSGAPP: Final = "msgapp"
MESSAGE: Final = "message"
"""The two streams, by the names that their paths have."""

POSTS_MAX: Final = 64
LINK_HEARTBEAT_S: Final = 5 / 3
"""A reader cuts a stream on which nothing has come for three times as long."""
CHUNK_BYTES: Final = 256 << 10
"""What a chunk of a stream holds, unless a single frame is larger."""

_BULK_TYPES: Final = frozenset((MSG_PROP, MSG_APP))


def message_type(encoded: bytes) -> int:
    """Requires: encoded by etcdz.raft.codec, which writes the type first"""
    return encoded[1]


class _Queue:
    """Frames, each in parts, up to so many bytes; one that is larger alone has its place when nothing else waits."""

    __slots__ = ("bytes", "bytes_max", "frames")

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.bytes = 0
        self.frames: deque[tuple[int, Sequence[bytes]]] = deque()

    def has_room(self, size: int) -> bool:
        return self.bytes + size <= self.bytes_max or not self.frames

    def put(self, parts: Sequence[bytes]) -> None:
        size = sum(map(len, parts))
        self.frames.append((size, parts))
        self.bytes += size

    def take(self, bytes_max: int, parts: list[bytes]) -> int:
        """Moves frames of up to bytes_max to parts, at least one unless bytes_max <= 0; their bytes."""
        taken = 0
        while self.frames and taken < bytes_max and (not taken or taken + self.frames[0][0] <= bytes_max):
            size, frame = self.frames.popleft()
            parts += frame
            taken += size
        self.bytes -= taken
        return taken


class _Stream:
    """urgent goes before bulk."""

    __slots__ = ("bulk", "encoder", "urgent")

    def __init__(self, local_id: int, remote_id: int) -> None:
        self.urgent = _Queue(PEER_URGENT_BYTES_MAX)
        self.bulk = _Queue(PEER_BULK_BYTES_MAX)
        self.encoder = MsgappEncoder(local_id, remote_id)

    @property
    def bytes(self) -> int:
        return self.urgent.bytes + self.bulk.bytes


class Outbox:
    """sent_bytes: of messages handed to connections. dropped: messages for which there was no room, or whose stream
    has broken. overflowed: those of them for which there was no room."""

    def __init__(self, local_id: int, remote_id: int) -> None:
        self.sent_bytes = 0
        self.dropped = 0
        self.overflowed = 0
        self._local_id = local_id
        self._remote_id = remote_id
        self._streams: dict[str, _Stream] = {}
        self._posts = _Queue(PEER_BULK_BYTES_MAX)
        self._is_unreachable = False

    def attach(self, kind: str) -> None:
        """A new connection carries this stream, from its first frame on; one before it carries nothing more."""
        self.detach(kind)
        self._streams[kind] = _Stream(self._local_id, self._remote_id)

    def detach(self, kind: str) -> None:
        """The stream has ended: what waits for it is lost, and what was written last may be."""
        stream = self._streams.pop(kind, None)
        if stream is not None:
            self.dropped += len(stream.urgent.frames) + len(stream.bulk.frames)
            self._is_unreachable = True

    def is_attached(self, kind: str) -> bool:
        return kind in self._streams

    def send(self, message: bytes) -> None:
        """message: encoded by etcdz.raft.codec; no snapshot, which goes another way."""
        stream = self._streams.get(MESSAGE)
        if stream is None:
            self._post(message)
            return
        queue = stream.bulk if message_type(message) in _BULK_TYPES else stream.urgent
        if queue.has_room(len(message) + 8):
            queue.put((encode_frame(message),))
        else:
            self._overflow()

    def append(self, append: Append) -> None:
        stream = self._streams.get(MSGAPP)
        if stream is None:
            self.send(b"".join(encode_append(self._local_id, self._remote_id, append)))
        elif stream.bulk.has_room(sum(map(len, append.entries))):
            stream.bulk.put(stream.encoder.encode(append))
        else:
            self._overflow()

    def heartbeat(self, kind: str) -> None:
        """So much that something is written: call it each LINK_HEARTBEAT_S."""
        stream = self._streams.get(kind)
        if stream is not None and not stream.bytes:
            stream.urgent.put((MSGAPP_HEARTBEAT if kind == MSGAPP else MESSAGE_HEARTBEAT,))

    def has_output(self, kind: str) -> bool:
        return self.waiting_bytes(kind) > 0

    def waiting_bytes(self, kind: str) -> int:
        stream = self._streams.get(kind)
        return stream.bytes if stream is not None else 0

    def take(self, kind: str) -> bytes:
        """The next chunk for the connection that carries this stream; b"" if nothing waits."""
        stream = self._streams.get(kind)
        if stream is None:
            return b""
        parts: list[bytes] = []
        size = stream.urgent.take(CHUNK_BYTES, parts)
        size += stream.bulk.take(CHUNK_BYTES - size, parts)
        self.sent_bytes += size
        return encode_chunk(parts) if parts else b""

    @property
    def has_post(self) -> bool:
        return bool(self._posts.frames)

    def next_post(self) -> bytes | None:
        """The next message to be POSTed."""
        parts: list[bytes] = []
        self.sent_bytes += self._posts.take(1, parts)
        return parts[0] if parts else None

    def on_post_failed(self) -> None:
        """A message that next_post gave is lost."""
        self._lose()

    def take_unreachable(self) -> bool:
        """Whether something was lost since it was asked last."""
        was, self._is_unreachable = self._is_unreachable, False
        return was

    def _post(self, message: bytes) -> None:
        if len(self._posts.frames) < POSTS_MAX and self._posts.has_room(len(message)):
            self._posts.put((message,))
        else:
            self._overflow()

    def _overflow(self) -> None:
        self.overflowed += 1
        self._lose()

    def _lose(self) -> None:
        self.dropped += 1
        self._is_unreachable = True
