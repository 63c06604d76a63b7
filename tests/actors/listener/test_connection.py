"""One client connection: which protocol it speaks, where its calls go, when its bytes leave, and how it ends."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from actors.listener.auth_news import AuthNews
from actors.listener.calls import Calls
from actors.listener.client_affinity import ClientAffinity
from actors.listener.connection import Connection
from actors.listener.draining import GATHER_S
from actors.listener.http1_exchanges import Http1Exchanges
from actors.listener.http2_exchanges import Http2Exchanges
from actors.listener.http_access import HttpAccess
from actors.listener.http_endpoints import HttpEndpoints
from actors.listener.http_router import Router
from actors.listener.streams import StreamCall, Streams
from etcdz.api.errors import NO_LEADER
from etcdz.api.methods import PUT, WATCH
from etcdz.config import MemberConfig
from etcdz.ipc.messages import Leadership, Replies
from etcdz.proto import etcdserverpb as pb
from etcdz.wire.call_tally import CallTally
from etcdz.wire.client import ClientSettings, GrpcClientConnection
from etcdz.wire.events import DONE, GOAWAY, ClientEvent
from etcdz.wire.request_head import Method
from etcdz.wire.server import GrpcServerConnection, ServerSettings
from etcdz.wire.unfinished import UnfinishedRequests

PATH = b"/etcdserverpb.KV/Put"
STREAM = b"/etcdserverpb.Watch/Watch"
BODY = pb.PutRequest(key=b"k").SerializeToString()
VERSION = b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n"


class Transport:
    """Keeps each write. waiting: bytes that the socket has not taken"""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.closed = False
        self.reads = True
        self.high = 64 << 10
        self.waiting = 0

    def set_write_buffer_limits(self, high: int) -> None:
        self.high = high

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.writes.append(data)

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True


class World:
    """A connection, its client, and in place of a listener what Connection asks of it."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        links = SimpleNamespace(send=lambda name, message: self.sent.append(message))
        self.boot, self.links, self.log = SimpleNamespace(slot=0), links, None
        self.auth_news = AuthNews()
        self.calls = Calls(self, MemberConfig())  # type: ignore[arg-type]
        self.identities = self.calls.identities
        self.streams = Streams(leader_timeout_s=3.0)
        self.affinity = ClientAffinity()
        self.tally = CallTally()
        self.idles = False
        self.connected: list[Connection] = []
        self.failures: list[Exception] = []
        self.connection_errors: list[Exception] = []
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.transport = Transport()
        self.connection = Connection(self)
        self.connection.connection_made(self.transport)
        self.client = GrpcClientConnection(ClientSettings(authority=b"x"), lambda: 0.0)

    # ---- the listener ----

    def on_connected(self, connection: Connection) -> None:
        self.connected.append(connection)

    def on_lost(self, connection: Connection) -> None:
        self.connected.remove(connection)

    def new_grpc(self, connection: Connection) -> GrpcServerConnection:
        methods = {PATH: Method(PATH, True, PUT), STREAM: Method(STREAM, False, WATCH)}
        return GrpcServerConnection(methods, ServerSettings(), lambda: 0.0)

    def new_http1(self, connection: Connection) -> Http1Exchanges:
        return Http1Exchanges(connection, self._router(), 100, UnfinishedRequests(1 << 20))

    def new_http2(self, connection: Connection) -> Http2Exchanges:
        return Http2Exchanges(connection, self._router())

    def _router(self) -> Router:
        scrapes: Any = None
        return Router(HttpEndpoints(self.calls, scrapes).routes(), HttpAccess())

    def wake(self) -> None:
        self.idles = False

    def flush_soon(self) -> None:
        pass

    def call_later(self, seconds: float, do: Callable[[], None]) -> None:
        self.timers.append((seconds, do))

    def fail(self, error: Exception) -> None:
        self.failures.append(error)

    def on_connection_error(self, connection: Any, error: Exception) -> None:
        self.connection_errors.append(error)

    # ---- the socket ----

    def back_up(self, size: int) -> None:
        """So much waits in the socket; the transport tells as asyncio's do."""
        was_high, self.transport.waiting = self.transport.waiting > self.transport.high, size
        if not was_high and size > self.transport.high:
            self.connection.pause_writing()

    def take_all(self) -> None:
        """The socket has taken what waited."""
        was_high, self.transport.waiting = self.transport.waiting > self.transport.high, 0
        if was_high:
            self.connection.resume_writing()

    # ---- the client ----

    def send(self) -> None:
        """What the client has to say reaches the connection."""
        self.connection.data_received(self.client.take_output())

    def receive(self) -> list[ClientEvent]:
        """What was written reaches the client."""
        writes, self.transport.writes = self.transport.writes, []
        return self.client.receive(b"".join(writes))

    def answer(self) -> None:
        """The backend answers all proposals."""
        self.calls.end_turn()
        items = [(request_id, 0, b"") for message in self.sent for request_id, _ in message.items]
        self.sent.clear()
        self.calls.on_replies(Replies(1, 1, items, 1))
        self.calls.end_turn()


