"""Certainty that this member leads: what it needs to answer for leases, or to end one, while there are other voters.

A leader that was paused may have lost its lead without knowing, and another may have extended the leases. So what came
waits for a round: raft confirms with a quorum that this member led after the question had come, and gives an index;
when the backend has applied that, all grants and revokes that a client can know of are known here. One round serves all
that came before it began, and there is one at a time.

    add, want_sweep -> begin -> read index of raft's -> applied by the backend -> take
"""

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from etcdz.lease.clocks import NEVER
from etcdz.lease.question import Question

PAUSE_S: Final = 0.05
"""After raft has refused a round the next one begins so much later."""


class Round(NamedTuple):
    """What one confirmation was for. request_id: raft's answer carries it. wants_sweep: leases that have run out are
    to be looked for"""

    request_id: int
    questions: list[Question]
    wants_sweep: bool


class Confirmation:
    """waiting        questions for the next round
    wants_sweep    the next round is for a sweep as well
    ask_index      None, or: raft is to be asked for a read index under this request id
    ask_applied    None, or: the backend is to say when it has applied this index
    applied_index  what the backend has said of that
    """

    def __init__(self, next_id: Callable[[], int]) -> None:
        self._next_id = next_id
        self.waiting: list[Question] = []
        self.wants_sweep = False
        self.ask_index: int | None = None
        self.ask_applied: int | None = None
        self.applied_index = 0
        self._round: Round | None = None
        self._read_index: int | None = None
        """Raft's answer to the round that is under way."""
        self._not_before_s = 0.0

    def __len__(self) -> int:
        return len(self.waiting) + (len(self._round.questions) if self._round is not None else 0)

    def begin(self, now: float) -> None:
        """A round for all that waits, if there is none under way."""
        if self._round is None and (self.waiting or self.wants_sweep) and now >= self._not_before_s:
            self._round = Round(self._next_id(), self.waiting, self.wants_sweep)
            self.waiting, self.wants_sweep = [], False
            self.ask_index = self._round.request_id

    def next_due_s(self) -> float:
        """When to call `begin`, beside the end of a turn that has added something."""
        return self._not_before_s if self._round is None and (self.waiting or self.wants_sweep) else NEVER

    def on_index(self, request_ids: Iterable[int], read_index: int) -> Round | None:
        """Raft has confirmed. return the round, if that is all"""
        if self._round is None or self._round.request_id not in request_ids:
            return None  # of a round that was taken back
        self._read_index = read_index
        self.ask_index = None
        if read_index > self.applied_index:
            self.ask_applied = read_index
            return None
        return self._end()

    def on_applied(self, applied_index: int) -> Round | None:
        """The backend has applied so much, and has told all changes up to there. return the round, if that is all"""
        self.applied_index = max(self.applied_index, applied_index)
        if self._read_index is None or self._read_index > self.applied_index:
            return None
        return self._end()

    def _end(self) -> Round | None:
        ended, self._round, self._read_index = self._round, None, None
        return ended

    def on_refused(self, request_ids: Iterable[int], now: float) -> None:
        """Raft could not confirm, e.g. since the leader has changed: all waits for another round."""
        if self._round is not None and self._round.request_id in request_ids:
            wants_sweep = self.wants_sweep or self._round.wants_sweep
            self.waiting = self.take_back()
            self.wants_sweep = wants_sweep
            self._not_before_s = now + PAUSE_S

    def take_back(self) -> list[Question]:
        """All questions, in order: this member does not answer now. Who wants a sweep says so anew when it does."""
        under_way = self._end()
        questions = [*(under_way.questions if under_way is not None else ()), *self.waiting]
        self.waiting, self.wants_sweep = [], False
        self.ask_index = self.ask_applied = None
        return questions
