"""All processes of a run: start them, let them begin together, watch, gather what they measured.

They are forked before anything here starts a thread, and share a counter of requests given out and a row of counters of
requests done.
"""

import multiprocessing
import os
import signal
from array import array
from collections import Counter
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from types import FrameType, TracebackType
from typing import Any, Final, NamedTuple, Self

from etcdz.cli.bench.generator import Failed, Go, Ready, Result, Share, Stop, clock, run
from etcdz.cli.bench.options import Options
from etcdz.cli.bench.supply import piece_of
from etcdz.cli.bench.workload import (
    KeepAlives,
    Puts,
    Ranges,
    TxnMixed,
    TxnPuts,
    Workload,
    pool_bytes,
    range_body,
)

_POLL_S: Final = 0.2

_context = multiprocessing.get_context("fork")


class BenchFailed(Exception):
    """There is no measurement; the text is for the user."""


class Measured(NamedTuple):
    """Of all processes together. latencies: for each kind of request."""

    seconds: float
    latencies: dict[str, "array[float]"]
    errors: Counter[str]
    cpu_s: float
    lost: list[str]


class Interrupt:
    """Notices SIGINT and SIGTERM, once; the second one does what it always does. Use as a context manager."""

    def __init__(self) -> None:
        self.came = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._notice)
        return self

    def _notice(self, _number: int, _frame: FrameType | None) -> None:
        self.came = True
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._restore()


class Team:
    """The processes. Use as a context manager: none outlives it."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._next = _context.Value("q", 0)
        self._done = _context.RawArray("q", options.processes)
        self._make_workload = workload_maker(options)
        self._processes: list[Any] = []
        self._pipes: list[Connection] = []
        self.start = 0.0

    def __enter__(self) -> Self:
        for index in range(self._options.processes):
            parents_end, childs_end = _context.Pipe()
            process = _context.Process(target=self._run, args=(index, childs_end, parents_end), daemon=True)
            process.start()
            childs_end.close()
            self._processes.append(process)
            self._pipes.append(parents_end)
        return self

    def _run(self, index: int, control: Connection, parents_end: Connection) -> None:
        """In the child. NB: a copy of the parent's end would keep the pipe open when the parent dies."""
        for pipe in [*self._pipes, parents_end]:
            pipe.close()
        run(self._share(index), control)

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.join()

    @property
    def done(self) -> int:
        """Calls that have ended, of all processes."""
        return sum(self._done)

    def measure(self, interrupt: Interrupt, every: Callable[[float], None]) -> Measured:
        """The run. every: called a few times a second, with the seconds since the start. raises BenchFailed"""
        self._gather(Ready, interrupt, lambda: None)
        self.start = clock()
        if interrupt.came:
            return Measured(0.0, {}, Counter(), 0.0, [])
        self._tell(Go(self.start))
        results = self._gather(Result, interrupt, lambda: every(clock() - self.start))
        return self._merge(results)

    def _gather(self, kind: type, interrupt: Interrupt, every: Callable[[], None]) -> list[Any]:
        """One message of this kind from each. raises BenchFailed"""
        waiting = list(self._pipes)
        gathered: list[Any] = []
        stopped = False
        while waiting:
            if interrupt.came and kind is Ready:
                return gathered
            if interrupt.came and not stopped:
                self._tell(Stop())
                stopped = True
            for pipe in wait(waiting, _POLL_S):
                assert isinstance(pipe, Connection)
                gathered.append(self._receive(pipe, kind))
                waiting.remove(pipe)
            every()
        return gathered

    def _receive(self, pipe: Connection, kind: type) -> Any:
        try:
            message = pipe.recv()
        except (EOFError, OSError):
            raise BenchFailed("a process of the load generator has ended unexpectedly") from None
        if isinstance(message, Failed):
            raise BenchFailed(f"cannot connect to {message.text}")
        assert isinstance(message, kind), message
        return message

    def _tell(self, message: Go | Stop) -> None:
        for pipe in self._pipes:
            try:
                pipe.send(message)
            except OSError:
                continue  # it has ended; _receive notices

    def _merge(self, results: list[Result]) -> Measured:
        latencies: dict[str, array[float]] = {kind: array("d") for kind in self._make_workload(lambda: 0.0).kinds}
        errors: Counter[str] = Counter()
        for result in results:
            errors.update(result.errors)
            for merged, some in zip(latencies.values(), result.latencies, strict=True):
                merged.extend(some)
        seconds = max(result.ended for result in results) - self.start
        lost = [text for result in results for text in result.lost]
        return Measured(seconds, latencies, errors, sum(result.cpu_s for result in results), lost)

    # ---- the share of each process ----

    def _share(self, index: int) -> Share:
        options = self._options
        count = len(options.endpoints)
        each, more = divmod(options.clients, options.conns)
        mine = range(index, options.conns, options.processes)
        return Share(
            index,
            options.endpoints,
            [(conn % count, each + (conn < more)) for conn in mine],
            self._make_workload,
            self._draw,
            piece_of(options.total, options.processes, bool(options.rate)),
            options.rate,
            options.dial_timeout_s,
            self._done,
        )

    def _draw(self, count: int) -> tuple[int, int]:
        """The next request numbers that no process has yet."""
        with self._next.get_lock():
            lo = self._next.value
            hi = self._next.value = min(lo + count, self._options.total)
            return lo, hi


def workload_maker(options: Options) -> Callable[[Callable[[], float]], Workload]:
    """A function that makes the workload, given a source of random numbers from 0 to 1. The pool of values is made now,
    once for all processes."""
    pool = os.urandom(pool_bytes(options.val_size))
    size, space = options.key_size, options.key_space

    def make(random: Callable[[], float]) -> Workload:
        if options.command == "lease-keepalive":
            return KeepAlives(options.lease_ids)
        if options.command == "put":
            return Puts(size, pool, space, options.sequential, random)
        if options.command == "txn-put":
            return TxnPuts(size, pool, space, options.txn_ops)
        asked = range_body(
            options.key,
            options.end,
            limit=options.limit,
            serializable=options.serializable,
            keys_only=options.keys_only,
            count_only=options.count_only,
        )
        if options.command == "range":
            return Ranges(asked)
        return TxnMixed(asked, TxnPuts(size, pool, space, 1), options.read_share, random)

    return make
