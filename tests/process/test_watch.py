"""Watches over a real process tree whose actors are killed under them: nothing lost, doubled or out of order."""

import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from etcdz.net.blocking_channel import connect
from etcdz.proto import etcdserverpb as pb
from etcdz.wire.client import ClientSettings, GrpcClientConnection
from etcdz.wire.events import MESSAGE
from tests.process.trial import Trial

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("needs_actors"), pytest.mark.timeout(600)]

ROUNDS_LONG = 15
CONNECTION_LOST = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNKNOWN, grpc.StatusCode.CANCELLED)
"""How grpcio may name it."""


class Follower:
    """One watch that resumes by revision whenever its stream ends; collects (revision, value) of each event."""

    def __init__(self, target: str, key: bytes, **fields: Any) -> None:
        self._target = target
        self._fields = {"key": key, **fields}
        self.seen: list[tuple[int, bytes]] = []
        self.streams = 0
        self._next = 1
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping:
            requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
            create = pb.WatchCreateRequest(start_revision=self._next, **self._fields)
            requests.put(pb.WatchRequest(create_request=create).SerializeToString())
            with grpc.insecure_channel(self._target) as channel:
                self._stream = channel.stream_stream("/etcdserverpb.Watch/Watch")(
                    iter(requests.get, None), wait_for_ready=True
                )
                self.streams += 1
                try:
                    for message in self._stream:
                        self._take(pb.WatchResponse.FromString(message))
                except grpc.RpcError as error:
                    assert self._stopping or error.code() in CONNECTION_LOST, error
                finally:
                    requests.put(None)

    def _take(self, response: Any) -> None:
        with self._changed:
            self.seen += [(event.kv.mod_revision, event.kv.value) for event in response.events]
            if response.events:
                self._next = response.events[-1].kv.mod_revision + 1
            self._changed.notify_all()

    @property
    def last(self) -> int:
        return self._next - 1

    def wait_for(self, revision: int, timeout_s: float = 60) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self._next > revision, timeout_s), (self._next, revision)

    def stop(self) -> None:
        self._stopping = True
        self._stream.cancel()
        self._thread.join(10)


class Writer:
    """Puts numbers at one key after the other; several threads, so that batches hold more than one."""

    def __init__(self, target: str) -> None:
        self._channel = grpc.insecure_channel(target)
        self._put = self._channel.unary_unary("/etcdserverpb.KV/Put")
        self._stopping = False
        self.last_revision = 0
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(number,), daemon=True) for number in range(6)]
        for thread in self._threads:
            thread.start()

    def _run(self, number: int) -> None:
        count = 0
        while not self._stopping:
            count += 1
            body = pb.PutRequest(key=b"k/%d" % number, value=b"%d/%d" % (number, count)).SerializeToString()
            try:
                answer = pb.PutResponse.FromString(self._put(body, wait_for_ready=True, timeout=30))
            except grpc.RpcError as error:
                assert error.code() == grpc.StatusCode.UNAVAILABLE, "only a killed listener ends a call"
                continue
            with self._lock:
                self.last_revision = max(self.last_revision, answer.header.revision)

    def stop(self) -> int:
        self._stopping = True
        for thread in self._threads:
            thread.join(40)
        self._channel.close()
        return self.last_revision


@pytest.fixture
def followers(request: pytest.FixtureRequest) -> Iterator[Callable[..., Follower]]:
    made: list[Follower] = []

    def make(*args: Any, **fields: Any) -> Follower:
        made.append(Follower(*args, **fields))
        return made[-1]

    yield make
    for follower in made:
        follower.stop()


def kill(trial: Trial, actors: dict[str, Any], name: str) -> dict[str, Any]:
    os.kill(actors[name]["pid"], signal.SIGKILL)
    return trial.wait_restarted(actors, name)


def test_killing_an_actor_costs_a_watch_nothing(
    make_trial: Callable[..., Trial], followers: Callable[..., Follower], is_long: bool
) -> None:
    trial = make_trial()
    target = trial.member.target
    everything = followers(target, b"k/", range_end=b"k0")
    single = followers(target, b"k/3", prev_kv=True)
    writer = Writer(target)
    actors = trial.actors()
    for _ in range(ROUNDS_LONG if is_long else 1):
        for victim in trial.random.sample(["backend", "raft", "wal"], 3):
            everything.wait_for(everything.last + 50)
            actors = kill(trial, actors, victim)
    everything.wait_for(everything.last + 50)
    last = writer.stop()
    everything.wait_for(last)
    assert [revision for revision, _ in everything.seen] == list(range(2, last + 1)), "each revision once, in order"
    expected = [pair for pair in everything.seen if pair[1].startswith(b"3/")]
    single.wait_for(expected[-1][0])
    assert single.seen == expected
    assert (everything.streams, single.streams) == (1, 1), "no stream ended"