@pytest.fixture
def world() -> World:
    return World()


def test_a_call_is_answered_on_its_stream_with_all_of_a_turn_in_one_write(world: World) -> None:
    streams = [world.client.call(PATH, BODY) for _ in range(3)]
    world.send()
    world.receive()
    world.answer()
    assert len(world.transport.writes) == 1
    assert [(event[0], event[1]) for event in world.receive()] == [(DONE, stream) for stream in streams]


def test_a_call_that_asks_for_a_leader_is_refused_without_one_and_the_next_is_not(world: World) -> None:
    needy = world.client.call(PATH, BODY, metadata=((b"hasleader", b"true"),))
    world.client.call(PATH, BODY, metadata=((b"hasleader", b"false"),))
    world.send()
    assert [event[1:4] for event in world.receive()] == [(needy, NO_LEADER.code, NO_LEADER.text)]
    assert len(world.calls) == 1
    world.streams.on_leader(True)
    world.client.call(PATH, BODY, metadata=((b"hasleader", b"true"),))
    world.send()
    assert len(world.calls) == 2


@pytest.mark.parametrize("protocol", ["http/2", "http/1.1"])
def test_the_first_bytes_say_which_protocol_it_is_even_one_by_one(world: World, protocol: str) -> None:
    world.client.call(PATH, BODY)
    for byte in world.client.take_output() if protocol == "http/2" else VERSION:
        world.connection.data_received(bytes((byte,)))
    if protocol == "http/2":
        assert len(world.calls) == 1 and world.connection.http1 is None
    else:
        assert b" 200 " in world.transport.writes[-1] and world.connection.grpc is None
    assert not world.connection.is_fresh


def test_the_answer_to_a_client_that_has_gone_is_dropped(world: World) -> None:
    world.client.call(PATH, BODY)
    world.send()
    world.transport.close()
    world.connection.connection_lost(None)
    world.answer()
    assert (world.connected, world.failures, len(world.calls)) == ([], [], 0)


def test_a_client_that_is_asked_to_leave_has_its_answer_before_the_end(world: World) -> None:
    world.client.call(PATH, BODY)
    world.send()
    world.receive()
    world.connection.drain()
    world.answer()
    assert world.transport.writes == [], "answers are held back until GOAWAY is confirmed"
    told: list[int] = []
    while not world.transport.closed:
        due, world.timers = world.timers, []
        for _, do in due:
            do()
        told += [event[0] for event in world.receive()]
        world.send()
    told += [event[0] for event in world.receive()]
    assert told[0] == GOAWAY and told.count(DONE) == 1
    assert len(world.calls) == 0


def test_one_that_was_asked_to_leave_before_its_first_bytes_leaves_after_them(world: World) -> None:
    world.connection.drain()
    world.client.call(PATH, BODY)
    world.send()
    assert [seconds for seconds, _ in world.timers] == [GATHER_S]
    other = World()
    other.connection.drain()
    other.connection.data_received(VERSION)
    assert b" 200 " in other.transport.writes[0] and other.transport.closed


def test_the_listeners_timer_is_woken_by_a_client(world: World) -> None:
    world.idles = True
    world.send()
    assert not world.idles
    assert world.affinity.latest is world.connection


def test_a_client_that_does_not_read_is_not_read_from(world: World) -> None:
    world.back_up(5 << 20)
    assert not world.transport.reads
    world.take_all()
    assert world.transport.reads


