"""A listener as a whole, in one process: real sockets and a real client, and messages in place of the other actors."""

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from actors.listener.actor import ListenerActor
from actors.listener.connection import Connection
from actors.runtime.link import Peer
from etcdz.api.methods import PUT
from etcdz.config import MemberConfig
from etcdz.embed import ports
from etcdz.ipc.boot import Boot
from etcdz.ipc.messages import AuthState, Leadership, Listen, Members, Read, Replies
from etcdz.net.address import Address
from etcdz.net.listen_sockets import bind_tcp
from etcdz.proto import etcdserverpb as pb
from etcdz.wire.client import ClientSettings, GrpcClientConnection
from etcdz.wire.events import DONE, GOAWAY, ClientEvent

PATIENCE_S = 240.0
"""Only how long a broken test takes."""
READY_INDEX = 3
COMMIT = 5


class Log:
    """Keeps the lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, msg: str, **fields: Any) -> None:
        self.lines.append(msg)


class World:
    """A listener with one address of two sockets. `until` runs its event loop."""

    def __init__(self, directory: Path, patch: pytest.MonkeyPatch) -> None:
        with ports.hold() as held:
            self.port = ports.port_of(held)
            self.sockets = [bind_tcp(Address("127.0.0.1", self.port)) for _ in range(2)]
        fds = [sock.dup().detach() for sock in self.sockets]
        urls = (f"http://127.0.0.1:{self.port}",)
        config = MemberConfig(data_dir=str(directory / "data"), listen_client_urls=urls).to_dict()
        endpoint, supervisor = (f"ipc://{directory}/{name}" for name in ("listener", "supervisor"))
        address = [(f"127.0.0.1:{self.port}", 2)]
        boot = Boot(
            "listener-1", "listener", 0, 1, str(directory), endpoint, supervisor, [], config, {}, "", address, fds
        )
        self.actor = ListenerActor(boot)
        self.known_urls = urls
        self.sent: list[tuple[str, Any]] = []
        patch.setattr(self.actor.links, "send", lambda name, message: self.sent.append((name, message)))
        self.actor.log = self.log = Log()

    def until(self, is_true: Callable[[], bool]) -> None:
        async def wait() -> None:
            while not is_true():
                await asyncio.sleep(0.001)

        self.actor.event_loop.run_until_complete(asyncio.wait_for(wait(), PATIENCE_S))
        assert self.actor.failure is None

    def listen(self, sockets: list[int], drain_share: float = 0.0) -> None:
        self.actor.on_listen(Listen(sockets, drain_share))

    def tell_of_users(self, applied_index: int) -> None:
        """As the backend does when it hears of a listener."""
        self.tell_of_members()
        self.actor.on_auth_state(AuthState(7, applied_index, False, 1, [], []))
        self.sent.clear()

    def tell_of_members(self) -> None:
        """That the cluster knows: those of the member's URLs that it has heard of."""
        self.actor.on_members(Members(1, 2, 9, [(9, "m", [], list(self.known_urls), False)], [], "3.5.0"))

    def lead(self) -> None:
        self.actor.on_leadership(Leadership(1, 2, 9, 4, 7, READY_INDEX, 0))

    def backend_answers(self) -> None:
        """To all reads."""
        self.actor.calls.end_turn()
        items = [(item[0], 0, b"") for _, message in self.sent if isinstance(message, Read) for item in message.items]
        self.sent.clear()
        self.actor.calls.on_replies(Replies(1, 0, items, 1))
        self.actor.calls.end_turn()

    def connect(self) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self.port))
        before = len(self.actor.connections)
        self.until(lambda: len(self.actor.connections) > before)
        return client

    @property
    def only(self) -> Connection:
        [connection] = self.actor.connections
        return connection


