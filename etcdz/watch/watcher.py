"""One watcher, and the client stream that it belongs to.

SYNCED    has had everything that the listener has had: is sent changes as they come
UNSYNCED   is behind: the hub fetches history for it
VICTIM   is behind, and its client does not read: nothing is done for it until the client does
OVER      was cancelled for a compaction; its id stays taken until the client cancels it, as in etcd
"""

from typing import Final, Protocol

from etcdz.proto import etcdserverpb as pb
from etcdz.proto.fields import int_field
from etcdz.proto.tags import WATCH_ID
from etcdz.watch.ranges import Range

SYNCED: Final = 0
UNSYNCED: Final = 1
VICTIM: Final = 2
OVER: Final = 3
_BEHIND: Final = (UNSYNCED, VICTIM)

NO_PUT: Final = 1
NO_DELETE: Final = 2
PREV_KV: Final = 4

CREDIT_BYTES: Final = 256 << 10
"""What all watchers of a stream may be sent before it is looked whether the client keeps up."""


class ClientStream(Protocol):
    """The call that a WatchStream's responses leave by."""

    @property
    def is_clogged(self) -> bool:
        """Whether so much waits to be read by the client that no more should be sent."""

    def flush(self) -> None:
        """Writes what was sent to the connection, as far as it takes it."""

    def send_parts(self, head: bytes, body: bytes) -> None:
        """One message."""

    def send_joined(self, messages: bytes, count: int) -> None:
        """So many messages that have their gRPC prefixes already."""

    def touch(self) -> None:
        """What was sent is to be flushed at the end of the turn."""


class Watcher:
    """id_field         encoded watch_id of its responses
    next_revision    the client has had everything before it
    start_revision   what it was created with
    variant          of NO_PUT, NO_DELETE, PREV_KV: equal ones of a range are sent the same bytes
    quiet            progress_notify: nothing was sent since the last look; None: not wanted
    """

    __slots__ = (
        "fragment", "id", "id_field", "next_revision", "quiet", "span", "start_revision", "state", "stream", "variant",
    )  # fmt: skip

    def __init__(
        self, stream: "WatchStream", watch_id: int, span: Range, request: pb.WatchCreateRequest, revision: int
    ) -> None:
        self.stream = stream
        self.id = watch_id
        self.id_field = int_field(WATCH_ID, watch_id)
        self.span = span
        self.start_revision = request.start_revision
        self.next_revision = self.start_revision or revision + 1
        self.variant = PREV_KV if request.prev_kv else 0
        for unwanted in request.filters:
            self.variant |= {0: NO_PUT, 1: NO_DELETE}.get(unwanted, 0)
        self.fragment = bool(request.fragment)
        self.quiet: bool | None = True if request.progress_notify else None
        self.state = UNSYNCED
        stream.behind += 1

    def become(self, state: int) -> None:
        """SYNCED, UNSYNCED, VICTIM or OVER: the only place that writes the state."""
        was_behind, is_behind = self.state in _BEHIND, state in _BEHIND
        self.stream.behind += is_behind - was_behind
        self.state = state


class WatchStream:
    """All watchers of one streaming call. There may be a hundred thousand: no message of the client walks over them.

    client           where responses go
    behind           Invariant: how many of the watchers are UNSYNCED or VICTIM
    early            those that were created for a revision to come, and perhaps have come to it
    pending          requests that wait for the backend's position
    is_open          False once the client is gone
    progress_due     when the watchers with progress_notify are looked at next; None: there was none so far
    username         of whoever has created its latest watcher; "": not known
    asks_progress    the client wants to hear where it is once none of its watchers is behind
    """

    __slots__ = (
        "_credit", "_next_id", "_round", "asks_progress", "behind", "client", "early", "is_open", "pending",
        "progress_due", "username", "watchers",
    )  # fmt: skip

    def __init__(self, client: ClientStream) -> None:
        self.client = client
        self.watchers: dict[int, Watcher] = {}
        self.behind = 0
        self.pending = 0
        self.early: dict[Watcher, None] = {}
        self.is_open = True
        self.progress_due: float | None = None
        self.asks_progress = False
        self.username = ""
        self._next_id = 0
        self._round = 0
        self._credit = 0

    def may_send(self, batch: int) -> bool:
        """Whether the client keeps up. batch: number of the batch of changes that is being sent

        Asked per watcher, looked up once per batch and stream, and again after every CREDIT_BYTES.
        """
        if self._round != batch:
            self._round = batch
            self._credit = 0 if self.client.is_clogged else CREDIT_BYTES
        elif self._credit <= 0:
            self.client.flush()
            self._credit = 0 if self.client.is_clogged else CREDIT_BYTES
        return self._credit > 0

    def spend(self, size: int) -> None:
        """So many bytes were sent."""
        self._credit -= size

    def free_id(self) -> int:
        """The next id for a watcher without one; none that the client has chosen."""
        while self._next_id in self.watchers:
            self._next_id += 1
        self._next_id += 1
        return self._next_id - 1

    def awaits_future(self, revision: int) -> bool:
        """Whether a watcher was created for what comes after revision, which never falls."""
        while self.early:
            watcher = next(iter(self.early))
            if watcher.start_revision > revision:
                return True
            del self.early[watcher]
        return False
