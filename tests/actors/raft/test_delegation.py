"""Who may append to the end of the log: each rule of the state machine by itself."""

import pytest

from actors.raft.delegation import NUMBER_SHIFT, Delegation
from etcdz.ipc.messages import RAFT, UNASKED, Delegate, Propose, RecallDelegation, Write

ITEMS = [(1, b"one"), (2, b"two")]


@pytest.fixture
def delegation() -> Delegation:
    """Granted, behind entry 9 of term 3."""
    made = Delegation(incarnation=7)
    made.begin(term=3, last_index=9, backend=5)
    return made


def test_a_delegation_names_what_it_begins_behind_and_the_backend_that_has_it() -> None:
    delegation = Delegation(incarnation=7)
    delegate = delegation.begin(term=3, last_index=9, backend=5)
    assert delegate == Delegate(7, delegation.number, 3, 9, 5)
    assert delegation.granted == delegation.number == (7 << NUMBER_SHIFT) + 1


def test_numbers_rise_over_delegations_and_incarnations(delegation: Delegation) -> None:
    first = delegation.number
    delegation.end(set())
    second = delegation.begin(3, 10, 5).delegation
    assert first < second < Delegation(incarnation=8).begin(3, 9, 5).delegation


def test_it_is_not_delegated_twice_nor_while_a_listener_owes_an_answer(delegation: Delegation) -> None:
    with pytest.raises(RuntimeError, match="twice"):
        delegation.begin(3, 9, 5)
    delegation.end({0, 1})
    assert delegation.waits_for_answers
    with pytest.raises(RuntimeError, match="owing"):
        delegation.begin(3, 9, 5)
    delegation.on_answer(Propose(0, [], delegation.fence))
    delegation.on_answer(Propose(1, [], UNASKED))
    assert delegation.waits_for_answers
    delegation.listener_gone(1)
    assert delegation.begin(3, 9, 5).delegation == delegation.granted


def test_an_answer_to_an_earlier_fence_does_not_count(delegation: Delegation) -> None:
    delegation.end({0})
    earlier = delegation.fence
    delegation.ask({0})
    delegation.on_answer(Propose(0, [], earlier))
    assert delegation.waits_for_answers
    delegation.on_answer(Propose(0, [], delegation.fence))
    assert not delegation.waits_for_answers


def test_it_is_recalled_once_and_listeners_may_not_write_from_then_on(delegation: Delegation) -> None:
    number = delegation.number
    assert delegation.recall() == [RecallDelegation(number)]
    assert (delegation.granted, delegation.number) == (0, number)
    assert delegation.recall() == [] and delegation.on_new_backend() == []


def test_there_is_nothing_to_recall_while_the_end_of_the_log_is_rafts() -> None:
    delegation = Delegation(incarnation=7)
    assert delegation.recall() == [] and delegation.on_new_backend() == []
    delegation.on_new_wal()
    with pytest.raises(RuntimeError, match="no delegation"):
        delegation.end(set())


def test_a_first_offer_is_forwarded_and_raft_appends_itself_what_the_wal_has_not_written(
    delegation: Delegation,
) -> None:
    assert delegation.forward(ITEMS) == [Write(RAFT, delegation.number, ITEMS)]
    assert delegation.forward([]) == [] and delegation.unwritten == 2
    delegation.written([1, 77])
    assert delegation.end(set()).forwarded == [b"two"]
    assert delegation.unwritten == 0


def test_what_may_have_gone_to_the_wal_is_held_and_recalls_the_delegation(delegation: Delegation) -> None:
    first, second = Propose(0, ITEMS, UNASKED), Propose(1, ITEMS, UNASKED)
    assert delegation.hold(first) == [RecallDelegation(delegation.number)]
    assert delegation.hold(second) == [], "it is recalled already"
    assert delegation.end(set()).held == [first, second]


def test_an_answer_without_items_recalls_nothing(delegation: Delegation) -> None:
    assert delegation.hold(Propose(0, [], 1)) == [] and delegation.granted


def test_nothing_is_forwarded_once_it_is_recalled(delegation: Delegation) -> None:
    delegation.recall()
    with pytest.raises(RuntimeError, match="forwarded"):
        delegation.forward(ITEMS)


def test_a_new_wal_is_not_asked_to_return_what_its_predecessor_had(delegation: Delegation) -> None:
    delegation.on_new_wal()
    assert not delegation.granted and delegation.number
    assert delegation.recall() == [] and delegation.hold(Propose(0, ITEMS, UNASKED)) == []


def test_what_is_written_after_a_new_backend_came_was_not_handed_to_it(delegation: Delegation) -> None:
    assert delegation.written([1])
    assert delegation.on_new_backend() == [RecallDelegation(delegation.number)]
    assert not delegation.written([2])
    delegation.end(set())
    delegation.begin(3, 12, backend=6)
    assert delegation.written([3]), "the next one names the new backend"


def test_the_end_asks_every_listener_to_offer_again_what_it_has(delegation: Delegation) -> None:
    before = delegation.fence
    delegation.end({0, 1})
    assert delegation.fence == before + 1
    assert [delegation.fence_for(slot) for slot in (0, 1, 2)] == [before + 1, before + 1, 0]
    delegation.on_answer(Propose(0, [], delegation.fence))
    assert [delegation.fence_for(slot) for slot in (0, 1)] == [0, before + 1]