def test_what_a_client_does_not_read_may_grow_some_time_until_it_is_not_read_from(world: World) -> None:
    world.client.call(PATH, BODY)
    world.send()
    world.back_up(1 << 20)
    assert world.transport.reads
    world.transport.waiting = 5 << 20
    world.answer()
    assert not world.transport.reads
    world.take_all()
    assert world.transport.reads


def test_a_stream_that_the_client_leaves_unread_takes_no_room_of_large_answers(world: World) -> None:
    """It may read on only when the call has its answer."""
    calls: list[StreamCall] = []

    def serve(call: StreamCall) -> Any:
        calls.append(call)
        return SimpleNamespace()

    world.streams.services[WATCH] = serve
    world.client.open(STREAM)
    call = world.client.call(PATH, BODY)
    world.send()
    calls[0].send(bytes(6 << 20))
    assert world.connection.has_room
    world.connection.reply_parts(call, [bytes(6 << 20)])
    assert not world.connection.has_room
    world.connection.give_up_unsent()
    assert world.connection.has_room and not world.transport.closed


def test_what_waits_in_the_socket_of_a_client_that_reads_nothing_is_given_up_with_the_connection(world: World) -> None:
    """However little it is: many such clients would take all the space that there is for large answers."""
    world.client.call(PATH, BODY)
    world.send()
    world.back_up(128 << 10)
    assert world.connection.unsent_bytes
    world.connection.give_up_unsent()
    assert world.transport.closed


def test_streams_go_on_when_the_socket_has_taken_what_waited_though_the_client_says_nothing(world: World) -> None:
    told: list[str] = []
    calls: list[StreamCall] = []

    def serve(call: StreamCall) -> Any:
        calls.append(call)
        return SimpleNamespace(on_writable=lambda: told.append("writable"))

    world.streams.services[WATCH] = serve
    world.client.open(STREAM)
    world.send()
    world.back_up(1 << 20)
    assert calls[0].is_clogged
    world.take_all()
    assert told == ["writable"]
    assert not calls[0].is_clogged


def test_an_error_over_what_a_client_has_sent_ends_its_connection_alone_and_is_reported(world: World) -> None:
    world.calls = None  # type: ignore[assignment]
    world.client.call(PATH, BODY)
    world.send()
    assert [type(error) for error in world.connection_errors] == [AttributeError]
    assert world.transport.is_closing()
    assert not world.failures


class Defective:
    """The server's end of a connection, one of whose methods always fails."""

    def __init__(self, grpc: Any, what: str) -> None:
        self._grpc, self._what = grpc, what

    def __getattr__(self, name: str) -> Any:
        if name != self._what:
            return getattr(self._grpc, name)

        def fail(*args: Any, **kwargs: Any) -> Any:
            raise RuntimeError("a defect")

        return fail


@pytest.mark.parametrize(
    ("what", "do"),
    [
        ("reply", lambda world: world.answer()),
        ("take_output", lambda world: world.answer()),
        ("expire", lambda world: world.connection.expire(9.0)),
        ("keep_alive", lambda world: world.connection.keep_alive(9.0)),
        ("give_up_unfinished", lambda world: world.connection.give_up_unfinished()),
        ("give_up_unsent", lambda world: world.connection.give_up_unsent()),
        ("reply_parts", lambda world: world.connection.reply_parts(1, [b""])),
    ],
)
def test_whoever_meets_a_defect_of_one_connection_others_are_served(what: str, do: Callable[[World], Any]) -> None:
    """Answers of other actors, the end of a turn, and the listener's timer pass over all connections."""
    world, other = World(), Transport()
    world.client.call(PATH, BODY, timeout_s=5.0)
    world.send()
    neighbour = Connection(world)
    neighbour.connection_made(other)
    client = GrpcClientConnection(ClientSettings(authority=b"x"), lambda: 0.0)
    stream = client.call(PATH, BODY)
    neighbour.data_received(client.take_output())
    world.connection.grpc = Defective(world.connection.grpc, what)  # type: ignore[assignment]
    do(world)
    world.answer()
    assert [str(error) for error in world.connection_errors] == ["a defect"]
    assert world.transport.closed and not world.failures
    assert (DONE, stream) in [event[:2] for event in client.receive(b"".join(other.writes))]


