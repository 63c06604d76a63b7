"""Leases on a real process tree: what a killed actor, a killed member and a stalled one mean for them."""

import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from etcdz.proto import etcdserverpb as pb
from tests.etcd_process import Etcdz, Member
from tests.process.load import open_channel, unary
from tests.process.trial import Trial

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]

FAST = ("--heartbeat-interval=10", "--election-timeout=100")
"""The smallest TTL is one second then."""
TIMEOUT_S = 60
NOT_FOUND = "etcdserver: requested lease not found"


class KeepAliveStream:
    """One LeaseKeepAlive call."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._requests: queue.Queue[Any] = queue.Queue()
        call = channel.stream_stream(
            "/etcdserverpb.Lease/LeaseKeepAlive",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=pb.LeaseKeepAliveResponse.FromString,
        )
        self._answers = call(iter(self._requests.get, None), timeout=240)

    def send(self, lease_id: int) -> None:
        self._requests.put(pb.LeaseKeepAliveRequest(ID=lease_id))

    def receive(self) -> Any:
        return next(self._answers)

    def renew(self, lease_id: int) -> int:
        """The TTL that is answered."""
        self.send(lease_id)
        answer = self.receive()
        assert lease_id == answer.ID
        return int(answer.TTL)

    def end(self) -> None:
        """Half-closes; the member ends the call without an error."""
        self._requests.put(None)
        assert list(self._answers) == []


class Client:
    """The calls of these tests."""

    def __init__(self, target: str) -> None:
        self.channel = open_channel(target)

    def call(self, path: str, request: Any, answer: Any) -> Any:
        return unary(self.channel, path, answer)(request, timeout=TIMEOUT_S, wait_for_ready=True)

    def grant(self, lease_id: int, ttl_s: int) -> Any:
        return self.call("Lease/LeaseGrant", pb.LeaseGrantRequest(ID=lease_id, TTL=ttl_s), pb.LeaseGrantResponse)

    def grant_with_keys(self, lease_id: int, ttl_s: int, keys: list[bytes]) -> tuple[float, Any]:
        """Again, if it has ended before its keys were there: this machine may be slow, its time may not be short.

        return  when it had not been granted yet, on the monotonic clock, and the answer to the last put
        """
        while True:
            began = time.monotonic()
            assert ttl_s == self.grant(lease_id, ttl_s).TTL
            try:
                return began, [self.put(key, lease_id) for key in keys][-1]
            except grpc.RpcError as error:
                assert error.details() == NOT_FOUND
                assert time.monotonic() - began >= ttl_s, "it has ended early"
                self.wait_gone(lease_id, 60)

    def revoke(self, lease_id: int) -> Any:
        return self.call("Lease/LeaseRevoke", pb.LeaseRevokeRequest(ID=lease_id), pb.LeaseRevokeResponse)

    def put(self, key: bytes, lease_id: int) -> Any:
        return self.call("KV/Put", pb.PutRequest(key=key, lease=lease_id), pb.PutResponse)

    def put_later(self, key: bytes, lease_id: int) -> Any:
        stub = unary(self.channel, "KV/Put", pb.PutResponse)
        return stub.future(pb.PutRequest(key=key, lease=lease_id), timeout=TIMEOUT_S)

    def keys(self) -> list[bytes]:
        request = pb.RangeRequest(key=b"\0", range_end=b"\0", keys_only=True)
        return [kv.key for kv in self.call("KV/Range", request, pb.RangeResponse).kvs]

    def left(self, lease_id: int) -> Any:
        request = pb.LeaseTimeToLiveRequest(ID=lease_id, keys=True)
        return self.call("Lease/LeaseTimeToLive", request, pb.LeaseTimeToLiveResponse)

    def leases(self) -> list[int]:
        return [
            each.ID for each in self.call("Lease/LeaseLeases", pb.LeaseLeasesRequest(), pb.LeaseLeasesResponse).leases
        ]

    def wait_gone(self, lease_id: int, timeout_s: float) -> float:
        """When the lease was seen to be gone, on the monotonic clock."""
        give_up_at = time.monotonic() + timeout_s
        while self.left(lease_id).TTL >= 0 or lease_id in self.leases():
            assert time.monotonic() < give_up_at, f"lease {lease_id} lives longer than {timeout_s} s"
            threading.Event().wait(0.02)
        return time.monotonic()

    def stream(self) -> KeepAliveStream:
        return KeepAliveStream(self.channel)


@pytest.fixture
def trial(make_trial: Callable[..., Trial]) -> Trial:
    return make_trial(*FAST)


@pytest.fixture
def client(trial: Trial) -> Iterator[Client]:
    client = Client(trial.member.target)
    yield client
    client.channel.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Member]:
    """For tests that leave no lease and no key, and end no process."""
    with Etcdz(tmp_path_factory.mktemp("shared"), *FAST) as member:
        yield member


@pytest.fixture
def lessee(shared: Member, request: pytest.FixtureRequest) -> Iterator[Client]:
    """A client of that member, whose leases end with the test."""
    request.node.members = [shared]
    client = Client(shared.target)
    yield client
    for lease_id in client.leases():
        client.revoke(lease_id)
    client.channel.close()


def test_a_lease_ends_when_its_time_is_over_and_takes_its_keys_along(lessee: Client) -> None:
    granted_at, answer = lessee.grant_with_keys(7, 1, [b"a", b"b"])
    revision = answer.header.revision
    ended_at = lessee.wait_gone(7, 60)
    assert ended_at - granted_at >= 1.0
    request = pb.RangeRequest(key=b"a", range_end=b"c", revision=revision)
    assert lessee.call("KV/Range", request, pb.RangeResponse).count == 2
    assert lessee.keys() == []
    request = pb.RangeRequest(key=b"a")
    assert lessee.call("KV/Range", request, pb.RangeResponse).header.revision == revision + 1, "one revision for both"


def test_a_lease_lives_as_long_as_it_is_kept_alive_and_no_longer(lessee: Client) -> None:
    renewed_at = granted_at = time.monotonic()
    lessee.grant(7, 3)
    stream = lessee.stream()
    while renewed_at < granted_at + 4.0:
        threading.Event().wait(0.05)  # its renewals are not what takes the CPU
        began = time.monotonic()
        if stream.renew(7) == 3:
            renewed_at = began
        else:  # this process has got no CPU time for as long as the lease lives
            assert time.monotonic() - renewed_at >= 3.0
            renewed_at = granted_at = time.monotonic()
            lessee.grant(7, 3)
    stream.end()
    assert lessee.wait_gone(7, 60) - renewed_at >= 3.0
    assert lessee.stream().renew(7) == 0


def test_answers_come_in_the_order_of_the_questions(lessee: Client) -> None:
    for lease_id in range(1, 11):
        lessee.grant(lease_id, 1000)
    stream = lessee.stream()
    asked = [lease_id for _ in range(300) for lease_id in range(1, 13)]
    for lease_id in asked:
        stream.send(lease_id)
    answers = [stream.receive() for _ in asked]
    assert [answer.ID for answer in answers] == asked
    assert {answer.ID: answer.TTL for answer in answers} == {**dict.fromkeys(range(1, 11), 1000), 11: 0, 12: 0}
    stream.end()


def test_a_chosen_id_is_taken_and_a_missing_one_is_given(lessee: Client) -> None:
    given = lessee.grant(0, 100).ID
    assert given > 0
    assert lessee.leases() == [given]
    lessee.revoke(given)
    with pytest.raises(grpc.RpcError) as refused:
        lessee.revoke(given)
    assert (refused.value.code(), refused.value.details()) == (
        grpc.StatusCode.NOT_FOUND,
        NOT_FOUND,
    )


def test_leases_are_listed_in_the_order_of_their_ends(lessee: Client) -> None:
    for lease_id, ttl_s in [(1, 500), (2, 50), (3, 5000)]:
        lessee.grant(lease_id, ttl_s)
    assert lessee.leases() == [2, 1, 3]


def test_a_member_that_starts_again_gives_every_lease_its_time_again(trial: Trial, client: Client) -> None:
    for lease_id in (5, 6):
        client.grant(lease_id, 600)
        client.put(b"key/%d" % lease_id, lease_id)
    client.revoke(6)
    for end in (trial.member.stop, trial.member.kill9):
        client.grant_with_keys(7, 2, [b"short"])
        client.channel.close()
        end()
        started_at = time.monotonic()
        trial.member.start()
        client.channel = open_channel(trial.member.target)
        left = client.left(5)
        assert (left.grantedTTL, list(left.keys)) == (600, [b"key/5"])
        assert set(client.leases()) - {7} == {5}
        assert client.wait_gone(7, 60) - started_at >= 2.0
        assert client.keys() == [b"key/5"]


# ---- actors


def stopped(trial: Trial, name: str) -> tuple[dict[str, Any], int]:
    """The actors, and the pid of one that does nothing from here on, so that what is sent to it is under way."""
    actors = trial.actors()
    pid = actors[name]["pid"]
    os.kill(pid, signal.SIGSTOP)
    return actors, pid


@pytest.mark.usefixtures("needs_actors")
@pytest.mark.parametrize("name", ["lessor", "raft"])
def test_a_keep_alive_under_way_is_answered_after_a_restart(name: str, trial: Trial, client: Client) -> None:
    client.grant(7, 300)
    stream = client.stream()
    renewed_at = time.monotonic()
    assert stream.renew(7) == 300
    actors, pid = stopped(trial, name)
    stream.send(7)
    os.kill(pid, signal.SIGKILL)
    assert stream.receive().TTL == 300
    trial.wait_restarted(actors, name)
    assert stream.renew(7) == 300
    assert 299 - (time.monotonic() - renewed_at) <= client.left(7).TTL
    stream.end()


@pytest.mark.usefixtures("needs_actors")
def test_calls_about_a_lease_under_way_are_answered_after_a_restart(trial: Trial, client: Client) -> None:
    client.grant(7, 300)
    ask = unary(client.channel, "Lease/LeaseTimeToLive", pb.LeaseTimeToLiveResponse)
    for name in ("lessor", "backend"):
        actors, pid = stopped(trial, name)
        answer = ask.future(pb.LeaseTimeToLiveRequest(ID=7), timeout=TIMEOUT_S)
        os.kill(pid, signal.SIGKILL)
        assert answer.result().grantedTTL == 300
        trial.wait_restarted(actors, name)


@pytest.mark.usefixtures("needs_actors")
def test_a_put_with_a_lease_survives_its_backend(trial: Trial, client: Client) -> None:
    client.grant(7, 300)
    actors, pid = stopped(trial, "backend")
    answers = [client.put_later(b"%d" % number, 7) for number in range(5)]
    os.kill(pid, signal.SIGKILL)
    assert [answer.result().header.revision for answer in answers] == [2, 3, 4, 5, 6]
    trial.wait_restarted(actors, "backend")
    assert list(client.left(7).keys) == [b"0", b"1", b"2", b"3", b"4"]
    client.revoke(7)
    assert client.keys() == []


@pytest.mark.usefixtures("needs_actors")
def test_keep_alives_do_not_wait_for_applies(make_trial: Callable[..., Trial]) -> None:
    trial = make_trial("--actor-rules=backend:halt=60s")  # or one that is stopped would soon be replaced
    client = Client(trial.member.target)
    client.grant(7, 300)
    stream = client.stream()
    assert stream.renew(7) == 300
    _, pid = stopped(trial, "backend")
    waiting = client.put_later(b"a", 7)
    try:
        assert [stream.renew(7) for _ in range(10)] == [300] * 10
        assert not waiting.done()
    finally:
        os.kill(pid, signal.SIGCONT)
    assert waiting.result().header.revision == 2
    stream.end()
    client.channel.close()


class Kept:
    """Leases that are renewed by turns, and what is known of their time.

    since    just before the last renewal (or the grant) that was answered was sent: a lease that ends before TTL_S have
             passed since then has ended early; later, it is this process that was late
    """

    TTL_S = 4

    def __init__(self, client: Client, lease_ids: range) -> None:
        self.client = client
        self.since: dict[int, float] = {}
        for lease_id in lease_ids:
            self._grant(lease_id)
        self._stream = client.stream()

    def _grant(self, lease_id: int) -> None:
        self.since[lease_id], _ = self.client.grant_with_keys(lease_id, self.TTL_S, [b"kept/%d" % lease_id])

    def renew(self) -> None:
        """All of them. Those that have ended since on a machine that is too busy are granted again."""
        for lease_id, since in list(self.since.items()):
            began = time.monotonic()
            if self._stream.renew(lease_id) == self.TTL_S:
                self.since[lease_id] = began
            else:
                lived_s = time.monotonic() - since
                assert lived_s >= self.TTL_S, f"lease {lease_id} has ended after {lived_s:.2f} s"
                self._grant(lease_id)

    def end(self) -> None:
        self._stream.end()


@pytest.mark.usefixtures("needs_actors")
def test_no_lease_that_is_kept_alive_ends_while_actors_are_killed(trial: Trial, client: Client, is_long: bool) -> None:
    kept = Kept(client, range(1, 21))
    names = ["lessor", "raft", "backend", "wal", "lessor"]
    for name in names * 4 if is_long else ("lessor", trial.random.choice(names[1:-1])):
        kept.renew()
        actors = trial.actors()
        os.kill(actors[name]["pid"], signal.SIGKILL)
        kept.renew()
        trial.wait_restarted(actors, name)
    kept.renew()
    kept.end()
    try:
        client.revoke(20)
    except grpc.RpcError as error:
        assert error.details() == NOT_FOUND and time.monotonic() - kept.since[20] >= Kept.TTL_S
    for lease_id in kept.since:
        client.wait_gone(lease_id, 60)
    for lease_id, since in kept.since.items():
        assert lease_id == 20 or time.monotonic() - since >= Kept.TTL_S
    assert client.keys() == []
