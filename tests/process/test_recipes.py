"""Locks, elections and long ranges on a real process tree, over the end of actors, of listeners and of clients."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import grpc
import pytest

from etcdz.proto import etcdserverpb as pb
from etcdz.proto import v3electionpb as ep
from etcdz.proto import v3lockpb as lp
from tests.process.load import open_channel
from tests.process.trial import Trial

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]

FAST = ("--heartbeat-interval=10", "--election-timeout=100")
WAIT_S = 120
RANGE_STREAM, PIECE = "/etcdserverpb.KV/RangeStream", pb.RangeStreamResponse
ALL = pb.RangeRequest(key=b"\0", range_end=b"\0")


class Client:
    """One connection. Answers are messages, or the error's (code, text)."""

    def __init__(self, target: str) -> None:
        self.channel = open_channel(target)

    def begin(self, path: str, request: Any, answer: Any) -> Any:
        call = self.channel.unary_unary(path, response_deserializer=answer.FromString)
        return call.future(request.SerializeToString(), timeout=WAIT_S, wait_for_ready=True)

    def stream(self, path: str, request: Any, answer: Any) -> Any:
        call = self.channel.unary_stream(path, response_deserializer=answer.FromString)
        return call(request.SerializeToString(), timeout=WAIT_S, wait_for_ready=True)

    def ask(self, path: str, request: Any, answer: Any) -> Any:
        return self.begin("/etcdserverpb." + path, request, answer).result()

    def grant(self, *lease_ids: int) -> None:
        for lease_id in lease_ids:
            self.ask("Lease/LeaseGrant", pb.LeaseGrantRequest(ID=lease_id, TTL=600), pb.LeaseGrantResponse)

    def lock(self, lease_id: int) -> Any:
        return self.begin("/v3lockpb.Lock/Lock", lp.LockRequest(name=b"n", lease=lease_id), lp.LockResponse)

    def unlock(self, key: bytes) -> Any:
        return self.begin("/v3lockpb.Lock/Unlock", lp.UnlockRequest(key=key), lp.UnlockResponse).result()

    def campaign(self, lease_id: int, value: bytes) -> Any:
        request = ep.CampaignRequest(name=b"e", lease=lease_id, value=value)
        return self.begin("/v3electionpb.Election/Campaign", request, ep.CampaignResponse)

    def resign(self, leader: Any) -> None:
        path = "/v3electionpb.Election/Resign"
        self.begin(path, ep.ResignRequest(leader=leader), ep.ResignResponse).result()

    def observe(self) -> Any:
        return self.stream("/v3electionpb.Election/Observe", ep.LeaderRequest(name=b"e"), ep.LeaderResponse)

    def keys(self) -> set[bytes]:
        return {kv.key for kv in self.ask("KV/Range", ALL, pb.RangeResponse).kvs}

    def wait_keys(self, *keys: bytes) -> None:
        expired = threading.Event()
        timer = threading.Timer(WAIT_S, expired.set)
        timer.start()
        try:
            while (found := self.keys()) != set(keys):
                assert not expired.is_set(), found
        finally:
            timer.cancel()


@pytest.fixture
def trial(make_trial: Callable[..., Trial]) -> Trial:
    return make_trial(*FAST)


@pytest.fixture
def clients(trial: Trial) -> Iterator[tuple[Client, Client]]:
    """Two connections, so that one may be lost.

    NB: a library may begin a call on a connection of which it has not yet noticed that it is gone, though other calls
    on it have failed already. Who goes on behind the end of a listener is a newcomer.
    """
    both = Client(trial.member.target), Client(trial.member.target)
    yield both
    for client in both:
        client.channel.close()


@pytest.mark.usefixtures("needs_actors")
def test_who_waits_is_not_disturbed_by_the_end_of_an_actor(trial: Trial, clients: tuple[Client, Client]) -> None:
    holder, waiter = clients
    holder.grant(5, 6)
    held = holder.lock(5).result().key
    leader = holder.campaign(5, b"5").result().leader
    observed = holder.observe()
    assert next(observed).kv.value == b"5"
    locking, campaigning = waiter.lock(6), waiter.campaign(6, b"6")
    holder.wait_keys(b"n/5", b"n/6", b"e/5", b"e/6")
    for name in ("raft", "wal", "backend", "lessor", "backend"):
        before = trial.actors()
        os.kill(before[name]["pid"], signal.SIGKILL)
        trial.wait_restarted(before, name)
    assert not locking.done()
    assert not campaigning.done()
    holder.unlock(held)
    holder.resign(leader)
    assert locking.result().key == b"n/6"
    assert campaigning.result().leader.key == b"e/6"
    assert next(observed).kv.value == b"6"
    observed.cancel()


@pytest.mark.usefixtures("needs_actors")
def test_a_lock_under_way_is_taken_once(trial: Trial, clients: tuple[Client, Client]) -> None:
    """Whichever of these ends, which is the seed's choice."""
    name = trial.random.choice(["raft", "wal", "backend"])
    holder, waiter = clients
    holder.grant(5, 6)
    held = holder.lock(5).result().key
    before = trial.actors()
    os.kill(before[name]["pid"], signal.SIGSTOP)
    locking = waiter.lock(6)
    leaving = holder.begin("/v3lockpb.Lock/Unlock", lp.UnlockRequest(key=held), lp.UnlockResponse)
    os.kill(before[name]["pid"], signal.SIGKILL)
    leaving.result()
    assert locking.result().key == b"n/6"
    assert holder.keys() == {b"n/6"}


