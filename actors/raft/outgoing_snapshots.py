"""Snapshots for members that need what this member's log has no longer.

    the core asks its storage -> SnapshotWanted -> peer actor -> SnapshotTaken -> the core gets it when it asks again
    -> MsgSnap in a Send -> peer actor -> PeerReports.snapshots -> the core goes on behind it

A process of the peer actor takes one for each member, of what the backend has applied by then. While it is on its way
the log is kept from there on, and for KEPT_S longer: a member that has installed it would else need the next one.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from actors.raft.outgoing import PEER, Outgoing
from actors.runtime.link import Links
from etcdz.ipc.boot import Boot
from etcdz.ipc.messages import SnapshotTaken, SnapshotWanted
from etcdz.raft import MemoryStorage, Snapshot, codec
from etcdz.raft.errors import SnapshotTemporarilyUnavailable

KEPT_S = 30.0
"""How long the log is kept behind a snapshot after it has arrived, or failed to. Source: etcd 3.5."""
READY_S = 30.0
"""How long one that was taken waits for the core to ask again, shorter than the peer actor keeps it."""
ASK_AGAIN_S = 1.0
"""After none could be taken, or one has failed."""


class SendingStorage(MemoryStorage):
    """The core's storage, whose snapshots are made for the member that is to get one."""

    __slots__ = ("_take",)

    def __init__(self, take: Callable[[int], Snapshot]) -> None:
        super().__init__()
        self._take = take

    def snapshot(self, to: int = 0) -> Snapshot:
        return self._take(to)


class Host(Protocol):
    """What this needs of its actor."""

    boot: Boot
    links: Links
    log: Any
    storage: MemoryStorage
    outgoing: Outgoing


class _Ready(NamedTuple):
    snapshot: Snapshot
    until_s: float


class OutgoingSnapshots:
    """Times are of the last `advance`, on one clock."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._now = 0.0
        self._asked: dict[int, float | None] = {}
        """Members for which one was asked for. None: no answer yet; else when to ask again."""
        self._ready: dict[int, _Ready] = {}
        self._kept: dict[int, tuple[int, float | None]] = {}
        """By member: index behind which the log is kept, and until when; None: until it is known what became of it."""

    def take(self, to: int) -> Snapshot:
        """For this member. raises SnapshotTemporarilyUnavailable: it is being made, or none can be made at present"""
        ready = self._ready.pop(to, None)
        if ready is not None:
            return ready.snapshot
        if to not in self._asked and self._host.outgoing.is_carried:
            self._asked[to] = None
            self._host.links.send(PEER, SnapshotWanted(self._host.boot.incarnation, to))
        raise SnapshotTemporarilyUnavailable

    def on_taken(self, message: SnapshotTaken) -> None:
        """The peer actor has one, or has none."""
        if self._asked.get(message.to, 0.0) is not None:
            return  # asked by a raft that is gone
        if not self._fits(message):
            self._asked[message.to] = self._now + ASK_AGAIN_S
            return
        del self._asked[message.to]
        index, conf_state = message.snapshot_index, codec.decode_conf_state(message.conf_state)
        snapshot = Snapshot(index, message.snapshot_term, conf_state, message.data)
        self._ready[message.to] = _Ready(snapshot, self._now + READY_S)
        self._kept[message.to] = (index, None)

    def _fits(self, message: SnapshotTaken) -> bool:
        """Whether the log goes on behind it: it may have been compacted meanwhile, or be behind the backend."""
        index, storage = message.snapshot_index, self._host.storage
        if not index or not storage.first_index() - 1 <= index <= storage.last_index():
            return False
        if storage.term(index) != message.snapshot_term:
            self._host.log.error("a snapshot of another history", snapshot_index=index, term=message.snapshot_term)
            return False
        return True

    def on_reported(self, to: int, has_arrived: bool) -> None:
        """It has arrived, or failed to: then the next one is not taken at once."""
        if not has_arrived:
            self._asked.setdefault(to, self._now + ASK_AGAIN_S)
        if to in self._kept:
            self._kept[to] = (self._kept[to][0], self._now + KEPT_S)

    def on_new_peer_actor(self) -> None:
        """What the one before had taken is gone."""
        self._asked.clear()
        for to in [*self._ready, *self._kept]:
            self._ready.pop(to, None)
            self.on_reported(to, has_arrived=True)

    @property
    def kept_from(self) -> int | None:
        """The log is needed behind this index; None: no snapshot needs any of it."""
        return min([index for index, _ in self._kept.values()], default=None)

    def advance(self, now: float) -> None:
        """The clock goes on."""
        self._now = now
        for to, until in list(self._asked.items()):
            if until is not None and now >= until:
                del self._asked[to]
        for to, ready in list(self._ready.items()):
            if now >= ready.until_s:
                del self._ready[to], self._kept[to]
        for to, (_, until) in list(self._kept.items()):
            if until is not None and now >= until:
                del self._kept[to]