@pytest.fixture
def young(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """It has heard nothing yet."""
    made = World(tmp_path, monkeypatch)
    yield made
    made.actor.acceptor.accept_from([])
    for connection in list(made.actor.connections):
        connection.transport.abort()
    made.until(lambda: not made.actor.connections)
    made.actor.close(linger_ms=0)
    made.actor.event_loop.close()
    asyncio.set_event_loop(None)
    for sock in made.sockets:
        sock.close()


@pytest.fixture
def world(young: World) -> World:
    young.actor.on_leadership(Leadership(1, 2, 9, COMMIT, None, 0, 0))
    young.tell_of_users(COMMIT)
    return young


def test_the_v2_api_is_served_only_if_it_is_asked_for(world: World) -> None:
    assert world.actor.router.find(b"/v2/keys/a") is None


def test_nobody_is_let_in_before_it_is_known_who_may_do_what(young: World) -> None:
    young.listen([0, 1])
    young.actor.on_leadership(Leadership(1, 2, 9, COMMIT, None, 0, 0))
    assert not young.actor.acceptor._wanted
    young.tell_of_users(COMMIT)
    young.until(lambda: young.actor.acceptor.is_accepting)


def test_nor_by_what_a_backend_says_that_has_not_caught_up(young: World) -> None:
    young.listen([0, 1])
    young.tell_of_users(COMMIT - 1)
    assert not young.actor.acceptor._wanted
    young.actor.on_leadership(Leadership(1, 2, 9, COMMIT, None, 0, 0))
    [(name, read)] = _flushed(young)
    assert (name, read.items[0][3]) == ("backend", COMMIT), "all that was committed when it began"
    young.actor.calls.expire(time.monotonic() + 60)
    assert not young.actor.acceptor._wanted, "it has not answered"
    young.backend_answers()
    young.until(lambda: young.actor.acceptor.is_accepting)


def test_clients_of_a_member_that_nobody_knows_yet_wait_and_are_not_refused(young: World) -> None:
    young.known_urls = ()
    young.listen([0, 1])
    young.actor.on_leadership(Leadership(1, 2, 0, COMMIT, None, 0, 0))
    young.tell_of_users(COMMIT)
    with socket.create_connection(("127.0.0.1", young.port)):
        young.actor.event_loop.run_until_complete(asyncio.sleep(0))
        assert not young.actor.connections and not young.actor.acceptor.is_accepting
        young.lead()
        young.backend_answers()
        young.until(lambda: len(young.actor.connections) == 1)
    assert young.log.lines[0] == "ready to serve client requests"


def test_it_says_that_it_serves_once_clients_can_connect_and_the_member_is_known(world: World) -> None:
    world.actor.on_start()
    world.lead()
    [(name, read)] = _flushed(world)
    assert (name, read.items[0][3]) == ("backend", READY_INDEX), "the index that makes the member known"
    world.backend_answers()
    assert world.log.lines == [], "no socket is listened on yet"
    world.listen([0, 1])
    world.until(lambda: bool(world.log.lines))
    assert world.log.lines[0] == "ready to serve client requests"
    world.listen([0])
    assert world.log.lines.count("ready to serve client requests") == 1


def _flushed(world: World) -> list[tuple[str, Any]]:
    world.actor.calls.end_turn()
    return list(world.sent)


def test_a_listener_that_accepts_from_none_is_drained_when_its_last_client_has_gone(world: World) -> None:
    world.listen([0, 1])
    world.until(lambda: world.actor.acceptor.is_accepting)
    assert "drained" not in world.actor.summary()
    with world.connect():
        world.listen([])
        assert world.actor.summary()["drained"] is False
    world.until(lambda: not world.actor.connections)
    assert world.actor.summary()["drained"] is True
    assert world.actor.details()["draining"] is True


def test_a_share_of_the_clients_is_asked_to_go_elsewhere_rounded_up(world: World) -> None:
    world.listen([0, 1])
    world.until(lambda: world.actor.acceptor.is_accepting)
    clients = [world.connect() for _ in range(3)]
    world.listen([0, 1], drain_share=0.5)
    assert sum(connection.leaving for connection in world.actor.connections) == 2
    world.listen([0, 1], drain_share=1.0)
    assert all(connection.leaving for connection in world.actor.connections)
    for client in clients:
        client.close()


def test_a_call_past_its_deadline_is_answered_by_the_timer(world: World) -> None:
    world.listen([0, 1])
    world.until(lambda: world.actor.acceptor.is_accepting)
    with world.connect() as client:
        wire = GrpcClientConnection(ClientSettings(authority=b"x"), lambda: 0.0)
        wire.call(b"/etcdserverpb.KV/Put", pb.PutRequest(key=b"k").SerializeToString(), timeout_s=0.01)
        client.sendall(wire.take_output())
        world.until(lambda: len(world.actor.calls) == 1)
        events: list[ClientEvent] = []
        client.setblocking(False)

        def is_answered() -> bool:
            world.actor._on_timer()
            try:
                events.extend(wire.receive(client.recv(65_536)))
            except BlockingIOError:
                return False
            return any(event[0] == DONE for event in events)

        world.until(is_answered)
    [done] = [event for event in events if event[0] == DONE]
    assert done[2] == 4, "DEADLINE_EXCEEDED"
    world.actor.timer.cancel()  # type: ignore[union-attr]


def test_at_its_end_it_lets_calls_finish_and_closes_its_connections(world: World) -> None:
    world.listen([0, 1])
    world.until(lambda: world.actor.acceptor.is_accepting)
    with world.connect() as client:
        wire = GrpcClientConnection(ClientSettings(authority=b"x"), lambda: 0.0)
        wire.call(b"/etcdserverpb.KV/Put", pb.PutRequest(key=b"k").SerializeToString())
        client.sendall(wire.take_output())
        world.until(lambda: len(world.actor.calls) == 1)
        [(_, message)] = _flushed(world)
        answer = Replies(1, 1, [(message.items[0][0], 0, b"")], 1)
        world.actor.event_loop.call_later(0.05, lambda: _reply(world, answer))
        world.actor.event_loop.run_until_complete(_stop_beside_client(world, wire, client))
        assert world.actor.connections == set()


def _reply(world: World, answer: Replies) -> None:
    world.actor.calls.on_replies(answer)
    world.actor.calls.end_turn()


async def _stop_beside_client(world: World, wire: GrpcClientConnection, client: socket.socket) -> None:
    """The listener's end, while the client reads what it is sent and confirms what it has to."""
    told: list[int] = []
    client.setblocking(False)
    ending = asyncio.ensure_future(world.actor._drain_connections())
    running = asyncio.get_running_loop()
    while data := await asyncio.wait_for(running.sock_recv(client, 65_536), PATIENCE_S):
        told += [event[0] for event in wire.receive(data)]
        await running.sock_sendall(client, wire.take_output())
    await ending
    assert GOAWAY in told and told.count(DONE) == 1


def test_listeners_share_the_bound_on_calls(world: World) -> None:
    others = [Peer(f"listener-{n}", "listener", n, n + 1, "") for n in (2, 3, 4)]
    for other in others:
        world.actor.links.peers[other.name] = other
        world.actor.on_peer_up(other)
    caller: Any = _Caller()
    for number in range(1025):
        world.actor.calls.begin(caller, number, PUT, pb.PutRequest(key=b"k").SerializeToString(), None)
    assert (len(world.actor.calls), len(caller.answers)) == (1024, 1)


class _Caller:
    """Keeps its answers."""

    def __init__(self) -> None:
        self.answers: list[int] = []

    def reply(self, stream_id: int, code: int, body: bytes) -> None:
        self.answers.append(code)

    def flush(self) -> None:
        pass


def test_an_error_in_a_callback_ends_the_actor(world: World) -> None:
    def broken() -> None:
        raise RuntimeError("broken")

    world.actor.call_later(0.0, broken)
    with pytest.raises(RuntimeError, match="broken"):
        world.actor.loop()
    world.actor.failure = None
