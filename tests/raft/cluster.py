"""A few members in one place, to say in a test who hears whom. Nothing moves but by settle() and tick()."""

import random
from collections.abc import Callable
from typing import Any

from etcdz.raft import (
    AnyConfChange,
    Config,
    ConfState,
    Entry,
    HardState,
    MemoryStorage,
    Message,
    RaftError,
    RawNode,
    ReadState,
    Snapshot,
)
from etcdz.raft.codec import decode_conf_change
from etcdz.raft.entry import ENTRY_NORMAL, make_entry
from etcdz.raft.messages import LEADER, MSG_STORAGE_APPEND
from etcdz.raft.node import Ready

FIRST = 2  # index of the first entry of every log here: 1 is a snapshot of term 1


def entry(term: int, index: int, data: bytes = b"") -> Entry:
    return make_entry(ENTRY_NORMAL, term, index, data)


class Log:
    """A logger that remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def debug(self, text: str) -> None:
        self.lines.append(text)

    info = warning = error = fatal = debug


class Member:
    """One node that does its own storage work, synchronously or through storage messages."""

    def __init__(self, node: int, conf_state: ConfState, terms: tuple[int, ...] = (), **options: Any) -> None:
        self.id = node
        self.log = Log()
        self.storage = MemoryStorage()
        self.storage.apply_snapshot(Snapshot(FIRST - 1, 1, conf_state))
        if terms:
            self.storage.append([entry(term, FIRST + at) for at, term in enumerate(terms)])
            self.storage.set_hard_state(HardState(terms[-1], 0, FIRST - 1))
        self.options = {"election_tick": 10, "heartbeat_tick": 1, **options}
        self.applied: list[bytes] = []
        self.reads: list[ReadState] = []
        self.conf_state = conf_state
        self.start()

    def start(self) -> None:
        """Begin anew with what is on disk; a crash, if the member was running."""
        self.raw = RawNode(
            Config(
                id=self.id,
                storage=self.storage,
                random=random.Random(self.id).randrange,
                logger=self.log,
                **{"applied": FIRST - 1, **self.options},
            )
        )

    @property
    def term(self) -> int:
        return self.raw.raft.term

    @property
    def leads(self) -> bool:
        return self.raw.raft.role == LEADER

    @property
    def committed(self) -> int:
        return self.raw.raft.log.committed

    @property
    def terms(self) -> list[int]:
        """Terms of the whole log, from FIRST on."""
        log = self.raw.raft.log
        return [log.term(index) for index in range(FIRST, log.last_index() + 1)]

    def propose(self, *datas: bytes) -> None:
        self.raw.propose_batch(datas)

    def propose_change(self, change: AnyConfChange) -> None:
        self.raw.propose_conf_change(change)

    def work(self) -> list[Message]:
        """Do everything there is to do; messages that come of it, also those to the member itself."""
        out: list[Message] = []
        while self.raw.has_ready():
            out += self._work_once()
        return out

    def _work_once(self) -> list[Message]:
        ready = self.raw.ready()
        self.reads += ready.read_states
        if self.options.get("async_storage_writes"):
            return [m for message in ready.messages for m in self._do(message)]
        self._write(ready)
        self._apply(list(ready.committed_entries))
        self.raw.advance()
        return list(ready.messages)

    def _do(self, m: Message) -> list[Message]:
        if m.type == MSG_STORAGE_APPEND:
            if m.term or m.commit:
                self.storage.set_hard_state(HardState(m.term, m.vote, m.commit))
            if m.snapshot is not None:
                self.storage.apply_snapshot(m.snapshot)
            self.storage.append(m.entries)
        elif m.responses:
            self._apply(list(m.entries))
        else:
            return [m]
        for response in m.responses:
            if response.to == self.id:
                self.raw.step(response)
        return [response for response in m.responses if response.to != self.id]

    def _write(self, ready: Ready) -> None:
        if ready.hard_state is not None:
            self.storage.set_hard_state(ready.hard_state)
        if ready.snapshot is not None:
            self.storage.apply_snapshot(ready.snapshot)
        self.storage.append(ready.entries)

    def _apply(self, entries: list[Entry]) -> None:
        for one in entries:
            if one.type != ENTRY_NORMAL:
                self.conf_state = self.raw.apply_conf_change(decode_conf_change(one.type, one.data))
            elif one.data:
                self.applied.append(one.data)

    def compact(self) -> None:
        """Put all that is applied into a snapshot and forget it."""
        applied = self.raw.basic_status().applied
        self.storage.create_snapshot(applied, self.conf_state, b"")
        self.storage.compact(applied)


class Cluster:
    def __init__(self, voters: int = 3, learners: tuple[int, ...] = (), **options: Any) -> None:
        state = ConfState(tuple(range(1, voters + 1)), learners)
        ids = [*state.voters, *learners]
        self.members = {node: Member(node, state, **options) for node in ids}
        self._lost: Callable[[Message], bool] = lambda m: False
        self.sent: list[Message] = []  # everything that was delivered or lost, in order

    def __getitem__(self, node: int) -> Member:
        return self.members[node]

    def lose(self, lost: Callable[[Message], bool]) -> None:
        """From now on messages for which lost is true disappear."""
        self._lost = lost

    def isolate(self, *nodes: int) -> None:
        """Whatever crosses the line between nodes and the others is lost."""
        self.lose(lambda m: (m.to in nodes) != (m.from_ in nodes))

    def heal(self) -> None:
        self.lose(lambda m: False)

    def settle(self) -> None:
        """Deliver until nobody has anything to say."""
        while True:
            queue = [m for member in self.members.values() for m in member.work()]
            if not queue:
                return
            for m in queue:
                self.sent.append(m)
                if not self._lost(m) and m.to in self.members:
                    try:
                        self.members[m.to].raw.step(m)
                    except RaftError:
                        pass

    def tick(self, node: int, count: int = 1) -> None:
        for _ in range(count):
            self.members[node].raw.tick()
            self.settle()

    def elect(self, node: int) -> Member:
        self.members[node].raw.campaign()
        self.settle()
        return self.members[node]

    def leaders(self) -> list[int]:
        return [node for node, member in self.members.items() if member.leads]
