"""Recipes in a listener: their steps as calls of the listener's own, and what becomes of them when the client goes."""

from types import SimpleNamespace
from typing import Any

import pytest

from actors.listener.identities import Credentials
from actors.listener.recipes import Recipes
from etcdz.api.auth_info import AuthInfo
from etcdz.api.errors import LEASE_NOT_FOUND, STOPPED, Code
from etcdz.api.methods import DELETE_RANGE, LOCK, RANGE_STREAM, TXN, UNLOCK
from etcdz.proto import etcdserverpb as pb
from etcdz.proto import v3lockpb

LEASE = 0x77
KEY = b"name/77"
ALICE = AuthInfo("alice", 7)


class Call:
    """In place of a StreamCall: keeps what the client is sent."""

    def __init__(self) -> None:
        self.connection = object()
        self.credentials = Credentials(b"alice.1")
        self.common_name = ""
        self.sent: list[bytes] = []
        self.ended: tuple[int, str] | None = None
        self.is_clogged = False

    def send(self, message: bytes) -> None:
        self.sent.append(message)

    def finish_with(self, message: bytes) -> None:
        self.sent.append(message)
        self.finish()

    def finish(self, code: int = 0, text: str = "") -> None:
        assert self.ended is None
        self.ended = (code, text)

    def touch(self) -> None:
        pass

    def flush(self) -> None:
        pass


class Hub:
    """In place of the watch hub: keeps the streams that are open."""

    def __init__(self) -> None:
        self.open_streams: list[Any] = []

    def open(self, client: Any) -> Any:
        self.open_streams.append(client)
        return client

    def request(self, stream: Any, request: Any) -> None:
        pass

    def close(self, stream: Any) -> None:
        self.open_streams.remove(stream)


class World:
    """Recipes, and in place of their listener a list of the calls that they make."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, int, int, bytes]] = []
        self.cancelled: dict[Any, set[int]] = {}
        self.soon: list[Any] = []
        self.hub = Hub()
        self.call = Call()
        host: Any = SimpleNamespace(
            calls=SimpleNamespace(begin=self._begin, identities=SimpleNamespace(of_stream=self._identify)),
            links=SimpleNamespace(flush=lambda: None),
            event_loop=SimpleNamespace(call_soon=self.soon.append),
            streams=SimpleNamespace(flush=lambda: None, cancelled=self.cancelled),
            watching=SimpleNamespace(hub=self.hub, turn_soon=lambda: None),
            fail=pytest.fail,
        )
        self.services = Recipes(host, chunk_bytes=1000).services()

    def _identify(self, call: Any) -> AuthInfo:
        assert call is self.call
        return ALICE

    def _begin(self, caller: Any, number: int, method: int, body: bytes, auth: Any) -> None:
        assert auth is ALICE, "a step is asked in the client's name"
        self.asked.append((caller, number, method, body))

    def open(self, method: int) -> Any:
        return self.services[method](self.call)  # type: ignore[arg-type]

    def answer(self, message: Any, code: int = 0) -> None:
        """To the last call that was made."""
        caller, number, _, _ = self.asked[-1]
        caller.reply(number, code, message if code else message.SerializeToString())

    def wait_for_lock(self) -> Any:
        """A client that waits for a lock that another one holds."""
        handler = self.open(LOCK)
        handler.on_message(v3lockpb.LockRequest(name=b"name", lease=LEASE).SerializeToString())
        self.answer(lock_answer(owner_revision=5, own_revision=6))
        self.answer(pb.RangeResponse(kvs=[{"key": b"name/other", "create_revision": 5}]))
        return handler


def lock_answer(owner_revision: int, own_revision: int) -> pb.TxnResponse:
    """To the transaction that makes the client's key: which key is first in line."""
    put, owner = pb.ResponseOp(), pb.ResponseOp()
    put.response_put.SetInParent()
    owner.response_range.kvs.add(key=b"name/other", create_revision=owner_revision)
    return pb.TxnResponse(header=pb.ResponseHeader(revision=own_revision), succeeded=True, responses=[put, owner])


@pytest.fixture
def world() -> World:
    return World()


