"""What raft has given the wal to write and does not know to be durable, in order.

    MsgStorageAppend -> put -> Append -> wal -> Appended -> its responses are stepped into the core, or leave for others

A leader's snapshot goes with its Append; the core's own answer to that waits for the backend as well (installs.py).

A response is due when all that was given to the wal before it is durable: if nothing is under way, at once. So one that
comes without entries, term or vote, such as an acknowledgement of what is on disk already, waits for no write of its
own.

Acknowledgements of entries need not come back to this process: they go with their Append, and the wal has the peer
actor say them as soon as they are true. So raft can put off hearing that they are (actors/raft/wakeups.py).

What was not answered is sent again to a new wal. While the wal appends by itself (actors/raft/delegation.py) the core's
entries are on disk before the core has them (`adopt`): then nothing is sent, and the responses are due at once.
"""

from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Protocol

from actors.raft.delegation import Delegation
from actors.raft.installs import Installs
from actors.raft.outgoing import Outgoing
from actors.runtime.link import Links
from etcdz import limits
from etcdz.ipc.boot import Boot
from etcdz.ipc.messages import Append, Appended
from etcdz.raft import HardState, MemoryStorage, Message, RawNode, Snapshot, StepPeerNotFound, codec
from etcdz.raft.messages import MSG_APP_RESP, MSG_STORAGE_APPEND_RESP


class Host(Protocol):
    """What the appends need of their actor."""

    boot: Boot
    links: Links
    log: Any
    delegation: Delegation
    node: RawNode | None
    storage: MemoryStorage
    outgoing: Outgoing
    installs: Installs

    def begin_after(self, snapshot: Snapshot) -> None: ...


