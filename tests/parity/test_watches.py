"""Random interleavings of writes, leases, compactions and watches: both members tell their watchers the same.

What is compared is what a watcher is told, in its order, not how many responses carry it: etcd sends one per
transaction, etcdz one per batch. Control answers (created, cancelled, compacted) are compared field by field.
"""

import queue
import threading
import time
from collections.abc import Callable
from random import Random
from typing import Any, TypeVar

import grpc
import pytest

from etcdz.proto import etcdserverpb as pb
from tests.parity.calls import Call
from tests.parity.generate import LEASES, draw_call
from tests.parity.pair import Answer, Difference, Pair, Side

KEYS = [b"a", b"b", b"c", b"aa", b"ab", b"d\0"]
ENDS = [b"", b"", b"\0", b"b", b"c", b"a", b"\xff"]
PROBE = 1_000
MOURNER = 2_000
"""Watches the key by which the end of a lease is seen."""
LISTENER = 4_000
"""Watches all keys, from the first step to the last."""
MORTAL_TTL_S = 2
MORTAL, MORTAL_KEY = 4711, b"~mortal"
"""A lease that runs out, and a key that goes with it."""
ODD_IDS = [-7, -(1 << 63), (1 << 63) - 1]  # NB: etcd's -1 hears nothing any more once any watch was refused
NEVER, NEVER_ID = (1 << 63) - 1, 3_000
WRITES = ("Put", "Txn", "DeleteRange", "LeaseRevoke")
_WAIT_S = 60


Found = TypeVar("Found")


class HeldUp(Exception):
    """The machine has stood still for as long as a lease lasts: what the two members make of that is their clocks'."""


ATTEMPTS = 3


class Ear:
    """One watch stream to one member, and all that came on it."""

    def __init__(self, side: Side, changed: threading.Condition) -> None:
        self._side = side
        self._requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._channel = grpc.insecure_channel(side.member.target)
        self._stream = self._channel.stream_stream("/etcdserverpb.Watch/Watch")(iter(self._requests.get, None))
        self.changed = changed
        self.answers = 0
        self.progress = 0
        self.events: dict[int, list[str]] = {}
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        try:
            for message in self._stream:
                self._take(pb.WatchResponse.FromString(message))
        except grpc.RpcError as error:
            with self.changed:
                self.events.setdefault(0, []).append(f"{error.code()} {error.details()}")
                self.changed.notify_all()

    def _take(self, response: Any) -> None:
        response.header.raft_term = self._side.plain_term(response.header.raft_term)
        with self.changed:
            told = self.events.setdefault(response.watch_id, [])
            told += [str(event) for event in response.events]
            if not response.events:
                told.append(str(response))
            self.answers += response.created
            self.progress += not (response.created or response.canceled or response.events)
            self.changed.notify_all()

    def say(self, request: Any) -> None:
        self._requests.put(request.SerializeToString())

    def heard(self) -> dict[int, list[str]]:
        """By watch id. NB: etcd hands events and answers of different watchers on in no fixed order."""
        with self.changed:
            return {watch_id: list(told) for watch_id, told in self.events.items()}

    def wait(self, is_there: Any) -> bool:
        with self.changed:
            return self.changed.wait_for(is_there, _WAIT_S)

    def close(self) -> None:
        self._stream.cancel()
        self._requests.put(None)
        self._channel.close()


