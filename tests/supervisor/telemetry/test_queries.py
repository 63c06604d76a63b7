"""Questions to actors: each is answered exactly once, by the actor or by its silence."""

from typing import Any

from etcdz.ipc.messages import Query, QueryReply
from supervisor.telemetry.queries import ANSWER_S, Queries


class Asked:
    """Questions that go nowhere, and the answers that came."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, int, Query]] = []
        self.answers: list[tuple[bool, Any]] = []
        self.queries = Queries(lambda *sent: self.sent.append(sent))
        self.queries.ask("wal", 7, "inspect", {"a": 1}, 100.0, lambda ok, result: self.answers.append((ok, result)))

    @property
    def id(self) -> int:
        return self.sent[0][2].id


def test_an_answer_goes_to_who_asked_once() -> None:
    asked = Asked()
    assert asked.sent == [("wal", 7, Query(asked.id, "inspect", {"a": 1}))]
    for _ in range(2):
        asked.queries.on_reply(QueryReply("wal", 7, asked.id, True, "state"))
    asked.queries.expire(1e9)
    assert asked.answers == [(True, "state")]


def test_silence_is_an_answer_after_a_while() -> None:
    asked = Asked()
    assert asked.queries.next_deadline() == 100.0 + ANSWER_S
    asked.queries.expire(100.0 + ANSWER_S / 2)
    assert asked.answers == []
    asked.queries.expire(100.0 + ANSWER_S)
    assert asked.answers == [(False, f"wal did not answer within {ANSWER_S:g} s")]
    assert asked.queries.next_deadline() is None


def test_the_end_of_a_process_is_an_answer_at_once_and_another_incarnation_none() -> None:
    asked = Asked()
    asked.queries.on_reply(QueryReply("wal", 8, asked.id, True, "of its successor"))
    asked.queries.on_gone(8)
    assert asked.answers == []
    asked.queries.on_gone(7)
    assert asked.answers == [(False, "wal has ended before it answered")]
