"""Queries to living actors that are not answered yet. An actor that hangs or dies leaves none of them open."""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from etcdz.ipc.messages import Query, QueryReply

ANSWER_S: Final = 3.0
"""An actor answers in its next turn; one that takes longer hangs, or is about to, or gets no CPU time. Less than the
clients of the supervisor wait: etcdz.control.client.ANSWER_MS, actors.listener.scrapes.TIMEOUT_S."""

ENDED: Final = "has ended before it answered"

Then = Callable[[bool, Any], None]
"""then(ok, result or error text); called once."""


class Open(NamedTuple):
    """One query. deadline: on the monotonic clock"""

    name: str
    incarnation: int
    deadline: float
    then: Then


class Queries:
    """Ids are unique in the life of the supervisor."""

    def __init__(self, send: Callable[[str, int, Query], None]) -> None:
        """send(name, incarnation, query)"""
        self._send = send
        self._open: dict[int, Open] = {}
        self._last_id = 0

    def ask(self, name: str, incarnation: int, verb: str, args: Mapping[str, Any], now: float, then: Then) -> None:
        """Ask an actor; `then` is called with its answer, or with the text why there is none after ANSWER_S."""
        self._last_id += 1
        self._open[self._last_id] = Open(name, incarnation, now + ANSWER_S, then)
        self._send(name, incarnation, Query(self._last_id, verb, dict(args)))

    def on_reply(self, reply: QueryReply) -> None:
        """An answer; one that is not waited for any more is dropped."""
        query = self._open.get(reply.id)
        if query is not None and query.incarnation == reply.incarnation:
            del self._open[reply.id]
            query.then(reply.ok, reply.result)

    def on_gone(self, incarnation: int) -> None:
        """This process has ended."""
        self._close(lambda query: query.incarnation == incarnation, ENDED)

    def expire(self, now: float) -> None:
        """Give up those whose deadline has passed."""
        self._close(lambda query: now >= query.deadline, f"did not answer within {ANSWER_S:g} s")

    def _close(self, which: Callable[[Open], bool], why: str) -> None:
        for number, query in list(self._open.items()):
            if which(query):
                del self._open[number]
                query.then(False, f"{query.name} {why}")

    def next_deadline(self) -> float | None:
        """When `expire` has something to do."""
        return min((query.deadline for query in self._open.values()), default=None)
