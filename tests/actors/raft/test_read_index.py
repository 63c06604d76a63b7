"""Reads that wait for an index: all in one round, each answered to its listener, and asked again when lost."""

from types import SimpleNamespace
from typing import Any

import pytest

from actors.raft.read_index import RETRY_S, ReadIndexes
from etcdz.ipc.messages import ReadIndex, ReadStates
from etcdz.raft.messages import FOLLOWER, LEADER, ReadState

KEEP_S = 7.0


class Core:
    """Notes the contexts that it is asked with."""

    def __init__(self) -> None:
        self.contexts: list[bytes] = []
        self.raft = SimpleNamespace(term=3, lead=2, role=FOLLOWER, committed_in_term=True)

    def read_index(self, context: bytes) -> None:
        self.contexts.append(context)


class Asked:
    """Reads, the core that they are asked of, and what listeners are told."""

    def __init__(self, member_id: int = 1) -> None:
        self.sent: list[tuple[str, ReadStates]] = []
        links = SimpleNamespace(
            send=lambda name, message: self.sent.append((name, message)), listener=lambda slot: f"listener-{slot + 1}"
        )
        self.reads = ReadIndexes(SimpleNamespace(links=links, member_id=member_id), KEEP_S)
        self.core: Any = Core()

    def ask(self, slot: int, ids: list[int], now: float = 0.0) -> None:
        self.reads.on_read_index(ReadIndex(slot, ids))
        self.reads.advance(self.core, now)

    def answer(self, index: int, context: bytes) -> None:
        self.reads.answer([ReadState(index, context)])


@pytest.fixture
def asked() -> Asked:
    return Asked()


def test_all_reads_of_a_turn_take_one_round(asked: Asked) -> None:
    asked.reads.on_read_index(ReadIndex(0, [1, 2]))
    asked.ask(1, [3])
    assert (len(asked.core.contexts), asked.reads.waiting) == (1, [])
    asked.answer(7, asked.core.contexts[0])
    assert asked.sent == [("listener-1", ReadStates(7, [1, 2])), ("listener-2", ReadStates(7, [3]))]
    assert not asked.reads.has_work


def test_what_comes_while_a_round_is_under_way_waits_for_the_next(asked: Asked) -> None:
    asked.ask(0, [1])
    asked.ask(0, [2])
    assert len(asked.core.contexts) == 1
    asked.answer(7, asked.core.contexts[0])
    asked.reads.advance(asked.core, 0.0)
    asked.answer(9, asked.core.contexts[1])
    assert [message for _, message in asked.sent] == [ReadStates(7, [1]), ReadStates(9, [2])]


def test_a_round_without_an_answer_is_asked_again(asked: Asked) -> None:
    asked.ask(0, [1], now=0.0)
    asked.ask(0, [2], now=RETRY_S - 0.01)
    assert len(asked.core.contexts) == 1
    asked.reads.advance(asked.core, RETRY_S)
    assert len(set(asked.core.contexts)) == 2
    asked.answer(8, asked.core.contexts[1])
    assert [message for _, message in asked.sent] == [ReadStates(8, [1]), ReadStates(8, [2])]
    asked.answer(5, asked.core.contexts[0])
    assert len(asked.sent) == 2


def test_an_answer_stands_for_what_came_before_its_question_and_for_nothing_else(asked: Asked) -> None:
    asked.ask(0, [1], now=0.0)
    asked.ask(0, [2], now=RETRY_S)
    asked.ask(0, [3], now=2 * RETRY_S)
    first, second, third = asked.core.contexts
    asked.answer(5, first)
    assert [message for _, message in asked.sent] == [ReadStates(5, [1])]
    asked.answer(8, third)
    asked.answer(9, second)
    assert [message for _, message in asked.sent] == [ReadStates(5, [1]), ReadStates(8, [2]), ReadStates(8, [3])]
    assert not asked.reads.has_work


def test_answers_that_take_longer_than_the_next_question_are_answers(asked: Asked) -> None:
    """As of a leader on a busy machine: each comes when the next question is under way."""
    for number in range(1, 8):
        asked.ask(0, [number], now=number * RETRY_S)
        if number > 1:
            asked.answer(number, asked.core.contexts[-2])
            assert asked.sent[-1][1] == ReadStates(number, [number - 1])


def test_an_answer_that_comes_when_its_reads_are_forgotten_stands_for_no_others(asked: Asked) -> None:
    asked.reads.on_read_index(ReadIndex(0, [1]))
    came = asked.reads.waiting[0][0]
    asked.reads.advance(asked.core, came)
    asked.reads.expire(came + KEEP_S)
    asked.ask(0, [2], now=came + KEEP_S)
    asked.answer(5, asked.core.contexts[0])
    assert asked.sent == []
    asked.answer(6, asked.core.contexts[1])
    assert [message for _, message in asked.sent] == [ReadStates(6, [2])]


def test_a_new_leader_is_asked_at_once(asked: Asked) -> None:
    asked.ask(0, [1])
    asked.core.raft.lead = 0
    asked.reads.advance(asked.core, 0.1)
    assert len(asked.core.contexts) == 1
    asked.core.raft.term, asked.core.raft.lead = 4, 3
    asked.reads.advance(asked.core, 0.2)
    assert len(asked.core.contexts) == 2


def test_a_leader_is_asked_when_it_knows_what_was_acknowledged(asked: Asked) -> None:
    asked.core.raft = SimpleNamespace(term=3, lead=1, role=LEADER, committed_in_term=False)
    asked.ask(0, [1])
    assert asked.core.contexts == []


def test_contexts_differ_from_those_of_the_raft_before_and_of_other_members(asked: Asked) -> None:
    contexts = set()
    for one in (asked, Asked(), Asked(member_id=2)):
        one.ask(0, [1])
        contexts |= set(one.core.contexts)
    assert len(contexts) == 3
    later = Asked()
    later.ask(0, [4])
    for context in contexts - set(later.core.contexts):
        later.answer(1, context)
    assert later.sent == []


def test_reads_that_nobody_waits_for_any_more_are_forgotten(asked: Asked) -> None:
    asked.reads.on_read_index(ReadIndex(0, [1]))
    came = asked.reads.waiting[0][0]
    asked.reads.expire(came + KEEP_S - 1)
    assert asked.reads.has_work
    asked.reads.expire(came + KEEP_S + 1)
    assert not asked.reads.has_work
