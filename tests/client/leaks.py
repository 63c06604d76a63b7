"""Opens and closes clients again and again in a process of its own, and says what they have left in it.

    python -m tests.client.leaks TARGET threads|asyncio ROUNDS      prints how many bytes the process has grown by

It ends with an error if a thread or a descriptor is left.
"""

import asyncio
import ctypes
import gc
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import etcdz
from etcdz.client import aio
from tests.cluster_process import until
from tests.descriptors import open_links

WARM: Final = 30
WAIT_S: Final = 60
EVENT_S: Final = 120


def use(target: str) -> None:
    with etcdz.connect(target) as db, db.watch("k") as events, db.mirror(prefix="m"):
        db.put("k", "v")
        assert events.get(EVENT_S).text == "v"


def use_with_asyncio(target: str) -> None:
    async def work() -> None:
        async with aio.connect(target) as db, db.watch("k") as events, db.mirror(prefix="m"):
            await db.put("k", "v")
            assert (await events.get(EVENT_S)).text == "v"

    asyncio.run(work())


USES: Final[dict[str, Callable[[str], None]]] = {"threads": use, "asyncio": use_with_asyncio}


def rss_bytes() -> int:
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main(target: str, how: str, rounds: int) -> None:
    for _ in range(WARM):
        USES[how](target)
    threads, links, rss = threading.active_count(), len(open_links()), rss_bytes()
    for _ in range(rounds):
        USES[how](target)
    until(lambda: threading.active_count() <= threads, WAIT_S, lambda: str(threading.enumerate()))
    until(lambda: len(open_links()) <= links, WAIT_S, lambda: f"{links} before, {open_links()}")
    print(rss_bytes() - rss)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
