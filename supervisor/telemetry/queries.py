"""Questions to living actors that are not answered yet. An actor that hangs or dies leaves none of them open."""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from etcdz.ipc.messages import Query, QueryReply

ANSWER_S: Final = 1.0
"""An actor answers in its next turn; one that takes longer hangs, or is about to."""

ENDED: Final = "has ended before it answered"

Then = Callable[[bool, Any], None]
"""then(ok, result or error text); called once."""


class Open(NamedTuple):
    """One question. deadline: on the monotonic clock"""

    name: str
    incarnation: int
    deadline: float
    then: Then


class Queries:
    """Ids are unique in the life of the supervisor."""

    def __init__(self, send: Callable[[str, int, Query], None]) -> None:
        """send(name, incarnation, question)"""
        self._send = send
        self._open: dict[int, Open] = {}
        self._last_id = 0

    def ask(self, name: str, incarnation: int, verb: str, args: Mapping[str, Any], now: float, then: Then) -> None:
        self._last_id += 1
        self._open[self._last_id] = Open(name, incarnation, now + ANSWER_S, then)
        self._send(name, incarnation, Query(self._last_id, verb, dict(args)))

    def on_told(self, told: QueryReply) -> None:
        """An answer; one that nobody waits for any more is dropped."""
        question = self._open.get(told.id)
        if question is not None and question.incarnation == told.incarnation:
            del self._open[told.id]
            question.then(told.ok, told.result)

    def on_gone(self, incarnation: int) -> None:
        """This process has ended."""
        self._close(lambda question: question.incarnation == incarnation, ENDED)

    def expire(self, now: float) -> None:
        self._close(lambda question: now >= question.deadline, f"did not answer within {ANSWER_S:g} s")

    def _close(self, which: Callable[[Open], bool], why: str) -> None:
        for number, question in list(self._open.items()):
            if which(question):
                del self._open[number]
                question.then(False, f"{question.name} {why}")

    def next_deadline(self) -> float | None:
        """When `expire` has something to do."""
        return min((question.deadline for question in self._open.values()), default=None)