def test_a_client_that_resumes_by_revision_misses_nothing_when_listeners_are_killed(
    make_trial: Callable[..., Trial], followers: Callable[..., Follower]
) -> None:
    trial = make_trial("--listeners=2")
    follower = followers(trial.member.target, b"k/", range_end=b"k0")
    writer = Writer(trial.member.target)
    actors = trial.actors()
    for victim in ("listener-1", "listener-2"):
        follower.wait_for(follower.last + 50)
        actors = kill(trial, actors, victim)
    follower.wait_for(follower.last + 50)  # of what was not acknowledged when a listener died nothing is the last
    last = writer.stop()
    follower.wait_for(last)
    assert [revision for revision, _ in follower.seen] == list(range(2, last + 1))
    assert follower.streams > 1


def test_a_client_resumes_when_the_member_is_stopped_in_good_order(
    make_trial: Callable[..., Trial], followers: Callable[..., Follower]
) -> None:
    trial = make_trial()
    follower = followers(trial.member.target, b"put/", range_end=b"put0")
    follower.wait_for(trial.put().header.revision)
    trial.member.restart()
    follower.wait_for(trial.put().header.revision)
    assert [revision for revision, _ in follower.seen] == [2, 3]
    assert follower.streams >= 2


VICTIM = 60
VICTIM_LONG = 500
FLOOD_PUTS = 600
VALUE_BYTES = 1_024


class Stalled:
    """Watch streams with prev_kv over one socket that nobody reads, once the watchers stand; until `read` is called."""

    def __init__(self, target: str, key: bytes, streams: int) -> None:
        self._sock = connect(target, 60)
        self._conn = GrpcClientConnection(ClientSettings(stream_window=65_535), time.monotonic)
        create = pb.WatchCreateRequest(key=key, prev_kv=True)
        self.seen: dict[int, list[int]] = {}
        for _ in range(streams):
            stream_id = self._conn.open(b"/etcdserverpb.Watch/Watch")
            self._conn.send_message(stream_id, pb.WatchRequest(create_request=create).SerializeToString())
            self.seen[stream_id] = []
        self.created = 0
        self.read(lambda: self.created == streams)

    def read(self, is_enough: Callable[[], bool]) -> None:
        self._sock.sendall(self._conn.take_output())
        while not is_enough():
            for kind, stream_id, _, _, body in self._conn.receive(self._sock.recv(1 << 18)):
                assert kind == MESSAGE
                response = pb.WatchResponse.FromString(body)
                self.created += response.created
                self.seen[stream_id] += [event.kv.mod_revision for event in response.events]
            self._sock.sendall(self._conn.take_output())

    def close(self) -> None:
        self._sock.close()


def flood(target: str, puts: int) -> int:
    """return the last revision"""
    with grpc.insecure_channel(target) as channel:
        put = channel.unary_unary("/etcdserverpb.KV/Put")
        body = pb.PutRequest(key=b"k", value=bytes(VALUE_BYTES)).SerializeToString()
        answers = [put.future(body, timeout=120) for _ in range(puts)]
        return max(int(pb.PutResponse.FromString(answer.result()).header.revision) for answer in answers)


def anonymous_bytes(pid: int) -> int:
    """What a process has allocated. NB: resident memory is also what it has touched of files that others map too."""
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("RssAnon:")]
    return int(line.split()[1]) << 10


def test_streams_that_nobody_reads_cost_bounded_memory_and_lose_nothing(
    make_trial: Callable[..., Trial], is_long: bool
) -> None:
    trial = make_trial("--listeners=1")
    target, per_socket = trial.member.target, 20
    trial.put()  # by a client that waits until the member serves
    sockets = [Stalled(target, b"k", per_socket) for _ in range((VICTIM_LONG if is_long else VICTIM) // per_socket)]
    listener = int(trial.actors()["listener-1"]["pid"])
    try:
        flood(target, FLOOD_PUTS)  # fills windows and sockets
        before = anonymous_bytes(listener)
        last = flood(target, FLOOD_PUTS)
        grown = anonymous_bytes(listener) - before
        wanted = len(sockets) * per_socket * FLOOD_PUTS * 2 * VALUE_BYTES
        assert grown < wanted / 8, "what is owed to them is not kept"
        reader = sockets[0]
        reader.read(lambda: all(seen and seen[-1] == last for seen in reader.seen.values()))
        assert set(map(tuple, reader.seen.values())) == {tuple(range(3, last + 1))}
    finally:
        for each in sockets:
            each.close()
