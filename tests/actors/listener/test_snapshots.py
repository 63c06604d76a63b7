"""Maintenance.Snapshot: the process's pipe as messages, no faster than the client reads, and every way to its end."""

import asyncio
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from actors.listener import snapshots
from actors.listener.identities import Credentials
from actors.listener.snapshot_slots import SnapshotSlots
from actors.listener.snapshots import BLOB_BYTES, Snapshots
from etcdz.api.errors import REQUEST_TOO_MANY_REQUESTS, STOPPED, Code
from etcdz.limits import SNAPSHOT_SIZE_BYTES as SIZE_BYTES
from etcdz.proto import etcdserverpb as pb
from tests.actors.listener.host import make_gate

FILE = bytes(range(256)) * 300  # two blobs and a part of a third
SUM = hashlib.sha256(FILE).digest()
SHORT = len(b"file").to_bytes(SIZE_BYTES, "big") + b"file" + hashlib.sha256(b"file").digest()
WHOLE = len(FILE).to_bytes(SIZE_BYTES, "big") + FILE + SUM


class Process:
    """In place of a Popen: the test writes what it says, and says when it ends."""

    def __init__(self) -> None:
        self.ends: list[int] = []
        self.stdout, self._out = self._pipe()
        self.stderr, self._error = self._pipe()
        self.stdin = None
        self.status: int | None = None
        self.killed = False

    def _pipe(self) -> tuple[Any, int]:
        reading, writing = os.pipe()
        self.ends.append(writing)
        return os.fdopen(reading, "rb", buffering=0), writing

    def say(self, data: bytes) -> None:
        os.write(self._out, data)

    def fail(self, reason: bytes) -> None:
        os.write(self._error, reason)
        self.end()

    def end(self) -> None:
        while self.ends:
            os.close(self.ends.pop())

    def poll(self) -> int | None:
        return self.status

    def kill(self) -> None:
        self.killed = True
        self.status = -9


class Call:
    """In place of a StreamCall. clogs_after: how many messages the client takes before it stalls"""

    def __init__(self, clogs_after: int = 1000) -> None:
        self.connection = self
        self.credentials = Credentials()
        self.common_name = ""
        self.messages: list[pb.SnapshotResponse] = []
        self.ended: tuple[int, str] | None = None
        self.on_gone: Callable[[], None] = lambda: None
        self.clogs_after = clogs_after

    @property
    def is_open(self) -> bool:
        return self.ended is None

    @property
    def is_clogged(self) -> bool:
        return self.ended is None and len(self.messages) >= self.clogs_after

    def send(self, message: bytes) -> None:
        self.messages.append(pb.SnapshotResponse.FromString(message))

    def finish(self, code: int = 0, text: str = "") -> None:
        self.ended = (code, text)
        self.on_gone()

    def flush(self) -> None:
        pass


