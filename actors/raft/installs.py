"""A leader's snapshot on its way into this member: first the wal's, then the backend's.

    MsgSnap -> core -> Append with the snapshot -> wal -> Appended -> Install -> backend, which ends; the next one's
    BackendState -> the core's own answer, and it goes on behind the snapshot

What is said to the leader leaves when the wal has it: the store was whole and on disk before the MsgSnap came. Only the
core's own answer waits for the backend. A backend that is older than the snapshot is told again.
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
        """The core's own answers: these snapshots are durable and not applied."""

    def expect(self, index: int) -> None:
        """The log begins after this entry, though not durably yet."""
        self.pending_index = index

    def on_durable(self, response: Message) -> None:
        """What the core says to itself when the snapshot is written and applied: it is written."""
        self._responses.append(response)
        self.tell_backend()

    def tell_backend(self) -> None:
        """If there is one to be installed."""
        newest = self._responses[-1].snapshot if self._responses else None
        if newest is not None and newest.index == self.pending_index:
            self.install(newest.index)

    def install(self, index: int) -> None:
        """Requires: the log begins after index, durably."""
        self._host.links.send("backend", Install(self._host.boot.incarnation, index))

    def on_applied(self, node: RawNode, applied_index: int) -> None:
        """The backend has applied as much."""
        if self.pending_index <= applied_index:
            self.pending_index = 0
        while self._responses and (snapshot := self._responses[0].snapshot) and snapshot.index <= applied_index:
            node.step(self._responses.pop(0))
