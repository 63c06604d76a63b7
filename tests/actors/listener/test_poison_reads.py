"""Reads that wait whenever a backend ends."""

from actors.listener.poison_reads import PoisonReads
from etcdz.limits import READ_AGAIN_MAX


def test_a_read_is_asked_again_so_often_and_then_given_up() -> None:
    poison_reads = PoisonReads()
    assert [poison_reads.on_backend_end([7]) for _ in range(READ_AGAIN_MAX + 1)] == [*[[]] * READ_AGAIN_MAX, [7]]
    assert poison_reads.on_backend_end([]) == []


def test_each_read_has_its_own_count_which_ends_with_its_answer() -> None:
    poison_reads = PoisonReads()
    for _ in range(READ_AGAIN_MAX - 1):
        poison_reads.on_backend_end([1])
    assert poison_reads.on_backend_end([1, 2]) == []
    assert poison_reads.on_backend_end([1, 2]) == [1]
    poison_reads.on_backend_end([])
    assert [poison_reads.on_backend_end([2]) for _ in range(READ_AGAIN_MAX)] == [[]] * READ_AGAIN_MAX
