"""What the core has to say to other members, gathered over a turn and handed to the peer actor as one `Send`.

A leader's appends leave before its own disk has them, a follower's answers when what they promise is durable: they are
put here at that moment (actors/raft/appends.py). Of the acknowledgements that a turn has for one member only the newest
is said, as etcd does: it says all that the earlier ones did.

An append without entries tells a follower that keeps up no more than a commit index. It goes with the next entries, or
after COMMIT_LAG_S: one member that writes alone then costs the others one turn for each write, and not two. But who has
forwarded what is committed has a client that waits for it, and is told at once, and so is who is told a read index.

An acknowledgement that repeats the last one, because what came was a commit index alone, tells its leader nothing. It
waits for the next tick, and mostly the next entries make it superfluous.

While there is no peer actor all is dropped, as by a network. A new one stands for "all unreachable, every snapshot
failed" (actors/raft/peer_messages.py).
"""

import time
from typing import Protocol

from actors.runtime.link import Links
from etcdz import limits
from etcdz.ipc.boot import Boot
from etcdz.ipc.messages import Send
from etcdz.raft import Message, RawNode, codec
from etcdz.raft.messages import MSG_APP, MSG_APP_RESP, MSG_READ_INDEX_RESP
from etcdz.raft.progress import REPLICATE

PEER = "peer"


class Host(Protocol):
    """What this needs of its actor."""

    boot: Boot
    links: Links
    node: RawNode | None


class Outgoing:
    """unsent  messages that were dropped for want of a peer actor
    due_at  when commit indexes that are put off leave at the latest, on the monotonic clock in s; None: none is
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self.unsent = 0
        self._messages: list[Message] = []
        self._acknowledgements: dict[int, int] = {}
        """By recipient: where in _messages the newest acknowledgement to it stands."""
        self._newest: dict[int, tuple[int, int]] = {}
        """By recipient: term and index of the newest acknowledgement."""
        self._told: set[int] = set()
        """Whose latest append has told a commit index alone, which was new."""
        self._repeated: dict[int, Message] = {}
        """By recipient: an acknowledgement that says nothing new."""
        self._appends: list[tuple[int, int, int, int, int, list[bytes]]] = []
        self._forwarded: list[int] = []
        self.due_at: float | None = None
        self._put_off: dict[int, Message] = {}
        """By recipient: an append that tells a commit index alone."""
        self._awaited: dict[int, int] = {}
        """By recipient: the last entry that it has forwarded, until it was told that this is committed."""

    @property
    def is_carried(self) -> bool:
        """Whether there is a peer actor to take what is said."""
        return self._host.links.incarnation_of(PEER) != 0

    def put(self, message: Message) -> None:
        """To be said to another member with the end of the turn."""
        if message.type == MSG_APP:
            if message.entries or not self._may_wait(message):
                self._append(message)
            else:
                self._put_off[message.to] = message
                self.due_at = self.due_at or time.monotonic() + limits.COMMIT_LAG_S
        elif message.type == MSG_APP_RESP and not message.reject:
            self._acknowledge(message)
        else:
            if message.type == MSG_READ_INDEX_RESP and (owed := self._put_off.get(message.to)) is not None:
                self._append(owed)  # the read waits until the other member knows what is committed
            self._messages.append(message)

    def _append(self, message: Message) -> None:
        """It tells all that one which was put off would."""
        to = message.to
        if self._put_off.pop(to, None) is not None and not self._put_off:
            self.due_at = None
        if self._awaited and message.commit >= self._awaited.get(to, 0):
            self._awaited.pop(to, None)
        entries = [entry.encoded for entry in message.entries]
        self._appends.append((to, message.term, message.log_term, message.index, message.commit, entries))

    def _may_wait(self, message: Message) -> bool:
        """Whether an append without entries is no probe, and nobody waits for what it tells."""
        node = self._host.node
        progress = node.raft.tracker.progress.get(message.to) if node is not None else None
        return progress is not None and progress.state == REPLICATE and message.to not in self._awaited

    def on_forwarded(self, member: int, index: int) -> None:
        """What this other member has forwarded is in the log, up to index."""
        self._awaited[member] = index

    def send_put_off(self, now: float) -> None:
        """With the end of this turn, if that is due. now: on the monotonic clock in s"""
        if self.due_at is not None and now >= self.due_at:
            for message in list(self._put_off.values()):
                self._append(message)

    def _acknowledge(self, message: Message) -> None:
        if self._repeats(message):
            self._repeated[message.to] = message
            self._told.discard(message.to)
            return
        self.on_acknowledged(message)
        at = self._acknowledgements.get(message.to)
        if at is None or self._messages[at].term != message.term or self._messages[at].index > message.index:
            self._acknowledgements[message.to] = len(self._messages)
            self._messages.append(message)
        else:
            self._messages[at] = message

    def _repeats(self, message: Message) -> bool:
        return message.to in self._told and self._newest.get(message.to) == (message.term, message.index)

    def on_commit_index(self, leader: int) -> None:
        """This member is about to answer an append that tells a commit index alone, which is new."""
        self._told.add(leader)

    def on_acknowledged(self, message: Message) -> None:
        """This acknowledgement is said, or handed to the wal to be said."""
        self._newest[message.to] = message.term, message.index
        self._repeated.pop(message.to, None)
        self._told.discard(message.to)

    def send_repeated(self) -> None:
        """With the end of this turn, which is a tick's."""
        if self._repeated:
            for message in list(self._repeated.values()):
                self.on_acknowledged(message)
                self._messages.append(message)

    def remember(self, request_ids: list[int]) -> None:
        """Proposals with these ids may reach other members with this turn, before this member's disk has them: a raft
        that begins anew must know that from the peer actor."""
        self._forwarded += request_ids

    def send(self) -> None:
        """At the end of a turn. NB: before the wal gets its share: the way over other members is the longer one."""
        if not (self._messages or self._appends or self._forwarded):
            return
        messages, appends, forwarded = self._messages, self._appends, self._forwarded
        self._messages, self._appends, self._forwarded = [], [], []
        self._acknowledgements = {}
        if not self.is_carried:
            self.unsent += len(messages) + len(appends)
            return
        encoded = [(message.to, codec.encode_message(message)) for message in messages]
        self._host.links.send_now(PEER, Send(self._host.boot.incarnation, encoded, appends, forwarded))
