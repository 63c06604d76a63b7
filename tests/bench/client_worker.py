"""One client library doing one thing, in the interpreter that has it: run by tests.bench.clients.

    python client_worker.py LIBRARY HOST:PORT OPERATION CALLS TASKS      one line: calls/s, CPU us per call

NB: it imports nothing of this repository but the client, so that it runs where nothing else of it is installed.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

WARM_UP = 200


def measure(calls: int, run: Callable[[int], None]) -> tuple[float, float]:
    """(calls/s, CPU us per call), of user and system."""
    run(min(WARM_UP, calls))
    began, used = time.perf_counter(), time.process_time()
    run(calls)
    used, took = time.process_time() - used, time.perf_counter() - began
    return calls / took, used / calls * 1e6


# ---- one thread ----


def _repeat(call: Callable[[], Any]) -> Callable[[int], None]:
    def run(calls: int) -> None:
        for _ in range(calls):
            call()

    return run


def etcdz_threads(host: str, port: int, operation: str) -> Callable[[int], None]:
    import etcdz

    db = etcdz.connect(f"{host}:{port}")
    return _repeat((lambda: db.put("k", "v")) if operation == "put" else (lambda: db.get("k")))


def etcd3_threads(host: str, port: int, operation: str) -> Callable[[int], None]:
    import etcd3

    db = etcd3.client(host, port)
    return _repeat((lambda: db.put("k", "v")) if operation == "put" else (lambda: db.get("k")))


# ---- tasks ----


async def _spread(call: Callable[[], Awaitable[Any]], calls: int, tasks: int) -> None:
    async def work() -> None:
        for _ in range(calls // tasks):
            await call()

    await asyncio.gather(*[work() for _ in range(tasks)])


async def _tasks(call: Callable[[], Awaitable[Any]], calls: int, tasks: int) -> tuple[float, float]:
    await _spread(call, tasks, tasks)
    began, used = time.perf_counter(), time.process_time()
    await _spread(call, calls, tasks)
    used, took = time.process_time() - used, time.perf_counter() - began
    return calls / took, used / calls * 1e6


async def etcdz_tasks(host: str, port: int, operation: str, calls: int, tasks: int) -> tuple[float, float]:
    from etcdz.client import aio

    async with aio.connect(f"{host}:{port}") as db:
        return await _tasks((lambda: db.put("k", "v")) if operation == "put" else (lambda: db.get("k")), calls, tasks)


async def aetcd_tasks(host: str, port: int, operation: str, calls: int, tasks: int) -> tuple[float, float]:
    import aetcd

    async with aetcd.Client(host, port) as db:
        if operation == "put":
            return await _tasks(lambda: db.put(b"k", b"v"), calls, tasks)
        return await _tasks(lambda: db.get(b"k"), calls, tasks)


THREADS = {"etcdz": etcdz_threads, "etcd3": etcd3_threads}
TASKS = {"etcdz": etcdz_tasks, "aetcd": aetcd_tasks}


def main(words: list[str]) -> None:
    library, address, operation, calls, tasks = words
    host, port = address.rsplit(":", 1)
    if int(tasks):
        found = asyncio.run(TASKS[library](host, int(port), operation, int(calls), int(tasks)))
    else:
        found = measure(int(calls), THREADS[library](host, int(port), operation))
    print(f"{found[0]:.1f} {found[1]:.1f}")


if __name__ == "__main__":
    main(sys.argv[1:])
