"""One stream of a connection, for as long as it is more than its head."""

from collections import deque

from etcdz.wire.header_block import Field
from etcdz.wire.request_head import Head


class Stream:
    """Both directions of a stream.

    remote_done     the other side has sent END_STREAM
    announced       the application knows of it, and is told if it is cancelled
    received        bytes of DATA so far, padding excluded, to hold against content-length
    recv_used       bytes of the window that we granted and that are not yet granted again
    is_held         nothing is granted: who reads it is behind
    inbox           an incomplete gRPC message with its prefix
    message         a unary call's only message, while its END_STREAM is awaited
    held            bytes that the request keeps here while it is unfinished: inbox, message, and a long head
    granted         what the other side granted by WINDOW_UPDATE, less what was sent: the window is this plus its
                    SETTINGS_INITIAL_WINDOW_SIZE, so that a change of that needs no walk over the streams
    outbox          DATA payload that no window has let out yet; outbox_bytes its size
    long_bytes      of an answer that may wait in the outbox without refusing the client's other calls
    opened          our HEADERS are sent
    tag             of its method, once the application was told of the call and until it has ended; -1 else
    local_done      nothing follows the outbox but `trailers` (server) or END_STREAM (client)
    """

    __slots__ = (
        "id", "head", "deadline", "remote_done", "announced", "received", "recv_used", "inbox", "message", "held",
        "granted", "outbox", "outbox_bytes", "long_bytes", "opened", "local_done", "trailers", "tag", "is_held",
    )  # fmt: skip

    def __init__(self, stream_id: int, head: Head) -> None:
        self.id = stream_id
        self.head = head
        self.deadline: float | None = None
        self.remote_done = False
        self.announced = False
        self.received = 0
        self.recv_used = 0
        self.is_held = False
        self.inbox = bytearray()
        self.message: bytes | None = None
        self.held = 0
        self.granted = 0
        self.outbox: deque[memoryview] = deque()
        self.outbox_bytes = 0
        self.long_bytes = 0
        self.opened = False
        self.local_done = False
        self.trailers: tuple[Field, ...] = ()
        self.tag = -1

    @property
    def takes_messages(self) -> bool:
        """A streaming call between two messages, of which nothing but messages is expected: the short way is open."""
        head = self.head
        return not (head.method.unary or self.inbox or self.local_done or self.remote_done) and head.length < 0