class Listening:
    """Both members with a stream each; what is said to one is said to the other."""

    def __init__(self, pair: Pair, random: Random) -> None:
        self.pair = pair
        self.random = random
        self.base = pair.begin_conversation()
        changed = threading.Condition()
        self.ears = [Ear(side, changed) for side in pair.sides]
        self.done: list[Call] = []
        self.said: list[str] = []
        self.newest = 1
        self.created = 0
        self.asked = 0
        self.latest_start = 0

    def write(self, call: Call) -> Answer:
        answer = self.pair.compare(call, self.base, self.done)
        self.done.append(call)
        self.said.append(repr(call))
        if answer.message is not None and call.name in WRITES:
            self.newest = answer.message.header.revision - self.base + 1
        self.agree()
        return answer

    def say(self, request: Any) -> None:
        self.said.append(str(request).replace("\n", " "))
        for ear in self.ears:
            ear.say(request)
        self.created += request.HasField("create_request")
        self.asked += request.HasField("progress_request")
        for ear in self.ears:
            assert ear.wait(lambda ear=ear: (ear.answers, ear.progress) == (self.created, self.asked)), self.story()
        self.agree()

    def agree(self) -> None:
        """Both have been told the same, as soon as both have been told all."""
        expected, got = self.ears
        assert got.wait(lambda: got.events == expected.events), self.story()

    def story(self) -> str:
        """What was said, and where the answers part."""
        expected, got = (ear.heard() for ear in self.ears)
        lines = list(self.said)
        for watch_id in sorted(expected.keys() | got.keys()):
            one, other = expected.get(watch_id, []), got.get(watch_id, [])
            at = next((i for i, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), None)
            if at is None and len(one) != len(other):
                at = min(len(one), len(other))
            if at is not None:
                lines.append(f"--- watch {watch_id}, answer {at}\n--- etcd\n{one[at:]}\n--- etcdz\n{other[at:]}")
        return "\n".join(lines)

    def create(self) -> None:
        """NB: a deletion at the very revision of a compaction is still told by etcd 3.5's newest; 3.5.1 has lost it."""
        random = self.random
        relative = random.choice([0, 0, random.randint(1, self.newest), self.newest + random.randint(0, 3)])
        while relative in self.pair.compactions:
            relative += 1
        request = pb.WatchCreateRequest(
            key=random.choice([*KEYS, b""]),
            range_end=random.choice(ENDS),
            start_revision=relative + self.base - 1 if relative else 0,
            prev_kv=random.random() < 0.5,
            fragment=random.random() < 0.3,
            watch_id=random.choice([0, 0, random.randint(1, 12)]),
            filters=random.choice([[], [], [0], [1], [0, 1]]),
            progress_notify=random.random() < 0.2,
        )
        self.latest_start = max(self.latest_start, relative)
        self.say(pb.WatchRequest(create_request=request))
        if 0 < relative <= self.newest:
            self.catch_up()

    def create_oddly(self) -> None:
        """What no client library asks for. NB: revisions below 0 are refused, as by etcd 3.5's newest; 3.5.1 is not."""
        random = self.random
        request = pb.WatchCreateRequest(
            key=random.choice([*KEYS, b"", b"\xff" * 3]),
            range_end=random.choice([*ENDS, *KEYS]),
            watch_id=random.choice([0, *ODD_IDS, NEVER_ID]),
            filters=random.choice([[], [7], [-1, 0], [1, 1, 1]]),
            prev_kv=random.random() < 0.5,
        )
        if request.watch_id == NEVER_ID:
            request.start_revision = NEVER
        self.say(pb.WatchRequest(create_request=request))
        self.cancel(NEVER_ID)

    def ask_progress(self) -> None:
        """Where a watcher is, and none starts in the future: else etcd 3.5.1 answers, and its successors do not."""
        self.mourn()
        while self.newest < self.latest_start:
            self.write(Call("Put", pb.PutRequest(key=b"~")))
        self.say(pb.WatchRequest(progress_request=pb.WatchProgressRequest()))

    def mourn(self) -> None:
        """There is a watcher of the key by which the end of a lease is seen."""
        if MOURNER not in self.ears[0].events:
            mourner = pb.WatchCreateRequest(key=MORTAL_KEY, watch_id=MOURNER)
            self.say(pb.WatchRequest(create_request=mourner))

    def say_nothing(self) -> None:
        """A request without a request in it, or with one that nobody knows, is passed over."""
        self.say(self.random.choice([pb.WatchRequest(), pb.WatchRequest.FromString(b"\x7a\x03abc")]))
        self.cancel(self.random.choice(ODD_IDS))

    def outlive(self) -> None:
        """A lease runs out, and takes its keys along. raises HeldUp: before it had any"""
        self.mourn()
        ends = str(self.ears[0].events[MOURNER]).count("type: DELETE") + 1
        keys = self.random.sample(KEYS, self.random.randrange(4))
        puts = [pb.RequestOp(request_put=pb.PutRequest(key=key, lease=MORTAL)) for key in [*keys, MORTAL_KEY]]
        began = time.monotonic()
        try:
            self.write(Call("LeaseGrant", pb.LeaseGrantRequest(ID=MORTAL, TTL=MORTAL_TTL_S)))
            was_done = self.write(Call("Txn", pb.TxnRequest(success=puts))).code == "OK"
        except Difference:
            if time.monotonic() - began < MORTAL_TTL_S:
                raise
            was_done = False
        if not was_done:
            raise HeldUp
        for ear in self.ears:
            assert ear.wait(lambda ear=ear: str(ear.events[MOURNER]).count("type: DELETE") == ends), self.story()
        self.newest += 1
        self.agree()
        self.write(Call("LeaseTimeToLive", pb.LeaseTimeToLiveRequest(ID=MORTAL, keys=True)))

    def catch_up(self) -> None:
        """Waits until etcd, too, has been through history for all watchers that start in the past.

        It does so for all of them together now and then: one more such watcher shows when it has.
        """
        self.write(Call("Put", pb.PutRequest(key=b"~")))
        start = self.newest + self.base - 1
        probe = pb.WatchCreateRequest(key=b"~", start_revision=start, watch_id=PROBE)
        self.say(pb.WatchRequest(create_request=probe))
        shown = f"mod_revision: {start}\n"
        for ear in self.ears:
            assert ear.wait(lambda ear=ear: any(shown in text for text in ear.events[PROBE])), self.story()
        self.cancel(PROBE)

    def cancel(self, watch_id: int) -> None:
        """One that is not there is not answered: what is refused behind it says that it was passed over."""
        self.say(pb.WatchRequest(cancel_request=pb.WatchCancelRequest(watch_id=watch_id)))
        self.say(pb.WatchRequest(create_request=pb.WatchCreateRequest(key=b"b", range_end=b"a")))

    def close(self) -> None:
        for ear in self.ears:
            ear.close()


