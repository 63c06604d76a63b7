"""Reads that wait for an index: all of a turn in one round of the quorum, each answered to the listener that asked."""

from types import SimpleNamespace
from typing import Any

from actors.raft.read_index import ReadIndexes
from etcdz.ipc.messages import ReadIndex, ReadStates
from etcdz.raft.messages import ReadState


class Core:
    """Notes the contexts that it is asked with."""

    def __init__(self) -> None:
        self.contexts: list[bytes] = []

    def read_index(self, context: bytes) -> None:
        self.contexts.append(context)


def asked() -> tuple[ReadIndexes, Any, list[tuple[str, ReadStates]]]:
    sent: list[tuple[str, ReadStates]] = []
    links = SimpleNamespace(
        send=lambda name, message: sent.append((name, message)), listener=lambda slot: f"listener-{slot + 1}"
    )
    return ReadIndexes(SimpleNamespace(links=links)), Core(), sent


def test_all_reads_of_a_turn_take_one_round() -> None:
    reads, core, sent = asked()
    reads.on_read_index(ReadIndex(0, [1, 2]))
    reads.on_read_index(ReadIndex(1, [3]))
    reads.ask(core)
    assert (len(core.contexts), reads.waiting) == (1, [])
    reads.answer([ReadState(7, core.contexts[0])])
    assert sent == [("listener-1", ReadStates(7, [1, 2])), ("listener-2", ReadStates(7, [3]))]


def test_each_round_is_answered_once_and_with_its_own_index() -> None:
    reads, core, sent = asked()
    for request_id in (1, 2):
        reads.on_read_index(ReadIndex(0, [request_id]))
        reads.ask(core)
    assert len(set(core.contexts)) == 2
    reads.answer([ReadState(9, core.contexts[1]), ReadState(9, core.contexts[1]), ReadState(0, b"unknown")])
    assert sent == [("listener-1", ReadStates(9, [2]))]
