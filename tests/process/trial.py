"""One member, everything that was written to it so far, and what it answered when it was last checked."""

import os
import random
import select
import signal
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import grpc

from etcdz.control.client import ask
from etcdz.proto import etcdserverpb as pb
from tests.etcd_process import Member
from tests.process import checker
from tests.process.checker import Contents, Summary
from tests.process.load import Load, Record, open_channel, unary

_ANSWER_MS: Final = 30_000
_LOOK_EVERY_S: Final = 0.02


class Trial:
    """A member under test, over all its restarts."""

    def __init__(self, member: Member, seed: int) -> None:
        self.member = member
        self.seed = seed
        self.random = random.Random(seed)
        self.record = Record()
        self.contents: Contents | None = None
        """As last read by verify."""

    def load(self, target: str = "", **options: Any) -> Load:
        """target: another than the member's own, for clients that are others"""
        return Load(target or self.member.target, self.record, self.seed, **options)

    def verify(self) -> Summary:
        """Holds the store against the record, and against what it answered the last time. raises CheckFailed"""
        with open_channel(self.member.target, long_running=True) as channel:
            grpc.channel_ready_future(channel).result(timeout=60)
            contents = checker.read_all(channel, self.random)
            before, self.contents = self.contents, contents
            if before is not None:
                self._check_goes_on(channel, before, contents)
        return checker.check(self.record, contents)

    def _check_goes_on(self, channel: grpc.Channel, before: Contents, after: Contents) -> None:
        """History is what it was, and nothing goes back."""
        again = checker.hash_kv(channel, before.revision)
        if again != before.hash_kv:
            raise checker.CheckFailed(f"HashKV at {before.revision} was {before.hash_kv}, is now {again}")
        for name in ("revision", "term", "raft_index"):
            if getattr(after, name) < getattr(before, name):
                raise checker.CheckFailed(f"{name} was {getattr(before, name)}, is now {getattr(after, name)}")

    def random_moment(
        self, load: Load, acknowledged: tuple[int, int] = (100, 1_500), wait_s: tuple[float, float] = (0.0, 0.02)
    ) -> None:
        """Some moment under load. The wait is no synchronisation: it takes the moment off the beat of the answers."""
        load.wait_acknowledged(load.acknowledged + self.random.randint(*acknowledged))
        threading.Event().wait(self.random.uniform(*wait_s))

    def crash(self, load: Load) -> None:
        """kill -9 of all processes at once, and the end of the load. On return none of them has a file open."""
        family = {process.pid for process in self.member.processes()}
        os.killpg(self.member.pid, signal.SIGKILL)
        load.stop()
        self.member.kill9()
        assert wait_gone(family, timeout_s=60) == set()

    # ---- single calls

    def put(self, key: bytes = b"put/probe", value: bytes = b"") -> Any:
        """One put by a client of its own. NB: not in the record; for stores that are not checked afterwards."""
        with open_channel(self.member.target, long_running=True) as channel:
            call = unary(channel, "KV/Put", pb.PutResponse)
            return call(pb.PutRequest(key=key, value=value), timeout=60, wait_for_ready=True)

    def get(self, key: bytes) -> Any:
        with open_channel(self.member.target, long_running=True) as channel:
            call = unary(channel, "KV/Range", pb.RangeResponse)
            return call(pb.RangeRequest(key=key), timeout=60, wait_for_ready=True)

    # ---- processes

    def actors(self) -> dict[str, dict[str, Any]]:
        """What `etcdz actors ps --json` says, by name. raises Refused: the member does not answer"""
        return actors_of(self.member.data_dir)

    def wait_restarted(self, before: dict[str, dict[str, Any]], name: str) -> dict[str, dict[str, Any]]:
        """The actors, once `name` is ready with a new process."""
        give_up_at = time.monotonic() + 60
        while True:
            now = self.actors()
            if now[name]["state"] == "ready" and now[name]["pid"] != before[name]["pid"]:
                return now
            if time.monotonic() > give_up_at:
                raise TimeoutError(f"{name} is not back: {now[name]}")
            threading.Event().wait(_LOOK_EVERY_S)


def actors_of(data_dir: Path) -> dict[str, dict[str, Any]]:
    """What `etcdz actors ps --json` says, by name, without its process. raises Refused: the member does not answer"""
    found = ask(str(data_dir), "ps", {}, answer_ms=_ANSWER_MS)
    return {row["name"]: row for row in found["actors"]}


def wait_gone(pids: Iterable[int], timeout_s: float) -> set[int]:
    """Waits until none of these processes runs; the ones that still do when the time is over.

    NB: by pidfd: these are not our children, and psutil would wait for a zombie that nobody reaps.
    """
    poll = select.poll()
    open_fds: dict[int, int] = {}
    for pid in pids:
        with suppress(ProcessLookupError):
            fd = os.pidfd_open(pid)
            open_fds[fd] = pid
            poll.register(fd, select.POLLIN)
    give_up_at = time.monotonic() + timeout_s
    is_over = False
    while open_fds and not is_over:  # looks at least once
        left_s = give_up_at - time.monotonic()
        is_over = left_s <= 0
        for fd, _ in poll.poll(max(0.0, left_s * 1000)):
            poll.unregister(fd)
            os.close(fd)
            del open_fds[fd]
    running = set(open_fds.values())
    for fd in open_fds:
        os.close(fd)
    return running
