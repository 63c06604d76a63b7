"""The delegation of the end of the log: while this member is the only voter, the wal appends by itself.

A write then goes listener -> wal -> backend -> listener, and consensus, which has nothing to decide, is not on its way.
Raft appends afterwards, in its own log, what the wal has appended in its name (`DelegatedAppends`), in batches.

    raft's              Lend ->                 the wal's
    (Append)   <- Recall, Returned; wal gone    (Write)

Rules that keep a write from being lost or entering the log twice:
- Raft delegates only when all it has appended is durable, committed and handed to the backend. It names that backend: a
  wal that knows another gives the delegation back at once.
- While the delegation lasts raft appends nothing. What is proposed to it first (`Propose`, fence 0) it passes on to the
  wal, and keeps until it is written. What may have gone to the wal before (other fences) it holds, and recalls the
  delegation.
- A delegation ends when the wal has returned it, or when a new wal has said what is on disk: then raft knows everything
  that was appended on it. Then raft asks the listeners (a fence in `Leadership`) to offer again all that is unanswered,
  and drops what its log has. It delegates again when all of them have done so.
- A delegation ends with the raft that gave it: a new one hears from the wal what is on disk, and listeners offer it
  again all that is unanswered, as always.
"""

from etcdz.ipc.messages import Propose

NUMBER_SHIFT = 23
"""Delegation numbers are raft's incarnation and a counter below it, so that they rise over incarnations."""


class Delegation:
    """What raft knows of the delegation. Pure."""

    def __init__(self, incarnation: int) -> None:
        self._newest = incarnation << NUMBER_SHIFT
        self.number = 0
        """0: the end of the log is raft's."""
        self.recalled = False
        """Invariant: only while number is not 0."""
        self.hand_over = False
        """The backend is not the one that the wal has handed everything to: what is written goes to it again."""
        self.forwarded: dict[int, bytes] = {}
        """By request id: what was passed on to the wal and is not written yet."""
        self.held: list[Propose] = []
        """What waits for the end of the delegation."""
        self.fence = 0
        self.owing: set[int] = set()
        """Slots of listeners that have not answered the fence."""

    def begin(self) -> int:
        """return the number of a new delegation. Requires: there is none, and nobody owes an answer."""
        self._newest += 1
        self.number = self._newest
        self.recalled = self.hand_over = False
        return self.number

    def end(self, listeners: set[int]) -> tuple[list[Propose], dict[int, bytes]]:
        """Everything that was written on it is known. return (what was held, what was passed on and not written)."""
        held, forwarded = self.held, self.forwarded
        self.number = 0
        self.recalled = False
        self.held, self.forwarded = [], {}
        self.ask(listeners)
        return held, forwarded

    def ask(self, listeners: set[int]) -> None:
        """Let the listeners in these slots say that they have heard, by offering again what they have."""
        self.fence += 1
        self.owing = set(listeners)

    def answered(self, message: Propose) -> None:
        """A listener has offered again what it had."""
        if message.fence == self.fence:
            self.owing.discard(message.slot)

    def fence_for(self, slot: int) -> int:
        """What a Leadership to this listener asks for; 0: nothing."""
        return self.fence if slot in self.owing else 0
