"""The Watch service of a listener: what it asks the backend, and what becomes of streams and figures."""

from types import SimpleNamespace
from typing import Any

import pytest

from actors.listener import watching
from actors.listener.auth_news import AuthNews
from actors.listener.identities import Credentials
from actors.listener.streams import Streams
from actors.listener.watching import WatchCall, Watching
from etcdz import limits
from etcdz.api import errors
from etcdz.api.errors import STOPPED, Code
from etcdz.config import MemberConfig
from etcdz.ipc.messages import AuthState, WatchAsk, WatchChanges, WatchPosition
from etcdz.proto import etcdserverpb as pb
from etcdz.proto import mvccpb
from etcdz.watch.events import Changes, encode_put
from tests.actors.listener.host import make_gate

WATCH = pb.WatchRequest(create_request=pb.WatchCreateRequest(key=b"k")).SerializeToString()


class Call:
    """In place of a StreamCall: keeps how it ended."""

    is_clogged = False
    pending_bytes = 0

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.ended: tuple[int, str] | None = None

    def send_parts(self, head: bytes, body: bytes) -> None:
        self.sent.append(head + body)

    def finish(self, code: int = 0, text: str = "") -> None:
        self.ended = (code, text)

    def touch(self) -> None:
        pass

    def flush(self) -> None:
        pass


class CallOfU(Call):
    """Of a client with a certificate."""

    credentials = Credentials()
    common_name = "u"


class World:
    """The service in slot 3 of a member. `turn` does what waits in the event loop."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Any]] = []
        self.soon: list[Any] = []
        self.calls: list[WatchCall] = []
        streams = Streams(leader_timeout_s=3.0)
        streams.handlers = lambda: self.calls  # type: ignore[method-assign, assignment, return-value]
        self.news = AuthNews()
        self.asked: list[Any] = []
        gate = make_gate(self.news, self.asked)
        host: Any = SimpleNamespace(
            boot=SimpleNamespace(slot=3),
            links=SimpleNamespace(send=lambda name, message: self.sent.append((name, message)), flush=lambda: None),
            streams=streams,
            event_loop=SimpleNamespace(call_soon=self.soon.append),
            call_later=lambda seconds, do: self.soon.append(do),
            auth_news=self.news,
            calls=SimpleNamespace(gate=gate, identities=gate.identities),
            fail=pytest.fail,
        )
        self.watching = Watching(host, MemberConfig())

    def know(self, users: list[tuple[str, list[str]]]) -> None:
        """Role u may read k."""
        revision = self.news.access.revision + 1
        self.news.on_state(AuthState(1, 9, True, revision, users, [("u", [(0, b"k", b"")])]))
        self.watching._identities.on_news()
        self.watching.on_auth_change()

    def open(self, call: Call) -> WatchCall:
        self.calls.append(self.watching.open(call))  # type: ignore[arg-type]
        return self.calls[-1]

    def turn(self) -> None:
        due, self.soon[:] = list(self.soon), []
        for do in due:
            do()


@pytest.fixture
def world() -> World:
    return World()


def test_all_requests_of_a_turn_are_one_question_to_the_backend(world: World) -> None:
    handler = world.open(Call())
    for _ in range(3):
        handler.on_message(WATCH)
    assert world.sent == [], "not before everything that is readable has been read"
    assert len(world.soon) == 1
    world.turn()
    [(name, ask)] = world.sent
    assert (name, type(ask), ask.slot) == ("backend", WatchAsk, 3)


def test_a_new_backend_is_asked_again(world: World) -> None:
    world.open(Call()).on_message(WATCH)
    world.turn()
    world.watching.on_new_backend()
    [(_, before), (_, again)] = world.sent
    assert (again.wants, again.seq) == (before.wants, before.seq + 1)


def test_a_request_that_is_none_ends_its_stream(world: World) -> None:
    call = Call()
    world.open(call).on_message(b"\xff")
    assert call.ended is not None and call.ended[0] == Code.INTERNAL


@pytest.mark.parametrize("unread", [0, limits.UNREAD_BYTES_MAX + 1])
def test_a_client_that_asks_and_does_not_read_loses_its_stream(world: World, unread: int) -> None:
    call = Call()
    handler = world.open(call)
    call.pending_bytes = unread
    handler.on_message(WATCH)
    assert call.ended == (
        (errors.REQUEST_TOO_MANY_REQUESTS.code, errors.REQUEST_TOO_MANY_REQUESTS.text) if unread else None
    )


def test_a_client_that_asks_faster_than_it_can_be_served_loses_its_stream(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "WATCH_REQUESTS_PENDING", 100)
    call = Call()
    handler = world.open(call)
    for _ in range(limits.WATCH_REQUESTS_PENDING):
        handler.on_message(WATCH)
    assert call.ended is None
    handler.on_message(WATCH)
    assert call.ended is not None


def test_a_listener_that_ends_tells_clients_to_watch_elsewhere(world: World) -> None:
    call = Call()
    world.open(call).on_drain()
    assert call.ended == (STOPPED.code, STOPPED.text)


def test_streams_and_watchers_are_counted_when_they_are_asked_for(world: World) -> None:
    world.open(Call())
    assert world.watching.metrics() == {
        "watch_streams": 1,
        "watchers": 0,
        "slow_watchers": 0,
        "events_sent": 0,
        "events_pending": 0,
    }


def test_events_wait_for_all_watchers_that_are_to_be_looked_at_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the last of many watchers would be sent what it may not read any more."""
    monkeypatch.setattr(watching, "CHECKED_AT_ONCE", 1)
    world.know([("u", ["u"])])
    calls = [CallOfU() for _ in range(3)]
    for call in calls:
        world.open(call).on_message(WATCH)
    world.turn()
    [(_, ask)] = world.sent
    position = (5, 0, 1, 1, 1)
    world.watching.on_position(WatchPosition(ask.seq, position))
    world.turn()
    assert all(pb.WatchResponse.FromString(call.sent[0]).created for call in calls)
    world.know([("u", [])])
    event = encode_put(mvccpb.KeyValue(key=b"k", mod_revision=6).SerializeToString())
    world.watching.on_changes(WatchChanges(5, (6, 0, 1, 1, 1), Changes([6], [b"k"], [event], [])))
    world.turn()
    for call in calls:
        answers = [pb.WatchResponse.FromString(data) for data in call.sent[1:]]
        assert [(answer.canceled, len(answer.events)) for answer in answers] == [(True, 0)]
