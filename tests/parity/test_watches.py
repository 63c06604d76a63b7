"""Random interleavings of writes, compactions and watches: both members tell their watchers the same.

What is compared is what a watcher is told, in its order, not how many responses carry it: etcd sends one per
transaction, etcdz one per batch. Control answers (created, cancelled, compacted) are compared field by field.
"""

import queue
import threading
from random import Random
from typing import Any

import grpc
import pytest

from etcdz.proto import etcdserverpb as pb
from tests.parity.calls import Call
from tests.parity.pair import Pair, Side

KEYS = [b"a", b"b", b"c", b"aa", b"ab", b"d\0"]
ENDS = [b"", b"", b"\0", b"b", b"c", b"a", b"\xff"]
PROBE = 1_000
_WAIT_S = 20


class Ear:
    """One watch stream to one member, and all that came on it."""

    def __init__(self, side: Side, changed: threading.Condition) -> None:
        self._requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._channel = grpc.insecure_channel(side.member.target)
        self._stream = self._channel.stream_stream("/etcdserverpb.Watch/Watch")(iter(self._requests.get, None))
        self.changed = changed
        self.answers = 0
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
        with self.changed:
            told = self.events.setdefault(response.watch_id, [])
            told += [str(event) for event in response.events]
            if not response.events:
                told.append(str(response))
            self.answers += response.created
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

    def write(self, call: Call) -> None:
        answer = self.pair.compare(call, self.base, self.done)
        self.done.append(call)
        self.said.append(repr(call))
        if answer.message is not None and call.name != "Compact":
            self.newest = answer.message.header.revision - self.base + 1
        self.agree()

    def say(self, request: Any) -> None:
        self.said.append(str(request).replace("\n", " "))
        for ear in self.ears:
            ear.say(request)
        self.created += request.HasField("create_request")
        for ear in self.ears:
            assert ear.wait(lambda ear=ear: ear.answers >= self.created), self.story()
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
        random = self.random
        relative = random.choice([0, 0, random.randint(1, self.newest), self.newest + random.randint(0, 3)])
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
        self.say(pb.WatchRequest(create_request=request))
        if 0 < relative <= self.newest:
            self.catch_up()

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


def step(world: Listening) -> None:
    random = world.random
    key, end = random.choice(KEYS), random.choice(ENDS)
    match random.choice(["put"] * 5 + ["txn", "delete", "delete range", "compact", "create", "create", "cancel"]):
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


@pytest.mark.timeout(600)
def test_watchers_are_told_the_same(pair: Pair, seed: int, request: pytest.FixtureRequest) -> None:
    share = int(request.config.getoption("--parity-ops")) // 120
    world = Listening(pair, Random(seed))
    try:
        for _ in range(max(60, 8 * share)):
            step(world)
        for key in KEYS:
            world.write(Call("Put", pb.PutRequest(key=key, value=b"the last")))
    finally:
        world.close()
    told = [text for texts in world.ears[0].heard().values() for text in texts]
    assert sum("mod_revision" in text for text in told) > 50
    print(f"--parity-seed {seed}: {len(told)} events and answers")


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
