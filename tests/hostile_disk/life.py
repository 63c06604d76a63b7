"""Lives of a member in this process: its real wal, raft and backend, on a directory that somebody has damaged.

What the supervisor does before it starts them is done too: the lock, and the look at what lies in the directory.
"""

import hashlib
import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest

from actors.runtime.loop import FatalError
from etcdz import limits
from etcdz.api.methods import COMPACT, DELETE_RANGE, PUT
from etcdz.config import MemberConfig
from etcdz.migration.errors import MigrationError
from etcdz.mvcc import index_pages
from etcdz.proto import etcdserverpb as pb
from etcdz.wal.log import LogOptions
from supervisor.runtime import data_dir, takeover
from supervisor.runtime.data_dir import DataDirError
from tests.actors.member_world import Client, World

STEPS_MAX = 20_000
SEGMENT_BYTES = 24_000
PAGE_BYTES = 16_000
SWITCH_BYTES = 60_000


REQUEST_METHODS = {pb.PutRequest: PUT, pb.DeleteRangeRequest: DELETE_RANGE, pb.CompactionRequest: COMPACT}


class Served(NamedTuple):
    """What a member shows of its data."""

    revision: int
    rows: list[tuple[bytes, bytes, int, int]]
    older: list[tuple[bytes, int]]
    """The same at a revision in the middle."""


class Refused(NamedTuple):
    """Why a member did not start."""

    reason: str


class Lives:
    """One after another, in directories that may change in between.

    max_wals   how many segments the log keeps beside those that it needs; 0: all
    """

    def __init__(self, max_wals: int) -> None:
        self.max_wals = max_wals
        self._seed = 0

    def config(self, directory: Path) -> MemberConfig:
        return MemberConfig(
            data_dir=str(directory),
            listeners=2,
            snapshot_count=60,
            max_wals=self.max_wals,
            unsafe_no_fsync=True,
            log_outputs=(os.devnull,),
        )

    def start(self, directory: Path, work: Callable[[World], None] | None = None) -> Served | Refused:
        """A whole life. work: what is done in it; then it ends as by kill -9."""
        config = self.config(directory)
        self._seed += 1
        for memory in directory.parent.glob("*.memory"):
            memory.unlink()  # it lives as long as the supervisor
        try:
            taken = data_dir.take(str(directory))
        except DataDirError as error:
            return Refused(str(error))
        try:
            takeover.find_work(config)
            with pytest.MonkeyPatch.context() as patch:
                shrink(patch)
                with closing(World(directory, self._seed, patch, config)) as world:
                    world.run_until(lambda: is_settled(world), STEPS_MAX)
                    if work is not None:
                        work(world)
                        world.run_until(lambda: is_settled(world), STEPS_MAX)
                    return served(world)
        except (FatalError, MigrationError) as error:
            return Refused(str(error))
        finally:
            taken.release()


def shrink(patch: pytest.MonkeyPatch) -> None:
    """Small files, so that there are several of each kind."""
    patch.setattr(limits, "BALLAST_BYTES", 4096)
    patch.setattr(limits, "CATCH_UP_ENTRIES", 20)
    patch.setattr(LogOptions.__new__, "__defaults__", (SEGMENT_BYTES, False))
    patch.setattr("actors.backend.opening.SWITCH_BYTES", SWITCH_BYTES)
    patch.setattr("actors.backend.opening.SWITCH_BYTES_MIN", SWITCH_BYTES)
    patch.setattr(index_pages, "PAGE_BYTES", PAGE_BYTES)
    patch.setattr(index_pages, "PAGE_BYTES_MIN", PAGE_BYTES // 4)
    patch.setattr(index_pages, "LARGE_BYTES", 1000)


def write(world: World, request: Any) -> None:
    """Handed to a listener, and answered at some time."""
    client = Client(b"")
    world.clients.append(client)
    listener: Any = world.alive["listener-1"].actor
    listener.calls.begin(client, 1, REQUEST_METHODS[type(request)], request.SerializeToString(), None)
    world.turn("listener-1")


def fill(world: World) -> None:
    """As fill_on, and a compaction in the middle."""
    fill_on(world, compacts=True)


def fill_on(world: World, compacts: bool = False) -> None:
    """Small and large values, and deletions."""
    random = Random(1 + compacts)
    for number in range(256):
        size = 2000 if number % 3 == 0 else 20
        write(world, pb.PutRequest(key=b"k%d" % random.randrange(70), value=random.randbytes(size)))
        if number % 30 == 29:
            write(world, pb.DeleteRangeRequest(key=b"k1", range_end=b"k2"))
        if number == 150 and compacts:
            world.run_until(lambda: is_settled(world), STEPS_MAX)
            backend: Any = world.alive["backend"].actor
            write(world, pb.CompactionRequest(revision=backend.mvcc.state.revision - 10))
            world.run_until(lambda: is_settled(world), STEPS_MAX)
            while not backend.mvcc.compaction.step(30):
                pass
        for _ in range(4):
            world.step(may_kill=False, may_put=False)


def is_settled(world: World) -> bool:
    """Raft leads, nothing waits, and all of the log is applied."""
    wal: Any = world.alive["wal"].actor
    backend: Any = world.alive["backend"].actor
    raft = world.alive["raft"].actor
    return (
        bool(raft.summary().get("delegated"))
        and backend.raft.applied_index == wal.log_file.last_index
        and not world.unanswered()
    )


def served(world: World) -> Served:
    backend: Any = world.alive["backend"].actor
    everything = {"key": b"\0", "range_end": b"\0"}
    now = pb.RangeResponse.FromString(backend.mvcc.range(pb.RangeRequest(**everything))[2])
    middle = (max(backend.mvcc.state.compact_revision, 1) + now.header.revision) // 2
    then = pb.RangeResponse.FromString(backend.mvcc.range(pb.RangeRequest(revision=middle, **everything))[2])
    return Served(
        now.header.revision,
        [(kv.key, kv.value, kv.mod_revision, kv.version) for kv in now.kvs],
        [(kv.key, kv.mod_revision) for kv in then.kvs],
    )


def hashes(directory: Path) -> dict[str, str]:
    """Of everything in member/ and below: what lies beside it says who came by."""
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((directory / "member").rglob("*"))
        if path.is_file()
    }