class Appends:
    """refusal  why the wal takes nothing at present, a name in etcdz.api.errors; mostly ""
    bytes       of the entries that wait
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self.refusal = ""
        self.bytes = 0
        self._waiting: deque[tuple[Append, Sequence[Message]]] = deque()
        self._seq = 0
        self._wal_acknowledges = False
        self._lazy_hard_state = b""
        """A commit index that is not handed to the wal yet: it goes with the next entries, or with the next tick."""

    def __len__(self) -> int:
        return len(self._waiting)

    def on_wal(self, says_acknowledgements: bool) -> None:
        """Whether the wal that raft has to do with from now on has acknowledgements said itself."""
        self._wal_acknowledges = says_acknowledgements

    def put(self, message: Message) -> None:
        """Send a MsgStorageAppend of the core to the wal. Requires: entries only while the end of the log is raft's."""
        entries = message.entries
        if entries and self._host.delegation.number:
            raise RuntimeError("raft has appended entries while the end of the log is delegated")
        snapshot = b""
        if message.snapshot is not None:
            snapshot = codec.encode_snapshot(message.snapshot)
            self._host.begin_after(message.snapshot)
        hard_state, is_promise = self._keep(message)
        if not entries and not is_promise and not snapshot:
            # At most the commit index rose: nothing depends on it being on disk, so it goes with the next append.
            self._lazy_hard_state = hard_state or self._lazy_hard_state
            self._put_off(message.responses)
            return
        first = entries[0].index if entries else 0
        responses: Sequence[Message] = message.responses
        acknowledgements: Sequence[tuple[int, int, int, bytes]] = ()
        if entries and not snapshot and self._wal_acknowledges:
            responses, acknowledgements = self._split(responses)
        encoded = [entry.encoded for entry in entries]
        self._send(first, encoded, hard_state, responses, snapshot, acknowledgements)

    def _split(self, responses: Sequence[Message]) -> tuple[list[Message], list[tuple[int, int, int, bytes]]]:
        """(what is to come back to raft, the newest acknowledgement to each other member in the form of Append)."""
        node = self._host.node
        me = node.raft.id if node is not None else 0
        newest: dict[int, Message] = {}
        others = []
        for response in responses:
            if response.to == me or response.type != MSG_APP_RESP or response.reject:
                others.append(response)
                continue
            before = newest.get(response.to)
            if before is None or (response.term, response.index) >= (before.term, before.index):
                newest[response.to] = response
        for acknowledgement in newest.values():
            self._host.outgoing.on_acknowledged(acknowledgement)
        return others, [(m.to, m.term, m.index, codec.encode_message(m)) for m in newest.values()]

    def adopt(self, message: Message) -> None:
        """A MsgStorageAppend of the core whose entries are on disk already, if it has any: that is all it asks for."""
        if message.snapshot is not None:
            raise RuntimeError("raft has taken a snapshot while the end of the log is delegated")
        if not message.entries:
            self.put(message)
            return
        hard_state, _ = self._keep(message)
        self._lazy_hard_state = hard_state or self._lazy_hard_state
        self._step(message.responses)

    def _keep(self, message: Message) -> tuple[bytes, bool]:
        """Into raft's own copy of the log. return (the hard state, empty if it has not changed; whether term or vote
        have, which must be durable before any other member is told)."""
        storage = self._host.storage
        encoded, is_promise = b"", False
        if message.term or message.vote or message.commit:
            state = HardState(message.term, message.vote, message.commit)
            before, _ = storage.initial_state()
            storage.set_hard_state(state)
            encoded = codec.encode_hard_state(state)
            is_promise = (state.term, state.vote) != (before.term, before.vote)
        if message.entries:
            storage.append(message.entries)
        return encoded, is_promise

    def _send(
        self,
        first: int,
        entries: list[bytes],
        hard_state: bytes,
        responses: Sequence[Message],
        snapshot: bytes = b"",
        acknowledgements: Sequence[tuple[int, int, int, bytes]] = (),
    ) -> None:
        self._seq += 1
        if self._lazy_hard_state:
            hard_state, self._lazy_hard_state = hard_state or self._lazy_hard_state, b""
        sync = bool(entries or responses)
        incarnation = self._host.boot.incarnation
        append = Append(incarnation, self._seq, first, entries, hard_state, sync, snapshot, acknowledgements)
        self.bytes += sum([len(entry) for entry in entries])
        self._waiting.append((append, responses))
        self._host.links.send("wal", append)

    def _put_off(self, responses: Sequence[Message]) -> None:
        """Until all that is under way is durable."""
        if self._waiting:
            append, others = self._waiting[-1]
            self._waiting[-1] = append, [*others, *responses]
        else:
            self._step(responses)

    @property
    def is_awaited(self) -> bool:
        """Whether something is to be done as soon as what is under way is durable, other than raft's own counting."""
        me = self._host.node.raft.id if self._host.node is not None else 0
        return bool(self.refusal or self.bytes > limits.RAFT_MESSAGE_BYTES) or any(
            [append.snapshot or any([one.to != me for one in responses]) for append, responses in self._waiting]
        )

    @property
    def owes_commit_index(self) -> bool:
        """Whether the wal does not know it yet."""
        return bool(self._lazy_hard_state)

    def send_commit_index(self) -> None:
        """If the wal does not know it yet."""
        if self._lazy_hard_state:
            self._send(0, [], b"", ())

    def send_again(self) -> None:
        """To a new wal. It has cut what was torn; rewriting what it has is harmless."""
        for append, _ in self._waiting:
            self._host.links.send("wal", append)

    def on_appended(self, message: Appended) -> None:
        """Step the responses of what is durable into the core; or remember why the wal takes nothing."""
        if message.raft_incarnation != self._host.boot.incarnation:
            return
        if message.error != self.refusal:
            self.refusal = message.error
            text = "writes are refused" if message.error else "writes are taken again"
            self._host.log.warn(text, reason=message.error)
        waiting = self._waiting
        while waiting and waiting[0][0].seq <= message.seq:
            append, responses = waiting.popleft()
            self.bytes -= sum([len(entry) for entry in append.entries])
            self._step(responses)

    def _step(self, responses: Sequence[Message]) -> None:
        node = self._host.node
        if node is not None:
            me, unstable = node.raft.id, node.raft.log.unstable
            for response in responses:
                if response.to != me:
                    self._host.outgoing.put(response)
                    continue
                if self._host.installs.holds_back(response):
                    continue
                if response.type == MSG_STORAGE_APPEND_RESP and response.index < unstable.offset:
                    continue  # what it says is known: appends that are under way together may name the same end
                with suppress(StepPeerNotFound):  # a leader that was removed meanwhile is no peer of its own
                    node.step(response)