def test_a_defect_in_a_timer_of_one_connection_ends_that_connection() -> None:
    world = World()
    world.send()
    world.connection.grpc = Defective(world.connection.grpc, "go_away")  # type: ignore[assignment]
    world.connection.drain()
    for _, do in world.timers:
        do()
    assert [str(error) for error in world.connection_errors] == ["a defect"] and world.transport.closed


@pytest.mark.parametrize(
    ("peer", "shown"),
    [
        (("127.0.0.1", 5000), "127.0.0.1:5000"),
        (("::ffff:127.0.0.1", 5000, 0, 0), "127.0.0.1:5000"),
        (("::1", 5000, 0, 0), "[::1]:5000"),
        ("", "@"),
    ],
)
def test_a_clients_address_is_shown_as_go_does(world: World, peer: Any, shown: str) -> None:
    world.transport.get_extra_info = lambda name: peer  # type: ignore[attr-defined]
    assert world.connection.remote == shown


def test_a_half_that_is_closed_leaves_http1_open_for_the_answer_alone() -> None:
    grpc, http1, fresh = World(), World(), World()
    grpc.send()
    http1.calls.on_leadership(Leadership(1, 2, 9, 4, 7, 3, 0))
    http1.connection.data_received(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
    assert [world.connection.eof_received() for world in (grpc, http1, fresh)] == [False, True, False]


def test_a_wrong_preface_is_closed_without_an_answer(world: World) -> None:
    world.connection.data_received(b"PRI * HTTP/2.0\r\n\r\nXX")
    assert world.transport.closed and world.transport.writes == []


def test_a_client_has_spoken_once_it_has_greeted_or_asked() -> None:
    grpc, http1 = World(), World()
    greeting = grpc.client.take_output()
    grpc.connection.data_received(greeting[:24])
    http1.connection.data_received(VERSION[:-1])
    assert not grpc.connection.has_spoken and not http1.connection.has_spoken
    grpc.connection.data_received(greeting[24:])
    http1.connection.data_received(VERSION[-1:])
    assert grpc.connection.has_spoken and http1.connection.has_spoken


def test_what_is_unfinished_is_given_up_and_forgotten_with_its_connection() -> None:
    world = World()
    world.send()
    stream = world.client.open(PATH)
    world.client.send_message(stream, bytes(40_000))
    world.connection.data_received(world.client.take_output()[:-100])
    assert isinstance(world.connection.holder, GrpcServerConnection)
    world.connection.give_up_unfinished()
    ended = [event for event in world.receive() if event[0] == DONE]
    assert [event[1] for event in ended] == [stream]
    world.connection.connection_lost(None)
    assert world.connection.grpc is None


# ---- turns ----


class Clock:
    """Each look takes longer than a client may have the listener for itself."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        self.now += 1.0
        return self.now


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.listener.connection.time", Clock())
    monkeypatch.setattr("actors.listener.connection._TURN_S", 0.005)


@pytest.mark.usefixtures("slow")
def test_much_of_one_client_is_handled_in_slices_between_which_others_have_their_turn(world: World) -> None:
    calls = 4_000
    for _ in range(calls):
        world.client.call(PATH, BODY, None)
    world.send()
    begun = []
    while world.timers:
        begun.append(len(world.calls))
        assert not world.transport.reads, "nothing is read before what has come is handled"
        [(seconds, go_on)], world.timers = world.timers, []
        assert seconds == 0
        go_on()
    assert len(begun) > 3
    assert begun == sorted(set(begun))
    assert begun[0] > 0
    assert len(world.calls) == calls
    assert world.transport.reads


@pytest.mark.usefixtures("slow")
def test_slices_wait_for_no_room_to_write_but_reading_on_does(world: World) -> None:
    for _ in range(2_000):
        world.client.call(PATH, BODY, None)
    world.send()
    world.back_up(5 << 20)
    while world.timers:
        world.timers.pop()[1]()
    assert len(world.calls) == 2_000
    assert not world.transport.reads
    world.take_all()
    assert world.transport.reads


@pytest.mark.usefixtures("slow")
def test_what_is_left_of_a_client_that_is_gone_is_not_handled(world: World) -> None:
    for _ in range(4_000):
        world.client.call(PATH, BODY, None)
    world.send()
    begun = len(world.calls)
    world.transport.abort()
    world.timers.pop()[1]()
    assert len(world.calls) == begun < 4_000
    assert world.timers == []
