"""Committed entries on their way through the backend.

    MsgStorageApply -> put -> Apply -> backend -> Applied -> its response is stepped into the core

A new backend says what it has applied, and is handed what follows.
"""

from collections import deque
from collections.abc import Sequence
from typing import Protocol

from actors.link import Links
from etcdz.boot import Boot
from etcdz.messages import Applied, Apply
from etcdz.raft import Entry, MemoryStorage, Message, RawNode, codec
from etcdz.raft.entry import ENTRY_NORMAL


class Host(Protocol):
    """What the applies need of their actor."""

    boot: Boot
    links: Links
    storage: MemoryStorage


class Applies:
    """handed_index  the last entry that the backend was handed, by raft or by the wal
    applied_index    the last that the backend is known to have applied
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self.handed_index = 0
        self.applied_index = 0
        self._waiting: deque[tuple[int, Message]] = deque()
        """(last index, what to step): not known to be applied."""

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def lag(self) -> int:
        """Entries that the backend has been handed and has not applied."""
        return self.handed_index - self.applied_index

    def begin(self, applied_index: int) -> None:
        self.applied_index = self.handed_index = applied_index

    def put(self, node: RawNode, message: Message) -> None:
        """A MsgStorageApply of the core."""
        entries = message.entries
        for entry in entries:
            if entry.type != ENTRY_NORMAL:
                node.apply_conf_change(codec.decode_conf_change(entry.type, entry.data))
        for response in message.responses:
            self._waiting.append((entries[-1].index, response))
        if entries[-1].index > self.handed_index:
            self._hand_over(entries[max(0, self.handed_index + 1 - entries[0].index) :])

    def begin_again(self, applied_index: int, committed: int) -> None:
        """With a new backend."""
        self.handed_index = applied_index
        if applied_index < committed:  # else it is as far as we are, or ahead by what the wal appends
            self._hand_over(self._host.storage.entries(applied_index + 1, committed + 1))

    def _hand_over(self, entries: Sequence[Entry]) -> None:
        """One message per run of the same term."""
        start = 0
        count = len(entries)
        while start < count:
            term = entries[start].term
            end = count if entries[-1].term == term else start + 1
            while end < count and entries[end].term == term:
                end += 1
            self._hand_over_run(term, entries[start:end])
            start = end

    def _hand_over_run(self, term: int, run: Sequence[Entry]) -> None:
        kinds = b"" if all([entry[2] == ENTRY_NORMAL for entry in run]) else bytes([entry.type for entry in run])
        data = [entry[3][entry[4] :] for entry in run]
        self._host.links.send("backend", Apply(self._host.boot.incarnation, run[0].index, term, data, kinds))
        self.handed_index = run[-1].index

    def on_applied(self, node: RawNode | None, message: Applied) -> None:
        self.applied_index = max(self.applied_index, message.applied_index)
        waiting = self._waiting
        while waiting and waiting[0][0] <= self.applied_index:
            _, response = waiting.popleft()
            if node is not None:
                node.step(response)
