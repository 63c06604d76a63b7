"""Scrapes of /metrics: one question to the supervisor for all that wait, and an end to the waiting."""

import time
from typing import Any

from actors.listener.scrapes import TIMEOUT_S, Scrapes
from etcdz.ipc.messages import Metrics, QueryMetrics


class Supervisor:
    """In place of the links: keeps what it is asked."""

    def __init__(self) -> None:
        self.asked: list[QueryMetrics] = []

    def tell_supervisor(self, message: QueryMetrics) -> None:
        self.asked.append(message)


def world() -> tuple[Supervisor, Scrapes, list[bytes | None]]:
    supervisor: Any = Supervisor()
    return supervisor, Scrapes(supervisor, 5), []


def test_scrapes_at_one_time_are_one_question_and_get_one_answer() -> None:
    supervisor, scrapes, answers = world()
    scrapes.begin(answers.append)
    scrapes.begin(answers.append)
    [asked] = supervisor.asked
    assert scrapes.under_way and answers == []
    scrapes.on_metrics(Metrics(asked.seq, b"text"))
    assert (answers, scrapes.under_way) == ([b"text", b"text"], False)
    scrapes.begin(answers.append)
    assert len(supervisor.asked) == 2


def test_a_supervisor_that_does_not_answer_is_given_up_and_its_late_answer_dropped() -> None:
    supervisor, scrapes, answers = world()
    scrapes.begin(answers.append)
    scrapes.expire(time.monotonic() + TIMEOUT_S / 2)
    assert answers == []
    scrapes.expire(time.monotonic() + TIMEOUT_S + 1)
    assert answers == [None]
    scrapes.begin(answers.append)
    scrapes.on_metrics(Metrics(supervisor.asked[0].seq, b"of the first"))
    assert answers == [None]
    scrapes.on_metrics(Metrics(supervisor.asked[1].seq, b"of the second"))
    assert answers == [None, b"of the second"]
