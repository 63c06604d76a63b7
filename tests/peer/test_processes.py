"""That two processes speak as one member is seen by one that comes back after another has taken its place."""

import pytest

from etcdz.peer.processes import Processes


def told(*dialled: bytes) -> list[bool]:
    processes = Processes()
    return [processes.are_two(process) for process in dialled]


@pytest.mark.parametrize(
    "dialled",
    [
        [b"a", b"a", b"a"],
        [b"a", b"a", b"b", b"b", b"c"],  # restarted
        [b"a", b"b", b"a", b"b", b"b"],  # a connection of one that has ended came late
        [b"", b"", b""],  # etcd
        [b"a", b"", b"a", b"", b"a"],  # after it etcd on its data, and back
        [b"%d" % number for number in range(100)],
    ],
)
def test_one_after_the_other_is_usual(dialled: list[bytes]) -> None:
    assert not any(told(*dialled))


def test_two_that_take_turns_are_two() -> None:
    assert told(b"a", b"a", b"b", b"b", b"a", b"a", b"b", b"a", b"b") == [False] * 7 + [True, True]


def test_two_are_seen_though_one_of_them_is_restarted() -> None:
    assert told(b"a", b"b", b"a", b"c", b"a", b"c", b"a")[-2:] == [True, True]
