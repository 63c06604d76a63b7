"""Clients that watch, write and hold leases while a member's actors die, and what they may be told: for
test_kill_watch_lease.py.

    Witness     a watch that resumes by revision, and remembers all that it was told, and when
    Scribes     write, and remember what was acknowledged
    Tenants     hold leases, each with a key: keep them alive for a while, then let them run out
    Trouble     when which actor died, and when it was back

    check_events    against each other, against what was acknowledged, and against the store
    check_leases    no end before its time, none long after it
"""

import random
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import count, groupby, pairwise
from typing import Any, Final, NamedTuple

import grpc

from etcdz.proto import etcdserverpb as pb
from tests.process.load import open_channel, unary
from tests.process.test_watch import Follower

TTL_S: Final = 2
TICK_S: Final = 0.5
"""etcd looks for leases that have run out twice a second."""
EXTEND_S: Final = 0.1
"""What a new leader adds: the election timeout."""
BUSY_S: Final = 20.0
"""What a busy machine may add to the way of an event to its client: one whose host has stopped it for seconds, too."""
RENEW_EVERY_S: Final = 0.3
CALL_TIMEOUT_S: Final = 30.0
PUT, DELETE = "put", "delete"
ALL: Final = {"key": b"\0", "range_end": b"\0"}
_RESETS_CLOCKS: Final = ("raft", "lessor")
"""Who comes after them gives every lease its time again, as a new leader of etcd does."""


class QueryReply(NamedTuple):
    """One event, as a client was told it. response: number of the message that it came in"""

    revision: int
    kind: str
    key: bytes
    value: bytes
    previous: bytes | None
    response: int
    at_s: float


