"""Which member a connection of the gateway goes to."""

from collections import Counter
from random import Random

from etcdz.cli.gateway.remotes import Record, Remotes


def picked(remotes: Remotes, count: int) -> Counter[str]:
    return Counter(str(remotes.pick()) for _ in range(count))


def test_without_weights_in_turn() -> None:
    remotes = Remotes([Record(name, 1) for name in "abc"], Random(1).randrange)
    assert [str(remotes.pick()) for _ in range(4)] == ["a:1", "b:1", "c:1", "a:1"]


def test_the_best_priority_alone_while_one_of_it_is_active() -> None:
    first, second = Record("first", 1, 1), Record("second", 1, 2)
    remotes = Remotes([second, first], Random(1).randrange)
    assert picked(remotes, 3) == {"first:1": 3}
    remotes.deactivate(first)
    assert picked(remotes, 3) == {"second:1": 3}
    remotes.activate(first)
    assert picked(remotes, 3) == {"first:1": 3}


def test_by_weight() -> None:
    remotes = Remotes([Record("a", 1, 0, 10), Record("b", 1, 0, 30)], Random(1).randrange)
    found = picked(remotes, 4_000)
    assert 900 < found["a:1"] < 1_100 and found["a:1"] + found["b:1"] == 4_000


def test_those_without_a_weight_have_little_beside_those_with_one() -> None:
    remotes = Remotes([Record("a", 1, 0, 1), Record("b", 1)], Random(1).randrange)
    assert 10 < picked(remotes, 4_000)["b:1"] < 90


def test_no_member_is_active() -> None:
    only = Record("a", 1)
    remotes = Remotes([only], Random(1).randrange)
    remotes.deactivate(only)
    assert remotes.pick() is None and remotes.inactive == [only]
