"""check perf, check datascale: puts of many clients at once, and whether the cluster bears them."""

import asyncio
import random
import ssl
import statistics
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Final, NamedTuple

from etcdz.cli.command_tree import CommandError, Values
from etcdz.cli.ctl.exits import BAD_FEATURE, INVALID_INPUT
from etcdz.cli.ctl.session import Session, as_given, said
from etcdz.client.aio import Client
from etcdz.client.errors import EtcdError
from etcdz.client.options import Options
from etcdz.config.literals import quote

_NAMES: Final = {"s": "s", "small": "s", "m": "m", "medium": "m", "l": "l", "large": "l", "xl": "xl", "xLarge": "xl"}
_UPKEEP_S: Final = 30.0
_MIB: Final = 1 << 20
_MEMORY: Final = "process_resident_memory_bytes"


class Load(NamedTuple):
    """limit: puts a second, or in all; duration_s: 0, until all are done."""

    limit: int
    clients: int
    duration_s: float = 0.0


PERF: Final = {
    "s": Load(150, 50, 60),
    "m": Load(1000, 200, 60),
    "l": Load(8000, 500, 60),
    "xl": Load(15000, 1000, 60),
}
DATASCALE: Final = {
    "s": Load(10_000, 50),
    "m": Load(100_000, 200),
    "l": Load(1_000_000, 500),
    "xl": Load(3_000_000, 1000),
}


class _Puts:
    """What came of the puts. seconds: of each that was answered; errors: text -> number"""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.errors: Counter[str] = Counter()
        self.began = time.monotonic()
        self.took_s = 0.0

    @property
    def rate(self) -> float:
        return len(self.seconds) / self.took_s if self.took_s else 0.0


class _Bar:
    """How far it is, on a terminal alone."""

    def __init__(self, total: float) -> None:
        self._total = total
        self._shown = -1

    def show(self, done: float) -> None:
        percent = min(100, int(done / self._total * 100))
        if percent != self._shown and sys.stderr.isatty():
            self._shown = percent
            sys.stderr.write(f"\r[{'=' * (percent // 2):50}] {percent} %")
            sys.stderr.flush()

    def end(self) -> None:
        if self._shown >= 0:
            sys.stderr.write("\n")


def _load(values: Values, loads: dict[str, Load]) -> Load:
    """raises CommandError"""
    if values["load"] not in _NAMES:
        raise CommandError(f"unknown load option {values['load']}", BAD_FEATURE)
    return loads[_NAMES[values["load"]]]


# ---- perf ----


def perf(arguments: list[str], values: Values) -> int:
    load = _load(values, PERF)
    session = Session(values)
    prefix = as_given(values["prefix"])
    hint = f"Delete with 'etcdctl del --prefix {values['prefix']}' first"
    bar = _Bar(load.duration_s)

    async def tickets() -> AsyncIterator[None]:
        """One for each put, at most `limit` a second: what is late is not made up for."""
        began = due = time.monotonic()
        while (now := time.monotonic()) < began + load.duration_s:
            bar.show(now - began)
            due = max(now, due) + 1 / load.limit
            yield
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    puts = _run(session, values, prefix, load, tickets, _entries(prefix, 256, 1024), hint)
    bar.end()
    return _judge(puts, load)


def _judge(puts: _Puts, load: Load) -> int:
    """return the exit status."""
    slowest = max(puts.seconds, default=0.0)
    spread = statistics.pstdev(puts.seconds) if puts.seconds else 0.0
    rate = int(puts.rate) + 1
    checks = (
        (puts.rate / load.limit > 0.9, f"Throughput is {rate} writes/s", f"FAIL: Throughput too low: {rate} writes/s"),
        (slowest <= 0.5, f"Slowest request took {slowest:f}s", f"Slowest request took too long: {slowest:f}s"),
        (spread <= 0.1, f"Stddev is {spread:f}s", f"Stddev too high: {spread:f}s"),
    )
    lines = _failures(puts)
    lines += [f"PASS: {good}" if is_good else bad for is_good, good, bad in checks]
    passed = not puts.errors and all(is_good for is_good, _, _ in checks)
    sys.stdout.write("\n".join([*lines, "PASS" if passed else "FAIL"]) + "\n")
    return 0 if passed else 1


def _failures(puts: _Puts) -> list[str]:
    if not puts.errors:
        return []
    return ["FAIL: too many errors", *[f"FAIL: ERROR({text}) -> {number}" for text, number in puts.errors.items()]]


# ---- datascale ----


