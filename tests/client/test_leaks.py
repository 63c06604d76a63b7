"""Clients that are opened and closed again and again leave no thread, no descriptor and no memory behind."""

import asyncio
import ctypes
import gc
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import etcdz
from etcdz.client import aio
from tests.cluster_process import until
from tests.etcd_process import Etcdz

pytestmark = pytest.mark.process

WARM, ROUNDS, ROUNDS_LONG = 50, 100, 1_000
GROWTH_BYTES = 4 << 20
"""Of the process, at most, by whatever it does. A client that were left would take 50,000 and more."""


def _use(target: str) -> None:
    with etcdz.connect(target) as db, db.watch("k") as events, db.mirror(prefix="m"):
        db.put("k", "v")
        assert events.get(120).text == "v"


def _use_with_asyncio(target: str) -> None:
    async def work() -> None:
        async with aio.connect(target) as db, db.watch("k") as events, db.mirror(prefix="m"):
            await db.put("k", "v")
            assert (await events.get(120)).text == "v"

    asyncio.run(work())


def _rss_bytes() -> int:
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _fds() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("use", [_use, _use_with_asyncio])
def test_nothing_is_left(use: Callable[[str], None], tmp_path: Path, request: pytest.FixtureRequest) -> None:
    is_long = request.config.getoption("--long", default=False)
    rounds = ROUNDS_LONG if is_long else ROUNDS
    with Etcdz(tmp_path) as member:
        for _ in range(WARM):
            use(member.target)
        threads, fds, rss = threading.active_count(), _fds(), _rss_bytes()
        for _ in range(rounds):
            use(member.target)
        until(lambda: threading.active_count() <= threads, 60, lambda: str(threading.enumerate()))
        until(lambda: _fds() <= fds, 60, lambda: f"{fds} before")
        grown = _rss_bytes() - rss
        print(f"{grown} bytes after {rounds} clients")
        assert grown < GROWTH_BYTES