class Witness(Follower):
    """NB: what a Follower collects in `seen` stays empty."""

    def __init__(self, target: str, **fields: Any) -> None:
        self.told: list[QueryReply] = []
        self.ends: dict[bytes, QueryReply] = {}
        """The last delete of each key."""
        self._responses = 0
        super().__init__(target, fields.pop("key"), **fields)

    def _take(self, response: Any) -> None:
        now = time.monotonic()
        with self._changed:
            self._responses += 1
            for event in response.events:
                kind = (PUT, DELETE)[event.type]
                previous = event.prev_kv.value if event.HasField("prev_kv") else None
                kv = event.kv
                told = QueryReply(kv.mod_revision, kind, kv.key, kv.value, previous, self._responses, now)
                self.told.append(told)
                if kind == DELETE:
                    self.ends[kv.key] = told
                self._next = kv.mod_revision + 1
            self._changed.notify_all()

    def wait_end(self, key: bytes, timeout_s: float) -> QueryReply | None:
        """Its delete, or None if the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: key in self.ends, timeout_s)
            return self.ends.get(key)


class Caller:
    """Calls of one thread over a connection of its own. errors: what they ended with, other than as asked for."""

    def __init__(self, target: str) -> None:
        self._channel = open_channel(target)
        self.errors: list[str] = []

    def call(self, path: str, request: Any, answer: Any) -> Any:
        """None: UNAVAILABLE, which is how a killed listener ends calls; whether it was done is not known."""
        return self._outcome(unary(self._channel, path, answer), request)

    def renew(self, lease_id: int) -> Any:
        stub = self._channel.stream_unary(
            "/etcdserverpb.Lease/LeaseKeepAlive",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=pb.LeaseKeepAliveResponse.FromString,
        )
        return self._outcome(stub, iter([pb.LeaseKeepAliveRequest(ID=lease_id)]))

    def _outcome(self, stub: Any, request: Any) -> Any:
        try:
            return stub(request, timeout=CALL_TIMEOUT_S, wait_for_ready=True)
        except grpc.RpcError as error:
            self.errors.append(f"{error.code().name}: {error.details()}")
            if error.code() != grpc.StatusCode.UNAVAILABLE:
                raise
            return None

    def close(self) -> None:
        self._channel.close()


class Crowd:
    """Threads that each do `step` with a Caller of their own until they are stopped. What one raises fails the test."""

    def __init__(self, target: str, threads: int, seed: str) -> None:
        self.callers = [Caller(target) for _ in range(threads)]
        self.failures: list[BaseException] = []
        self.stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(number, random.Random(f"{seed}/{number}")), daemon=True)
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def _run(self, number: int, rng: random.Random) -> None:
        try:
            for turn in count():
                if self.stopping.is_set():
                    return
                self.step(self.callers[number], number, turn, rng)
        except BaseException as failure:
            self.failures.append(failure)

    def step(self, caller: Caller, number: int, turn: int, rng: random.Random) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        """Each ends what it does. raises what one of them raised"""
        self.stopping.set()
        for thread in self._threads:
            thread.join(2 * CALL_TIMEOUT_S)
        for caller in self.callers:
            caller.close()
        for failure in self.failures:
            raise failure

    @property
    def errors(self) -> list[str]:
        return [error for caller in self.callers for error in caller.errors]


class Scribes(Crowd):
    """acknowledged: revision -> the changes that were acknowledged with it"""

    def __init__(self, target: str, seed: str, threads: int = 4) -> None:
        self.acknowledged: dict[int, set[tuple[str, bytes, bytes]]] = {}
        super().__init__(target, threads, seed)

    def step(self, caller: Caller, number: int, turn: int, rng: random.Random) -> None:
        keys = [b"w/%d/%d" % (number, n) for n in rng.sample(range(5), 2)]
        value = b"%d/%d" % (number, turn)
        changes = {(PUT, keys[0], value)}
        if turn % 10 == 9:
            request = pb.DeleteRangeRequest(key=keys[0])
            answer = caller.call("KV/DeleteRange", request, pb.DeleteRangeResponse)
            changes = {(DELETE, keys[0], b"")} if answer and answer.deleted else set()
        elif turn % 4 == 3:
            request = pb.TxnRequest()
            for key in keys:
                request.success.add().request_put.CopyFrom(pb.PutRequest(key=key, value=value))
            answer = caller.call("KV/Txn", request, pb.TxnResponse)
            changes = {(PUT, key, value) for key in keys}
        else:
            answer = caller.call("KV/Put", pb.PutRequest(key=keys[0], value=value), pb.PutResponse)
        if answer and changes:
            self.acknowledged[answer.header.revision] = changes


class Life(NamedTuple):
    """A lease that has ended. since_s: before the last renewal that was answered; until_s: after the last that could
    have counted; both of time.monotonic()"""

    lease_id: int
    since_s: float
    until_s: float
    ended_s: float


class Tenants(Crowd):
    """witness: who sees the keys go"""

    def __init__(self, target: str, seed: str, witness: Witness, threads: int = 12) -> None:
        self.lives: list[Life] = []
        self.renewals = 0
        self._witness = witness
        self._ids = count(1000)
        super().__init__(target, threads, seed)

    def step(self, caller: Caller, number: int, turn: int, rng: random.Random) -> None:
        lease_id = next(self._ids)
        key = b"lease/%d" % lease_id
        since = time.monotonic()
        self._settle(caller, lease_id, key)
        until = time.monotonic()
        give_up_at = until + rng.choice([0.0, 1.0, 3.0])
        while time.monotonic() < give_up_at and not self.stopping.wait(RENEW_EVERY_S):
            began = time.monotonic()
            answer = caller.renew(lease_id)
            until = time.monotonic()
            if answer is None:
                continue
            if answer.TTL <= 0:
                break
            since = began
            self.renewals += 1
        end = self._witness.wait_end(key, 60)
        assert end is not None, f"lease {lease_id} does not end"
        self.lives.append(Life(lease_id, since, until, end.at_s))

    def _settle(self, caller: Caller, lease_id: int, key: bytes) -> None:
        """Grants the lease and attaches a key; again, if it is not known whether that was done, or if the lease has
        ended before its key was there: no early end, if it is over its time."""
        put = pb.PutRequest(key=key, value=b"1", lease=lease_id)
        while True:
            began = time.monotonic()
            self._must(caller, "Lease/LeaseGrant", pb.LeaseGrantRequest(ID=lease_id, TTL=TTL_S), "lease already exists")
            if self._must(caller, "KV/Put", put, "requested lease not found"):
                return
            assert time.monotonic() - began >= TTL_S, f"lease {lease_id} has ended early"

    def _must(self, caller: Caller, path: str, request: Any, otherwise: str) -> bool:
        """Asks until it is told. return False: it is told `otherwise`"""
        answer = pb.PutResponse if path == "KV/Put" else pb.LeaseGrantResponse
        try:
            while caller.call(path, request, answer) is None:
                pass
        except grpc.RpcError as error:
            assert error.details() == f"etcdserver: {otherwise}", error
            caller.errors.pop()
            return False
        return True


class Trouble(NamedTuple):
    """An actor that was killed or stopped at from_s, and whose successor was ready at to_s."""

    name: str
    from_s: float
    to_s: float


# ---- checks


def check_leases(lives: Iterable[Life], troubles: Iterable[Trouble]) -> None:
    """raises AssertionError"""
    worst = sorted(troubles, key=lambda trouble: trouble.from_s)
    for life in lives:
        lived = life.ended_s - life.since_s
        assert lived >= TTL_S - TICK_S, f"lease {life.lease_id} ended after {lived:.2f} s of {TTL_S}, early: {life}"
        latest = latest_end_s(life, worst)
        late = life.ended_s - latest
        assert late <= 0, f"lease {life.lease_id} ended {late:.2f} s too late: {life}, {worst}"


def latest_end_s(life: Life, troubles: Iterable[Trouble]) -> float:
    """By etcd's rules: a tick after its time; after the trouble if that was under way; its whole time again if the
    clocks were lost. troubles: in order"""
    base = life.until_s
    latest = base + TTL_S + TICK_S + BUSY_S
    for name, from_s, to_s in troubles:
        if from_s > latest or to_s < life.since_s:
            continue
        again = TTL_S + EXTEND_S + TICK_S if name in _RESETS_CLOCKS else 0.0
        latest = max(latest, to_s + again + BUSY_S)
    return latest


def check_events(told: list[QueryReply], last: int, acknowledged: dict[int, set[tuple[str, bytes, bytes]]]) -> None:
    """told: by a witness of everything from the first revision on. last: the store's revision. raises AssertionError"""
    revisions = [event.revision for event in told]
    assert revisions == sorted(revisions), "out of order"
    missing = sorted(set(range(2, last + 1)) - set(revisions))
    assert not missing, f"{len(missing)} revisions without an event, e.g. {missing[:5]}"
    by_revision = {revision: list(events) for revision, events in groupby(told, lambda event: event.revision)}
    for revision, events in by_revision.items():
        assert len({event.key for event in events}) == len(events), f"an event twice: {events}"
        assert len({event.response for event in events}) == 1, f"revision {revision} came in parts: {events}"
    for revision, changes in acknowledged.items():
        seen = {(event.kind, event.key, event.value) for event in by_revision.get(revision, [])}
        assert seen == changes, f"acknowledged with revision {revision}: {changes}, told: {seen}"


