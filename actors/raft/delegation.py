"""The delegation of appends: while this member is the only one, the wal appends to the end of the log by itself.

A write then goes listener -> wal -> backend -> listener, and consensus, which has nothing to decide, is not on its way.
Raft appends afterwards, in its own log, what the wal has appended in its name (`DelegatedAppends`), in batches.

              begin                  recall                   end: returned, or a new wal has said what is on disk
    raft's  --------->  the wal's  ---------->  recalled  ----------------------------------------------------->  raft's

    Propose in it   raft's: appended    the wal's: fence 0 is forwarded, others are held and recall it    recalled: held
    Leadership      fence of the last   the number                                                        no number

With a learner beside the only voter it is not worth it: each answer of the learner would end it.

Rules that keep a write from being lost or entering the log twice:
- Raft delegates only when all it has appended is durable, committed and handed to the backend. It names that backend: a
  wal that knows another gives the delegation back at once.
- While the delegation lasts raft appends nothing. What is proposed to it first (`Propose`, fence 0) it forwards to the
  wal, and keeps until it is written. What may have gone to the wal before (other fences) it holds, and recalls the
  delegation.
- A delegation ends when the wal has returned it, or when a new wal has said what is on disk: then raft knows everything
  that was appended on it. Then raft asks the listeners (a fence in `Leadership`) to offer again all that is unanswered,
  and drops what its log has. It delegates again when all of them have done so.
- A delegation ends with the raft that gave it: a new one hears from the wal what is on disk, and listeners offer it
  again all that is unanswered, as always.
"""

from typing import NamedTuple

from etcdz.ipc.messages import RAFT, Delegate, Propose, RecallDelegation, Write

NUMBER_SHIFT = 23
"""Delegation numbers are raft's incarnation and a counter below it, so that they rise over incarnations."""


class Ended(NamedTuple):
    """What is raft's to append after the end of a delegation, unless its log has it: these entries' data, then these
    offers."""

    forwarded: list[bytes]
    held: list[Propose]


class Delegation:
    """The state above. Pure: verbs return messages, which the caller sends to the wal, in order.

    number   of the delegation that lasts, recalled or not; 0: the end of the log is raft's
    granted  the number with which listeners may write to the wal; 0: they may not
    fence    the number that listeners answer by offering again what they have; it only rises

    Invariant: granted is number or 0. Only the verbs write the fields; others read them.
    """

    def __init__(self, incarnation: int) -> None:
        self._incarnation = incarnation
        self._newest = incarnation << NUMBER_SHIFT
        self.number = 0
        self.granted = 0
        self.fence = 0
        self._is_backend_new = False
        """The backend is not the one that the wal has handed everything to: what is written goes to it again."""
        self._forwarded: dict[int, bytes] = {}
        """By request id: what was forwarded to the wal and is not written yet."""
        self._held: list[Propose] = []
        """What waits for the end of the delegation."""
        self._owing: set[int] = set()
        """Slots of listeners that have not answered the fence."""

    # ---- raft's -> the wal's -> recalled -> raft's ----

    def begin(self, term: int, last_index: int, backend: int) -> Delegate:
        """Delegate what follows last_index. backend: the incarnation that was handed everything up to there.

        Requires: there is no delegation, and no listener owes an answer.
        """
        if self.number or self._owing:
            raise RuntimeError(f"delegated twice, or too early: {self.number}, owing {sorted(self._owing)}")
        self._newest += 1
        self.number = self.granted = self._newest
        self._is_backend_new = False
        return Delegate(self._incarnation, self.number, term, last_index, backend)

    def recall(self) -> list[RecallDelegation]:
        """Ask for the end of the log; nothing to send if it is raft's or recalled."""
        if not self.granted:
            return []
        self.granted = 0
        return [RecallDelegation(self.number)]

    def on_new_wal(self) -> None:
        """The wal that has the end of the log is gone: its successor says what it has written, then `end` is due."""
        self.granted = 0

    def on_new_backend(self) -> list[RecallDelegation]:
        """What is written on the delegation from now on has reached no backend, and has to be handed over by raft."""
        self._is_backend_new = True
        return self.recall()

    def end(self, listeners: set[int]) -> Ended:
        """Everything that was written on it is known. listeners: slots of those that are alive: they are asked."""
        if not self.number:
            raise RuntimeError("there is no delegation to end")
        ended = Ended(list(self._forwarded.values()), self._held)
        self.number = self.granted = 0
        self._forwarded, self._held = {}, []
        self.ask(listeners)
        return ended

    # ---- while it lasts ----

    def forward(self, items: list[tuple[int, bytes]]) -> list[Write]:
        """(request id, data) that came to raft first: to the wal. Requires: it is granted, and items are new."""
        if not items:
            return []
        if not self.granted:
            raise RuntimeError("only what is delegated can be forwarded")
        self._forwarded.update(items)
        return [Write(RAFT, self.number, items)]

    def hold(self, message: Propose) -> list[RecallDelegation]:
        """An offer whose items may have gone to the wal before: it waits for the end, which is asked for."""
        if not message.items:
            return []
        self._held.append(message)
        return self.recall()

    def written(self, request_ids: list[int]) -> bool:
        """The wal has written these. return whether it has handed them to the backend that lives now."""
        if self._forwarded:
            for request_id in request_ids:
                self._forwarded.pop(request_id, None)
        return not self._is_backend_new

    @property
    def unwritten(self) -> int:
        """How many items are forwarded and not written yet."""
        return len(self._forwarded)

    # ---- what listeners are asked for ----

    def ask(self, listeners: set[int]) -> None:
        """Let the listeners in these slots say that they have heard, by offering again what they have."""
        self.fence += 1
        self._owing = set(listeners)

    @property
    def waits_for_answers(self) -> bool:
        """Whether a listener owes an answer: until then it may write to the wal, or read past raft."""
        return bool(self._owing)

    def on_answer(self, message: Propose) -> None:
        """A listener has offered again what it had, if it answers the newest fence."""
        if message.fence == self.fence:
            self._owing.discard(message.slot)

    def listener_gone(self, slot: int) -> None:
        """It has nothing to offer any more."""
        self._owing.discard(slot)

    def fence_for(self, slot: int) -> int:
        """What a Leadership to this listener asks for; 0: nothing."""
        return self.fence if slot in self._owing else 0
