"""A leader's snapshot on its way into this member: first the wal's, then the backend's.

    MsgSnap -> core -> Append with the snapshot -> wal -> Appended -> Install -> backend, which ends; the next one's
    BackendState -> the core's own answer, and it goes on behind the snapshot

What is said to the leader leaves when the wal has it: the store was whole and on disk before the MsgSnap came. Only the
core's own answer waits for the backend, and behind it all that the core is to be told of later entries: it takes what
it hears of its disk in order, and would else believe that its log ends with the snapshot, and vote so. A backend that
is older than the snapshot is told again.
"""

from typing import Protocol

from actors.runtime.link import Links
from etcdz.ipc.boot import Boot
from etcdz.ipc.messages import Install
from etcdz.raft import Message, RawNode


class Host(Protocol):
    """What this needs of its actor."""

    boot: Boot
    links: Links


class Installs:
    """pending_index  of the snapshot that the log begins after and the backend does not have yet; 0: there is none"""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.pending_index = 0
        self._responses: list[Message] = []
        """The core's own answers, the first of them to a snapshot that is durable and not applied."""

    def expect(self, index: int) -> None:
        """The log begins after this entry, though not durably yet."""
        self.pending_index = index

    def holds_back(self, response: Message) -> bool:
        """Whether this answer of the core's to itself, which is due as far as the disk goes, waits for the backend."""
        if response.snapshot is not None:
            self._responses.append(response)
            self.tell_backend()
        elif self._responses:
            self._responses.append(response)
        return bool(self._responses)

    def tell_backend(self) -> None:
        """If there is one to be installed."""
        snapshots = [one.snapshot for one in self._responses if one.snapshot is not None]
        newest = snapshots[-1] if snapshots else None
        if newest is not None and newest.index == self.pending_index:
            self.install(newest.index)

    def install(self, index: int) -> None:
        """Requires: the log begins after index, durably."""
        self._host.links.send("backend", Install(self._host.boot.incarnation, index))

    def on_applied(self, node: RawNode, applied_index: int) -> None:
        """The backend has applied as much."""
        if self.pending_index <= applied_index:
            self.pending_index = 0
        while self._responses:
            snapshot = self._responses[0].snapshot
            if snapshot is not None and snapshot.index > applied_index:
                return
            node.step(self._responses.pop(0))
