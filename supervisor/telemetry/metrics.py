"""/metrics of a member: the figures of its actors, each asked once per scrape, and what its processes use."""

import os
import resource
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from supervisor.children.child import Child
from supervisor.processes import process_usage
from supervisor.telemetry.queries import Queries

if TYPE_CHECKING:
    from etcdz.telemetry.metrics import Whole


class Scrape:
    """One scrape: answered when every actor has answered, or has not in time."""

    def __init__(
        self,
        listed: Sequence[Child],
        queries: Queries,
        use: Callable[[], "Whole"],
        answer: Callable[[bytes], None],
    ) -> None:
        """Asks all actors at once.

        listed  the actors
        use     what the processes use, when the answers are there
        answer  called once, with the body of /metrics
        """
        self._use = use
        self._answer = answer
        self._found: list[dict[str, Any]] = []
        self._missing = len(listed)
        now = time.monotonic()
        for child in listed:
            queries.ask(child.name, child.incarnation, "metrics", {}, now, self._take)

    def _take(self, ok: bool, result: Any) -> None:
        if ok:
            self._found.append(result)
        self._missing -= 1
        if not self._missing:
            # NB: imported by the first scrape: it takes a tenth of a second, which no start should wait for.
            from etcdz.telemetry import metrics

            self._answer(metrics.encode(self._use(), self._found))


def use_of_all(pids: Iterable[int], began_at: float) -> "Whole":
    """What all processes of the member use, those that have ended included in the CPU time.

    pids      of all that live but this one
    began_at  start of the member on the monotonic clock
    return    limits are those of one process
    """
    from etcdz.telemetry.metrics import Whole

    living = [os.getpid(), *pids]
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    memory = [process_usage.memory_bytes(pid) or (0, 0) for pid in living]
    virtual_max = resource.getrlimit(resource.RLIMIT_AS)[0]
    return Whole(
        cpu_s=sum(process_usage.cpu_s(pid) or 0.0 for pid in living) + ended.ru_utime + ended.ru_stime,
        rss_bytes=sum(rss for _, rss in memory),
        virtual_bytes=sum(virtual for virtual, _ in memory),
        virtual_bytes_max=float(virtual_max if virtual_max != resource.RLIM_INFINITY else 2**64 - 1),
        open_files=sum(process_usage.open_files(pid) or 0 for pid in living),
        open_files_max=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        started_s=round(time.time() - (time.monotonic() - began_at), 2),
    )
