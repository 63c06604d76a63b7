"""A scrape is answered once: when all actors have answered, or have been given up."""

import os
import time
from typing import Any

import psutil
import pytest

from etcdz.ipc.messages import Query, QueryReply
from etcdz.telemetry.kept_figures import KeptFigures
from supervisor.children.child import Child
from supervisor.telemetry import metrics
from supervisor.telemetry.queries import Queries
from supervisor.tree import ChildSpec


def child(name: str, incarnation: int) -> Child:
    found = Child(ChildSpec(name=name, kind=f"actors.{name}", stage=1), name, 0)
    found.incarnation = incarnation
    return found


class Scraped:
    """Two actors that were asked for their figures."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, Query]] = []
        self.answers: list[bytes] = []
        self.queries = Queries(lambda name, incarnation, query: self.asked.append((incarnation, query)))
        self.kept = KeptFigures()
        self.ask()

    def ask(self) -> None:
        self.asked.clear()
        metrics.Scrape(
            [child("wal", 7), child("raft", 8)],
            self.queries,
            self.kept,
            lambda: (metrics.use_of_all([], time.monotonic() - 100.0), []),
            self.answers.append,
        )

    def reply(self, number: int, result: Any) -> None:
        incarnation, query = self.asked[number]
        assert query.verb == "metrics"
        self.queries.on_reply(QueryReply("", incarnation, query.id, True, result))


def test_the_answer_waits_for_all_and_comes_once() -> None:
    scraped = Scraped()
    scraped.reply(0, {})
    assert scraped.answers == []
    scraped.reply(1, {})
    scraped.queries.expire(1e12)
    (text,) = scraped.answers
    assert b"process_resident_memory_bytes" in text


def test_an_actor_that_does_not_answer_leaves_a_gap() -> None:
    scraped = Scraped()
    scraped.reply(0, {})
    scraped.queries.on_gone(8)
    assert len(scraped.answers) == 1


def test_what_an_actor_had_counted_stays_in_the_sums_while_it_does_not_answer() -> None:
    scraped = Scraped()
    scraped.reply(0, {"wal_bytes": 10})
    scraped.reply(1, {})
    scraped.ask()
    scraped.queries.expire(1e12)
    assert all(b"\netcd_disk_wal_write_bytes_total 10\n" in text for text in scraped.answers)


def test_what_all_processes_use_is_summed_and_ended_ones_do_not_count_memory() -> None:
    parent = os.getppid()
    cpu_s, earliest_s = sum(psutil.Process().cpu_times()[:2]), time.time() - 100.0
    whole = metrics.use_of_all([parent, 2**22 + 1], time.monotonic() - 100.0)
    memory = psutil.Process().memory_info().rss + psutil.Process(parent).memory_info().rss
    assert whole.rss_bytes == pytest.approx(memory, rel=0.1)
    assert whole.cpu_s >= cpu_s - 0.1
    assert earliest_s - 1.0 <= whole.started_s <= time.time() - 99.0
