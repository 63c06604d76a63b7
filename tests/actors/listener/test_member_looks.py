"""Questions about the whole member: answered by the supervisor, given up in time, bounded."""

import time
from typing import Any

from actors.listener.member_looks import OPEN_MAX, TIMEOUT_S, MemberLooks
from etcdz.ipc.messages import Look, Looked


class Supervisor:
    """In place of the links: keeps what it is asked."""

    def __init__(self) -> None:
        self.asked: list[Look] = []

    def tell_supervisor(self, message: Look) -> None:
        self.asked.append(message)


def world() -> tuple[Supervisor, MemberLooks, list[tuple[bool, Any]]]:
    supervisor: Any = Supervisor()
    return supervisor, MemberLooks(supervisor, 5), []


def test_each_question_gets_its_own_answer_in_whatever_order() -> None:
    supervisor, looks, answers = world()
    for verb in ("ps", "vars"):
        looks.begin(verb, {"a": 1}, lambda ok, result: answers.append((ok, result)))
    first, second = supervisor.asked
    assert (first.incarnation, first.verb, second.verb, first.args) == (5, "ps", "vars", {"a": 1})
    looks.on_looked(Looked(second.seq, False, b'"no"'))
    looks.on_looked(Looked(first.seq, True, b'{"b":[2]}'))
    looks.on_looked(Looked(first.seq, True, b'{"b":[2]}'))
    assert answers == [(False, "no"), (True, {"b": [2]})]
    assert not looks.under_way


def test_one_that_is_not_answered_is_given_up_after_the_time_that_it_takes() -> None:
    supervisor, looks, answers = world()
    looks.begin("profile", {}, lambda ok, result: answers.append((ok, result)), takes_s=30)
    looks.expire(time.monotonic() + 29)
    assert answers == []
    looks.expire(time.monotonic() + 31 + TIMEOUT_S)
    assert answers == [(False, "no answer from the supervisor")]
    looks.on_looked(Looked(supervisor.asked[0].seq, True, b"1"))
    assert len(answers) == 1


def test_too_many_at_once_are_refused() -> None:
    supervisor, looks, answers = world()
    for _ in range(OPEN_MAX + 1):
        looks.begin("ps", {}, lambda ok, result: answers.append((ok, result)))
    assert answers == [(False, "too many questions about this member at once")]
    assert len(supervisor.asked) == OPEN_MAX
