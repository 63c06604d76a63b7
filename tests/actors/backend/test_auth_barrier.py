"""Who changes users or roles has its answer when no listener acts by what was before."""

from typing import Any

import pytest

from actors.backend.auth_barrier import SILENT_S, AuthBarrier
from actors.runtime.link import Peer
from etcdz.ipc.messages import AuthHeard


class Links:
    def __init__(self) -> None:
        self.alive = [Peer(f"listener-{slot}", "listener", slot, 10 + slot, "e") for slot in (1, 2, 3)]
        self.sent: list[tuple[str, bytes]] = []

    def of_kind(self, kind: str) -> list[Peer]:
        return self.alive

    def listener(self, slot: int) -> str:
        return f"listener-{slot}"

    def send_frame(self, name: str, frame: bytes) -> None:
        self.sent.append((name, frame))


class World:
    def __init__(self) -> None:
        self.links, self.now = Links(), 100.0
        links: Any = self.links
        self.barrier = AuthBarrier(links, lambda: self.now)

    def hear(self, index: int, *listeners: int) -> None:
        for one in listeners:
            self.barrier.on_heard(AuthHeard(10 + one, index))

    def change(self, index: int, frame: bytes = b"answer") -> None:
        self.barrier.note_told(index)
        self.barrier.hold([(1, frame)])

    @property
    def answered(self) -> list[bytes]:
        return [frame for _, frame in self.links.sent]


@pytest.fixture
def world() -> World:
    made = World()
    made.hear(5, 1, 2, 3)
    return made


def test_an_answer_waits_for_all_listeners(world: World) -> None:
    world.change(7)
    world.hear(7, 1, 3)
    assert world.answered == []
    world.hear(6, 2)
    assert world.answered == [], "of an earlier change"
    world.hear(7, 2)
    assert world.answered == [b"answer"]


def test_one_that_has_heard_of_more_has_heard_of_all_before(world: World) -> None:
    world.change(7, b"first")
    world.change(8, b"second")
    world.hear(8, 1, 2)
    world.hear(7, 3)
    assert world.answered == [b"first"]
    world.hear(8, 3)
    assert world.answered == [b"first", b"second"]


def test_one_that_is_gone_is_not_waited_for(world: World) -> None:
    world.change(7)
    world.hear(7, 1, 2)
    world.barrier.forget(13)
    assert world.answered == [b"answer"]


def test_one_that_hangs_is_waited_for_and_one_of_earlier_code_is_not(world: World) -> None:
    world.links.alive.append(Peer("listener-4", "listener", 4, 14, "e"))
    world.change(7)
    world.hear(7, 1, 2)
    assert world.barrier.next_at == world.now + SILENT_S
    world.now += SILENT_S
    world.barrier.expire(world.now)
    assert (world.answered, world.barrier.next_at) == ([], None), "listener 3 has said before that it says so"
    world.hear(7, 3)
    assert world.answered == [b"answer"]


def test_one_that_is_alone_is_answered_at_once(world: World) -> None:
    del world.links.alive[1:]
    world.change(7)
    assert world.answered == [b"answer"]


def test_answers_of_an_earlier_backend_wait_for_all_as_well() -> None:
    world = World()
    world.barrier.hold([(1, b"out of the ring")])
    world.hear(9, 1, 2)
    assert world.answered == []
    world.hear(9, 3)
    assert world.answered == [b"out of the ring"]
    world.barrier.hold([(2, b"for one that is new")])
    assert world.answered[1:] == [b"for one that is new"]
