"""What the core has to have done, and where it goes: entries to the wal and the backend, answers to listeners, the rest
to other members."""

from collections.abc import Callable, Iterator
from typing import Protocol

from actors.raft.appends import Appends
from actors.raft.applies import Applies
from actors.raft.leadership import LeadershipNotes
from actors.raft.outgoing import Outgoing
from actors.raft.publish import Publish
from actors.raft.read_index import ReadIndexes
from etcdz.raft import Message, RawNode, Ready
from etcdz.raft.messages import APPEND_THREAD, APPLY_THREAD


def drain(node: RawNode) -> Iterator[Ready]:
    """Everything the core wants done, and what follows from that. Requires: each is done before the next is taken."""
    while node.has_ready():
        yield node.ready()


class Host(Protocol):
    """What this needs of its actor."""

    appends: Appends
    applies: Applies
    leadership: LeadershipNotes
    outgoing: Outgoing
    publish: Publish
    read_indexes: ReadIndexes


class Readies:
    """See the module."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def do(self, node: RawNode) -> None:
        """All there is to do."""
        for ready in drain(node):
            self._do(node, ready, self._host.appends.put)

    def adopt(self, node: RawNode) -> None:
        """The same, where the entries that the core appends are on disk already: the wal has written them."""
        for ready in drain(node):
            self._do(node, ready, self._host.appends.adopt)

    def _do(self, node: RawNode, ready: Ready, append: Callable[[Message], None]) -> None:
        host = self._host
        leadership = host.leadership
        if ready.soft_state is not None:
            leadership.note(node)
        if ready.read_states:
            host.read_indexes.answer(ready.read_states)
        for message in ready.messages:
            if message.to == APPEND_THREAD:
                append(message)
            elif message.to == APPLY_THREAD:
                if not host.publish.index:
                    host.publish.look(message.entries)
                host.applies.put(message)
            else:
                host.outgoing.put(message)
        if not leadership.is_settled(node.raft):
            leadership.note(node)