def datascale(arguments: list[str], values: Values) -> int:
    load = _load(values, DATASCALE)
    session = Session(values)
    prefix = as_given(values["prefix"])
    before = _memory(session.endpoints[0], session.options)
    sys.stdout.write(
        f"Start data scale check for work load [{load.limit} key-value pairs, 1024 bytes per key-value, "
        f"{load.clients} concurrent clients].\n"
    )
    bar = _Bar(load.limit)

    async def tickets() -> AsyncIterator[None]:
        for number in range(load.limit):
            bar.show(number)
            yield

    after: list[float] = []

    def measure() -> None:
        after.append(_memory(session.endpoints[0], session.options))

    hint = f"Delete with etcdctl del --prefix {values['prefix']} first"
    puts = _run(session, values, prefix, load, tickets, _entries(prefix, 512, 512), hint, measure)
    bar.end()
    if puts.errors:
        sys.stdout.write("\n".join(_failures(puts)) + "\n")
        return 1
    sys.stdout.write(f"PASS: Approximate system memory used : {(after[0] - before) / _MIB:.2f} MB.\n")
    return 0


def _memory(endpoint: str, options: Options) -> float:
    """Bytes that the member holds, by its /metrics. raises CommandError: it does not say"""
    tls = options.tls
    url = endpoint if "://" in endpoint else f"{'https' if options.endpoints[0].is_secure else 'http'}://{endpoint}"
    context = None
    try:
        if url.startswith("https"):
            from etcdz.client.dialling import make_context

            context = make_context(tls)
            context.set_alpn_protocols(["http/1.1"])
        with urllib.request.urlopen(f"{url}/metrics", timeout=options.timeout_s, context=context) as answer:
            for line in answer.read().decode().splitlines():
                if line.startswith(f"{_MEMORY} "):
                    return float(line.split()[1])
        why = f"could not find: {_MEMORY}"
    except (OSError, ssl.SSLError, ValueError) as error:
        why = f"fetch error: {error}"
    raise CommandError(f"could not read {_MEMORY}: {why}")


# ---- puts ----


def _entries(prefix: bytes, key_bytes: int, value_bytes: int) -> Callable[[], tuple[bytes, bytes]]:
    def entry() -> tuple[bytes, bytes]:
        return prefix + random.randbytes(9).ljust(key_bytes, b"\0"), bytes(value_bytes)

    return entry


def _run(
    session: Session,
    values: Values,
    prefix: bytes,
    load: Load,
    tickets: Callable[[], AsyncIterator[None]],
    entry: Callable[[], tuple[bytes, bytes]],
    hint: str,
    measure: Callable[[], None] | None = None,
) -> _Puts:
    """Puts, and cleans up behind them. measure: called between the two. raises CommandError"""

    async def work() -> _Puts:
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(Client(session.options)) for _ in range(load.clients)]
            if await clients[0].count(prefix=prefix):
                raise CommandError(f"prefix {quote(values['prefix'])} has keys. {hint}", INVALID_INPUT)
            try:
                puts = await _put_all(clients, tickets(), entry)
                if measure is not None:
                    await asyncio.to_thread(measure)
            finally:
                await _clean_up(clients[0], prefix, values)
            if values["auto-defrag"] == "true":
                await _defragment(session)
        return puts

    try:
        return asyncio.run(work())
    except EtcdError as error:
        raise CommandError(said(error)) from None


async def _put_all(
    clients: list[Client], tickets: AsyncIterator[None], entry: Callable[[], tuple[bytes, bytes]]
) -> _Puts:
    puts, free = _Puts(), asyncio.Queue[Client]()
    for client in clients:
        free.put_nowait(client)
    running: set[asyncio.Task[None]] = set()

    async def put(client: Client) -> None:
        began = time.monotonic()
        try:
            await client.put(*entry(), timeout=0)
            puts.seconds.append(time.monotonic() - began)
        except EtcdError as error:
            puts.errors[said(error)] += 1
        free.put_nowait(client)

    async for _ in tickets:
        task = asyncio.create_task(put(await free.get()))
        running.add(task)
        task.add_done_callback(running.discard)
    await asyncio.gather(*running)
    puts.took_s = time.monotonic() - puts.began
    return puts


async def _clean_up(client: Client, prefix: bytes, values: Values) -> None:
    try:
        revision = (await client.delete(prefix=prefix, timeout=_UPKEEP_S)).revision
    except EtcdError as error:
        sys.stdout.write(f"FAIL: Cleanup failed during key deletion: ERROR({said(error)})\n")
        return
    if values["auto-compact"] == "true":
        sys.stdout.write(f"Compacting with revision {revision}\n")
        await client.compact(revision, physical=True, timeout=_UPKEEP_S)
        sys.stdout.write(f"Compacted with revision {revision}\n")


async def _defragment(session: Session) -> None:
    for endpoint in session.endpoints:
        sys.stdout.write(f"Defragmenting {quote(endpoint)}\n")
        async with Client(session.at(endpoint).options) as client:
            await client.maintenance.defragment(timeout=_UPKEEP_S)
        sys.stdout.write(f"Defragmented {quote(endpoint)}\n")
