"""A mirror on a scripted server: what it does when its watch cannot go on, and when the server cannot be asked."""

from collections.abc import Iterator
from typing import Any

import pytest

from etcdz.api import errors as api
from etcdz.client.errors import ClientClosed, PermissionDenied
from etcdz.client.methods import RANGE, WATCH
from etcdz.client.mirrors import RELOAD_S, MirrorContents
from etcdz.proto import etcdserverpb as pb
from etcdz.proto import mvccpb
from tests.client.scripted import Running, Server, World, fails


class Store:
    """What the server has; watches stand, and say nothing by themselves."""

    def __init__(self, server: Server) -> None:
        self.revision = 5
        self.kvs = {b"a": b"1"}
        self.watch: int = 0
        self.starts: list[int] = []
        self._server = server
        server.answers[RANGE.path] = self._range
        server.answers[WATCH.path] = self._watch

    def _range(self, server: Server, stream_id: int, body: bytes) -> None:
        asked = pb.RangeRequest.FromString(body)
        kvs = [mvccpb.KeyValue(key=key, value=value) for key, value in self.kvs.items()]
        shown = [] if asked.min_mod_revision else kvs
        header = pb.ResponseHeader(revision=self.revision)
        server.conn.reply(stream_id, pb.RangeResponse(header=header, kvs=shown, count=len(kvs)).SerializeToString())

    def _watch(self, server: Server, stream_id: int, body: bytes) -> None:
        request = pb.WatchRequest.FromString(body)
        if request.HasField("create_request"):
            self.watch = request.create_request.watch_id
            self.starts.append(request.create_request.start_revision)
            self._stream_id = stream_id
            self.say(created=True)

    def say(self, **fields: Any) -> None:
        response = pb.WatchResponse(header=pb.ResponseHeader(revision=self.revision), watch_id=self.watch, **fields)
        self._server.conn.send_message(self._stream_id, response.SerializeToString())

    def tell(self, key: bytes, value: bytes | None) -> None:
        """A change, and its event."""
        self.revision += 1
        kv = mvccpb.KeyValue(key=key, value=value or b"", mod_revision=self.revision)
        self.say(events=[mvccpb.Event(kv=kv, type=0 if value is not None else 1)])


Followed = tuple[World, Store, MirrorContents, Running]


@pytest.fixture
def followed() -> Iterator[Followed]:
    world = World("a:1")
    store = Store(world.server)
    contents = MirrorContents(b"a", b"z")
    running = Running(world, contents.follow())
    yield world, store, contents, running
    contents.stop(world.core)
    running.advance(RELOAD_S)
    assert running.ended


def _values(contents: MirrorContents) -> dict[bytes, bytes]:
    return {key: kv.value for key, kv in contents.items.items()}


def test_it_is_loaded_at_one_revision_and_watched_from_the_next(followed: Followed) -> None:
    _, store, contents, running = followed
    assert (_values(contents), contents.revision, store.starts) == ({b"a": b"1"}, 5, [6])
    store.tell(b"b", b"2")
    store.tell(b"a", None)
    running.go_on()
    assert (_values(contents), contents.revision) == ({b"b": b"2"}, 7)


def test_it_is_loaded_anew_when_what_it_lacks_is_compacted(followed: Followed) -> None:
    _, store, contents, running = followed
    store.revision, store.kvs = 90, {b"c": b"3"}
    store.say(canceled=True, compact_revision=80)
    running.go_on()
    assert (_values(contents), contents.revision, store.starts) == ({b"c": b"3"}, 90, [6, 91])
    store.tell(b"d", b"4")
    running.go_on()
    assert _values(contents) == {b"c": b"3", b"d": b"4"}


def test_it_waits_for_a_server_that_cannot_be_asked_and_ends_if_it_may_not(followed: Followed) -> None:
    world, store, contents, running = followed
    store.say(canceled=True, compact_revision=80)
    world.server.answers[RANGE.path] = fails(api.TIMEOUT, 1000)
    running.go_on()
    running.advance(60)
    assert not running.ended and contents.error is None
    world.server.answers[RANGE.path] = fails(api.PERMISSION_DENIED, 1000)
    for _ in range(10):
        running.advance(RELOAD_S)
    assert running.ended and running.error is None and isinstance(contents.error, PermissionDenied)
    assert isinstance(contents.reached(1).error, PermissionDenied)


def test_who_waits_is_told_by_an_event_or_by_a_look_and_by_its_end(followed: Followed) -> None:
    world, store, contents, running = followed
    first, second = Running(world, contents.wait(6, None)), Running(world, contents.wait(9, None))
    store.tell(b"a", b"2")
    running.go_on()
    first.go_on()
    assert first.ended and not second.ended
    store.revision = 9  # by changes elsewhere
    second.advance(1)
    assert second.ended and second.error is None and contents.revision == 9
    third = Running(world, contents.wait(100, None))
    contents.stop(world.core)
    third.go_on()
    running.go_on()
    assert isinstance(third.error, ClientClosed) and running.ended


def test_a_look_believes_nothing_while_an_event_is_on_its_way(followed: Followed) -> None:
    world, store, contents, _ = followed
    waiting = Running(world, contents.wait(6, 1.0))
    store.revision, store.kvs = 6, {}  # deleted, and not told yet
    waiting.advance(0.9)
    assert not waiting.ended and contents.revision == 5
    waiting.advance(0.2)
    assert isinstance(waiting.error, TimeoutError)