@pytest.mark.usefixtures("needs_actors")
def test_a_killed_listener_takes_its_waiters_along_and_their_leases_free_the_line(
    trial: Trial, clients: tuple[Client, Client]
) -> None:
    holder, waiter = clients
    holder.grant(5, 6)
    held = holder.lock(5).result().key
    locking = waiter.lock(6)
    holder.wait_keys(b"n/5", b"n/6")
    before = trial.actors()
    for name in [name for name in before if name.startswith("listener")]:
        os.kill(before[name]["pid"], signal.SIGKILL)
    assert locking.exception().code() == grpc.StatusCode.UNAVAILABLE
    newcomer = Client(trial.member.target)  # see `clients`
    assert newcomer.keys() == {b"n/5", b"n/6"}
    again = newcomer.lock(6)
    newcomer.unlock(held)
    assert again.result().key == b"n/6"
    newcomer.channel.close()


@pytest.mark.usefixtures("needs_actors")
def test_whoever_waits_when_a_listener_leaves_is_sent_elsewhere_and_keeps_its_place(
    trial: Trial, clients: tuple[Client, Client]
) -> None:
    holder, waiter = clients
    holder.grant(5, 6)
    held = holder.lock(5).result().key
    locking, without = waiter.lock(6), waiter.lock(0)
    while len(holder.keys()) < 3:
        pass
    before = trial.actors()
    for name in [name for name in before if name.startswith("listener")]:
        os.kill(before[name]["pid"], signal.SIGTERM)
    for call in (locking, without):
        assert (call.exception().code(), call.exception().details()) == (
            grpc.StatusCode.UNAVAILABLE,
            "etcdserver: server stopped",
        )
    newcomer = Client(trial.member.target)
    newcomer.wait_keys(b"n/5", b"n/6")
    again = newcomer.lock(6)
    newcomer.unlock(held)
    assert again.result().key == b"n/6"
    newcomer.channel.close()


def test_a_long_range_comes_in_pieces_of_one_revision(clients: tuple[Client, Client]) -> None:
    writer, reader = clients
    count = 400
    for number in range(count):
        request = pb.PutRequest(key=b"k%04d" % number, value=b"%04d" % number * 5_000)
        writer.begin("/etcdserverpb.KV/Put", request, pb.PutResponse).result()
    whole = reader.ask("KV/Range", pb.RangeRequest(key=b"k", range_end=b"l"), pb.RangeResponse)
    pieces = reader.stream(RANGE_STREAM, pb.RangeRequest(key=b"k", range_end=b"l"), PIECE)
    merged = pb.RangeResponse()
    merged.MergeFrom(next(pieces).range_response)
    first_size = merged.ByteSize()
    writer.ask("KV/DeleteRange", pb.DeleteRangeRequest(key=b"k", range_end=b"l"), pb.DeleteRangeResponse)
    sizes = []
    for piece in pieces:
        sizes.append(piece.ByteSize())
        merged.MergeFrom(piece.range_response)
    assert merged == whole
    assert first_size < 300_000
    assert max(sizes) < 4 << 20
    assert len(sizes) >= 4


def test_merged_pieces_are_what_range_answers(clients: tuple[Client, Client]) -> None:
    client, _ = clients
    for number in range(26):
        client.ask("KV/Put", pb.PutRequest(key=b"k%02d" % number), pb.PutResponse)
    client.ask("KV/DeleteRange", pb.DeleteRangeRequest(key=b"k03"), pb.DeleteRangeResponse)
    options: list[dict[str, Any]] = [{}, {"keys_only": True}, {"count_only": True}, {"serializable": True}]
    for limit, revision, option in product([0, 5, 10, 25, 100, -3], [0, 27], options):
        request = pb.RangeRequest(key=b"k", range_end=b"l", limit=limit, revision=revision, **option)
        pieces = [piece.range_response for piece in client.stream(RANGE_STREAM, request, PIECE)]
        merged = pb.RangeResponse()
        for piece in pieces:
            merged.MergeFrom(piece)
        assert merged == client.ask("KV/Range", request, pb.RangeResponse), request
        assert not any(piece.HasField("header") or piece.more or piece.count for piece in pieces[:-1])
    single = pb.RangeRequest(key=b"k01")
    (piece,) = client.stream(RANGE_STREAM, single, PIECE)
    assert piece.range_response == client.ask("KV/Range", single, pb.RangeResponse)


REFUSED = [
    (pb.RangeRequest(), "INVALID_ARGUMENT", "etcdserver: key is not provided"),
    (pb.RangeRequest(key=b"k", sort_order=9), "INVALID_ARGUMENT", "etcdserver: invalid sort option"),
    (pb.RangeRequest(key=b"k", sort_order=2), "UNIMPLEMENTED", "RangeStream does not support custom sort orders"),
    (
        pb.RangeRequest(key=b"k", sort_order=1, sort_target=2),
        "UNIMPLEMENTED",
        "RangeStream does not support custom sort orders",
    ),
    (pb.RangeRequest(key=b"k", min_mod_revision=1), "UNIMPLEMENTED", "RangeStream does not support revision filters"),
    (pb.RangeRequest(key=b"k", revision=9), "OUT_OF_RANGE", "etcdserver: mvcc: required revision is a future revision"),
    (pb.RangeRequest(key=b"k", revision=1), "OUT_OF_RANGE", "etcdserver: mvcc: required revision has been compacted"),
]


def test_what_range_stream_refuses(clients: tuple[Client, Client]) -> None:
    client, _ = clients
    for _ in range(2):
        client.ask("KV/Put", pb.PutRequest(key=b"k"), pb.PutResponse)
    client.ask("KV/Compact", pb.CompactionRequest(revision=2), pb.CompactionResponse)
    for request, code, text in REFUSED:
        with pytest.raises(grpc.RpcError) as refused:
            list(client.stream(RANGE_STREAM, request, PIECE))
        assert (refused.value.code().name, refused.value.details()) == (code, text), request
