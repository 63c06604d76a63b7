"""When leases are kept alive, and when they are lost."""

import pytest

from etcdz.client.leases import KeptLease
from etcdz.client.methods import LEASE_KEEP_ALIVE
from etcdz.proto import etcdserverpb as pb
from tests.client.scripted import Server, World

PATH = LEASE_KEEP_ALIVE.path


def _answer(server: Server, stream_id: int, body: bytes) -> None:
    request = pb.LeaseKeepAliveRequest.FromString(body)
    server.conn.send_message(stream_id, pb.LeaseKeepAliveResponse(ID=request.ID, TTL=9).SerializeToString())


def _lose(server: Server, stream_id: int, body: bytes) -> None:
    request = pb.LeaseKeepAliveRequest.FromString(body)
    server.conn.send_message(stream_id, pb.LeaseKeepAliveResponse(ID=request.ID, TTL=0).SerializeToString())


def _add(world: World, lost: list[int], lease_id: int = 1, ttl: int = 9) -> KeptLease:
    kept = world.core.keep_alives.add(lease_id, ttl, lambda: lost.append(lease_id), world.now)
    world.turn()
    return kept


def _world() -> World:
    world = World("a:1")
    world.server.answers[PATH] = _answer
    return world


def test_it_is_sent_every_third_of_the_ttl_on_one_stream() -> None:
    world, lost = _world(), []
    for lease_id in (1, 2, 3):
        _add(world, lost, lease_id)
    world.advance(90)
    assert 29 * 3 <= world.server.paths().count(PATH) <= 31 * 3
    assert len(world.server.streams) == 1 and not lost


def test_a_ttl_that_is_not_known_is_asked_for_at_once() -> None:
    world, lost = _world(), []
    kept = _add(world, lost, ttl=0)
    world.advance(0.6)
    assert kept.ttl == 9
    world.advance(60)
    assert not lost


def test_it_is_lost_when_the_server_says_so() -> None:
    world, lost = _world(), []
    _add(world, lost)
    world.server.answers[PATH] = _lose
    world.advance(3.1)
    assert lost == [1]
    world.advance(60)
    assert lost == [1] and not world.core.keep_alives.is_active


def test_it_is_lost_when_nobody_answers_in_its_ttl() -> None:
    world, lost = _world(), []
    _add(world, lost)
    world.server.is_down = True
    world.server.break_off()
    world.advance(8.9)
    assert not lost
    world.advance(0.2)
    assert lost == [1]


def test_a_stream_that_ends_is_opened_again_in_time() -> None:
    world, lost = _world(), []
    _add(world, lost)
    for _ in range(10):
        world.advance(3.05)
        world.server.break_off()
    world.advance(10)
    assert not lost


def test_an_answer_that_was_lost_with_its_stream_is_asked_for_again_soon() -> None:
    world, lost = _world(), []
    _add(world, lost)
    del world.server.answers[PATH]
    world.advance(3.05)
    world.server.break_off()
    world.server.answers[PATH] = _answer
    world.server.seen.clear()
    world.advance(1.1)
    assert world.server.paths() == [PATH]


def test_what_is_removed_is_told_nothing() -> None:
    world, lost = _world(), []
    kept = _add(world, lost)
    world.core.keep_alives.remove(kept)
    world.advance(30)
    assert not lost and PATH not in world.server.paths()


def _answer_late(world: World, until: float) -> None:
    """As if this process had been stopped: an answer has come in time, and is read when that is over."""
    stream_id, body = next(iter(world.server.streams)), world.server.seen[-1][1]
    world.now = until
    _answer(world.server, stream_id, body)
    world.turn()


@pytest.mark.parametrize(("read_s", "is_lost"), [(5, False), (9.5, True), (60, True)])
def test_an_answer_counts_from_when_it_was_asked_for(read_s: float, is_lost: bool) -> None:
    world, lost = _world(), []
    kept = _add(world, lost)
    del world.server.answers[PATH]
    world.advance(3.01)
    asked_at = kept.asked[0]
    _answer_late(world, asked_at + read_s)
    assert lost == ([1] if is_lost else [])
    assert is_lost or kept.deadline == asked_at + 9


def test_what_is_no_message_is_no_answer() -> None:
    world, lost = _world(), []
    _add(world, lost)
    world.server.answers[PATH] = lambda server, stream_id, body: server.conn.send_message(stream_id, b"\xff\xff")
    world.advance(8)
    assert not lost
    world.server.answers[PATH] = _answer
    world.advance(30)
    assert not lost
