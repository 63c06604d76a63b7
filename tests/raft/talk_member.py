"""One node of a conversation: its storage, its state machine, the work of its storage threads."""

from collections.abc import Sequence

from etcdz.raft import Config, ConfState, Entry, HardState, MemoryStorage, Message, RaftError, RawNode, Snapshot
from etcdz.raft.codec import decode_conf_change
from etcdz.raft.entry import ENTRY_NORMAL
from etcdz.raft.errors import ConfChangeError, InvariantBroken
from etcdz.raft.messages import AnyConfChange


class HistoryStorage(MemoryStorage):
    """A storage whose snapshot is always the newest state that was applied."""

    __slots__ = ("history", "restarted")

    def __init__(self) -> None:
        super().__init__()
        self.history: list[Snapshot] = []
        self.restarted = False

    def initial_state(self) -> tuple[HardState, ConfState]:
        hard_state, conf_state = super().initial_state()
        return hard_state, self.history[-1].conf_state if self.restarted else conf_state

    def snapshot(self, to: int = 0) -> Snapshot:
        return self.history[-1]


class Node:
    def __init__(self, config: Config, storage: HistoryStorage) -> None:
        self.config = config
        self.storage = storage
        self.raw = RawNode(config)
        self.append_work: list[Message] = []
        self.apply_work: list[Message] = []

    def restart(self) -> None:
        """A crash: what was not written is gone. Everything committed on disk counts as applied."""
        storage, history = self.storage, self.storage.history
        commit = storage.initial_state()[0].commit
        while len(history) > 1 and history[-1].index > commit and history[-1].index >= storage.first_index():
            history.pop()
        received = MemoryStorage.snapshot(storage)
        if received.index > history[-1].index:
            history.append(received)
        storage.restarted = True
        self.config.applied = history[-1].index
        self.raw = RawNode(self.config)
        self.append_work, self.apply_work = [], []

    @property
    def id(self) -> int:
        return self.config.id

    def append(self, state: HardState, entries: Sequence[Entry], snapshot: Snapshot | None) -> None:
        """What an append thread does."""
        if state != HardState():
            self.storage.set_hard_state(state)
        if snapshot is not None and snapshot.index:
            if entries:
                raise RaftError("can't apply snapshot and entries at the same time")
            self.storage.apply_snapshot(snapshot)
        else:
            self.storage.append(entries)

    def apply(self, entries: Sequence[Entry]) -> None:
        """What an apply thread does. The state machine appends each payload to what it has."""
        history = self.storage.history
        for entry in entries:
            state, update = history[-1].conf_state, entry.data
            if entry.type != ENTRY_NORMAL:
                change = decode_conf_change(entry.type, entry.data)
                state, update = self._change_configuration(change), change.context
            history.append(Snapshot(entry.index, entry.term, state, history[-1].data + update))

    def _change_configuration(self, change: AnyConfChange) -> ConfState:
        try:
            return self.raw.apply_conf_change(change)
        except ConfChangeError as error:
            # Nobody refused it before it was committed: this ends the conversation, as it ends etcd-io/raft.
            raise InvariantBroken(str(error)) from error
