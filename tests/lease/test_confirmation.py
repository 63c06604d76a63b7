"""Rounds in which it becomes certain that this member leads."""

from etcdz.lease.clocks import NEVER
from etcdz.lease.confirmation import PAUSE_S, Confirmation
from etcdz.lease.question import KEEP_ALIVE, Question


def question(number: int) -> Question:
    return Question(1, number, KEEP_ALIVE, 7, 0.0)


def confirmation() -> Confirmation:
    return Confirmation(iter(range(100, 200)).__next__)


def begun(*numbers: int) -> Confirmation:
    one = confirmation()
    one.waiting = [question(number) for number in numbers]
    one.begin(0.0)
    return one


def test_a_round_serves_what_came_before_it_and_no_other_begins_meanwhile() -> None:
    one = begun(1, 2)
    assert one.ask_index == 100
    one.ask_index = None
    one.waiting.append(question(3))
    one.begin(0.0)
    assert one.ask_index is None
    ended = one.on_index([100], 0)
    assert ended is not None
    assert [each.request_id for each in ended.questions] == [1, 2]
    one.begin(0.1)
    assert one.ask_index == 101


def test_a_round_ends_when_the_backend_has_applied_the_index() -> None:
    one = begun(1)
    assert one.on_index([100], 8) is None
    assert one.ask_applied == 8
    assert one.on_applied(7) is None
    ended = one.on_applied(9)
    assert ended is not None
    assert [each.request_id for each in ended.questions] == [1]


def test_an_index_that_is_known_to_be_applied_is_not_asked_for() -> None:
    one = begun(1)
    assert one.on_applied(9) is None
    assert one.on_index([100], 9) is not None
    assert one.ask_applied is None


def test_an_answer_to_a_round_that_was_taken_back_counts_for_none() -> None:
    one = begun(1)
    assert [each.request_id for each in one.take_back()] == [1]
    one.waiting = [question(2)]
    one.begin(1.0)
    assert one.on_index([100], 0) is None
    assert one.on_index([101], 0) is not None


def test_a_round_that_raft_refuses_is_repeated_after_a_pause() -> None:
    one = begun(1)
    one.wants_sweep = True
    one.on_refused([100], 5.0)
    one.waiting.append(question(2))
    one.begin(5.0)
    assert one.next_due_s() == 5.0 + PAUSE_S
    one.begin(5.0 + PAUSE_S)
    assert one.ask_index == 101
    ended = one.on_index([101], 0)
    assert ended is not None
    assert ([each.request_id for each in ended.questions], ended.wants_sweep) == ([1, 2], True)


def test_there_is_a_round_for_a_sweep_alone_and_none_for_nothing() -> None:
    one = confirmation()
    one.begin(0.0)
    assert (one.ask_index, one.next_due_s()) == (None, NEVER)
    one.wants_sweep = True
    one.begin(0.0)
    ended = one.on_index([100], 0)
    assert ended is not None
    assert ended.wants_sweep
    assert not one.wants_sweep
