"""A range of many keys: by a stream where the server has it, else and after a failure page by page; nothing twice."""

from typing import Any

import pytest

from etcdz.client.errors import Compacted
from etcdz.client.methods import RANGE, RANGE_STREAM
from etcdz.client.pages import Pages
from etcdz.proto import etcdserverpb as pb
from etcdz.proto import mvccpb
from etcdz.wire.client import ClientSettings
from tests.client.scripted import Running, Server, World

KEYS = [b"k%04d" % number for number in range(500)]


class Keys:
    """A server that has KEYS at revision 9, and may or may not have streams.

    breaks_after    so many chunks of a stream, once
    value           of each key
    """

    def __init__(self, world: World, has_streams: bool, value: bytes = b"") -> None:
        self.breaks_after = -1
        self.value = value
        self._world = world
        for server in world.servers.values():
            server.answers[RANGE.path] = self._range
            if has_streams:
                server.answers[RANGE_STREAM.path] = self._stream
            else:
                server.answers[RANGE_STREAM.path] = _unknown

    def _found(self, asked: Any) -> list[Any]:
        assert asked.revision in (0, 9)
        keys = [key for key in KEYS if asked.key <= key < asked.range_end]
        return [mvccpb.KeyValue(key=key, value=self.value) for key in keys]

    def _range(self, server: Server, stream_id: int, body: bytes) -> None:
        asked = pb.RangeRequest.FromString(body)
        kvs = self._found(asked)
        shown = kvs[: asked.limit or len(kvs)]
        header = pb.ResponseHeader(revision=9)
        answer = pb.RangeResponse(header=header, kvs=shown, count=len(kvs), more=len(shown) < len(kvs))
        server.conn.reply(stream_id, answer.SerializeToString())

    def _stream(self, server: Server, stream_id: int, body: bytes) -> None:
        asked = pb.RangeRequest.FromString(body)
        kvs = self._found(asked)
        kvs = kvs[: asked.limit or len(kvs)]
        for number, at in enumerate(range(0, len(kvs), 50)):
            if number == self.breaks_after:
                self.breaks_after = -1
                server.conn.fail(stream_id, 14, "etcdserver: server stopped")
                return
            chunk = pb.RangeStreamResponse(range_response=pb.RangeResponse(kvs=kvs[at : at + 50]))
            server.conn.send_message(stream_id, chunk.SerializeToString())
        server.conn.finish(stream_id)


def _unknown(server: Server, stream_id: int, body: bytes) -> None:
    server.conn.fail(stream_id, 12, "unknown method RangeStream for service etcdserverpb.KV")


async def _all(pages: Pages) -> list[bytes]:
    found: list[bytes] = []
    while not pages.done:
        found += [kv.key for kv in await pages.next(None)]
    return found


def _read(world: World, limit: int = 0) -> list[bytes]:
    running = Running(world, _all(Pages(b"k", b"l", limit, 0, False, False)))
    assert running.ended and running.error is None
    found: list[bytes] = running.result
    return found


@pytest.mark.parametrize("has_streams", [True, False])
@pytest.mark.parametrize("limit", [0, 1, 64, 65, 114, 499, 500, 501])
def test_all_keys_come_once_and_in_their_order(has_streams: bool, limit: int) -> None:
    world = World("a:1")
    Keys(world, has_streams)
    assert _read(world, limit) == KEYS[: limit or None]


def test_a_small_range_is_one_call() -> None:
    world = World("a:1")
    Keys(world, True)
    _read(world, 64)
    assert world.server.paths() == [RANGE.path]


def test_a_server_without_streams_is_asked_for_one_once() -> None:
    world = World("a:1")
    Keys(world, False)
    _read(world)
    _read(world)
    assert world.server.paths().count(RANGE_STREAM.path) == 1


@pytest.mark.parametrize("chunks", [0, 1, 5])
def test_pages_go_on_where_a_stream_has_failed(chunks: int) -> None:
    world = World("a:1")
    Keys(world, True).breaks_after = chunks
    assert _read(world) == KEYS
    assert world.server.paths().count(RANGE.path) >= 2
    assert _read(world) == KEYS and world.server.paths()[-1] == RANGE_STREAM.path, "the next one is a stream again"


def test_a_stream_that_is_silent_is_left_after_the_timeout() -> None:
    world = World("a:1")
    Keys(world, True)
    world.server.answers[RANGE_STREAM.path] = lambda server, stream_id, body: None
    running = Running(world, _timed(Pages(b"k", b"l", 0, 0, False, False)))
    assert not running.ended
    running.advance(1.5)
    assert running.result == KEYS and world.server.canceled


async def _timed(pages: Pages) -> list[bytes]:
    found: list[bytes] = []
    while not pages.done:
        found += [kv.key for kv in await pages.next(1.0)]
    return found


def test_what_is_wrong_a_page_says() -> None:
    world = World("a:1")
    Keys(world, True)
    pages = Pages(b"k", b"l", 0, 0, False, False)
    first = Running(world, pages.next(None))
    assert len(first.result) == 64

    def refuse(server: Server, stream_id: int, body: bytes) -> None:
        server.conn.fail(stream_id, 11, Compacted().text)

    world.server.answers |= {RANGE.path: refuse, RANGE_STREAM.path: refuse}
    assert isinstance(Running(world, pages.next(None)).error, Compacted)


def test_a_stream_that_nobody_takes_waits_at_the_server_and_can_be_left() -> None:
    world = World("a:1")
    Keys(world, True, b"x" * 100_000)
    pages = Pages(b"k", b"l", 0, 0, False, False)
    Running(world, pages.next(None))
    Running(world, pages.next(None))
    here = 2 * 50 * 100_000 + ClientSettings().stream_window
    assert world.server.conn.pending_bytes > 436 * 100_000 - here
    found = len(Running(world, pages.next(None)).result)
    assert found == 50
    pages.cancel(world.core)
    world.turn()
    assert not world.server.conn.pending_bytes
