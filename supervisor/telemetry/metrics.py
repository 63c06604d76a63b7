"""/metrics of a member: the figures of its actors, each asked once per scrape, and what its processes use."""

import os
import resource
import time
from typing import TYPE_CHECKING, Any

from etcdz.ipc.messages import Metrics, QueryMetrics
from supervisor.processes import process_usage

if TYPE_CHECKING:
    from etcdz.telemetry.metrics import Whole
    from supervisor.runtime.loop import Loop


def scrape(loop: "Loop", asked: QueryMetrics) -> None:
    """Asks all actors; the last answer, or the end of the patience with it, sends the text."""
    _Scrape(loop, asked)


class _Scrape:
    """One scrape: answered when every actor has answered, or has been given up."""

    def __init__(self, loop: "Loop", asked: QueryMetrics) -> None:
        self._loop = loop
        self._asked = asked
        self._found: list[dict[str, Any]] = []
        children = loop.lifecycle.listed()
        self._missing = len(children)
        now = time.monotonic()
        for child in children:
            loop.insight.queries.ask(child.name, child.incarnation, "metrics", {}, now, self._take)

    def _take(self, ok: bool, result: Any) -> None:
        if ok:
            self._found.append(result)
        self._missing -= 1
        if not self._missing:
            self._answer()

    def _answer(self) -> None:
        # NB: imported by the first scrape: it takes a tenth of a second, which no start should wait for.
        from etcdz.telemetry import metrics

        text = metrics.encode(use_of_all(self._loop), self._found)
        self._loop.links.send(self._asked.incarnation, Metrics(self._asked.seq, text))


def use_of_all(loop: "Loop") -> "Whole":
    """All processes of the member, those that have ended included in the CPU time. A limit is that of one of them."""
    from etcdz.telemetry.metrics import Whole

    pids = [os.getpid(), loop.spawner.pid, *(child.pid for child in loop.lifecycle.everyone() if child.pid is not None)]
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    memory = [process_usage.memory_bytes(pid) or (0, 0) for pid in pids]
    virtual_max = resource.getrlimit(resource.RLIMIT_AS)[0]
    return Whole(
        cpu_s=sum(process_usage.cpu_s(pid) or 0.0 for pid in pids) + ended.ru_utime + ended.ru_stime,
        rss_bytes=sum(rss for _, rss in memory),
        virtual_bytes=sum(virtual for virtual, _ in memory),
        virtual_bytes_max=float(virtual_max if virtual_max != resource.RLIM_INFINITY else 2**64 - 1),
        open_files=sum(process_usage.open_files(pid) or 0 for pid in pids),
        open_files_max=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        started_s=round(time.time() - (time.monotonic() - loop.began_at), 2),
    )