class World:
    """The service with a process of the test's; `until` runs its event loop."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.event_loop = asyncio.new_event_loop()
        self.log = self
        self.warnings: list[str] = []
        self.service = Snapshots(self, Path("nowhere"), make_gate())
        self.process = Process()
        patch.setattr(self.service, "start", self._start)

    def _start(self) -> Any:
        return self.process

    def fail(self, error: Exception) -> None:
        raise error

    def warn(self, msg: str, reason: str) -> None:
        self.warnings.append(reason)

    def open(self, call: Call) -> Any:
        stream = self.service(call)  # type: ignore[arg-type]
        call.on_gone = stream.on_gone
        stream.on_message(b"")
        return stream

    def until(self, is_true: Callable[[], bool]) -> None:
        async def wait() -> None:
            while not is_true():
                await asyncio.sleep(0.001)

        self.event_loop.run_until_complete(asyncio.wait_for(wait(), 240))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = World(monkeypatch)
    yield made
    made.process.end()
    made.event_loop.close()


def test_the_file_comes_in_blobs_that_say_what_is_left_and_then_its_sum(world: World) -> None:
    call = Call()
    world.open(call)
    for at in range(0, len(WHOLE), 10_000):
        world.process.say(WHOLE[at : at + 10_000])
        world.event_loop.run_until_complete(asyncio.sleep(0))
    world.until(lambda: call.ended is not None)
    assert b"".join(message.blob for message in call.messages[:-1]) == FILE
    left = [max(0, len(FILE) - BLOB_BYTES * n) for n in (1, 2, 3)]
    assert [message.remaining_bytes for message in call.messages] == [*left, 0]
    assert (call.messages[-1].blob, call.ended) == (SUM, (0, ""))


def test_while_the_client_stalls_the_pipe_is_not_read(world: World) -> None:
    call = Call(clogs_after=1)
    stream = world.open(call)
    world.process.say(WHOLE[: SIZE_BYTES + BLOB_BYTES])
    world.until(lambda: len(call.messages) == 1)
    world.process.say(WHOLE[SIZE_BYTES + BLOB_BYTES : SIZE_BYTES + 2 * BLOB_BYTES])
    world.event_loop.run_until_complete(asyncio.sleep(0))
    assert len(call.messages) == 1
    call.clogs_after = 1000
    stream.on_writable()
    world.until(lambda: len(call.messages) == 2)
    stream.on_drain()
    assert call.ended == (STOPPED.code, STOPPED.text)


def test_a_process_that_fails_says_why_with_its_last_line(world: World) -> None:
    call = Call()
    world.open(call)
    world.process.say(WHOLE[:100])
    world.process.fail(b"a warning\nno space left\n")
    world.until(lambda: call.ended is not None)
    assert call.ended == (Code.UNKNOWN, "snapshot failed: no space left")
    assert world.warnings == ["no space left"]


def test_a_client_that_goes_ends_the_process(world: World) -> None:
    world.open(Call()).on_gone()
    assert world.process.stdout.closed
    assert world.service.slots.taken == 1, "it has not ended yet"
    world.process.status = 1
    world.until(lambda: world.service.slots.taken == 0)
    assert not world.process.killed


def test_a_process_that_does_not_end_is_killed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "END_S", 0.0)
    world.open(Call()).on_gone()
    assert world.process.killed
    world.until(lambda: world.service.slots.taken == 0)


def test_beyond_the_slots_they_wait_and_beyond_that_they_are_refused(world: World) -> None:
    world.service.slots = SnapshotSlots(1, 1, 0.0)
    first, second, third = Call(), Call(), Call()
    streams = [world.open(call) for call in (first, second, third)]
    assert (first.ended, second.ended) == (None, None)
    assert third.ended == (REQUEST_TOO_MANY_REQUESTS.code, REQUEST_TOO_MANY_REQUESTS.text)
    world.process.status = 0
    first_process, world.process = world.process, Process()
    streams[0].on_gone()
    world.process.say(SHORT)
    world.until(lambda: second.ended is not None)
    assert second.ended == (0, "")
    first_process.end()


def test_a_client_that_does_not_read_is_ended_for_one_that_waits(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "LOOK_S", 0.0)
    world.service.slots = SnapshotSlots(1, 1, 0.0)
    stalled, waiting = Call(clogs_after=1), Call()
    world.open(stalled)
    world.process.say(WHOLE[: SIZE_BYTES + BLOB_BYTES])
    world.until(lambda: len(stalled.messages) == 1)
    world.open(waiting)
    world.process.status = 0
    stalled_process, world.process = world.process, Process()
    world.process.say(SHORT)
    world.until(lambda: waiting.ended is not None)
    assert waiting.ended == (0, "")
    assert stalled.ended is not None and stalled.ended[0] == Code.RESOURCE_EXHAUSTED
    assert world.warnings == ["its client does not read, and others wait"]
    stalled_process.end()


def test_a_request_that_is_none_and_none_at_all(world: World) -> None:
    bad, none = Call(), Call()
    world.service(bad).on_message(b"\xff")  # type: ignore[arg-type]
    world.service(none).on_end()  # type: ignore[arg-type]
    assert bad.ended is not None and bad.ended[0] == Code.INTERNAL
    assert none.ended == (Code.UNKNOWN, "EOF")
