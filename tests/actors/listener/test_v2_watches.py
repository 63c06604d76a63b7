"""Clients that wait for keys of the v2 API: what the backend is asked, and what of its words reaches whom."""

from typing import Any

import pytest

from actors.listener.exchange import Exchange
from actors.listener.v2_watches import V2Watches
from actors.runtime.link import Peer
from etcdz.ipc.messages import V2Events, V2Watch, V2WatchEnd
from etcdz.v2.key_request import KeyRequest, parse
from etcdz.v2.watchers import QUEUE_MAX
from etcdz.wire.http1 import Header, Request
from etcdz.wire.request_target import Target
from tests.actors.recorded_links import RecordedLinks

SLOT = 3
START = (10, 20, 2)
CLUSTER_ID: Header = (b"x-etcd-cluster-id", b"1")
BACKEND = Peer("backend", "backend", 0, 9, "")


class Client(Exchange):
    """An exchange that keeps what it is given. has_room: as the test says"""

    def __init__(self) -> None:
        super().__init__(Request(1, b"GET", Target(b"/v2/keys/a", b""), {}, b""))
        self.got: list[Any] = []
        self.takes = True

    @property
    def is_gone(self) -> bool:
        return False

    @property
    def has_room(self) -> bool:
        return self.takes

    def flush(self) -> None:
        pass

    def fail(self, error: Exception) -> None:
        raise error

    def _answer(self, status: int, body: bytes, kind: bytes, headers: list[Header]) -> None:
        self.got.append((status, body))

    def _begin(self, status: int, kind: bytes, headers: list[Header]) -> None:
        self.got.append((status, dict(headers)[b"X-Etcd-Index"]))

    def _send(self, data: bytes) -> None:
        self.got.append(data)

    def _end(self, status: int) -> None:
        self.got.append("end")


class World:
    def __init__(self) -> None:
        self.links = RecordedLinks()
        self.watches = V2Watches(self.links, SLOT)  # type: ignore[arg-type]

    def begin(self, query: bytes) -> tuple[Client, V2Watch]:
        asked = parse("GET", "/v2/keys/a", b"wait=true&" + query, "", b"", 0)
        assert isinstance(asked, KeyRequest)
        client = Client()
        self.watches.begin(client, asked, CLUSTER_ID)
        (question,) = self.links.of(V2Watch)
        return client, question

    def tell(self, question: V2Watch, *indexes: int, start: tuple[int, ...] = (), error: bytes = b"") -> None:
        events = [(index, b"%d" % index) for index in indexes]
        self.watches.on_events(V2Events([(question.id, start, events, error)]))


@pytest.fixture
def world() -> World:
    return World()


def test_a_wait_begins_with_the_head_and_ends_with_its_event(world: World) -> None:
    client, question = world.begin(b"")
    assert question == V2Watch(SLOT, question.id, "/1/a", False, False, 0, False)
    world.tell(question, start=START)
    world.tell(question, 12)
    world.tell(question, 13)
    assert client.got == [(200, b"10"), b"12", "end"]
    assert world.links.of(V2WatchEnd) == [V2WatchEnd(SLOT, [question.id])]


def test_a_new_backend_is_asked_from_behind_what_the_client_has(world: World) -> None:
    _, untold = world.begin(b"waitIndex=5")
    _, waiting = world.begin(b"")
    world.tell(waiting, start=START)
    _, stream = world.begin(b"stream=true&recursive=true")
    world.tell(stream, 14, 15, start=START)
    world.watches.on_peer_up(BACKEND)
    asked = [(m.id, m.since, m.is_resumed) for m in world.links.of(V2Watch)]
    assert asked == [(untold.id, 5, False), (waiting.id, 11, True), (stream.id, 16, True)]


def test_what_is_no_longer_known_refuses_a_wait_and_ends_one_that_has_begun(world: World) -> None:
    client, question = world.begin(b"waitIndex=1")
    world.tell(question, start=START, error=b"{}")
    assert client.got == [(400, b"{}\n")]
    client, question = world.begin(b"stream=true")
    world.tell(question, start=START)
    world.tell(question, start=START, error=b"{}")
    assert client.got == [(200, b"10"), "end"]
    assert len(world.watches) == 0


def test_a_stream_that_is_not_read_keeps_a_hundred_events_and_ends_with_one_more(world: World) -> None:
    client, question = world.begin(b"stream=true")
    world.tell(question, start=START)
    client.takes = False
    world.tell(question, *range(11, 11 + QUEUE_MAX))
    assert client.got == [(200, b"10")]
    client.takes = True
    client.handler.on_writable()
    assert len(client.got) == 1 + QUEUE_MAX
    client.takes = False
    world.tell(question, *range(200, 201 + QUEUE_MAX))
    assert client.got[-1] == "end"
    assert len(client.got) == 2 + QUEUE_MAX


def test_a_client_that_has_gone_is_watched_for_no_more(world: World) -> None:
    client, question = world.begin(b"")
    client.handler.on_gone()
    assert world.links.of(V2WatchEnd) == [V2WatchEnd(SLOT, [question.id])]
    world.watches.on_peer_up(BACKEND)
    assert world.links.of(V2Watch) == []