def check_same(told: list[QueryReply], wanted: Callable[[QueryReply], bool], everything: list[QueryReply]) -> None:
    """A witness of a part was told just that part. raises AssertionError"""
    seen = [event[:4] for event in told]
    expected = [event[:4] for event in everything if wanted(event)]
    at = next((n for n, pair in enumerate(zip(seen, expected, strict=False)) if pair[0] != pair[1]), None)
    assert seen == expected, f"{len(seen)} events, expected {len(expected)}; the first that differs: {at}"


def check_witnesses(witnesses: Sequence["Witness"], last: int) -> None:
    """All of them, of everything at one member each, are told the same up to the store's revision, and stopped.

    raises  AssertionError
    """
    for witness in witnesses:
        witness.wait_for(last)
        witness.stop()
    check_events(witnesses[0].told, last, {})
    for witness in witnesses[1:]:
        check_same(witness.told, lambda event: True, witnesses[0].told)


def check_previous(told: list[QueryReply]) -> None:
    """Of a single key that was watched with prev_kv from its beginning. raises AssertionError"""
    for before, after in pairwise(told):
        expected = before.value if before.kind == PUT else None
        assert after.previous == expected, f"{after} follows {before}"


def contents_after(told: list[QueryReply]) -> dict[bytes, bytes]:
    """What a store holds that has lived through these events."""
    contents: dict[bytes, bytes] = {}
    for event in told:
        if event.kind == PUT:
            contents[event.key] = event.value
        else:
            del contents[event.key]
    return contents
