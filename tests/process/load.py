"""Concurrent writers that remember what they were told: the input of checker.py.

    with Load(member.target, Record(), seed=7) as load:
        load.wait_acknowledged(500)
        member.kill9()

Every client has one call in flight, and issues the next one when the answer comes. grpcio's own retries are off, also
of calls that no server has seen: what a client was not told, it does not know. The calls:

    put     a key that nobody else writes                                             one revision
    pair    a transaction that puts two such keys                                     one revision for both
    count   a transaction: if the counter is as last seen, counter + 1 and a marker;  one revision, or none
            else read the counter
    drop    a transaction that deletes an own, acknowledged key and puts a marker     one revision for both
    get     a linearizable range that begins with an own, acknowledged key            none
    peek    the same, serializable                                                    none

get and peek are called by loads that are asked for reads.

Every key is written at most once (the counters aside), and its value can be computed from the key: so whatever the
store holds can be checked without asking what was sent.
"""

import itertools
import random
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

import grpc
import psutil

from etcdz.proto import etcdserverpb as pb
from tests.secure_members import SecureTarget, credentials_for, with_token

CHANNEL_OPTIONS: Final = (
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),  # one connection per channel, shared with nobody
    ("grpc.initial_reconnect_backoff_ms", 20),
    ("grpc.min_reconnect_backoff_ms", 1_000),  # what a connection has to come about
    ("grpc.max_reconnect_backoff_ms", 100),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
)
PUT, PAIR, COUNT, DROP, GET, PEEK = "put", "pair", "count", "drop", "get", "peek"
READS: Final = (GET, PEEK)
COUNTERS: Final = 4
CALL_TIMEOUT_S: Final = 20.0
"""Beyond what a member takes to answer by itself (etcd's request timeout is 7 s)."""
_REST_S = 0.02
"""A client whose call failed rests for this long at most, so that a dead member does not make it spin."""
_BIG = (16_384, 65_536)
_SMALL = (0, 512)


def open_channel(target: str, long_running: bool = False) -> grpc.Channel:
    """long_running: a connection has five seconds to come about; else one, and calls that do not wait fail then"""
    patience = {"grpc.min_reconnect_backoff_ms": 5_000} if long_running else {}
    options = [*{**dict(CHANNEL_OPTIONS), **patience}.items()]
    if isinstance(target, SecureTarget):
        channel = grpc.secure_channel(target, credentials_for(target), options=options)
        return with_token(channel, target.token) if target.token else channel
    return grpc.insecure_channel(target, options=options)


def unary(channel: grpc.Channel, path: str, answer: Any) -> Any:
    """A call without stubs: path is "Service/Method" of package etcdserverpb."""
    return channel.unary_unary(
        f"/etcdserverpb.{path}",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=answer.FromString,
    )


