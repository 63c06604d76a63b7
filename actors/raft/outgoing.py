"""What the core has to say to other members, gathered over a turn and handed to the peer actor as one `Send`.

A leader's appends leave before its own disk has them, a follower's answers when what they promise is durable: they are
put here at that moment (actors/raft/appends.py). Of the acknowledgements that a turn has for one member only the newest
is said, as etcd does: it says all that the earlier ones did.

While there is no peer actor all is dropped, as by a network. A new one stands for "all unreachable, every snapshot
failed" (actors/raft/peer_messages.py).
"""

from typing import Protocol

from actors.runtime.link import Links
from etcdz.ipc.boot import Boot
from etcdz.ipc.messages import Send
from etcdz.raft import Message, codec
from etcdz.raft.messages import MSG_APP, MSG_APP_RESP

PEER = "peer"


class Host(Protocol):
    """What this needs of its actor."""

    boot: Boot
    links: Links


class Outgoing:
    """unsent  messages that were dropped for want of a peer actor"""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.unsent = 0
        self._messages: list[Message] = []
        self._acknowledgements: dict[int, int] = {}
        """By recipient: where in _messages the newest acknowledgement to it stands."""
        self._appends: list[tuple[int, int, int, int, int, list[bytes]]] = []
        self._forwarded: list[int] = []

    @property
    def is_carried(self) -> bool:
        """Whether there is a peer actor to take what is said."""
        return self._host.links.incarnation_of(PEER) != 0

    def put(self, message: Message) -> None:
        """To be said to another member with the end of the turn."""
        if message.type == MSG_APP:
            entries = [entry.encoded for entry in message.entries]
            append = (message.to, message.term, message.log_term, message.index, message.commit, entries)
            self._appends.append(append)
        elif message.type == MSG_APP_RESP and not message.reject:
            self._acknowledge(message)
        else:
            self._messages.append(message)

    def _acknowledge(self, message: Message) -> None:
        at = self._acknowledgements.get(message.to)
        if at is None or self._messages[at].term != message.term or self._messages[at].index > message.index:
            self._acknowledgements[message.to] = len(self._messages)
            self._messages.append(message)
        else:
            self._messages[at] = message

    def remember(self, request_ids: list[int]) -> None:
        """Proposals with these ids may reach other members with this turn, before this member's disk has them: a raft
        that begins anew must know that from the peer actor."""
        self._forwarded += request_ids

    def send(self) -> None:
        """At the end of a turn."""
        if not (self._messages or self._appends or self._forwarded):
            return
        messages, appends, forwarded = self._messages, self._appends, self._forwarded
        self._messages, self._appends, self._forwarded = [], [], []
        self._acknowledgements = {}
        if not self.is_carried:
            self.unsent += len(messages) + len(appends)
            return
        encoded = [(message.to, codec.encode_message(message)) for message in messages]
        self._host.links.send(PEER, Send(self._host.boot.incarnation, encoded, appends, forwarded))
