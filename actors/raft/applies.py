"""Committed entries on their way through the backend.

    MsgStorageApply -> put -> Apply -> backend -> Applied -> its response is stepped into the core

A new backend says what it has applied, and is handed what follows.

A configuration change is judged by the backend's membership, on every member alike, and may be refused: member exists,
id was removed before. The core must not take it before that, so it waits for the word of the backend, which with each
`Applied` says who the members are. Whether a change was taken is told by that alone: it may have been applied by a
backend that died before it could say so, or for a raft that is gone. A refused one becomes, as in etcd, a change of no
member.
"""

from collections import deque
from collections.abc import Sequence
from typing import Protocol

from actors.runtime.link import Links
from etcdz.ipc.boot import Boot
from etcdz.ipc.messages import Applied, Apply
from etcdz.raft import ConfChange, Entry, MemoryStorage, Message, RawNode, codec
from etcdz.raft.confchange import steps_to
from etcdz.raft.entry import ENTRY_NORMAL
from etcdz.raft.messages import CONF_CHANGE_ADD_NODE, NO_NODE

_NO_CHANGE = ConfChange(CONF_CHANGE_ADD_NODE, NO_NODE)


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
        self._waiting: deque[tuple[int, bool, Message]] = deque()
        """(last index, whether there is a configuration change, what to step): not known to be applied."""
        self._configured_index = 0
        """The core has the configuration of this index already."""

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def lag(self) -> int:
        """Entries that the backend has been handed and has not applied."""
        return self.handed_index - self.applied_index

    def begin(self, applied_index: int, configured_index: int) -> None:
        """configured_index: the core knows the members as they are after this entry."""
        self.applied_index = self.handed_index = applied_index
        self._configured_index = configured_index

    def begin_after(self, index: int) -> None:
        """The core has taken a leader's snapshot of this index, and with it who the members are. What the backend says
        of earlier entries counts for nothing then."""
        self._configured_index = index

    def handed_by_wal(self, index: int) -> None:
        """The wal has handed the backend everything up to index."""
        self.handed_index = index

    def put(self, message: Message) -> None:
        """A MsgStorageApply of the core."""
        entries = message.entries
        changes_members = any([entry[2] != ENTRY_NORMAL for entry in entries])
        for response in message.responses:
            self._waiting.append((entries[-1].index, changes_members, response))
        if entries[-1].index > self.handed_index:
            self._hand_over(entries[max(0, self.handed_index + 1 - entries[0].index) :])

    def begin_again(self, applied_index: int, applying: int) -> None:
        """With a new backend. applying: the core has handed out everything up to there. NB: more may be committed, by
        others, that is not on this member's disk: a backend that has applied it could not start again after a crash."""
        self.handed_index = applied_index
        if applied_index < applying:  # else it is as far as we are, or ahead by what the wal appends
            self._hand_over(self._host.storage.entries(applied_index + 1, applying + 1))

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

    def on_applied(self, node: RawNode | None, message: Applied) -> bool:
        """Says whether the core has taken the backend's word on the members.

        NB: it is the word at message.applied_index, and no later one.
        """
        applied = message.applied_index
        self.applied_index = max(self.applied_index, applied)
        waiting = self._waiting
        took = False
        while waiting and waiting[0][0] <= applied and node is not None:
            if waiting[0][1] and applied >= self._configured_index:
                if not message.conf_state:
                    break
                self._configure(node, message.conf_state)
                took = True
            node.step(waiting.popleft()[2])
        return took

    def _configure(self, node: RawNode, conf_state: bytes) -> None:
        state = codec.decode_conf_state(conf_state)
        steps = [ConfChange(*step) for step in steps_to(node.raft.tracker.config, state)]
        for change in steps or [_NO_CHANGE]:
            node.apply_conf_change(change)