def test_a_recipes_step_is_a_call_and_its_outcome_the_clients_answer(world: World) -> None:
    world.open(UNLOCK).on_message(v3lockpb.UnlockRequest(key=KEY).SerializeToString())
    [(_, _, method, body)] = world.asked
    assert (method, pb.DeleteRangeRequest.FromString(body).key) == (DELETE_RANGE, KEY)
    assert world.call.ended is None
    world.answer(pb.DeleteRangeResponse(header=pb.ResponseHeader(revision=9)))
    assert world.call.ended == (0, "")
    assert v3lockpb.UnlockResponse.FromString(world.call.sent[0]).header.revision == 9


def test_a_lock_that_is_free_is_had_at_once(world: World) -> None:
    world.open(LOCK).on_message(v3lockpb.LockRequest(name=b"name", lease=LEASE).SerializeToString())
    assert world.asked[0][2] == TXN
    world.answer(lock_answer(owner_revision=6, own_revision=6))
    assert v3lockpb.LockResponse.FromString(world.call.sent[0]).key == KEY


def test_an_error_of_a_step_is_the_calls_without_its_code_as_in_etcd(world: World) -> None:
    world.open(UNLOCK).on_message(v3lockpb.UnlockRequest(key=KEY).SerializeToString())
    world.answer(LEASE_NOT_FOUND.text.encode(), LEASE_NOT_FOUND.code)
    assert world.call.ended == (Code.UNKNOWN, LEASE_NOT_FOUND.text)


@pytest.mark.parametrize(
    ("method", "text"),
    [(LOCK, "grpc: error unmarshalling request:"), (RANGE_STREAM, "grpc: failed to unmarshal the received message")],
)
def test_a_request_that_is_none_is_refused_in_grpcs_words(world: World, method: int, text: str) -> None:
    world.open(method).on_message(b"\xff\xff")
    assert world.call.ended is not None
    assert world.call.ended[0] == Code.INTERNAL and world.call.ended[1].startswith(text)
    assert world.asked == []


def test_a_client_that_ends_without_a_request_gets_an_error(world: World) -> None:
    world.open(LOCK).on_end()
    assert world.call.ended == (Code.UNKNOWN, "EOF")


def test_a_client_that_goes_while_it_waits_leaves_the_line_and_its_watch_ends(world: World) -> None:
    handler = world.wait_for_lock()
    assert len(world.hub.open_streams) == 1
    handler.on_gone()
    _, _, method, body = world.asked[-1]
    assert (method, pb.DeleteRangeRequest.FromString(body).key) == (DELETE_RANGE, KEY)
    assert world.hub.open_streams == []


def test_a_listener_that_ends_keeps_the_place_of_a_client_with_a_lease(world: World) -> None:
    handler = world.wait_for_lock()
    before = len(world.asked)
    handler.on_drain()
    assert world.call.ended == (STOPPED.code, STOPPED.text), "on which clients ask again elsewhere"
    assert (len(world.asked), world.hub.open_streams) == (before, [])


def test_a_change_is_seen_to_its_end_though_the_client_has_gone(world: World) -> None:
    handler = world.open(UNLOCK)
    handler.on_message(v3lockpb.UnlockRequest(key=KEY).SerializeToString())
    handler.on_gone()
    assert world.call.ended is None
    world.answer(pb.DeleteRangeResponse())
    assert world.call.ended == (0, "")


def test_a_read_is_given_up_when_the_client_has_gone(world: World) -> None:
    """It may be one that takes long, and many of them would keep out those of others."""
    handler = world.open(RANGE_STREAM)
    handler.on_message(pb.RangeRequest(key=b"k", range_end=b"l", revision=2, count_only=True).SerializeToString())
    [(caller, number, _, _)] = world.asked
    assert world.cancelled == {}
    handler.on_gone()
    assert world.cancelled == {caller: {number}}


def test_an_answer_to_an_earlier_step_is_dropped(world: World) -> None:
    handler = world.wait_for_lock()
    caller, number, _, _ = world.asked[0]
    caller.reply(number, 0, lock_answer(6, 6).SerializeToString())
    assert (world.call.sent, world.call.ended) == ([], None)
    handler.on_gone()


def test_the_end_of_the_wait_is_found_out_after_the_hubs_turn(world: World) -> None:
    world.wait_for_lock()
    [watch] = world.hub.open_streams
    before = len(world.asked)
    deleted = pb.WatchResponse(events=[{"type": 1, "kv": {"key": b"name/other"}}]).SerializeToString()
    watch.send_parts(deleted[:2], deleted[2:])
    assert len(world.asked) == before, "not while the hub is in its turn"
    [turn] = world.soon
    turn()
    assert len(world.asked) == before + 1