STEPS = ["txn", "delete", "delete range", "compact", "create", "create", "cancel", "leased", "grant", "revoke"]
STEPS += ["progress", "odd create", "nothing"]


def step(world: Listening) -> None:
    random = world.random
    key, end = random.choice(KEYS), random.choice(ENDS)
    if random.random() < 0.01:
        world.outlive()
        return
    match random.choice(["put"] * 3 + ["any"] * 7 + STEPS):
        case "any":
            world.write(draw_call(random, world.newest))
        case "leased":
            world.write(Call("Put", pb.PutRequest(key=key, value=b"leased", lease=random.choice(LEASES))))
        case "grant":
            world.write(Call("LeaseGrant", pb.LeaseGrantRequest(ID=random.choice(LEASES), TTL=600)))
        case "revoke":
            world.write(Call("LeaseRevoke", pb.LeaseRevokeRequest(ID=random.choice(LEASES))))
        case "progress":
            world.ask_progress()
        case "odd create":
            world.create_oddly()
        case "nothing":
            world.say_nothing()
        case "put":
            world.write(Call("Put", pb.PutRequest(key=key, value=b"%d" % random.randrange(99))))
        case "txn":
            txn = pb.TxnRequest()
            for each in random.sample(KEYS, 3):
                txn.success.add().request_put.CopyFrom(pb.PutRequest(key=each, value=b"txn"))
            world.write(Call("Txn", txn))
        case "delete":
            world.write(Call("DeleteRange", pb.DeleteRangeRequest(key=key)))
        case "delete range":
            world.write(Call("DeleteRange", pb.DeleteRangeRequest(key=key, range_end=end)))
        case "compact":
            revision = random.randint(1, random.randint(1, world.newest))
            world.write(Call("Compact", pb.CompactionRequest(revision=revision, physical=True)))
        case "create":
            world.create()
        case "cancel":
            world.cancel(random.randrange(14))


def unless_held_up(attempt: Callable[[], Found]) -> Found:
    """What it returns; it is made again while the machine is held up in it. raises HeldUp: each time"""
    for _ in range(ATTEMPTS - 1):
        try:
            return attempt()
        except HeldUp:
            continue
    return attempt()


def listen(pair: Pair, seed: int, steps: int) -> Listening:
    world = Listening(pair, Random(seed))
    try:
        everything = pb.WatchCreateRequest(key=b"\0", range_end=b"\0", watch_id=LISTENER)
        world.say(pb.WatchRequest(create_request=everything))
        for _ in range(steps):
            step(world)
        for key in KEYS:
            world.write(Call("Put", pb.PutRequest(key=key, value=b"the last")))
    finally:
        world.close()
    return world


@pytest.mark.timeout(600)
def test_watchers_are_told_the_same(pair: Pair, seed: int, request: pytest.FixtureRequest) -> None:
    share = int(request.config.getoption("--parity-ops")) // 120
    world = unless_held_up(lambda: listen(pair, seed, max(60, 10 * share)))
    assert not request.config.getoption("--long") or str(world.ears[0].heard()[MOURNER]).count("type: DELETE")
    heard = world.ears[0].heard()
    assert sum("the last" in text for text in heard[LISTENER]) == len(KEYS)
    told = [text for texts in heard.values() for text in texts]
    print(f"--parity-seed {seed}: {len(world.said)} requests of all kinds, {len(told)} events and answers")


@pytest.mark.parametrize("raw", [b"\xff\xff", b"\x0a\x05\x0a"])
def test_bytes_that_are_no_request_end_the_stream_alike(pair: Pair, raw: bytes) -> None:
    codes = []
    for side in pair.sides:
        with grpc.insecure_channel(side.member.target) as channel:
            stream = channel.stream_stream("/etcdserverpb.Watch/Watch")(iter([raw]))
            with pytest.raises(grpc.RpcError) as caught:
                next(stream)
            codes.append((caught.value.code(), caught.value.details().partition(" message")[0]))
    assert codes[0] == codes[1]