def value_of(key: bytes, size: int) -> bytes:
    """The value that belongs to key: its name and size, then size bytes of filling."""
    head = b"%b|%d|" % (key, size)
    return head + (head * (size // len(head) + 1))[:size]


def is_value_of(key: bytes, value: bytes) -> bool:
    """Whether value is whole and was written for key."""
    parts = value.split(b"|", 2)
    return len(parts) == 3 and parts[0] == key and parts[1].isdigit() and value == value_of(key, int(parts[1]))


def counter_key(number: int) -> bytes:
    return b"counter/%d" % number


class Op:
    """One call: what was sent, and what its client was told."""

    __slots__ = (
        "applied", "code", "counter", "ended_s", "keys", "kind", "revision", "sent_s", "sizes", "text", "victim",
        "wrong",
    )  # fmt: skip

    def __init__(self, kind: str, keys: tuple[bytes, ...]) -> None:
        self.kind = kind
        self.keys = keys
        """Unique keys that it puts: one, or two for a pair; the marker of a count or a drop. Of a read: none."""
        self.sizes: tuple[int, ...] = ()
        """Of the fillings of their values, but for a count, which needs none."""
        self.victim = b""
        """Key that a drop deletes, or that a read begins with."""
        self.counter = 0
        """Counter that a count adds to."""
        self.sent_s = 0.0
        self.ended_s = 0.0
        """0 while under way."""
        self.revision = 0
        """Of the acknowledgement's header; 0 if there was none."""
        self.applied = True
        """False: acknowledged, but nothing was written: a read, or the counter was not as expected."""
        self.code: grpc.StatusCode | None = None
        """Of the error, None if acknowledged or still under way."""
        self.text = ""
        self.wrong = ""
        """What a read should not have answered."""

    @property
    def acknowledged(self) -> bool:
        return self.revision > 0

    @property
    def refused(self) -> bool:
        """Answered by an error that says that nothing was done, not now and not later."""
        return self.code in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INVALID_ARGUMENT)

    @property
    def is_unsent(self) -> bool:
        """grpcio has failed it before it was sent, unless it may retry, which clients here may not.

        Its connection had to be left (GOAWAY; the less CPU time it gets, the more of them there are), or for the next
        one grpcio has not made a TLS handshaker of its own, and nothing was said to a server yet.
        """
        return "Stream removed (GOAWAY received" in self.text or "Failed to create security handshaker" in self.text

    def __repr__(self) -> str:
        end = f"revision {self.revision}" if self.revision else f"{self.code} {self.text!r}"
        name = (*self.keys, self.victim)[0].decode()
        return f"{self.kind} {name} sent at {self.sent_s:.6f}, ended at {self.ended_s:.6f}: {end}"


class Record:
    """All calls of all loads on one data directory."""

    def __init__(self) -> None:
        self.ops: list[Op] = []
        self.loads = 0
        self.term = 0
        """The highest that any answer named."""

    def errors(self, since: int = 0) -> list[Op]:
        """Of calls that a server may have seen."""
        return [op for op in self.ops[since:] if op.code is not None and not op.is_unsent]


class Load:
    """Clients that write until they are stopped; a context manager."""

    def __init__(
        self,
        target: str,
        record: Record,
        seed: int,
        clients: int = 64,
        channels: int = 4,
        big_one_in: int = 50,
        long_running: bool = False,
        reads: bool = False,
        is_paced: bool = False,
    ) -> None:
        """big_one_in: one put of so many has a value of 16 to 64 KiB, so that segments fill; 0: none
        reads: two of five calls are reads, of both kinds
        long_running: see open_channel
        is_paced: a client rests between its calls, so that what waits for something else, and for however long, does
            not fill the store on the way
        """
        self._long_running = long_running
        self.weights = (36, 12, 6, 6, 20, 20) if reads else (60, 20, 10, 10, 0, 0)
        """Of put, pair, count, drop, get and peek."""
        record.loads += 1
        self.record = record
        self.first = len(record.ops)
        """Where this load's calls begin in record.ops, once it has ended."""
        self.name = b"%d" % record.loads
        self.channels: list[grpc.Channel] = []
        self.ports: list[set[int]] = []
        """Local port of each channel's connection as it began; more than one if it was tried again."""
        for _ in range(channels):
            self._connect(target)
        self.clients = [
            Client(self, self.channels[i % channels], i % channels, i, random.Random(f"{seed}/{record.loads}/{i}"))
            for i in range(clients)
        ]
        self.big_one_in = big_one_in
        self.is_paced = is_paced
        self.acknowledged = 0
        self.acknowledged_at: list[float] = []
        """When each acknowledgement of a write came, in seconds of time.monotonic()."""
        self.read_at: list[float] = []
        """The same of reads: they may go on while writes wait."""
        self.errors: list[Op] = []
        """As they came."""
        self._changed = threading.Condition()
        self._active = 0
        self._stopping = threading.Event()
        self._resting: list[Client] = []
        self._waker = threading.Thread(target=self._wake_resting, daemon=True)

    def _connect(self, target: str) -> None:
        """One more connection; what it adds to this process's sockets tells its port, which grpcio does not."""
        remote = int(target.rpartition(":")[2])
        before = _local_ports(remote)
        self.channels.append(open_channel(target, self._long_running))
        grpc.channel_ready_future(self.channels[-1]).result(timeout=30)
        self.ports.append(_local_ports(remote) - before)

    def __enter__(self) -> Self:
        self._active = len(self.clients)
        self._waker.start()
        for client in self.clients:
            client.issue()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.stop()

    def wait_acknowledged(self, count: int, timeout_s: float = 60) -> None:
        """Returns once this load has had `count` acknowledgements in all. raises TimeoutError"""
        with self._changed:
            if not self._changed.wait_for(lambda: self.acknowledged >= count, timeout_s):
                raise TimeoutError(f"{self.acknowledged} of {count} acknowledgements in {timeout_s} s: {self._state()}")

    def wait_errors(self, count: int, wanted: Callable[[Op], bool], timeout_s: float = 60) -> None:
        """Returns once so many more calls have ended with an error of the wanted kind. raises TimeoutError"""
        with self._changed:
            first = len(self.errors)
            enough = self._changed.wait_for(lambda: sum(map(wanted, self.errors[first:])) >= count, timeout_s)
            if not enough:
                raise TimeoutError(f"{len(self.errors) - first} errors in {timeout_s} s: {self._state()}")

    def stop(self) -> None:
        """No new calls; returns when all have ended, and enters them in the record."""
        if not self._waker.is_alive():
            return
        with self._changed:
            self._stopping.set()
            if not self._changed.wait_for(lambda: not self._active, 2 * CALL_TIMEOUT_S):
                raise TimeoutError(f"calls that do not end: {self._state()}")
        self._waker.join()
        for channel in self.channels:
            channel.close()
        self.first = len(self.record.ops)
        for client in self.clients:
            self.record.ops.extend(client.ops)

    def ops(self) -> list[Op]:
        """Of this load. Requires: it has ended."""
        return self.record.ops[self.first : self.first + sum(len(client.ops) for client in self.clients)]

    def longest_stall_s(self, since_s: float = 0.0) -> float:
        """The longest time without any acknowledgement of a write from since_s on, or, if longer, of a read."""
        return max(_longest_gap(self.acknowledged_at, since_s), _longest_gap(self.read_at, since_s))

    def _state(self) -> str:
        under_way = [client.ops[-1] for client in self.clients if client.ops and not client.ops[-1].ended_s]
        return f"{len(under_way)} under way, e.g. {under_way[:2]}, errors {self.errors[-2:]}"

    # ---- called by clients

    def goes_on(self) -> bool:
        return not self._stopping.is_set()

    def note_acknowledged(self, op: Op, term: int) -> None:
        with self._changed:
            self.acknowledged += 1
            (self.read_at if op.kind in READS else self.acknowledged_at).append(op.ended_s)
            if term > self.record.term:
                self.record.term = term
            self._changed.notify_all()

    def note_failed(self, op: Op, client: "Client") -> None:
        """Its client goes on a little later."""
        with self._changed:
            self.errors.append(op)
            self._changed.notify_all()
        self.rest(client)

    def rest(self, client: "Client") -> None:
        """It makes its next call a little later."""
        with self._changed:
            if self.goes_on():
                self._resting.append(client)
                return
        self.note_ended()

    def note_ended(self) -> None:
        with self._changed:
            self._active -= 1
            self._changed.notify_all()

    def _wake_resting(self) -> None:
        stopping = False
        while not stopping:
            stopping = self._stopping.wait(_REST_S)
            with self._changed:
                woken = list(self._resting)
                self._resting.clear()
            for client in woken:
                client.issue()


class Client:
    """One call after the other. Runs in grpcio's threads, never in two at once."""

    def __init__(self, load: Load, channel: grpc.Channel, channel_number: int, number: int, rng: random.Random) -> None:
        self.ops: list[Op] = []
        self.channel_number = channel_number
        self._load = load
        self._random = rng
        self._prefix = b"%b/%d/" % (load.name, number)
        self._put = unary(channel, "KV/Put", pb.PutResponse)
        self._txn = unary(channel, "KV/Txn", pb.TxnResponse)
        self._range = unary(channel, "KV/Range", pb.RangeResponse)
        self._droppable: list[bytes] = []
        self._counters: dict[int, tuple[int, int]] = {}
        """Counter -> (mod revision, value) as last seen."""
        self._new: dict[str, Callable[[bytes], tuple[Op, Any, Any]]] = {
            PUT: self._new_put,
            PAIR: self._new_pair,
            COUNT: self._new_count,
            DROP: self._new_drop,
            GET: lambda number: self._new_read(GET),
            PEEK: lambda number: self._new_read(PEEK),
        }

    def issue(self) -> None:
        """The next call, or the end."""
        if not self._load.goes_on():
            self._load.note_ended()
            return
        kind = self._random.choices((PUT, PAIR, COUNT, DROP, GET, PEEK), self._load.weights)[0]
        if kind in (DROP, GET, PEEK) and not self._droppable:
            kind = PUT
        number = b"%b%d" % (self._prefix, len(self.ops))
        op, call, request = self._new[kind](number)
        self.ops.append(op)
        op.sent_s = time.monotonic()
        future = call.future(request, timeout=CALL_TIMEOUT_S)
        future.add_done_callback(lambda done: self._ended(op, done))

    # ---- requests

    def _new_put(self, number: bytes) -> tuple[Op, Any, Any]:
        key = b"put/" + number
        op = Op(PUT, (key,))
        op.sizes = (self._size(),)
        return op, self._put, pb.PutRequest(key=key, value=value_of(key, op.sizes[0]))

    def _new_pair(self, number: bytes) -> tuple[Op, Any, Any]:
        keys = (b"pair/" + number + b"/a", b"pair/" + number + b"/b")
        op = Op(PAIR, keys)
        op.sizes = (self._size(), self._size())
        request = pb.TxnRequest()
        for key, size in zip(keys, op.sizes, strict=True):
            _add_put(request.success, key, value_of(key, size))
        return op, self._txn, request

    def _new_drop(self, number: bytes) -> tuple[Op, Any, Any]:
        key = b"drop/" + number
        op = Op(DROP, (key,))
        op.victim = self._droppable.pop(self._random.randrange(len(self._droppable)))
        request = pb.TxnRequest()
        request.success.add().request_delete_range.key = op.victim
        op.sizes = (16,)
        _add_put(request.success, key, value_of(key, 16))
        return op, self._txn, request

    def _new_count(self, number: bytes) -> tuple[Op, Any, Any]:
        counter = self._random.randrange(COUNTERS)
        key = b"count/" + number
        op = Op(COUNT, (key,))
        op.counter = counter
        revision, value = self._counters.get(counter, (0, 0))
        request = pb.TxnRequest()
        request.compare.add(key=counter_key(counter), target="MOD", result="EQUAL", mod_revision=revision)
        added = b"%d/%d" % (counter, value + 1)
        _add_put(request.success, counter_key(counter), added)
        _add_put(request.success, key, added)
        request.failure.add().request_range.key = counter_key(counter)
        return op, self._txn, request

    def _new_read(self, kind: str) -> tuple[Op, Any, Any]:
        op = Op(kind, ())
        op.applied = False
        op.victim = self._random.choice(self._droppable)
        end = op.victim + b"\xff"
        return op, self._range, pb.RangeRequest(key=op.victim, range_end=end, limit=4, serializable=kind == PEEK)

    def _size(self) -> int:
        rare = self._load.big_one_in
        big = rare > 0 and self._random.randrange(rare) == 0
        return self._random.randint(*(_BIG if big else _SMALL))

    # ---- answers

    def _ended(self, op: Op, done: Any) -> None:
        op.ended_s = time.monotonic()
        error = done.exception()
        if error is not None:
            op.text = str(error.details())
            op.code = error.code()
            self._load.note_failed(op, self)
            return
        answer = done.result()
        op.revision = answer.header.revision
        self._learn(op, answer)
        self._load.note_acknowledged(op, answer.header.raft_term)
        if self._load.is_paced:
            self._load.rest(self)
        else:
            self.issue()

    def _learn(self, op: Op, answer: Any) -> None:
        if op.kind == COUNT:
            if answer.succeeded:
                _, value = self._counters.get(op.counter, (0, 0))
                self._counters[op.counter] = (op.revision, value + 1)
            else:
                op.applied = False
                for kv in answer.responses[0].response_range.kvs:
                    self._counters[op.counter] = (kv.mod_revision, int(kv.value.split(b"/")[1]))
        elif op.kind in READS:
            op.wrong = _wrong_answer(op, answer)
        elif op.kind == PUT:
            self._droppable.append(op.keys[0])
        elif op.kind == PAIR:
            self._droppable.append(op.keys[1])


def _wrong_answer(op: Op, answer: Any) -> str:
    """What an own, acknowledged key should not look like. A serializable read may be behind, and then not see it."""
    found = next((kv for kv in answer.kvs if kv.key == op.victim), None)
    if found is None:
        return "does not see a key that was acknowledged before" if op.kind == GET else ""
    if not is_value_of(found.key, found.value) or found.version != 1:
        return f"sees version {found.version} of it, {len(found.value)} bytes"
    return "" if found.mod_revision <= answer.header.revision else "sees the future"


def _longest_gap(times: list[float], since_s: float) -> float:
    """0 if there were none: then nobody waited for them either."""
    found = sorted(at for at in times if at >= since_s)
    if since_s and found:
        found.insert(0, since_s)
    return max((after - before for before, after in itertools.pairwise(found)), default=0.0)


def _local_ports(remote: int) -> set[int]:
    connections = psutil.Process().net_connections("tcp")
    return {c.laddr.port for c in connections if c.raddr and c.raddr.port == remote and c.status == "ESTABLISHED"}


def _add_put(ops: Any, key: bytes, value: bytes) -> None:
    put = ops.add().request_put
    put.key = key
    put.value = value
