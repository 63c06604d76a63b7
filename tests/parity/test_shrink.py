"""Shrinking leaves what the failure needs, in order, and asks no more often than it may."""

from tests.parity.shrink import shrink


def test_what_the_failure_needs_is_left_in_order() -> None:
    assert shrink(list(range(1000)), lambda items: {3, 500, 997} <= set(items), tries=1000) == [3, 500, 997]


def test_tries_are_bounded() -> None:
    asked = []

    def fails(items: list[int]) -> bool:
        asked.append(items)
        return 7 in items

    assert 7 in shrink(list(range(1000)), fails, tries=5)
    assert len(asked) == 5


def test_nothing_can_be_left_out() -> None:
    assert shrink([1, 2, 3], lambda items: items == [1, 2, 3], tries=100) == [1, 2, 3]
    assert shrink([], lambda items: True, tries=100) == []
